import type { Broker } from '../broker.ts'

export interface LogOptions {
  readonly log: 'quiet' | 'normal' | 'verbose'
  readonly json: boolean
}

export interface Log {
  /** Prints a line for a person. */
  say(text: string): void
  listening(url: string): void
  /** Files were read again. */
  reloaded(message: string): void
  /** Prints a fault of the environment, also with --quiet. */
  fault(message: string): void
}

const MAX_PAYLOAD_BYTES = 120
const colours = { dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const
type Colour = keyof typeof colours

// Strings of Clients must not control the terminal or start a line of the log.
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu
function printable(string: string): string {
  return string.replaceAll(unprintable, (character) => `\\u${character.codePointAt(0)?.toString(16).padStart(4, '0')}`)
}

/** Prints the events of a broker, in colour on a terminal, or as one JSON object per line. */
export function logEvents(broker: Broker, options: LogOptions): Log {
  const coloured = process.stdout.isTTY && process.env.NO_COLOR === undefined
  const paint = (colour: Colour, text: string): string =>
    coloured ? `\u001b[${colours[colour]}m${text}\u001b[0m` : text

  function line(event: string, colour: Colour, who: string, what: string, details: Record<string, unknown>): void {
    const time = new Date().toISOString()
    if (options.json) process.stdout.write(`${JSON.stringify({ time, event, ...details })}\n`)
    else {
      process.stdout.write(
        `${paint('dim', time.slice(11, 23))} ${paint(colour, event.padEnd(12))} ${paint('cyan', printable(who))} ${printable(what)}\n`,
      )
    }
  }

  broker.on('error', (error) => {
    if (options.json) line('error', 'red', '', error.message, { message: error.message })
    else process.stderr.write(`haltere: ${error.stack ?? error.message}\n`)
  })
  if (options.log !== 'quiet') {
    broker.on('clientConnected', (client, sessionPresent) => {
      const { protocolVersion, username } = client.connect
      const { transport, remoteAddress = '', remotePort = '' } = client.connection
      const from = `${transport} ${remoteAddress}:${remotePort}`
      const user = username === undefined ? '' : ` as ${username}`
      line(
        'connected',
        'green',
        client.id,
        `MQTT ${protocolVersion} over ${from}${user}${sessionPresent ? ', session present' : ''}`,
        { clientId: client.id, protocolVersion, username, transport, remoteAddress, remotePort, sessionPresent },
      )
    })
    broker.on('clientDisconnected', (client, { reasonCode, byClient, error }) => {
      const why = byClient
        ? 'said goodbye'
        : (error?.message ?? (reasonCode === 0x80 ? 'connection lost' : 'ended by the broker'))
      line('disconnected', 'yellow', client.id, `${why} (0x${reasonCode.toString(16).padStart(2, '0')})`, {
        clientId: client.id,
        reasonCode,
        byClient,
        message: error?.message,
      })
    })
    broker.on('connectionRefused', ({ remoteAddress = '' }, { message, reasonCode }, { clientId, username }) => {
      const user = username === undefined ? '' : ` as ${username}`
      line('refused', 'red', clientId ?? remoteAddress, `${message}, from ${remoteAddress}${user}`, {
        clientId,
        username,
        remoteAddress,
        reasonCode,
        message,
      })
    })
    broker.on('subscribed', ({ topicFilter, qos }, client) => {
      line('subscribed', 'blue', client.id, `${topicFilter} at QoS ${qos}`, { clientId: client.id, topicFilter, qos })
    })
    broker.on('unsubscribed', (topicFilter, client) => {
      line('unsubscribed', 'blue', client.id, topicFilter, { clientId: client.id, topicFilter })
    })
    broker.on('published', ({ topic, payload, qos, retain }, client, isWill) => {
      const size = `${payload.length} B${retain ? ', retained' : ''}${isWill ? ', Will' : ''}`
      const shown =
        options.log === 'verbose' ? `: ${Buffer.from(payload.subarray(0, MAX_PAYLOAD_BYTES)).toString()}` : ''
      line('published', 'magenta', client?.id ?? '', `${topic} at QoS ${qos}, ${size}${shown}`, {
        clientId: client?.id,
        topic,
        qos,
        retain,
        ...(isWill && { will: true }),
        bytes: payload.length,
        ...(options.log === 'verbose' && { payload: Buffer.from(payload).toString() }),
      })
    })
    broker.on('dropped', ({ topic }, clientId, why) =>
      line('dropped', 'red', clientId, `${topic}: ${why}`, { clientId, topic, why }),
    )
  }
  if (options.log === 'verbose') {
    broker.on('clientError', (error, { remoteAddress = '' }, client) => {
      line('fault', 'red', client?.id ?? remoteAddress, error.message, {
        clientId: client?.id,
        remoteAddress,
        message: error.message,
      })
    })
  }
  return {
    say: (text) => {
      if (options.log !== 'quiet' && !options.json) process.stdout.write(`${paint('dim', text)}\n`)
    },
    reloaded: (message) => {
      if (options.log !== 'quiet') line('reloaded', 'green', '', message, { message })
    },
    fault: (message) => {
      if (options.json) line('error', 'red', '', message, { message })
      else process.stderr.write(`haltere: ${message}\n`)
    },
    listening: (url) => {
      if (options.json)
        process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), event: 'listening', url })}\n`)
      else process.stdout.write(`listening ${url}\n`)
    },
  }
}

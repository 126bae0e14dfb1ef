import { inspect } from 'node:util'
import { Broker, MqttError } from '../../lib/index.ts'
import { Decoder } from '../../lib/packets/decoder.ts'
import type { Plugin } from '../../types/hooks.ts'
import type { BrokerOptions } from '../../types/options.ts'
import type { Packet, ProtocolLevel } from '../../types/packets.ts'
import { TestClient } from '../support/client.ts'
import { ManualClock } from '../support/clock.ts'
import { heapInUse } from '../bad-input/faults.ts'
import { type Input, makeInput } from './conversation.ts'
import { Random } from './random.ts'
import { Watchdog } from './watchdog.ts'

// Clients that are connected to one broker at the same time.
const BATCH = 64
// Turns of the event loop in which whatever is to happen must have happened.
const MOST_TURNS = 2000
// Tries that making an input smaller may take.
const MOST_TRIES = 600

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function refuse(): never {
  throw new MqttError('quota-exceeded', 'not today')
}

/** Hooks that answer at once, a little later, with a refusal or with something else. */
function slowHooks(random: Random): Plugin {
  const later = async <Answer>(answer: Answer): Promise<Answer> => {
    for (let turns = random.below(3); turns > 0; turns -= 1) await turn()
    return answer
  }
  const maybeLater = <Answer>(answer: Answer): Answer | Promise<Answer> => (random.oneIn(2) ? answer : later(answer))
  return {
    name: 'slow',
    authenticate: async (request, _info, _signal, authentication) => {
      if (authentication.method !== undefined) await authentication.exchange(Buffer.from('prove it')).catch(refuse)
      return random.oneIn(10) ? false : later({ user: request.username })
    },
    reauthenticate: (step) => maybeLater({ done: step.data !== undefined || random.oneIn(2) } as { done: true }),
    authorizePublish: (message) => {
      if (random.oneIn(12)) return later(message).then(refuse)
      return maybeLater(random.oneIn(8) ? { ...message, topic: `t/changed` } : true)
    },
    authorizeSubscribe: (subscription) => {
      if (random.oneIn(12)) return later(subscription).then(refuse)
      return maybeLater(random.oneIn(8) ? { ...subscription, qos: 0 } : !random.oneIn(12))
    },
    authorizeDeliver: (message) =>
      random.oneIn(8) ? false : random.oneIn(8) ? { ...message, payload: Buffer.from('x') } : true,
    inspect: (message) => {
      if (message.payload.length > 2000) refuse()
    },
  }
}

const configurations: readonly ((random: Random) => BrokerOptions)[] = [
  () => ({}),
  (random) => ({ plugins: [slowHooks(random)] }),
  () => ({
    limits: {
      maxPacketSize: 1024,
      maxConnectPacketSize: 256,
      receiveMaximum: 2,
      maxInflight: 2,
      maxQueuedMessages: 4,
      maxQueuedBytes: 4096,
      maxOutboundBytes: 2048,
      maxSubscriptionsPerClient: 3,
      maxSessions: 40,
      maxTopicLevels: 3,
      maxRetained: 3,
      topicAliasMaximum: 2,
      maxOutboundTopicAliases: 1,
      maxUserProperties: 1,
      messagesPerSecond: 3,
      maxKeepAlive: 10,
    },
  }),
  () => ({ sessionOwner: 'user', allowControlCharacters: true }),
]

/** One broker that is fed batch after batch. */
class Target {
  readonly faults: unknown[] = []
  readonly #clock = new ManualClock()
  readonly broker: Broker
  readonly #collect = (error: unknown): void => {
    this.faults.push(error)
  }
  #count = 0
  /** Topics that may have a retained message. */
  readonly #retained = new Set<string>()
  /** Whether the hooks of this broker refuse by chance. */
  readonly #refuses: boolean

  constructor(configuration: number, seed: number) {
    const options = (configurations[configuration] as (typeof configurations)[number])(new Random(seed))
    this.#refuses = options.plugins !== undefined
    this.broker = new Broker({
      ...options,
      // The clock jumps; hooks of this world must not be late for it.
      limits: { maxSessionExpiry: 60, hookTimeoutMs: 2 ** 40, ...options.limits },
      clock: this.#clock,
      sysInterval: false,
    })
    this.broker.on('error', this.#collect)
    this.broker.on('published', ({ topic, retain, payload }) => {
      if (retain && payload.length > 0) this.#retained.add(topic)
    })
    process.on('uncaughtException', this.#collect).on('unhandledRejection', this.#collect)
  }

  async close(): Promise<void> {
    await this.broker.close({ graceMs: 1 })
    process.off('uncaughtException', this.#collect).off('unhandledRejection', this.#collect)
  }

  /** Undefined, or what is wrong. */
  async run(inputs: readonly Input[]): Promise<string | undefined> {
    const clients = inputs.map((input) => ({ input, stream: this.broker.connect(), output: [] as Buffer[] }))
    for (const { input, stream, output } of clients) {
      if (input.reads) stream.on('data', (chunk: Buffer) => output.push(chunk))
      stream.on('error', this.#collect)
    }
    const rounds = Math.max(0, ...inputs.map((input) => input.chunks.length))
    for (let round = 0; round < rounds; round += 1) {
      for (const { input, stream } of clients) {
        const chunk = input.chunks[round]
        if (chunk !== undefined && stream.writable) stream.write(Buffer.from(chunk))
        if (round + 1 === input.chunks.length) {
          if (input.leaves === 'end') stream.end()
          if (input.leaves === 'destroy') stream.destroy()
        }
      }
      if (round % 3 === 0) await turn()
    }
    for (let turns = 0; turns < 6; turns += 1) await turn()
    const fault = (await this.#serves('with the others there')) ?? this.#readable(clients)
    for (const { stream } of clients) stream.destroy()
    return fault ?? (await this.#isAsBefore()) ?? this.#firstFault()
  }

  #firstFault(): string | undefined {
    const fault = this.faults[0]
    return fault === undefined ? undefined : inspect(fault)
  }

  /** A new Client connects, subscribes, publishes and receives. */
  async #serves(when: string): Promise<string | undefined> {
    this.#count += 1
    const level = ([3, 4, 5] as const)[this.#count % 3] as ProtocolLevel
    // Hooks that refuse by chance refuse this one too: it tries again.
    for (let attempt = 0; attempt < 60; attempt += 1) {
      const client = new TestClient(this.broker.connect(), level)
      const topic = `h/${this.#count}`
      client.write('10 <NAME 02 0000 NONE "healthy">')
      const outcome = await this.#converse(client, topic)
      client.stream.destroy()
      await turn()
      if (outcome === 'served') return undefined
      if (outcome !== 'refused') return `${when}, a healthy Client at Protocol Level ${level}: ${outcome}`
    }
    return `${when}, a healthy Client is never let in`
  }

  async #converse(client: TestClient, topic: string): Promise<string> {
    const expect = async (type: Packet['type']): Promise<Packet | undefined> => {
      for (let turns = 0; turns < MOST_TURNS; turns += 1) {
        const index = client.received.findIndex((packet) => packet.type === type)
        if (index >= 0) return client.received.splice(index, 1)[0]
        if (client.isClosed) return undefined
        await turn()
        if (turns % 50 === 49) this.#clock.advance(1000) // Whoever was held back goes on.
      }
      return undefined
    }
    const connack = await expect('connack')
    if (connack?.type !== 'connack') return 'no CONNACK'
    if (connack.reasonCode !== 0) return 'refused'
    client.write(`82 <0001 NONE "${topic}" 00>`)
    const suback = await expect('suback')
    if (suback?.type !== 'suback') return 'no SUBACK'
    if (suback.reasonCodes[0] !== 0) return 'refused'
    client.write(`32 <"${topic}" 0001 NONE 'news'>`)
    const puback = await expect('puback')
    if (puback?.type !== 'puback') return 'no PUBACK'
    if (!this.#refuses) {
      const news = await expect('publish')
      if (news?.type !== 'publish' || news.topic !== topic) return 'no PUBLISH'
    }
    client.write('c0 00')
    return (await expect('pingresp')) === undefined ? 'no PINGRESP' : 'served'
  }

  /** What the broker sent is packets, CONNACK or AUTH first, and nothing after its goodbye. */
  #readable(clients: readonly { output: readonly Buffer[] }[]): string | undefined {
    for (const { output } of clients) {
      if (output.length === 0) continue
      const sent = Buffer.concat(output)
      if (([5, 4, 3] as const).every((level) => faultIn(sent, level) !== undefined)) {
        return `the broker sent what no Client can read: ${sent.subarray(0, 200).toString('hex')}: ${faultIn(sent, 5)}`
      }
    }
    return undefined
  }

  /** Everybody is gone and the time of every session is over. */
  async #isAsBefore(): Promise<string | undefined> {
    let left = ''
    for (let turns = 0; turns < MOST_TURNS; turns += 1) {
      await turn()
      if (turns % 3 === 2) {
        this.#clock.advance(100_000)
        for (const topic of this.#retained) await this.broker.publish({ topic, retain: true })
        this.#retained.clear()
      }
      left = this.#left()
      if (left === '') return undefined
    }
    return `left behind: ${left}`
  }

  #left(): string {
    const stats = this.broker.stats()
    const names = [
      'sessions',
      'subscriptions',
      'sharedSubscriptions',
      'timers',
      'queuedMessages',
      'queuedBytes',
      'clientsConnected',
      'retainedMessages',
      'retainedBytes',
    ] as const
    return names
      .filter((name) => stats[name] !== 0)
      .map((name) => `${name} ${stats[name]}`)
      .join(', ')
  }
}

function faultIn(sent: Buffer, level: ProtocolLevel): string | undefined {
  const decoder = new Decoder({ protocolLevel: level, allowControlCharacters: true })
  decoder.push(sent)
  let count = 0
  let isOver = false
  try {
    for (let packet = decoder.next(); packet !== undefined; packet = decoder.next()) {
      if (count === 0 && packet.type !== 'connack' && packet.type !== 'auth')
        return `${packet.type} is the first packet`
      if (isOver) return `${packet.type} after the end`
      isOver = packet.type === 'disconnect' || (packet.type === 'connack' && packet.reasonCode !== 0)
      count += 1
    }
  } catch (error) {
    return (error as Error).message
  }
  return decoder.bufferedBytes > 0 ? 'half a packet' : undefined
}

/** What a run of the fuzzer came to. */
export interface Outcome {
  readonly inputs: number
  readonly milliseconds: number
  readonly heapGrowth: number
  /** What went wrong, and the least that makes it go wrong. */
  readonly failure?: { readonly what: string; readonly configuration: number; readonly inputs: readonly string[] }
}

/** Feeds brokers until so many inputs were given or the time is over. The same seed gives the same inputs. */
export async function fuzz(
  seed: number,
  until: { inputs?: number; seconds?: number },
  progress?: (inputs: number) => void,
): Promise<Outcome> {
  const random = new Random(seed)
  const targets = configurations.map((_, index) => new Target(index, seed))
  const started = performance.now()
  const elapsed = (): number => performance.now() - started
  const watchdog = new Watchdog(seed)
  let inputs = 0
  let heap = 0
  try {
    for (let batch = 0; ; batch += 1) {
      if (batch === 200) heap = heapInUse()
      if (inputs >= (until.inputs ?? Infinity) || elapsed() >= (until.seconds ?? Infinity) * 1000) break
      const configuration = batch % targets.length
      const made = Array.from({ length: BATCH }, () => makeInput(random))
      const what = await (targets[configuration] as Target).run(made)
      watchdog.beat()
      inputs += made.length
      if (what !== undefined) {
        await watchdog.stop() // What fails may be slow to fail.
        const least = await minimise(configuration, seed, made)
        return {
          inputs,
          milliseconds: elapsed(),
          heapGrowth: 0,
          failure: { what, configuration, inputs: least.map(shown) },
        }
      }
      if (batch % 100 === 99) progress?.(inputs)
    }
    const milliseconds = elapsed()
    const heapGrowth = heap === 0 ? 0 : heapInUse() - heap
    return { inputs, milliseconds, heapGrowth }
  } finally {
    await watchdog.stop()
    for (const target of targets) await target.close()
  }
}

function shown({ chunks, leaves, reads }: Input): string {
  return `${chunks.map((chunk) => chunk.toString('hex')).join(' | ')} (${leaves}${reads ? '' : ', reads nothing'})`
}

/** Leaves out Clients, then pieces, then bytes, as long as it still goes wrong on a new broker. */
async function minimise(configuration: number, seed: number, inputs: readonly Input[]): Promise<readonly Input[]> {
  let tries = 0
  const fails = async (some: readonly Input[]): Promise<boolean> => {
    if (tries >= MOST_TRIES) return false
    tries += 1
    const target = new Target(configuration, seed)
    try {
      return (await target.run(some)) !== undefined
    } finally {
      await target.close()
    }
  }
  if (!(await fails(inputs))) return [] // It needed what came before: only the seed shows it.
  const withoutClients = await shrink(inputs, fails)
  const least: Input[] = [...withoutClients]
  for (let index = 0; index < least.length; index += 1) {
    const { chunks, leaves, reads } = least[index] as Input
    const replaced = (content: Buffer): readonly Input[] => least.with(index, { chunks: [content], leaves, reads })
    const whole = Buffer.concat(chunks)
    if (!(await fails(replaced(whole)))) continue
    const kept = await shrink([...whole], async (some) => fails(replaced(Buffer.from(some))))
    least[index] = { chunks: [Buffer.from(kept)], leaves, reads }
  }
  return least
}

/** The part of a list that is left when ever smaller pieces of it are left out and it still fails. */
async function shrink<Item>(
  items: readonly Item[],
  fails: (some: readonly Item[]) => Promise<boolean>,
): Promise<readonly Item[]> {
  let least = items
  for (let size = Math.ceil(items.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < least.length; ) {
      const rest = [...least.slice(0, from), ...least.slice(from + size)]
      if (rest.length > 0 && (await fails(rest))) least = rest
      else from += size
    }
  }
  return least
}

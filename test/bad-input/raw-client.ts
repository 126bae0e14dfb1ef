import { strict as assert } from 'node:assert'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Broker } from '../../lib/index.ts'
import type { ProtocolLevel } from '../../types/packets.ts'
import { patienceMs } from '../support/patience.ts'
import { type Answer, bytes, readAnswers } from '../support/wire.ts'

/**
 * A Client that sends what it is told, right or wrong, and shows what comes back. It reads with `wire.ts` and not with
 * the decoder of the broker, so that a fault of the decoder cannot hide one of the encoder.
 */
export class RawClient {
  readonly stream: Duplex
  readonly level: ProtocolLevel
  /** Packets that nobody has taken yet. */
  readonly answers: Answer[] = []
  ended = false
  #unread = Buffer.alloc(0)
  #news: (() => void) | undefined

  constructor(stream: Duplex, level: ProtocolLevel = 5) {
    this.stream = stream
    this.level = level
    stream.on('data', (chunk: Buffer) => {
      const input = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk])
      const { answers, length } = readAnswers(input, level)
      this.#unread = Buffer.from(input.subarray(length))
      this.answers.push(...answers)
      this.#news?.()
    })
    const end = (): void => {
      this.ended = true
      this.#news?.()
    }
    stream.on('end', end).on('close', end).on('error', end)
  }

  /** Bytes in the notation of `wire.ts`. */
  sends(notation: string | Buffer): this {
    this.stream.write(typeof notation === 'string' ? bytes(notation, this.level) : notation)
    return this
  }

  /** The next packet; undefined at the end of the connection. */
  async next(): Promise<Answer | undefined> {
    while (this.answers.length === 0 && !this.ended) await this.#wait()
    return this.answers.shift()
  }

  /** The next packet is this one; `close` is the end of the connection. */
  async receives(...expected: readonly string[]): Promise<Answer | undefined> {
    let last: Answer | undefined
    for (const text of expected) {
      last = await this.next()
      assert.equal(last?.text ?? 'close', text)
    }
    return last
  }

  /** Everything up to the answer to a PINGREQ or to the end of the connection. */
  async reaction(): Promise<string> {
    this.sends('c0 00')
    const texts: string[] = []
    for (;;) {
      const answer = await this.next()
      if (answer === undefined) return [...texts, 'close'].join(', ')
      if (answer.type === 'pingresp') return [...texts, 'open'].join(', ')
      texts.push(answer.text)
    }
  }

  /** CONNECT with what comes after the Keep Alive, and its CONNACK. */
  async connects(clientId: string, flags = '02', properties = 'NONE'): Promise<Answer> {
    this.sends(`10 <NAME ${flags} 0000 ${properties} "${clientId}">`)
    const connack = await this.receives('connack 00')
    return connack as Answer
  }

  /** All that the broker has for this Client is here: it answered a PINGREQ with nothing before it. */
  async hasNothing(): Promise<void> {
    assert.equal(await this.reaction(), 'open')
  }

  /** Ends the connection at once, without a goodbye. */
  async drops(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.stream.once('close', () => resolve()))
    if (this.stream.closed) return
    this.stream.destroy()
    await closed
  }

  async #wait(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve, reject) => {
      this.#news = resolve
      timer = setTimeout(() => reject(new Error('the broker does not answer')), patienceMs)
    })
    clearTimeout(timer)
  }
}

/** A connection to a listener of this machine. */
export async function tcpClient(port: number, level: ProtocolLevel = 5): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  return new RawClient(socket, level)
}

/** Looks again after every turn of the event loop until it is so. */
export async function until(isSo: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + patienceMs
  while (!isSo()) {
    if (Date.now() > deadline) throw new Error(`${what} did not come true`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** A connection without a network. */
export function memoryClient(broker: Broker, level: ProtocolLevel = 5): RawClient {
  return new RawClient(broker.connect(), level)
}

/** Lets everything that is under way come to its end. */
export async function turns(count = 10): Promise<void> {
  for (let left = count; left > 0; left -= 1) await new Promise((resolve) => setImmediate(resolve))
}

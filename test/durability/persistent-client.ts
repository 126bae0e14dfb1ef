import type { Duplex } from 'node:stream'
import { Decoder } from '../../lib/packets/decoder.ts'
import { encode } from '../../lib/packets/encoder.ts'
import type { ConnackPacket, Packet, ProtocolLevel } from '../../types/packets.ts'
import type { Random } from '../fuzz/random.ts'
import type { Ledger } from './ledger.ts'

/** Opens a stream to the broker; waits while there is none, and may fail. */
export type Open = () => Promise<Duplex>

export interface ClientSettings {
  readonly clientId: string
  readonly level: ProtocolLevel
  readonly open: Open
  readonly ledger: Ledger
  readonly random: Random
}

/**
 * A Client that keeps its session, and comes back whenever its connection ends: it lives longer than the connection that
 * a `TestClient` is.
 */
export abstract class PersistentClient {
  readonly clientId: string
  readonly level: ProtocolLevel
  readonly ledger: Ledger
  readonly random: Random
  /** The number of the Network Connection. */
  connection = 0
  /** CONNACK came. */
  isOnline = false
  readonly #open: Open
  #stream: Duplex | undefined
  #isStopped = false
  #running: Promise<void> | undefined
  #news: () => void = () => undefined

  constructor({ clientId, level, open, ledger, random }: ClientSettings) {
    this.clientId = clientId
    this.level = level
    this.ledger = ledger
    this.random = random
    this.#open = open
  }

  /** CONNACK came. */
  protected abstract opened(connack: ConnackPacket): void
  protected abstract took(packet: Packet): void
  protected abstract closed(): void
  protected receiveMaximum(): number | undefined {
    return undefined
  }
  /** Milliseconds until it comes back. */
  protected pause(): number {
    return 5
  }

  start(): void {
    this.#isStopped = false
    this.#running ??= this.#run()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#stream?.destroy()
    this.tell()
    await this.#running
    this.#running = undefined
  }

  /** Ends the Network Connection without a word. */
  drop(): void {
    this.#stream?.destroy()
  }

  /** The next time that `isSo`, looked at after every packet and every end of a connection. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo() && !this.#isStopped) {
      const before = this.#news
      await new Promise<void>((resolve) => {
        this.#news = () => {
          before()
          resolve()
        }
      })
    }
  }

  protected send(packet: Packet): void {
    this.#stream?.write(encode(packet, this.level))
  }

  protected tell(): void {
    const news = this.#news
    this.#news = () => undefined
    news()
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const stream = await this.#open().catch(() => undefined)
      if (stream !== undefined) await this.#talk(stream)
      if (!this.#isStopped) await new Promise((resolve) => setTimeout(resolve, this.pause()))
    }
  }

  async #talk(stream: Duplex): Promise<void> {
    this.#stream = stream
    this.connection += 1
    const decoder = new Decoder({ protocolLevel: this.level })
    stream.on('error', () => undefined)
    stream.on('data', (chunk: Buffer) => {
      try {
        decoder.push(chunk)
        for (let packet = decoder.next(); packet !== undefined; packet = decoder.next()) this.#took(packet)
      } catch (error) {
        this.ledger.fault('protocol', `${this.clientId}: ${(error as Error).message}`)
        stream.destroy()
      }
    })
    if (this.#isStopped) stream.destroy()
    else this.#connect()
    await new Promise((resolve) => (stream.closed ? resolve(undefined) : stream.once('close', resolve)))
    this.isOnline = false
    this.closed()
    this.tell()
  }

  #connect(): void {
    const receiveMaximum = this.receiveMaximum()
    this.ledger.connecting(this.clientId)
    this.send({
      type: 'connect',
      protocolLevel: this.level,
      cleanStart: false,
      keepAlive: 0,
      clientId: this.clientId,
      will: undefined,
      username: undefined,
      password: undefined,
      properties:
        this.level === 5
          ? { sessionExpiryInterval: 3600, ...(receiveMaximum !== undefined && { receiveMaximum }) }
          : undefined,
    })
  }

  #took(packet: Packet): void {
    if (packet.type !== 'connack') {
      this.took(packet)
    } else if (packet.reasonCode === 0) {
      this.isOnline = true
      this.ledger.connected(this.clientId, packet.sessionPresent, this.connection === 1)
      this.opened(packet)
    } else {
      // A store that fails may refuse; nothing was promised then.
      this.drop()
    }
    this.tell()
  }
}

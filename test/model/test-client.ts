import type { Duplex } from 'node:stream'
import { Decoder } from '../../lib/packets/decoder.ts'
import { encode } from '../../lib/packets/encoder.ts'
import type { Packet, ProtocolLevel, PublishPacket } from '../../types/packets.ts'

/** The Client's side of one Network Connection: it sends what it is told and keeps what comes. */
export class TestClient {
  readonly protocolLevel: ProtocolLevel
  readonly whenClosed: Promise<void>
  closed = false
  readonly #stream: Duplex
  readonly #decoder: Decoder
  #received: Packet[] = []
  #pings = 0
  #wake: () => void = () => {}
  #failure: unknown
  /** What the Server's Topic Aliases stand for. */
  readonly #aliases = new Map<number, string>()

  constructor(stream: Duplex, protocolLevel: ProtocolLevel) {
    this.protocolLevel = protocolLevel
    this.#stream = stream
    this.#decoder = new Decoder({ protocolLevel })
    stream.on('data', (chunk: Buffer) => this.#take(chunk))
    stream.on('error', () => {})
    stream.on('end', () => stream.end())
    this.whenClosed = new Promise((resolve) => {
      stream.once('close', () => {
        this.closed = true
        this.#wake()
        resolve()
      })
    })
  }

  send(...packets: readonly Packet[]): void {
    if (this.closed || !this.#stream.writable) return
    this.#stream.write(Buffer.concat(packets.map((packet) => encode(packet, this.protocolLevel))))
  }

  /** Waits until the Server has answered all that was sent before; also content when the connection is closed. */
  async fence(): Promise<void> {
    if (this.closed) return
    this.#pings += 1
    this.send({ type: 'pingreq' })
    await this.#until(() => this.#pings === 0)
  }

  /** Waits for the answer to CONNECT. */
  async connack(): Promise<void> {
    await this.#until(() => this.#received.some(({ type }) => type === 'connack'))
  }

  /** What came since the last time it was asked for, without the answers to `fence`. */
  taken(): Packet[] {
    if (this.#failure !== undefined) throw this.#failure
    const received = this.#received
    this.#received = []
    return received
  }

  /** Ends the stream without a DISCONNECT. */
  drop(): Promise<void> {
    this.#stream.destroy()
    return this.whenClosed
  }

  async #until(isDone: () => boolean): Promise<void> {
    while (!isDone() && !this.closed && this.#failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #take(chunk: Buffer): void {
    try {
      this.#decoder.push(chunk)
      for (let packet = this.#decoder.next(); packet !== undefined; packet = this.#decoder.next()) {
        if (packet.type === 'pingresp') this.#pings -= 1
        else this.#received.push(packet.type === 'publish' ? this.#named(packet) : packet)
      }
    } catch (error) {
      this.#failure = error
    }
    this.#wake()
  }

  /** With its Topic Name where an alias stood, and a payload that nobody else changes. */
  #named(packet: PublishPacket): PublishPacket {
    const alias = packet.properties?.topicAlias
    if (alias !== undefined && packet.topic !== '') this.#aliases.set(alias, packet.topic)
    const topic = alias !== undefined && packet.topic === '' ? this.#aliases.get(alias) : packet.topic
    if (topic === undefined) throw new Error(`Topic Alias ${alias} stands for nothing`)
    return { ...packet, topic, payload: Buffer.from(packet.payload) }
  }
}

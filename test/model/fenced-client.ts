import type { Packet, PublishPacket } from '../../types/packets.ts'
import { TestClient } from '../support/client.ts'

/** A Client that takes what came all at once, when a PINGRESP shows that the Server has answered all that was sent. */
export class FencedClient extends TestClient {
  #pings = 0
  #wake: () => void = () => undefined
  /** The Topic Names of the Topic Aliases that the Server set. */
  readonly #aliases = new Map<number, string>()

  override send(...packets: Packet[]): void {
    if (!this.isClosed && this.stream.writable) super.send(...packets)
  }

  /** Waits until the Server has answered all that was sent before, or has closed the connection. */
  async fence(): Promise<void> {
    if (this.isClosed) return
    this.#pings += 1
    this.send({ type: 'pingreq' })
    await this.#until(() => this.#pings === 0)
  }

  /** Waits for the answer to CONNECT. */
  async connack(): Promise<void> {
    await this.#until(() => this.received.some(({ type }) => type === 'connack'))
  }

  /** All that came since the last call, without PINGRESP. */
  taken(): Packet[] {
    if (this.fault !== undefined) throw this.fault
    return this.received.splice(0)
  }

  protected override took(packet: Packet): void {
    if (packet.type === 'pingresp') this.#pings -= 1
    else this.received.push(packet.type === 'publish' ? this.#named(packet) : packet)
    this.#wake()
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo() && !this.isClosed) {
      const news = new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      await Promise.race([news, this.closed])
    }
  }

  /** With its Topic Name where an alias stood, and a payload that is no view of what was read. */
  #named(packet: PublishPacket): PublishPacket {
    const alias = packet.properties?.topicAlias
    if (alias !== undefined && packet.topic !== '') this.#aliases.set(alias, packet.topic)
    const topic = alias !== undefined && packet.topic === '' ? this.#aliases.get(alias) : packet.topic
    if (topic === undefined) throw new Error(`Topic Alias ${alias} stands for nothing`)
    return { ...packet, topic, payload: Buffer.from(packet.payload) }
  }
}

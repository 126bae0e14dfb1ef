/** A stream of messages with one topic: packets are encoded once, only their stamps change before each sending. */
import type { Client } from './client.ts'
import { publishPacket, type Qos } from './packets.ts'

export interface PublisherOptions {
  readonly topic: string
  readonly qos: Qos
  readonly payloadBytes: number
  readonly stream: number
  /** Maximum number of messages in transit. */
  readonly window: number
  /** MQTT 5.0: the first packet sets a Topic Alias, the others use it. */
  readonly useTopicAlias?: boolean
  readonly retain?: boolean
}

export class Publisher {
  readonly client: Client
  sent = 0
  readonly #window: number
  readonly #ring: Buffer
  readonly #packetBytes: number
  readonly #stamp: number
  /** Sent once, instead of the first packet of the ring. */
  #first: Buffer | undefined

  constructor(client: Client, options: PublisherOptions) {
    const { topic, qos, payloadBytes, stream, window } = options
    const common = { qos, payloadBytes, stream, version: client.version, retain: options.retain === true }
    const alias = options.useTopicAlias === true && client.topicAliasMaximum > 0 ? { topicAlias: 1 } : {}
    const topicOfRing = alias.topicAlias === undefined ? topic : ''
    const packets = Array.from({ length: window }, (_, slot) =>
      publishPacket({ ...common, ...alias, topic: topicOfRing, packetId: slot + 1 }),
    )
    if (topicOfRing === '') this.#first = publishPacket({ ...common, ...alias, topic, packetId: 1 })
    this.client = client
    this.#window = window
    this.#ring = Buffer.concat(packets)
    this.#packetBytes = this.#ring.length / window
    this.#stamp = this.#packetBytes - payloadBytes
  }

  /** Sends messages in one write, or two at the end of the ring. The window must have room for `count` messages. */
  send(count: number, time = 0): void {
    let rest = count
    if (this.#first !== undefined && rest > 0) {
      this.client.write(this.#first)
      this.#first = undefined
      this.sent += 1
      rest -= 1
    }
    while (rest > 0) {
      const slot = this.sent % this.#window
      const run = Math.min(rest, this.#window - slot)
      let offset = slot * this.#packetBytes
      const start = offset
      for (let index = 0; index < run; index += 1) {
        this.#ring.writeUInt32BE(this.sent, offset + this.#stamp + 4)
        if (time > 0) this.#ring.writeDoubleBE(time, offset + this.#stamp + 8)
        this.sent += 1
        offset += this.#packetBytes
      }
      this.client.write(this.#ring.subarray(start, offset))
      rest -= run
    }
  }
}

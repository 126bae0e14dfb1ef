import type { ConnackPacket, Packet, QoS } from '../../types/packets.ts'
import { payloadOf } from './ledger.ts'
import { type ClientSettings, PersistentClient } from './persistent-client.ts'

export interface PublishedTopic {
  readonly topic: string
  readonly qos: QoS
  readonly retain: boolean
}

interface Exchange {
  readonly packetId: number
  readonly to: PublishedTopic
  readonly sequence: number
  state: 'publish sent' | 'pubrel sent'
}

export interface PublisherSettings extends ClientSettings {
  readonly topics: readonly PublishedTopic[]
  /** False while it is to hold back, because others have to catch up. */
  readonly mayPublish?: () => boolean
}

/** Publishes numbered messages, keeps what is not complete, and sends it again in order after every reconnect. */
export class Publisher extends PersistentClient {
  readonly #topics: readonly PublishedTopic[]
  readonly #mayPublish: () => boolean
  readonly #sequences = new Map<string, number>()
  /** In the order in which they were sent first. */
  readonly #exchanges = new Map<number, Exchange>()
  #window = 1
  #timer: NodeJS.Timeout | undefined
  /** Messages that it may still start. */
  #left = 0

  constructor(settings: PublisherSettings) {
    super(settings)
    this.#topics = settings.topics
    this.#mayPublish = settings.mayPublish ?? (() => true)
  }

  /** Publishes this many messages more, a few at a time. */
  publish(count: number): void {
    this.#left += count
    this.#tick()
  }

  /** Starts no further message; resolves when those that it started are complete. */
  async finish(): Promise<void> {
    this.#left = 0
    await this.complete()
  }

  async complete(): Promise<void> {
    await this.until(() => this.#exchanges.size === 0 && this.#left === 0)
  }

  /** What it waits for, for people. */
  get pending(): string {
    const exchanges = [...this.#exchanges.values()]
    return `${this.clientId}: ${exchanges.map(({ packetId, state }) => `${packetId} ${state}`).join(', ')}`
  }

  get isComplete(): boolean {
    return this.#exchanges.size === 0 && this.#left === 0
  }

  protected opened(connack: ConnackPacket): void {
    this.#window = Math.min(connack.properties?.receiveMaximum ?? 65_535, 1 + this.random.below(24))
    // [MQTT-4.4.0-1]: with the Packet Identifiers they had, in the order in which they were sent.
    for (const exchange of this.#exchanges.values()) {
      if (exchange.state === 'publish sent') this.#send(exchange, connack.sessionPresent)
      else this.send({ type: 'pubrel', packetId: exchange.packetId, reasonCode: 0, properties: undefined })
    }
    this.#tick()
  }

  protected took(packet: Packet): void {
    if (packet.type === 'disconnect') return // A broker that closes, or whose store is gone, says so.
    if (packet.type !== 'puback' && packet.type !== 'pubrec' && packet.type !== 'pubcomp') {
      return this.ledger.fault('protocol', `${this.clientId} got ${packet.type}`)
    }
    const exchange = this.#exchanges.get(packet.packetId)
    if (exchange === undefined) {
      return this.ledger.fault('protocol', `${this.clientId} got ${packet.type} ${packet.packetId} for nothing`)
    }
    const { to, sequence } = exchange
    if (packet.type === 'pubcomp') {
      if (exchange.state !== 'pubrel sent') this.ledger.fault('protocol', `${this.clientId} got PUBCOMP before PUBREL`)
      this.#exchanges.delete(packet.packetId)
    } else if (packet.reasonCode >= 0x80) {
      this.ledger.refused(to.topic, sequence)
      this.#exchanges.delete(packet.packetId)
    } else {
      this.ledger.acknowledged(to.topic, sequence)
      if (packet.type === 'puback') this.#exchanges.delete(packet.packetId)
      else {
        exchange.state = 'pubrel sent'
        this.send({ type: 'pubrel', packetId: packet.packetId, reasonCode: 0, properties: undefined })
      }
    }
  }

  protected closed(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  // A few messages every few milliseconds: a load that a kill meets in every state.
  #tick(): void {
    if (this.#timer !== undefined || this.#left === 0) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      if (!this.isOnline) return
      if (this.random.oneIn(100)) return this.drop() // Connections end for other reasons too.
      if (this.#mayPublish()) this.#start(1 + this.random.below(4))
      this.#tick()
    }, this.random.below(8))
  }

  #start(count: number): void {
    for (let started = 0; started < count && this.#left > 0 && this.#exchanges.size < this.#window; started += 1) {
      const to = this.random.pick(this.#topics)
      const sequence = (this.#sequences.get(to.topic) ?? 0) + 1
      this.#sequences.set(to.topic, sequence)
      // The lowest that is free: one that was free too early is then soon used again.
      let packetId = 1
      while (this.#exchanges.has(packetId)) packetId += 1
      const exchange: Exchange = { packetId, to, sequence, state: 'publish sent' }
      this.#exchanges.set(packetId, exchange)
      this.#left -= 1
      this.#send(exchange, false)
    }
  }

  #send({ packetId, to, sequence }: Exchange, dup: boolean): void {
    const { topic, qos, retain } = to
    this.ledger.sending(topic, sequence, qos)
    const payload = payloadOf(topic, sequence)
    this.send({ type: 'publish', topic, payload, qos, retain, dup, packetId, properties: undefined })
  }
}

import type { ConnackPacket, Packet, PublishPacket, QoS } from '../../types/packets.ts'
import { type ClientSettings, PersistentClient } from './persistent-client.ts'

export interface SubscriberSettings extends ClientSettings {
  readonly topics: Readonly<Record<string, QoS>>
  /** Away half of the time. */
  readonly comesAndGoes?: boolean
}

/** Receives with a small Receive Maximum, and keeps the identifiers of QoS 2 messages until PUBREL [MQTT-4.3.3-10]. */
export class Subscriber extends PersistentClient {
  readonly #topics: Readonly<Record<string, QoS>>
  /** QoS 2 messages that the application has and that are not released. */
  readonly #incoming = new Set<number>()
  /** PUBLISH packets at QoS 1 and 2 on this connection that were not acknowledged to the end. */
  #inFlight = 0
  #receiveMaximum = 0
  /** Answers that it takes its time for, in their order. */
  #answers: Packet[] = []
  #timer: NodeJS.Timeout | undefined
  #leaving: NodeJS.Timeout | undefined
  #comesAndGoes: boolean
  isSubscribed = false

  constructor(settings: SubscriberSettings) {
    super(settings)
    this.#topics = settings.topics
    this.#comesAndGoes = settings.comesAndGoes ?? false
  }

  /** It is online, and every QoS 2 exchange that it knows of is complete. */
  get isQuiet(): boolean {
    return this.isOnline && this.isSubscribed && this.#incoming.size === 0 && this.#answers.length === 0
  }

  /** From now on it stays. */
  settle(): void {
    this.#comesAndGoes = false
    clearTimeout(this.#leaving)
  }

  /** Lets the broker say all that it has to say: resolves with the answer to a PINGREQ, on this connection or the next. */
  async ping(): Promise<void> {
    let pong = false
    this.#pong = () => {
      pong = true
    }
    this.#isPinging = true
    this.send({ type: 'pingreq' })
    await this.until(() => pong)
    this.#isPinging = false
  }
  #isPinging = false
  #pong: () => void = () => undefined

  protected override receiveMaximum(): number {
    return (this.#receiveMaximum = 1 + this.random.below(20))
  }

  protected override pause(): number {
    return this.#comesAndGoes ? 30 + this.random.below(150) : super.pause()
  }

  protected opened(_connack: ConnackPacket): void {
    if (!this.isSubscribed) {
      const subscriptions = Object.entries(this.#topics).map(([topicFilter, qos]) => ({
        topicFilter,
        qos,
        noLocal: false,
        retainAsPublished: false,
        retainHandling: 2 as const,
      }))
      this.send({ type: 'subscribe', packetId: 65_535, subscriptions, properties: undefined })
    }
    if (this.#isPinging) this.send({ type: 'pingreq' })
    if (this.#comesAndGoes) this.#leaving = setTimeout(() => this.drop(), 30 + this.random.below(150))
  }

  protected took(packet: Packet): void {
    switch (packet.type) {
      case 'publish':
        return this.#takePublish(packet)
      case 'pubrel':
        this.#incoming.delete(packet.packetId)
        return this.#answer({ type: 'pubcomp', packetId: packet.packetId, reasonCode: 0, properties: undefined })
      case 'suback':
        if (packet.reasonCodes.every((code) => code < 0x80) && !this.isSubscribed) {
          this.isSubscribed = true
          this.ledger.subscribed(this.clientId, this.#topics)
        } else this.drop()
        return
      case 'disconnect': // A broker that closes, or whose store is gone, says so.
        return
      case 'pingresp':
        return this.#pong()
      default:
        this.ledger.fault('protocol', `${this.clientId} got ${packet.type}`)
    }
  }

  #takePublish({ topic, payload, qos, dup, packetId }: PublishPacket): void {
    const isKnown = qos === 2 && this.#incoming.has(packetId)
    if (!isKnown) this.ledger.received(this.clientId, { topic, payload, qos, dup, connection: this.connection })
    if (qos === 0) return
    this.#inFlight += 1
    if (this.level === 5 && this.#inFlight > this.#receiveMaximum) {
      this.ledger.fault('protocol', `${this.clientId} got more than its Receive Maximum`) // [MQTT-3.3.4-9]
    }
    if (qos === 2) this.#incoming.add(packetId)
    this.#answer({ type: qos === 1 ? 'puback' : 'pubrec', packetId, reasonCode: 0, properties: undefined })
  }

  #answer(packet: Packet): void {
    this.#answers.push(packet)
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      const answers = this.#answers
      this.#answers = []
      for (const answer of answers) {
        if (answer.type !== 'pubrec') this.#inFlight = Math.max(0, this.#inFlight - 1)
        this.send(answer)
      }
      this.tell()
    }, this.random.below(4))
  }

  protected closed(): void {
    clearTimeout(this.#timer)
    clearTimeout(this.#leaving)
    this.#timer = undefined
    this.#answers = []
    this.#inFlight = 0
  }
}

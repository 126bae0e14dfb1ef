/**
 * The book of what Clients sent and what Clients received. It knows nothing of a broker: whatever happened in between,
 * at the end it must balance.
 */
import type { QoS } from '../../types/packets.ts'

export interface Fault {
  readonly kind:
    | 'lost'
    | 'doubled'
    | 'not marked'
    | 'out of order'
    | 'never sent'
    | 'corrupted'
    | 'wrong QoS'
    | 'not asked for'
    | 'session'
    | 'retained'
    | 'protocol'
    | 'broker'
  readonly what: string
}

/** A PUBLISH as a receiver's application got it: at QoS 2 what the receiver had stored already does not get there. */
export interface Delivery {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly dup: boolean
  /** The number of the receiver's Network Connection. */
  readonly connection: number
}

type Fate = 'sent' | 'acknowledged' | 'refused'

interface Message {
  readonly topic: string
  readonly sequence: number
  readonly qos: QoS
  /** How often its publisher has sent it: each time but the first with DUP. */
  attempts: number
  fate: Fate
  /** Who had a subscription when it was sent first. */
  readonly receivers: readonly Subscriber[]
}

interface Receipt {
  count: number
  connection: number
  /** Receipts without DUP on that connection. */
  unmarked: number
}

interface Subscriber {
  readonly name: string
  /** QoS by topic: a ledger needs no wildcards. */
  readonly topics: ReadonlyMap<string, QoS>
  readonly receipts: Map<string, Receipt>
  readonly highest: Map<string, number>
}

const separator = '#'

/** What the message with this number says: its name, and bytes that follow from it. */
export function payloadOf(topic: string, sequence: number): Buffer {
  const name = `${topic}${separator}${sequence}${separator}`
  let state = sequence
  for (const letter of topic) state = (Math.imul(state, 31) + letter.charCodeAt(0)) >>> 0
  // Most are small, some are larger than a page, so that not every record of a store has the same size.
  const length = state % 97 === 0 ? 20_000 : state % 300
  return Buffer.from(name + name.repeat(Math.ceil(length / name.length)).slice(0, length))
}

export class Ledger {
  readonly #messages = new Map<string, Message>()
  readonly #subscribers = new Map<string, Subscriber>()
  /** By Client: false when a CONNECT was sent and nothing is known of a session, true when it was confirmed. */
  readonly #sessions = new Map<string, boolean>()
  readonly #acknowledgedOf = new Map<string, number>()
  readonly #sentOf = new Map<string, number>()
  readonly #faults: Fault[] = []
  /** Deliveries of acknowledged messages that have not come. */
  #owed = 0
  readonly figures = { sent: 0, acknowledged: 0, refused: 0, received: 0, repeated: 0, unmarked: 0, sessions: 0 }
  /** Called after every entry. */
  changed: () => void = () => undefined

  fault(kind: Fault['kind'], what: string): void {
    this.#faults.push({ kind, what })
    this.changed()
  }

  /** How many deliveries must come yet. */
  get owed(): number {
    return this.#owed
  }

  /** A SUBACK granted these: messages sent from now on must come. */
  subscribed(name: string, topics: Readonly<Record<string, QoS>>): void {
    this.#subscribers.set(name, {
      name,
      topics: new Map(Object.entries(topics)),
      receipts: new Map(),
      highest: new Map(),
    })
  }

  /** A CONNECT that keeps its session is on its way. */
  connecting(clientId: string): void {
    if (!this.#sessions.has(clientId)) this.#sessions.set(clientId, false)
  }

  /** The CONNACK with its Session Present. [MQTT-3.2.2-3] */
  connected(clientId: string, isPresent: boolean, isFirst: boolean): void {
    this.figures.sessions += 1
    if (this.#sessions.get(clientId) === true && !isPresent) this.fault('session', `${clientId}: Session Present 0`)
    if (isFirst && isPresent) this.fault('session', `${clientId}: Session Present 1 where there never was one`)
    this.#sessions.set(clientId, true)
  }

  /** A publisher sends this message, maybe again. */
  sending(topic: string, sequence: number, qos: QoS): void {
    const key = keyOf(topic, sequence)
    const known = this.#messages.get(key)
    if (known !== undefined) {
      known.attempts += 1
      return
    }
    const receivers = [...this.#subscribers.values()].filter(({ topics }) => topics.has(topic))
    this.#messages.set(key, { topic, sequence, qos, attempts: 1, fate: 'sent', receivers })
    this.#sentOf.set(topic, sequence)
    this.figures.sent += 1
  }

  /** PUBACK or PUBREC came: the message is the broker's now. [MQTT-4.3.2-4] [MQTT-4.3.3-8] */
  acknowledged(topic: string, sequence: number): void {
    const message = this.#messages.get(keyOf(topic, sequence))
    if (message === undefined) return this.fault('never sent', `${keyOf(topic, sequence)} was acknowledged`)
    if (message.fate === 'acknowledged') return
    message.fate = 'acknowledged'
    this.#acknowledgedOf.set(topic, Math.max(sequence, this.#acknowledgedOf.get(topic) ?? 0))
    this.figures.acknowledged += 1
    const key = keyOf(topic, sequence)
    for (const subscriber of message.receivers) {
      if (isOwed(message, subscriber) && !subscriber.receipts.has(key)) this.#owed += 1
    }
    this.changed()
  }

  /** PUBACK or PUBREC with a Reason Code of 0x80 or more: it may have been stored and may not. */
  refused(topic: string, sequence: number): void {
    const message = this.#messages.get(keyOf(topic, sequence))
    if (message === undefined) return this.fault('never sent', `${keyOf(topic, sequence)} was refused`)
    if (message.fate === 'sent') message.fate = 'refused'
    this.figures.refused += 1
    this.changed()
  }

  received(name: string, { topic, payload, qos, dup, connection }: Delivery): void {
    const key = nameIn(payload)
    const message = this.#messages.get(key)
    const subscriber = this.#subscribers.get(name)
    if (subscriber === undefined) return this.fault('not asked for', `${name} has no subscription and got ${key}`)
    if (message === undefined) return this.fault('never sent', `${name} got ${key} with topic ${topic}`)
    if (message.topic !== topic || !payload.equals(payloadOf(topic, message.sequence))) {
      return this.fault('corrupted', `${name} got ${key} with topic ${topic} and ${payload.length} bytes`)
    }
    const asked = subscriber.topics.get(topic)
    if (asked === undefined) return this.fault('not asked for', `${name} got ${key}`)
    if (qos !== Math.min(asked, message.qos)) this.fault('wrong QoS', `${name} got ${key} at QoS ${qos}`)
    this.figures.received += 1
    const receipt = subscriber.receipts.get(key)
    if (receipt === undefined) {
      if (isOwed(message, subscriber) && message.fate === 'acknowledged') this.#owed -= 1
      subscriber.receipts.set(key, { count: 1, connection, unmarked: dup ? 0 : 1 })
      const highest = subscriber.highest.get(topic) ?? 0
      if (message.sequence < highest) {
        this.fault('out of order', `${name} got ${key} after ${highest}`) // [MQTT-4.6.0-6]
      } else subscriber.highest.set(topic, message.sequence)
    } else this.#repeated(message, subscriber, receipt, { qos, dup, connection })
    this.changed()
  }

  #repeated(
    message: Message,
    { name }: Subscriber,
    receipt: Receipt,
    { qos, dup, connection }: Pick<Delivery, 'qos' | 'dup' | 'connection'>,
  ): void {
    const key = keyOf(message.topic, message.sequence)
    receipt.count += 1
    this.figures.repeated += 1
    if (qos === 2) this.fault('doubled', `${name} got ${key} ${receipt.count} times at QoS 2`)
    if (receipt.connection !== connection) {
      receipt.connection = connection
      receipt.unmarked = 0
    }
    if (dup) return
    receipt.unmarked += 1
    // Each attempt of the publisher at QoS 1 may be a message of its own to the broker. What is sent more often than
    // that on one connection is sent again, and must say so [MQTT-3.3.1-1].
    if (receipt.unmarked > message.attempts) {
      this.fault('not marked', `${name} got ${key} ${receipt.unmarked} times without DUP`)
    } else if (message.attempts === 1) this.figures.unmarked += 1
  }

  /** The highest number of this topic that was acknowledged: what is retained must not be older. */
  acknowledgedOf(topic: string): number {
    return this.#acknowledgedOf.get(topic) ?? 0
  }

  /** What is retained for a topic: `least` is `acknowledgedOf` from before it was asked for. */
  retained(topic: string, payload: Buffer | undefined, least: number): void {
    const most = this.#sentOf.get(topic) ?? 0
    if (payload === undefined) {
      if (least > 0) this.fault('retained', `${topic}: nothing, ${least} was acknowledged`)
      return
    }
    const key = nameIn(payload)
    const sequence = this.#messages.get(key)?.sequence
    if (sequence === undefined) return this.fault('retained', `${topic}: ${key} was never sent`)
    if (!payload.equals(payloadOf(topic, sequence))) return this.fault('retained', `${topic}: ${key} is corrupted`)
    if (sequence < least || sequence > most) {
      this.fault('retained', `${topic}: ${sequence}, not from ${least} to ${most}`)
    }
  }

  /** Everything that is wrong. Called when nothing is under way any more. */
  balance(): Fault[] {
    const faults = [...this.#faults]
    for (const message of this.#messages.values()) {
      if (message.fate !== 'acknowledged') continue
      for (const subscriber of message.receivers) {
        const key = keyOf(message.topic, message.sequence)
        if (isOwed(message, subscriber) && !subscriber.receipts.has(key)) {
          faults.push({ kind: 'lost', what: `${subscriber.name} did not get ${key}, which was acknowledged` })
        }
      }
    }
    return faults
  }
}

/** At QoS 0 nothing is promised. */
function isOwed(message: Message, { topics }: Subscriber): boolean {
  return Math.min(message.qos, topics.get(message.topic) ?? 0) > 0
}

function keyOf(topic: string, sequence: number): string {
  return `${topic}${separator}${sequence}`
}

function nameIn(payload: Buffer): string {
  const end = payload.indexOf(separator, payload.indexOf(separator) + 1)
  return payload.toString('latin1', 0, Math.max(end, 0))
}

/** At most a few lines about what is wrong, for people. */
export function summary(faults: readonly Fault[]): string {
  const counts = new Map<string, number>()
  for (const { kind } of faults) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  const lines = [...counts].map(([kind, count]) => `${count} ${kind}`)
  const first = [...counts.keys()].flatMap((kind) => faults.filter((fault) => fault.kind === kind).slice(0, 5))
  return [lines.join(', '), ...first.map(({ kind, what }) => `  ${kind}: ${what}`)].join('\n')
}

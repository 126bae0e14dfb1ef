import type { Client } from '../../types/client.ts'
import type { DropReason } from '../../types/events.ts'
import type { Message as PublicMessage } from '../../types/message.ts'
import type { QoS } from '../../types/packets.ts'
import type { Core } from '../core.ts'
import type { Message } from '../messages/message.ts'
import type { Receiver, Subscription } from '../messages/receiver.ts'
import type { SharedGroup } from '../topics/shared-subscriptions.ts'
import type { Timer } from '../timers.ts'
import { Congestion } from './congestion.ts'
import { Delivery } from './delivery.ts'
import { IncomingExchanges } from './incoming-exchanges.ts'
import { OutgoingExchanges, type Outcome } from './outgoing-exchanges.ts'
import { Queue } from './queue.ts'
import { RetainedDelivery } from './retained-delivery.ts'

// Messages in flight that may be views of what was read; most are acknowledged before it would be worth a copy.
const MOST_VIEWS = 64

/** What a session needs of a Network Connection. */
export interface Link {
  /** QoS 1 and 2 messages that the Client takes at once. */
  readonly receiveMaximum: number
  /** So much is waiting to be written that QoS 0 messages are dropped. */
  readonly outboundFull: boolean
  /** So much is waiting to be written that the session keeps what can wait. */
  readonly outboundBusy: boolean
  /** Writes a PUBLISH; false when it is larger than the Client accepts. */
  publish(
    message: Message,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    identifiers: readonly number[] | undefined,
  ): boolean
  pubrel(packetId: number): void
  /** Another connection has the session now [MQTT-3.1.4-3]. */
  takenOver(): void
}

/** A Will that waits for the end of its connection, of its delay or of its session. */
export interface StoredWill {
  readonly message: PublicMessage
  /** Seconds. */
  readonly delay: number
  readonly client: Client
}

/**
 * What outlives a connection (section 4.1): subscriptions, messages on their way in both directions, the Will.
 * Every message for a Client passes `deliver`, and every one that leaves passes `#transmit`: there, and only there,
 * permission, expiry, size and quota are looked at.
 */
export class Session implements Receiver {
  readonly clientId: string
  /** Whose it is: a user name, the subject of a certificate, or what the application says; undefined for nobody's. */
  readonly owner: string | undefined
  readonly subscriptions: Map<string, Subscription> = new Map()
  readonly incoming: IncomingExchanges = new IncomingExchanges()
  readonly outgoing: OutgoingExchanges = new OutgoingExchanges()
  readonly congestion: Congestion
  /** What the filters of its subscriptions take. */
  subscriptionBytes = 0
  /** Seconds it outlives its connection. */
  expiryInterval = 0
  expiry: Timer | undefined
  will: StoredWill | undefined
  willDelay: Timer | undefined
  client: Client | undefined
  readonly #core: Core
  readonly #queue = new Queue<Delivery>()
  /** Of what is queued and what is in flight. */
  #bytes = 0
  #link: Link | undefined
  #retained: RetainedDelivery | undefined
  /** Queued messages of each shared subscription; undefined when there are none. */
  #grouped: Map<SharedGroup<Subscription>, number> | undefined
  #ended = false

  constructor(core: Core, clientId: string, owner: string | undefined) {
    this.#core = core
    this.clientId = clientId
    this.owner = owner
    this.congestion = new Congestion(core.timers, core.settings.limits.holdBackMs)
  }

  get connected(): boolean {
    return this.#link !== undefined
  }

  get link(): Link | undefined {
    return this.#link
  }

  /** Nothing can come to it or stay with it any more. */
  get ended(): boolean {
    return this.#ended
  }

  /** Messages that wait to be sent. */
  get queued(): number {
    return this.#queue.length
  }

  /** Whether a message would be sent at once. */
  get takesNow(): boolean {
    return this.#link !== undefined && this.#queue.length === 0 && this.#mayTransmit(this.#link)
  }

  /** Whether there is room for more than what is under way: the Client is here and keeps up. */
  get takesMore(): boolean {
    const { maxQueuedMessages, maxQueuedBytes } = this.#core.settings.limits
    return (
      this.#link !== undefined &&
      !this.#link.outboundBusy &&
      this.#queue.length <= maxQueuedMessages >> 2 &&
      this.#bytes <= maxQueuedBytes / 4
    )
  }

  /** The Client is here. What it did not complete is to be sent again, once `flow` is called. */
  attach(link: Link, client: Client): void {
    this.#link = link
    this.client = client
    this.outgoing.restart()
  }

  /** The connection is gone, or another has taken its place. */
  detach(link: Link): void {
    if (this.#link !== link) return
    this.#link = undefined
    this.client = undefined
    this.congestion.drained()
  }

  deliver(
    message: Message,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[] | undefined,
    group: SharedGroup<Subscription> | undefined,
  ): void {
    const link = this.#link
    if (qos === 0) {
      if (link === undefined) return
      if (link.outboundFull) this.#dropped(message, 'queue-full')
      else this.#transmitAtMostOnce(link, message, retain, identifiers)
      if (link.outboundBusy) this.congestion.fillsUp()
      return
    }
    if (this.#ended) return
    const isSentNow = this.takesNow && !this.outgoing.hasUnsent
    if (!this.#hasRoomFor(message, isSentNow)) {
      this.#dropped(message, 'queue-full')
      return
    }
    const delivery = new Delivery(message, qos, retain, identifiers, group)
    this.#hold(message)
    if (link !== undefined && isSentNow) {
      this.#transmit(link, delivery)
      return
    }
    message.keep()
    this.#enqueue(delivery)
    const { maxQueuedMessages, maxQueuedBytes } = this.#core.settings.limits
    if (link !== undefined && (this.#queue.length > maxQueuedMessages >> 1 || this.#bytes > maxQueuedBytes / 2)) {
      this.congestion.fillsUp()
    }
  }

  /** Lets what is retained for a subscription be sent: `flow` begins with it, and goes on as fast as the Client takes it. */
  deliverRetained(subscription: Subscription): void {
    this.#retained ??= new RetainedDelivery(this.#core, this)
    this.#retained.add(subscription)
  }

  /**
   * Sends what may be sent now: first what a lost connection left open, in its order, then what is queued
   * [MQTT-4.4.0-1] [MQTT-4.6.0-5].
   */
  flow(): void {
    const link = this.#link
    if (link === undefined) return
    while (this.outgoing.hasUnsent && this.#mayTransmit(link)) {
      const delivery = this.outgoing.nextUnsent()
      if (delivery !== undefined) this.#transmitAgain(link, delivery)
    }
    while (this.#queue.length > 0 && this.#mayTransmit(link)) this.#transmit(link, this.#dequeue())
    if (!this.takesMore) return
    this.congestion.drained()
    this.#retained?.run()
  }

  /** PUBACK came: a message at QoS 1 is complete. */
  puback(packetId: number): void {
    this.#completed(this.outgoing.puback(packetId))
  }

  /** PUBREC came: the Client has a message at QoS 2, or, with a Reason Code of 0x80 or more, does not want it. */
  pubrec(packetId: number, refused: boolean): Outcome {
    const delivery = this.outgoing.get(packetId)
    const outcome = this.outgoing.pubrec(packetId, refused)
    if (outcome === 'complete') this.#completed(delivery)
    return outcome
  }

  /** PUBCOMP came: a message at QoS 2 is complete. */
  pubcomp(packetId: number): void {
    this.#completed(this.outgoing.pubcomp(packetId))
  }

  #completed(delivery: Delivery | undefined): void {
    if (delivery === undefined) return
    this.#release(delivery.message)
    this.flow()
  }

  /** Ends the session: nothing of it is left. Answers the messages that another member of a shared subscription should get. */
  end(): Delivery[] {
    this.#ended = true
    const orphans: Delivery[] = []
    for (const delivery of this.outgoing.inOrder()) {
      // One at QoS 2 that was sent goes to nobody else [MQTT-4.8.2-5].
      if (delivery.group !== undefined && delivery.qos === 1) orphans.push(delivery)
      this.#release(delivery.message)
    }
    while (this.#queue.length > 0) {
      const delivery = this.#dequeue()
      if (delivery.group !== undefined) orphans.push(delivery)
      this.#release(delivery.message)
    }
    this.#retained = undefined
    this.outgoing.clear()
    this.incoming.clear()
    this.congestion.drained()
    return orphans
  }

  /** Takes back what waits for it as a member of a shared subscription that it leaves. */
  leave(group: SharedGroup<Subscription>): Delivery[] {
    const orphans: Delivery[] = []
    if (this.#grouped?.has(group) !== true) return orphans
    for (let left = this.#queue.length; left > 0; left -= 1) {
      const delivery = this.#dequeue()
      if (delivery.group === group) {
        orphans.push(delivery)
        this.#release(delivery.message)
      } else this.#enqueue(delivery)
    }
    return orphans
  }

  #mayTransmit(link: Link): boolean {
    return (
      !link.outboundBusy &&
      this.outgoing.inFlight < Math.min(link.receiveMaximum, this.#core.settings.limits.maxInflight)
    )
  }

  /** Always for one message, however large; what waits for others does not keep one from being sent at once. */
  #hasRoomFor(message: Message, isSentNow: boolean): boolean {
    const { limits } = this.#core.settings
    if (!isSentNow && this.#queue.length >= limits.maxQueuedMessages) return false
    if (this.#bytes === 0) return true
    if (this.#bytes + message.size > limits.maxQueuedBytes) return false
    const inAll = this.#core.statistics.queuedBytes + (message.holders === 0 ? message.size : 0)
    return isSentNow || inAll <= limits.maxTotalQueuedBytes
  }

  /** Counts a message that stays here until it is sent and acknowledged. In all it counts once, however many hold it. */
  #hold(message: Message): void {
    this.#bytes += message.size
    message.holders += 1
    if (message.holders === 1) this.#core.statistics.queuedBytes += message.size
  }

  #release(message: Message): void {
    this.#bytes -= message.size
    message.holders -= 1
    if (message.holders === 0) this.#core.statistics.queuedBytes -= message.size
  }

  #enqueue(delivery: Delivery): void {
    this.#queue.push(delivery)
    this.#core.statistics.queuedMessages += 1
    const { group } = delivery
    if (group === undefined) return
    this.#grouped ??= new Map()
    this.#grouped.set(group, (this.#grouped.get(group) ?? 0) + 1)
  }

  #dequeue(): Delivery {
    const delivery = this.#queue.shift() as Delivery
    this.#core.statistics.queuedMessages -= 1
    const { group } = delivery
    if (group !== undefined && this.#grouped !== undefined) {
      const left = (this.#grouped.get(group) ?? 1) - 1
      if (left > 0) this.#grouped.set(group, left)
      else this.#grouped.delete(group)
    }
    return delivery
  }

  #transmitAtMostOnce(link: Link, message: Message, retain: boolean, identifiers: readonly number[] | undefined): void {
    const permitted = this.#permitted(message)
    if (permitted === undefined) return
    if (!link.publish(permitted, 0, retain, false, 0, identifiers)) this.#dropped(message, 'too-large')
  }

  #transmit(link: Link, delivery: Delivery): void {
    const { message } = delivery
    const permitted = this.#permitted(message)
    if (permitted === undefined || this.#ended) {
      this.#release(message) // A hook may have sent the Client away.
      return
    }
    const packetId = this.outgoing.start(delivery)
    if (!link.publish(permitted, delivery.qos, delivery.retain, false, packetId, delivery.identifiers)) {
      this.#giveUp(delivery, 'too-large') // As if it had been delivered [MQTT-3.1.2-25].
      return
    }
    if (this.outgoing.inFlight > MOST_VIEWS) message.keep()
  }

  #transmitAgain(link: Link, delivery: Delivery): void {
    if (delivery.state === 'pubrel sent') {
      link.pubrel(delivery.packetId) // Never the PUBLISH again [MQTT-4.3.3-6].
      return
    }
    // Once sent it does not expire [MQTT-4.3.3-7], but a Client that lost the right does not get it.
    const { packetId, qos, retain, identifiers } = delivery
    const message = this.#authorized(delivery.message)
    if (message === undefined) this.#giveUp(delivery, undefined)
    else if (!link.publish(message, qos, retain, true, packetId, identifiers)) this.#giveUp(delivery, 'too-large')
  }

  #giveUp(delivery: Delivery, why: DropReason | undefined): void {
    this.outgoing.drop(delivery)
    this.#release(delivery.message)
    if (why !== undefined) this.#dropped(delivery.message, why)
  }

  /** The message to send, or undefined when it has expired or this Client may not have it. */
  #permitted(message: Message): Message | undefined {
    if (message.expiresAt !== Infinity && message.expiresAt <= this.#core.timers.now()) {
      this.#dropped(message, 'expired') // [MQTT-3.3.2-5]
      return undefined
    }
    return this.#core.hooks.checksDeliver ? this.#authorized(message) : message
  }

  #authorized(message: Message): Message | undefined {
    if (!this.#core.hooks.checksDeliver || this.client === undefined) return message
    const answer = this.#core.hooks.authorizeDeliver(message, this.client)
    if (answer === undefined) {
      this.#dropped(message, 'not-authorized')
      return undefined
    }
    return answer === message ? message : message.replacedBy(answer, this.#core.timers)
  }

  #dropped(message: Message, why: DropReason): void {
    this.#core.statistics.publishDropped += 1
    this.#core.notify('dropped', message, this.clientId, why)
  }
}

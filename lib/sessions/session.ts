import type { Client } from '../../types/client.ts'
import type { DropReason } from '../../types/events.ts'
import type { Message as PublicMessage } from '../../types/message.ts'
import type { QoS } from '../../types/packets.ts'
import type { Core } from '../core.ts'
import { Message } from '../messages/message.ts'
import type { Receiver, Subscription } from '../messages/receiver.ts'
import type { SharedGroup } from '../topics/shared-subscriptions.ts'
import type { Timer } from '../timers.ts'
import { Congestion } from './congestion.ts'
import { Delivery } from './delivery.ts'
import { IncomingExchanges } from './incoming-exchanges.ts'
import { OutgoingExchanges } from './outgoing-exchanges.ts'
import { Queue } from './queue.ts'

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
  /** User name of the Client that made it; undefined when it had none. */
  readonly owner: string | undefined
  readonly subscriptions: Map<string, Subscription> = new Map()
  readonly incoming: IncomingExchanges = new IncomingExchanges()
  readonly outgoing: OutgoingExchanges = new OutgoingExchanges()
  readonly congestion: Congestion
  /** Seconds it outlives its connection. */
  expiryInterval = 0
  expiry: Timer | undefined
  will: StoredWill | undefined
  willDelay: Timer | undefined
  client: Client | undefined
  readonly #core: Core
  readonly #queue = new Queue<Delivery>()
  #queuedBytes = 0
  #link: Link | undefined
  #whenFlowing: (() => void)[] | undefined

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

  /** Messages that wait to be sent. */
  get queued(): number {
    return this.#queue.length
  }

  /** Whether there is room for more than what is under way: the Client is here and keeps up. */
  get takesMore(): boolean {
    return (
      this.#link !== undefined &&
      !this.#link.outboundBusy &&
      this.#queue.length <= this.#core.settings.limits.maxQueuedMessages >> 2
    )
  }

  /** Calls back when there is room again, on this connection or a later one. */
  whenFlowing(callback: () => void): void {
    this.#whenFlowing ??= []
    this.#whenFlowing.push(callback)
  }

  /** The Client is here: first what it did not complete, in its order, then what waited for it [MQTT-4.4.0-1] [MQTT-4.6.0-5]. */
  attach(link: Link, client: Client): void {
    this.#link = link
    this.client = client
    this.outgoing.restart()
    this.flow()
  }

  /** The connection is gone, or another has taken its place. */
  detach(link: Link): void {
    if (this.#link !== link) return
    this.#link = undefined
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
    const delivery = new Delivery(message, qos, retain, identifiers, group)
    if (link !== undefined && this.#queue.length === 0 && !this.outgoing.hasUnsent && this.#mayTransmit(link))
      this.#transmit(link, delivery)
    else this.#enqueue(delivery)
  }

  /** Sends what may be sent now: again what a lost connection left open, then what is queued. */
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
    const callbacks = this.#whenFlowing
    this.#whenFlowing = undefined
    for (const callback of callbacks ?? []) callback()
  }

  /** Ends the session: nothing of it is left. Answers the messages that another member of a shared subscription should get. */
  end(): Delivery[] {
    const orphans: Delivery[] = []
    for (const delivery of this.outgoing.inOrder()) {
      // One at QoS 2 that was sent goes to nobody else [MQTT-4.8.2-5].
      if (delivery.group !== undefined && delivery.qos === 1) orphans.push(delivery)
    }
    for (const delivery of this.#queue) if (delivery.group !== undefined) orphans.push(delivery)
    while (this.#queue.length > 0) this.#dequeue()
    this.#whenFlowing = undefined
    this.outgoing.clear()
    this.incoming.clear()
    this.congestion.drained()
    return orphans
  }

  /** Takes back what waits for it as a member of a shared subscription that it leaves. */
  leave(group: SharedGroup<Subscription>): Delivery[] {
    const orphans: Delivery[] = []
    for (let left = this.#queue.length; left > 0; left -= 1) {
      const delivery = this.#dequeue()
      if (delivery.group === group) orphans.push(delivery)
      else this.#enqueue(delivery)
    }
    return orphans
  }

  #mayTransmit(link: Link): boolean {
    return (
      !link.outboundBusy &&
      this.outgoing.inFlight < Math.min(link.receiveMaximum, this.#core.settings.limits.maxInflight)
    )
  }

  #enqueue(delivery: Delivery): void {
    const { limits } = this.#core.settings
    const { statistics } = this.#core
    const size = delivery.message.size
    if (
      this.#queue.length >= limits.maxQueuedMessages ||
      this.#queuedBytes + size > limits.maxQueuedBytes ||
      statistics.queuedBytes + size > limits.maxTotalQueuedBytes
    ) {
      this.#dropped(delivery.message, 'queue-full')
      return
    }
    delivery.message.keep()
    this.#queue.push(delivery)
    this.#queuedBytes += size
    statistics.queuedBytes += size
    statistics.queuedMessages += 1
    if (this.#link !== undefined && this.#queue.length > limits.maxQueuedMessages >> 1) this.congestion.fillsUp()
  }

  #dequeue(): Delivery {
    const delivery = this.#queue.shift() as Delivery
    const size = delivery.message.size
    this.#queuedBytes -= size
    this.#core.statistics.queuedBytes -= size
    this.#core.statistics.queuedMessages -= 1
    return delivery
  }

  #transmitAtMostOnce(link: Link, message: Message, retain: boolean, identifiers: readonly number[] | undefined): void {
    const permitted = this.#permitted(message)
    if (permitted === undefined) return
    if (!link.publish(permitted, 0, retain, false, 0, identifiers)) this.#dropped(message, 'too-large')
  }

  #transmit(link: Link, delivery: Delivery): void {
    const permitted = this.#permitted(delivery.message)
    if (permitted === undefined) return
    const packetId = this.outgoing.start(delivery)
    if (!link.publish(permitted, delivery.qos, delivery.retain, false, packetId, delivery.identifiers)) {
      this.outgoing.drop(delivery) // As if it had been delivered [MQTT-3.1.2-25].
      this.#dropped(delivery.message, 'too-large')
      return
    }
    if (this.outgoing.inFlight > MOST_VIEWS) delivery.message.keep()
  }

  #transmitAgain(link: Link, delivery: Delivery): void {
    if (delivery.state === 'pubrel sent') {
      link.pubrel(delivery.packetId) // Never the PUBLISH again [MQTT-4.3.3-6].
      return
    }
    // Once sent it does not expire [MQTT-4.3.3-7], but a Client that lost the right does not get it.
    const message = this.#authorized(delivery.message)
    if (
      message === undefined ||
      !link.publish(message, delivery.qos, delivery.retain, true, delivery.packetId, delivery.identifiers)
    ) {
      this.outgoing.drop(delivery)
      if (message !== undefined) this.#dropped(delivery.message, 'too-large')
    }
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
    return Message.from(answer, message.publisher, this.#core.timers)
  }

  #dropped(message: Message, why: DropReason): void {
    this.#core.statistics.publishDropped += 1
    this.#core.notify('dropped', message, this.clientId, why)
  }
}

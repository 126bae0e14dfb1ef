import type { Client } from '../../types/client.ts'
import type { DropReason } from '../../types/events.ts'
import type { Message as PublicMessage } from '../../types/message.ts'
import type { QoS } from '../../types/packets.ts'
import type { Core } from '../core.ts'
import type { Message } from '../messages/message.ts'
import type { Receiver, Subscription } from '../messages/receiver.ts'
import type { SharedGroup } from '../topics/shared-subscriptions.ts'
import type { Timer } from '../timers.ts'
import { Backlog } from './backlog.ts'
import { Congestion } from './congestion.ts'
import { Delivery } from './delivery.ts'
import { IncomingExchanges } from './incoming-exchanges.ts'
import type { MessageNames } from './message-names.ts'
import { OutgoingExchanges, type Outcome } from './outgoing-exchanges.ts'
import { Queue } from './queue.ts'
import { Repair } from './repair.ts'
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
  /** As the Client sent it. */
  readonly message: PublicMessage
  /** As the application permitted it when the Client connected. */
  readonly permitted: PublicMessage
  /** Seconds. */
  readonly delay: number
  /** Undefined when the Will is from before this process began. */
  readonly client: Client | undefined
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
  /** What it has outlives the process: its queue, its exchanges, its subscriptions. */
  readonly isStored: boolean
  /** The store knows of it: all that it has, or only its Will. */
  isRecorded: boolean
  readonly subscriptions: Map<string, Subscription> = new Map()
  readonly incoming: IncomingExchanges = new IncomingExchanges()
  readonly outgoing: OutgoingExchanges = new OutgoingExchanges()
  readonly congestion: Congestion
  /** What the filters of its subscriptions take. */
  subscriptionBytes = 0
  /** When its last connection began, in milliseconds since 1970: the later one of two brokers has it. */
  since = 0
  /** Seconds it outlives its connection. */
  expiryInterval = 0
  expiry: Timer | undefined
  will: StoredWill | undefined
  willDelay: Timer | undefined
  client: Client | undefined
  /** The connection that will have it once the store has it. */
  claim: { takenOver(): void } | undefined
  readonly #core: Core
  readonly #backlog: Backlog
  #link: Link | undefined
  /** Started, with Packet Identifiers, but not written before the store has them. */
  readonly #held = new Queue<Delivery>()
  #waitsForStore = false
  /** Undefined as long as nothing came from the store. */
  #repair: Repair | undefined
  #retained: RetainedDelivery | undefined
  #ended = false

  constructor(core: Core, clientId: string, owner: string | undefined, isStored: boolean) {
    this.#core = core
    this.#backlog = new Backlog(core)
    this.clientId = clientId
    this.owner = owner
    this.isStored = isStored
    this.isRecorded = isStored
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
    return this.#backlog.length
  }

  /** Whether a message would be sent at once. */
  get takesNow(): boolean {
    return this.#link !== undefined && this.#backlog.length === 0 && this.#mayTransmit(this.#link)
  }

  /** Whether there is room for more than what is under way: the Client is here and keeps up. */
  get takesMore(): boolean {
    return this.#link !== undefined && !this.#link.outboundBusy && this.#backlog.isLow
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
    this.#held.clear() // It is among what is to be sent again.
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
    if (this.#ended || this.#cameBefore(message)) return
    if (this.#repair?.isBehind === true && this.#isStoredBy(message, group)) {
      const delivery = new Delivery(message, qos, retain, identifiers, group)
      delivery.isStored = true
      this.#repair.putAside(delivery)
      return
    }
    const isSentNow = this.takesNow && !this.outgoing.hasUnsent
    if (!this.#backlog.hasRoomFor(message, isSentNow)) {
      this.#dropped(message, 'queue-full')
      return
    }
    const delivery = new Delivery(message, qos, retain, identifiers, group)
    delivery.isStored = this.#isStoredBy(message, group)
    this.#backlog.hold(message)
    if (link !== undefined && isSentNow) {
      this.#transmit(link, delivery)
      return
    }
    message.keep()
    if (!delivery.isStored) this.#store(delivery)
    this.#backlog.push(delivery)
    if (link !== undefined && this.#backlog.isHigh) this.congestion.fillsUp()
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
    this.#writeHeld(link)
    while (this.outgoing.hasUnsent && this.#mayTransmit(link)) {
      const delivery = this.outgoing.nextUnsent()
      if (delivery !== undefined) this.#writeWhenSafe(link, delivery)
    }
    while (this.#backlog.length > 0 && this.#mayTransmit(link)) this.#transmit(link, this.#backlog.shift())
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
    else if (outcome === 'continues' && this.isStored) this.#core.store?.release(this.clientId, packetId)
    return outcome
  }

  /** PUBCOMP came: a message at QoS 2 is complete. */
  pubcomp(packetId: number): void {
    this.#completed(this.outgoing.pubcomp(packetId))
  }

  #completed(delivery: Delivery | undefined): void {
    if (delivery === undefined) return
    if (delivery.isStored) this.#core.store?.complete(this.clientId, delivery.packetId)
    this.#repair?.gone(delivery.message)
    this.#backlog.release(delivery.message)
    this.flow()
  }

  /** Ends the session: nothing of it is left. Answers the messages that another member of a shared subscription should get. */
  end(): Delivery[] {
    this.#ended = true
    const orphans: Delivery[] = []
    for (const delivery of this.outgoing.inOrder()) {
      // One at QoS 2 that was sent goes to nobody else [MQTT-4.8.2-5].
      if (delivery.group !== undefined && delivery.qos === 1) orphans.push(delivery)
      this.#backlog.release(delivery.message)
    }
    while (this.#backlog.length > 0) {
      const delivery = this.#backlog.shift()
      if (delivery.group !== undefined) orphans.push(delivery)
      this.#backlog.release(delivery.message)
    }
    this.#retained = undefined
    this.#held.clear()
    this.outgoing.clear()
    this.incoming.clear()
    this.congestion.drained()
    return orphans
  }

  /** Takes back what waits for it as a member of a shared subscription that it leaves. */
  leave(group: SharedGroup<Subscription>): Delivery[] {
    const orphans = this.#backlog.takeOut(group)
    if (orphans.length === 0) return orphans
    for (const delivery of orphans) this.#forget(delivery)
    if (this.isStored) this.#storeAgain(new Set(orphans.map(({ message }) => message)))
    return orphans
  }

  /**
   * The store knows a message by its name only, and has forgotten those that came by another subscription too.
   * So that they keep their place, all that waits behind the first of them is stored anew.
   */
  #storeAgain(messages: ReadonlySet<Message>): void {
    const queued = [...this.#backlog]
    const first = queued.findIndex(({ message }) => messages.has(message))
    if (first === -1) return
    const rest = queued.slice(first)
    const discarded = new Set(messages)
    for (const delivery of rest) {
      if (!discarded.has(delivery.message)) this.#core.store?.discard(this.clientId, delivery)
      discarded.add(delivery.message)
    }
    for (const delivery of rest) {
      delivery.isStored = false
      this.#store(delivery)
    }
  }

  /** Puts a message back where the store had it; one with a Packet Identifier is in flight. */
  restore(delivery: Delivery): void {
    delivery.isStored = true
    this.#repair ??= new Repair()
    this.#repair.names.add(delivery.message)
    this.#backlog.hold(delivery.message)
    if (delivery.packetId === 0) this.#backlog.push(delivery)
    else this.outgoing.restore(delivery)
  }

  /** Whether it has this message, queued or in flight, or had it from the store. */
  hasHad(message: Message): boolean {
    return this.readNames?.has(message) === true || this.#has(message)
  }

  #has(message: Message): boolean {
    if (message.stored === undefined) return false
    const isSame = (delivery: Delivery): boolean => nameOf(delivery.message) === nameOf(message)
    return this.outgoing.inOrder().some(isSame) || [...this.#backlog].some(isSame)
  }

  /** Whether a message of another broker, or one that is handed on once more, is here already. */
  #cameBefore(message: Message): boolean {
    if (message.isResumed) return this.hasHad(message)
    return this.readNames !== undefined && message.travel?.isForeign === true && this.readNames.has(message)
  }

  #isStoredBy(message: Message, group: SharedGroup<Subscription> | undefined): boolean {
    return this.isStored && message.travel?.isStoredFor(this.clientId, group) === true
  }

  /** Queues what came while the session was on its way here, unless it came with it. */
  deliverAgain(delivery: Delivery): void {
    if (this.hasHad(delivery.message)) return
    this.#queueAgain(delivery)
    this.flow()
  }

  /** Names of the messages that it has from the store; they go with it to another broker. */
  get readNames(): MessageNames | undefined {
    return this.#repair?.names
  }

  set readNames(names: MessageNames | undefined) {
    this.#repair = names && new Repair(names)
  }

  /** Something was lost on the way here. */
  fallBehind(): void {
    if (!this.isStored) return
    this.#repair ??= new Repair()
    this.#repair.fallBehind()
  }

  /** What the store has for it is read now. */
  catchingUp(): void {
    this.#repair ??= new Repair()
    this.#repair.begin()
  }

  /** Queues what the store has for it and this broker has not heard of, and what came meanwhile. */
  deliverMissing(stored: Iterable<Delivery>): void {
    const known = new Set<string>()
    for (const { message } of this.outgoing.inOrder()) known.add(nameOf(message))
    for (const { message } of this.#backlog) known.add(nameOf(message))
    const has = (message: Message): boolean => {
      const isKnown = known.has(nameOf(message))
      known.add(nameOf(message))
      return isKnown
    }
    for (const delivery of this.#repair?.missing(stored, has) ?? []) this.#queueAgain(delivery)
    this.flow()
  }

  #queueAgain(delivery: Delivery): void {
    this.#backlog.hold(delivery.message)
    delivery.message.keep()
    if (!delivery.isStored) this.#store(delivery)
    this.#backlog.push(delivery)
  }

  #mayTransmit(link: Link): boolean {
    return (
      !link.outboundBusy &&
      this.outgoing.inFlight < Math.min(link.receiveMaximum, this.#core.settings.limits.maxInflight)
    )
  }

  #transmitAtMostOnce(link: Link, message: Message, retain: boolean, identifiers: readonly number[] | undefined): void {
    if (this.#isPast(message)) return
    const permitted = this.#authorized(message)
    if (permitted === undefined) return
    if (!link.publish(permitted, 0, retain, false, 0, identifiers)) this.#dropped(message, 'too-large')
  }

  #transmit(link: Link, delivery: Delivery): void {
    if (this.#isPast(delivery.message)) {
      this.#forget(delivery)
      return
    }
    this.outgoing.start(delivery)
    this.#store(delivery)
    this.#writeWhenSafe(link, delivery)
  }

  /** Its Packet Identifier, which the Client will answer with, must outlive us before the Client has it. */
  #writeWhenSafe(link: Link, delivery: Delivery): void {
    const { store } = this.#core
    if (store === undefined || (this.#held.length === 0 && store.isSafe(delivery.ticket))) this.#write(link, delivery)
    else {
      this.#held.push(delivery)
      this.#waitForStore()
    }
  }

  #writeHeld(link: Link): void {
    const { store } = this.#core
    for (let next = this.#held.peek(); next !== undefined; next = this.#held.peek()) {
      if (store?.isSafe(next.ticket) !== true) return this.#waitForStore()
      this.#held.shift()
      if (this.outgoing.get(next.packetId) === next) this.#write(link, next)
    }
  }

  #waitForStore(): void {
    if (this.#waitsForStore) return
    this.#waitsForStore = true
    this.#core.store?.wait(() => {
      this.#waitsForStore = false
      this.flow()
    })
  }

  /** A message whose Packet Identifier is set, for the first time or again. */
  #write(link: Link, delivery: Delivery): void {
    if (delivery.state === 'pubrel sent') {
      link.pubrel(delivery.packetId) // Never the PUBLISH again [MQTT-4.3.3-6].
      return
    }
    // Once sent it does not expire [MQTT-4.3.3-7], but a Client that lost the right does not get it.
    const { packetId, qos, retain, identifiers, wasWritten } = delivery
    const message = this.#authorized(delivery.message)
    if (this.#ended) return // A hook may have sent the Client away.
    delivery.wasWritten = true
    if (message === undefined || isRefused(delivery.message)) this.#giveUp(delivery, undefined)
    else if (!link.publish(message, qos, retain, wasWritten, packetId, identifiers)) {
      this.#giveUp(delivery, 'too-large') // As if it had been delivered [MQTT-3.1.2-25].
    } else if (this.outgoing.inFlight > MOST_VIEWS) delivery.message.keep()
  }

  /** Tells the store what becomes of the delivery: that it is queued, or that it has its Packet Identifier. */
  #store(delivery: Delivery): void {
    const { store } = this.#core
    if (store === undefined) return
    if (!this.isStored) {
      if (delivery.qos === 2) delivery.ticket = delivery.message.ticket
    } else if (!delivery.isStored) {
      delivery.isStored = true
      delivery.ticket = store.enqueue(this.clientId, delivery)
    } else {
      delivery.ticket = store.send(this.clientId, delivery)
    }
  }

  /** What waits is not to be sent. */
  #forget(delivery: Delivery): void {
    if (delivery.isStored) this.#core.store?.discard(this.clientId, delivery)
    this.#repair?.gone(delivery.message)
    this.#backlog.release(delivery.message)
  }

  #giveUp(delivery: Delivery, why: DropReason | undefined): void {
    this.outgoing.drop(delivery)
    if (delivery.isStored) this.#core.store?.complete(this.clientId, delivery.packetId)
    this.#repair?.gone(delivery.message)
    this.#backlog.release(delivery.message)
    if (why !== undefined) this.#dropped(delivery.message, why)
  }

  /** Whether it is too late to send the message: it has expired, or it was not accepted after all. */
  #isPast(message: Message): boolean {
    if (isRefused(message) || this.#ended) return true
    if (message.expiresAt === Infinity || message.expiresAt > this.#core.timers.now()) return false
    this.#dropped(message, 'expired') // [MQTT-3.3.2-5]
    return true
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

/** The name of a message in the store. */
function nameOf({ stored }: Message): string {
  return stored === undefined ? '' : `${stored.brokerId}:${stored.brokerCounter}`
}

function isRefused({ isRefused, origin }: Message): boolean {
  return isRefused || origin?.isRefused === true
}

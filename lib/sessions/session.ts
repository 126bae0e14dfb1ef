import type { Client } from '../../types/client.ts'
import type { DropReason } from '../../types/events.ts'
import type { Message as PublicMessage } from '../../types/message.ts'
import type { QoS } from '../../types/packets.ts'
import type { Core } from '../core.ts'
import type { Message } from '../messages/message.ts'
import type { Subscriber, Subscription } from '../messages/subscriber.ts'
import type { SharedGroup } from '../topics/shared-subscriptions.ts'
import type { Timer } from '../timers.ts'
import { OutboundQueue } from './outbound-queue.ts'
import { BackPressure } from './back-pressure.ts'
import { Delivery } from './delivery.ts'
import { IncomingQos2 } from './incoming-qos2.ts'
import type { MessageIdSet } from '../cluster/message-id-set.ts'
import { InflightMessages, type Outcome } from './inflight-messages.ts'
import { RingQueue } from './ring-queue.ts'
import { GapRecovery } from '../cluster/gap-recovery.ts'
import { RetainedSender } from './retained-sender.ts'

// Messages in flight that may be views of what was read; most are acknowledged before it would be worth a copy.
const MAX_SHARED_CHUNKS = 64

/** What a session needs of a Network Connection. */
export interface SessionConnection {
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
  sessionTakenOver(): void
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
export class Session implements Subscriber {
  readonly clientId: string
  /** Whose it is: a user name, the subject of a certificate, or what the application says; undefined for nobody's. */
  readonly principal: string | undefined
  /** What it has outlives the process: its queue, its exchanges, its subscriptions. */
  readonly isStored: boolean
  /** The store knows of it: all that it has, or only its Will. */
  isRecorded: boolean
  readonly subscriptions: Map<string, Subscription> = new Map()
  readonly incoming: IncomingQos2 = new IncomingQos2()
  readonly inflight: InflightMessages = new InflightMessages()
  readonly backPressure: BackPressure
  /** What the filters of its subscriptions take. */
  subscriptionBytes = 0
  /** When its last connection began, in milliseconds since 1970: the later one of two brokers has it. */
  connectedAt = 0
  /** Seconds it outlives its connection. */
  expiryInterval = 0
  expiry: Timer | undefined
  will: StoredWill | undefined
  willDelay: Timer | undefined
  client: Client | undefined
  /** The connection that will have it once the store has it. */
  pendingConnection: { sessionTakenOver(): void } | undefined
  readonly #core: Core
  readonly #queue: OutboundQueue
  #connection: SessionConnection | undefined
  /** Started, with Packet Identifiers, but not written before the store has them. */
  readonly #awaitingCommit = new RingQueue<Delivery>()
  #waitsForCommit = false
  /** Undefined as long as nothing came from the store. */
  #recovery: GapRecovery | undefined
  #retained: RetainedSender | undefined
  #ended = false

  constructor(core: Core, clientId: string, owner: string | undefined, isStored: boolean) {
    this.#core = core
    this.#queue = new OutboundQueue(core)
    this.clientId = clientId
    this.principal = owner
    this.isStored = isStored
    this.isRecorded = isStored
    this.backPressure = new BackPressure(core.timers, core.settings.limits.holdBackMs)
  }

  get connected(): boolean {
    return this.#connection !== undefined
  }

  get connection(): SessionConnection | undefined {
    return this.#connection
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
  get canSendNow(): boolean {
    return this.#connection !== undefined && this.#queue.length === 0 && this.#canSend(this.#connection)
  }

  /** Whether there is room for more than what is under way: the Client is here and keeps up. */
  get hasCapacity(): boolean {
    return this.#connection !== undefined && !this.#connection.outboundBusy && this.#queue.isBelowLowWaterMark
  }

  /** The Client is here. What it did not complete is to be sent again, once `flow` is called. */
  attach(link: SessionConnection, client: Client): void {
    this.#connection = link
    this.client = client
    this.inflight.restart()
  }

  /** The connection is gone, or another has taken its place. */
  detach(link: SessionConnection): void {
    if (this.#connection !== link) return
    this.#connection = undefined
    this.client = undefined
    this.#awaitingCommit.clear() // It is among what is to be sent again.
    this.backPressure.relieve()
  }

  deliver(
    message: Message,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[] | undefined,
    group: SharedGroup<Subscription> | undefined,
  ): void {
    const link = this.#connection
    if (qos === 0) {
      if (link === undefined) return
      if (link.outboundFull) this.#reportDropped(message, 'queue-full')
      else this.#sendQos0(link, message, retain, identifiers)
      if (link.outboundBusy) this.backPressure.congest()
      return
    }
    if (this.#ended || this.#isDuplicate(message)) return
    if (this.#recovery?.isStale === true && this.#isStoredBy(message, group)) {
      const delivery = new Delivery(message, qos, retain, identifiers, group)
      delivery.isStored = true
      this.#recovery.defer(delivery)
      return
    }
    const isSentNow = this.canSendNow && !this.inflight.hasUnsent
    if (!this.#queue.hasRoomFor(message, isSentNow)) {
      this.#reportDropped(message, 'queue-full')
      return
    }
    const delivery = new Delivery(message, qos, retain, identifiers, group)
    delivery.isStored = this.#isStoredBy(message, group)
    this.#queue.addSize(message)
    if (link !== undefined && isSentNow) {
      this.#start(link, delivery)
      return
    }
    message.detach()
    if (!delivery.isStored) this.#store(delivery)
    this.#queue.push(delivery)
    if (link !== undefined && this.#queue.isAboveHighWaterMark) this.backPressure.congest()
  }

  /** Lets what is retained for a subscription be sent: `flow` begins with it, and goes on as fast as the Client takes it. */
  deliverRetained(subscription: Subscription): void {
    this.#retained ??= new RetainedSender(this.#core, this)
    this.#retained.add(subscription)
  }

  /**
   * Sends what may be sent now: first what a lost connection left open, in its order, then what is queued
   * [MQTT-4.4.0-1] [MQTT-4.6.0-5].
   */
  sendPending(): void {
    const link = this.#connection
    if (link === undefined) return
    this.#sendCommitted(link)
    while (this.inflight.hasUnsent && this.#canSend(link)) {
      const delivery = this.inflight.nextUnsent()
      if (delivery !== undefined) this.#sendWhenCommitted(link, delivery)
    }
    while (this.#queue.length > 0 && this.#canSend(link)) this.#start(link, this.#queue.shift())
    if (!this.hasCapacity) return
    this.backPressure.relieve()
    this.#retained?.run()
  }

  /** PUBACK came: a message at QoS 1 is complete. */
  onPuback(packetId: number): void {
    this.#completed(this.inflight.puback(packetId))
  }

  /** PUBREC came: the Client has a message at QoS 2, or, with a Reason Code of 0x80 or more, does not want it. */
  onPubrec(packetId: number, refused: boolean): Outcome {
    const delivery = this.inflight.get(packetId)
    const outcome = this.inflight.pubrec(packetId, refused)
    if (outcome === 'complete') this.#completed(delivery)
    else if (outcome === 'continues' && this.isStored) this.#core.commits?.release(this.clientId, packetId)
    return outcome
  }

  /** PUBCOMP came: a message at QoS 2 is complete. */
  onPubcomp(packetId: number): void {
    this.#completed(this.inflight.pubcomp(packetId))
  }

  #completed(delivery: Delivery | undefined): void {
    if (delivery === undefined) return
    if (delivery.isStored) this.#core.commits?.complete(this.clientId, delivery.packetId)
    this.#recovery?.finished(delivery.message)
    this.#queue.removeSize(delivery.message)
    this.sendPending()
  }

  /** Ends the session: nothing of it is left. Answers the messages that another member of a shared subscription should get. */
  end(): Delivery[] {
    this.#ended = true
    const orphans: Delivery[] = []
    for (const delivery of this.inflight.inOrder()) {
      // One at QoS 2 that was sent goes to nobody else [MQTT-4.8.2-5].
      if (delivery.group !== undefined && delivery.qos === 1) orphans.push(delivery)
      this.#queue.removeSize(delivery.message)
    }
    while (this.#queue.length > 0) {
      const delivery = this.#queue.shift()
      if (delivery.group !== undefined) orphans.push(delivery)
      this.#queue.removeSize(delivery.message)
    }
    this.#retained = undefined
    this.#awaitingCommit.clear()
    this.inflight.clear()
    this.incoming.clear()
    this.backPressure.relieve()
    return orphans
  }

  /** Takes back what waits for it as a member of a shared subscription that it leaves. */
  leaveGroup(group: SharedGroup<Subscription>): Delivery[] {
    const orphans = this.#queue.removeGroup(group)
    if (orphans.length === 0) return orphans
    for (const delivery of orphans) this.#discard(delivery)
    if (this.isStored) this.#storeInOrder(new Set(orphans.map(({ message }) => message)))
    return orphans
  }

  /**
   * The store knows a message by its name only, and has forgotten those that came by another subscription too.
   * So that they keep their place, all that waits behind the first of them is stored anew.
   */
  #storeInOrder(messages: ReadonlySet<Message>): void {
    const queued = [...this.#queue]
    const first = queued.findIndex(({ message }) => messages.has(message))
    if (first === -1) return
    const rest = queued.slice(first)
    const discarded = new Set(messages)
    for (const delivery of rest) {
      if (!discarded.has(delivery.message)) this.#core.commits?.discard(this.clientId, delivery)
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
    this.#recovery ??= new GapRecovery()
    this.#recovery.recoveredIds.add(delivery.message)
    this.#queue.addSize(delivery.message)
    if (delivery.packetId === 0) this.#queue.push(delivery)
    else this.inflight.restore(delivery)
  }

  /** Whether it has this message, queued or in flight, or had it from the store. */
  hasSeen(message: Message): boolean {
    return this.recoveredIds?.has(message) === true || this.#has(message)
  }

  #has(message: Message): boolean {
    if (message.stored === undefined) return false
    const isSame = (delivery: Delivery): boolean => nameOf(delivery.message) === nameOf(message)
    return this.inflight.inOrder().some(isSame) || [...this.#queue].some(isSame)
  }

  /** Whether a message of another broker, or one that is handed on once more, is here already. */
  #isDuplicate(message: Message): boolean {
    if (message.isReplay) return this.hasSeen(message)
    return this.recoveredIds !== undefined && message.replication?.fromPeer === true && this.recoveredIds.has(message)
  }

  #isStoredBy(message: Message, group: SharedGroup<Subscription> | undefined): boolean {
    return this.isStored && message.replication?.isStoredFor(this.clientId, group) === true
  }

  /** Queues what came while the session was on its way here, unless it came with it. */
  deliverAgain(delivery: Delivery): void {
    if (this.hasSeen(delivery.message)) return
    this.#enqueue(delivery)
    this.sendPending()
  }

  /** Names of the messages that it has from the store; they go with it to another broker. */
  get recoveredIds(): MessageIdSet | undefined {
    return this.#recovery?.recoveredIds
  }

  set recoveredIds(names: MessageIdSet | undefined) {
    this.#recovery = names && new GapRecovery(names)
  }

  /** Something was lost on the way here. */
  markStale(): void {
    if (!this.isStored) return
    this.#recovery ??= new GapRecovery()
    this.#recovery.markStale()
  }

  /** What the store has for it is read now. */
  startReading(): void {
    this.#recovery ??= new GapRecovery()
    this.#recovery.startReading()
  }

  /** Queues what the store has for it and this broker has not heard of, and what came meanwhile. */
  deliverUnseen(stored: Iterable<Delivery>): void {
    const known = new Set<string>()
    for (const { message } of this.inflight.inOrder()) known.add(nameOf(message))
    for (const { message } of this.#queue) known.add(nameOf(message))
    const has = (message: Message): boolean => {
      const isKnown = known.has(nameOf(message))
      known.add(nameOf(message))
      return isKnown
    }
    for (const delivery of this.#recovery?.unseen(stored, has) ?? []) this.#enqueue(delivery)
    this.sendPending()
  }

  #enqueue(delivery: Delivery): void {
    this.#queue.addSize(delivery.message)
    delivery.message.detach()
    if (!delivery.isStored) this.#store(delivery)
    this.#queue.push(delivery)
  }

  #canSend(link: SessionConnection): boolean {
    return (
      !link.outboundBusy &&
      this.inflight.quotaInUse < Math.min(link.receiveMaximum, this.#core.settings.limits.maxInflight)
    )
  }

  #sendQos0(
    link: SessionConnection,
    message: Message,
    retain: boolean,
    identifiers: readonly number[] | undefined,
  ): void {
    if (this.#isDead(message)) return
    const permitted = this.#authorized(message)
    if (permitted === undefined) return
    if (!link.publish(permitted, 0, retain, false, 0, identifiers)) this.#reportDropped(message, 'too-large')
  }

  #start(link: SessionConnection, delivery: Delivery): void {
    if (this.#isDead(delivery.message)) {
      this.#discard(delivery)
      return
    }
    this.inflight.start(delivery)
    this.#store(delivery)
    this.#sendWhenCommitted(link, delivery)
  }

  /** Its Packet Identifier, which the Client will answer with, must outlive us before the Client has it. */
  #sendWhenCommitted(link: SessionConnection, delivery: Delivery): void {
    const { commits } = this.#core
    if (commits === undefined || (this.#awaitingCommit.length === 0 && commits.isCommitted(delivery.commitNumber)))
      this.#send(link, delivery)
    else {
      this.#awaitingCommit.push(delivery)
      this.#waitForCommit()
    }
  }

  #sendCommitted(link: SessionConnection): void {
    const { commits } = this.#core
    for (let next = this.#awaitingCommit.peek(); next !== undefined; next = this.#awaitingCommit.peek()) {
      if (commits?.isCommitted(next.commitNumber) !== true) return this.#waitForCommit()
      this.#awaitingCommit.shift()
      if (this.inflight.get(next.packetId) === next) this.#send(link, next)
    }
  }

  #waitForCommit(): void {
    if (this.#waitsForCommit) return
    this.#waitsForCommit = true
    this.#core.commits?.afterCommit(() => {
      this.#waitsForCommit = false
      this.sendPending()
    })
  }

  /** A message whose Packet Identifier is set, for the first time or again. */
  #send(link: SessionConnection, delivery: Delivery): void {
    if (delivery.phase === 'awaiting pubcomp') {
      link.pubrel(delivery.packetId) // Never the PUBLISH again [MQTT-4.3.3-6].
      return
    }
    // Once sent it does not expire [MQTT-4.3.3-7], but a Client that lost the right does not get it.
    const { packetId, qos, retain, identifiers, sentBefore } = delivery
    const message = this.#authorized(delivery.message)
    if (this.#ended) return // A hook may have sent the Client away.
    delivery.sentBefore = true
    if (message === undefined || isRefused(delivery.message)) this.#abandon(delivery, undefined)
    else if (!link.publish(message, qos, retain, sentBefore, packetId, identifiers)) {
      this.#abandon(delivery, 'too-large') // As if it had been delivered [MQTT-3.1.2-25].
    } else if (this.inflight.quotaInUse > MAX_SHARED_CHUNKS) delivery.message.detach()
  }

  /** Tells the store what becomes of the delivery: that it is queued, or that it has its Packet Identifier. */
  #store(delivery: Delivery): void {
    const { commits } = this.#core
    if (commits === undefined) return
    if (!this.isStored) {
      if (delivery.qos === 2) delivery.commitNumber = delivery.message.commitNumber
    } else if (!delivery.isStored) {
      delivery.isStored = true
      delivery.commitNumber = commits.enqueue(this.clientId, delivery)
    } else {
      delivery.commitNumber = commits.send(this.clientId, delivery)
    }
  }

  /** What waits is not to be sent. */
  #discard(delivery: Delivery): void {
    if (delivery.isStored) this.#core.commits?.discard(this.clientId, delivery)
    this.#recovery?.finished(delivery.message)
    this.#queue.removeSize(delivery.message)
  }

  #abandon(delivery: Delivery, why: DropReason | undefined): void {
    this.inflight.remove(delivery)
    if (delivery.isStored) this.#core.commits?.complete(this.clientId, delivery.packetId)
    this.#recovery?.finished(delivery.message)
    this.#queue.removeSize(delivery.message)
    if (why !== undefined) this.#reportDropped(delivery.message, why)
  }

  /** Whether it is too late to send the message: it has expired, or it was not accepted after all. */
  #isDead(message: Message): boolean {
    if (isRefused(message) || this.#ended) return true
    if (message.expiresAt === Infinity || message.expiresAt > this.#core.timers.now()) return false
    this.#reportDropped(message, 'expired') // [MQTT-3.3.2-5]
    return true
  }

  #authorized(message: Message): Message | undefined {
    if (!this.#core.hooks.checksDeliver || this.client === undefined) return message
    const answer = this.#core.hooks.authorizeDeliver(message, this.client)
    if (answer === undefined) {
      this.#reportDropped(message, 'not-authorized')
      return undefined
    }
    return answer === message ? message : message.replacedBy(answer, this.#core.timers)
  }

  #reportDropped(message: Message, why: DropReason): void {
    this.#core.statistics.publishDropped += 1
    this.#core.notify('dropped', message, this.clientId, why)
  }
}

/** The name of a message in the store. */
function nameOf({ stored }: Message): string {
  return stored === undefined ? '' : `${stored.brokerId}:${stored.brokerCounter}`
}

function isRefused({ isRejected, origin }: Message): boolean {
  return isRejected || origin?.isRejected === true
}

import type { Client } from '../../types/client.ts'
import type { DropReason } from '../../types/events.ts'
import type { QoS } from '../../types/packets.ts'
import type { MessageIdSet } from '../messages/message-id-set.ts'
import type { MessageId } from '../messages/message-id.ts'
import type { Publication } from '../messages/publication.ts'
import type { QueuedMessage } from '../messages/queued-message.ts'
import { type DeliverySource, Readiness, type Refusal } from '../messages/subscriber.ts'
import type { Subscriber, Subscription } from '../messages/subscriber.ts'
import type { Timer } from '../timers.ts'
import { BackPressure } from './back-pressure.ts'
import { CommitWait } from './commit-wait.ts'
import { Delivery } from './delivery.ts'
import { isAmong, isDuplicate } from './duplicates.ts'
import { InflightMessages, type Outcome } from './inflight-messages.ts'
import { Memberships } from './memberships.ts'
import { OutboundQueue } from './outbound-queue.ts'
import type { ExpiringQueue } from './queue-expiry.ts'
import { RetainedSender } from './retained-sender.ts'
import type { SessionConnection } from './session-connection.ts'
import type { SessionEnvironment } from './session-environment.ts'
import { deferToGap, type SessionGap } from './session-gap.ts'
import type { SessionStorage } from './session-storage.ts'
import type { Home } from './shared-queues.ts'
import { isSecondCopy, separate, storeInOrder } from './stored-order.ts'
import { isExpired, qos0Readiness, reportRefused, writeDelivery, writeQos0 } from './write-delivery.ts'

// Inflight messages of a session that may be views of the read buffer. Most are acknowledged soon, so a copy is waste.
const MAX_VIEWS = 64

/** The outbound side of a session: the outbound queue, the inflight messages, and the order of sending. */
export class Outbound implements Subscriber, ExpiringQueue, Home {
  readonly clientId: string
  readonly backPressure: BackPressure
  readonly inflight: InflightMessages = new InflightMessages()
  /** Ids of messages read from the storage. The broker that published such a message may still send or replay it. */
  recoveredIds: MessageIdSet | undefined
  ended = false
  expiryTimer: Timer | undefined
  gap: SessionGap | undefined = undefined
  readonly #environment: SessionEnvironment
  readonly #storage: SessionStorage
  readonly #subscriptions: ReadonlyMap<string, Subscription>
  readonly #queue: OutboundQueue
  /** Undefined while no delivery waited for a commit. */
  #commitWait: CommitWait | undefined
  #connection: SessionConnection | undefined
  #client: Client | undefined
  #retained: RetainedSender | undefined
  /** Undefined without a shared subscription. */
  #memberships: Memberships | undefined

  constructor(
    environment: SessionEnvironment,
    clientId: string,
    storage: SessionStorage,
    subscriptions: ReadonlyMap<string, Subscription>,
  ) {
    this.#environment = environment
    this.#storage = storage
    this.#subscriptions = subscriptions
    this.#queue = new OutboundQueue(environment, this)
    this.clientId = clientId
    this.backPressure = new BackPressure(environment.timers, environment.settings.limits.holdBackMs)
  }

  get connected(): boolean {
    return this.#connection !== undefined
  }

  get connection(): SessionConnection | undefined {
    return this.#connection
  }

  get client(): Client | undefined {
    return this.#client
  }

  /** Number of queued messages. */
  get queuedCount(): number {
    return this.#queue.length
  }

  /** Bytes of queued and inflight messages. */
  get queuedBytes(): number {
    return this.#queue.bytes
  }

  /** Whether `deliver` accepts this message at QoS 1 and 2. Expired messages make room. */
  hasRoomFor({ queued }: Publication, isSentNow: boolean = this.sendsAtOnce): boolean {
    if (this.#queue.hasRoomFor(queued, isSentNow)) return true
    const now = this.#environment.timers.now()
    while (this.expireOne(now)) if (this.#queue.hasRoomFor(queued, isSentNow)) return true
    return false
  }

  /** Whether a new message is sent at once: no other one is before it. */
  get sendsAtOnce(): boolean {
    return this.canSendNow && !this.inflight.hasUnsent
  }

  get canSendNow(): boolean {
    return this.gap === undefined && this.#queue.length === 0 && this.#canSend(this.#connection)
  }

  /** The Client is connected, and queue and output have room for messages that can wait. */
  get hasCapacity(): boolean {
    return this.#connection?.outboundBusy === false && this.gap === undefined && this.#queue.isBelowLowWaterMark
  }

  /** Inflight messages in the order of sending, then queued messages. */
  *deliveries(): IterableIterator<Delivery> {
    yield* this.inflight.inOrder()
    yield* this.#queue
  }

  /** The Client is connected. `sendPending` then sends the inflight messages again. */
  attach(connection: SessionConnection, client: Client): void {
    this.#connection = connection
    this.#client = client
    this.inflight.restart()
  }

  /** The connection is closed or replaced by another one. */
  detach(): void {
    this.#connection = undefined
    this.#client = undefined
    this.#commitWait?.clear() // These deliveries are inflight, so they are sent again.
    for (const { content } of this.inflight.inOrder()) content.detach() // The Client may stay away for long.
    this.backPressure.relieve()
  }

  readiness(publication: Publication, qos: QoS): Readiness {
    if (qos === 0) return qos0Readiness(this.#connection)
    if (this.ended) return Readiness.away
    if (!this.hasRoomFor(publication)) return Readiness.full
    if (this.#connection === undefined || this.gap !== undefined) return Readiness.later
    if (this.sendsAtOnce) return Readiness.now
    return this.#queue.isAboveHighWaterMark ? Readiness.congested : Readiness.soon
  }

  deliver(publication: Publication, qos: QoS, retain: boolean, via: DeliverySource): void {
    const refusal = this.offer(publication, qos, retain, via)
    if (refusal === undefined || refusal === 'away') return
    this.#environment.dropped(publication.message, this.clientId, refusal)
  }

  offer(publication: Publication, qos: QoS, retain: boolean, via: DeliverySource): Refusal | undefined {
    if (qos === 0) return this.#offerQos0(publication, retain, via)
    if (this.ended) return 'away'
    const content = publication.queued
    const delivery = new Delivery(content, qos, retain, via)
    if (publication.replay !== undefined || publication.replication !== undefined) {
      if (isDuplicate(publication, this)) return undefined
      if (this.#storage.isQueuedByPeer(publication, via)) delivery.storage = 'queued by peer'
    }
    if (this.gap !== undefined) return deferToGap(this, this.#storage, publication, delivery)
    const connection = this.#connection
    const isSentNow = this.sendsAtOnce
    if (!this.#queue.hasRoomFor(content, isSentNow) && !this.hasRoomFor(publication, isSentNow)) {
      if (delivery.storage !== 'none') this.#storage.discarded(delivery)
      return 'queue-full'
    }
    if (qos === 2) delivery.commitNumber = publication.commitNumber
    this.#queue.addSize(content)
    const isAfterOthers = this.#environment.shared.isBefore(delivery)
    if (connection !== undefined && isSentNow && !isAfterOthers) return this.#start(connection, delivery, publication)
    this.#append(delivery, publication)
    if (connection === undefined) return undefined
    if (publication.encodings !== undefined) publication.encodings.isQueued = true
    if (isSentNow) this.sendPending()
    else if (this.#queue.isAboveHighWaterMark) this.backPressure.congest()
    return undefined
  }

  #offerQos0(publication: Publication, retain: boolean, via: DeliverySource): Refusal | undefined {
    const connection = this.#connection
    if (connection === undefined) return 'away'
    const refusal = connection.outboundFull
      ? 'queue-full'
      : writeQos0(this.#environment, this, connection, publication, retain, via)
    if (connection.outboundBusy) this.backPressure.congest()
    return refusal
  }

  /** Adds a subscription whose retained messages `sendPending` sends, as fast as the Client accepts them. */
  deliverRetained(subscription: Subscription): void {
    this.#retained ??= new RetainedSender(this.#environment, this, this.#subscriptions, this.#storage)
    this.#retained.add(subscription)
  }

  /**
   * Sends all messages that may be sent now: first the inflight messages of an earlier connection, in order, then the
   * queued messages [MQTT-4.4.0-1] [MQTT-4.6.0-5].
   */
  sendPending(): void {
    const connection = this.#connection
    if (connection === undefined) return
    this.#sendCommitted(connection)
    while (this.inflight.hasUnsent && this.#canSend(connection)) {
      const delivery = this.inflight.nextUnsent()
      if (delivery === undefined || this.#expiresUnsent(delivery, false)) continue
      reportRefused(this.#environment, this, delivery, this.#sendWhenCommitted(connection, delivery))
    }
    if (this.#queue.length > 0 || this.#memberships?.canTake === true) this.#sendQueued(connection)
    if (!this.hasCapacity) return this.backPressure.progress(!connection.outboundBusy && this.#queue.isBelowResumeMark)
    this.backPressure.relieve()
    this.#retained?.run()
  }

  #sendQueued(connection: SessionConnection): void {
    while (this.#canSend(connection)) {
      const next = this.#memberships?.next(this.#queue.peek())
      if (next !== undefined && next.home !== this) {
        this.#memberships?.take(next, this.#storage.isDurable, this)
        continue
      }
      const delivery = this.#queue.take(next?.delivery)
      if (delivery === undefined) break
      reportRefused(this.#environment, this, delivery, this.#start(connection, delivery, undefined))
    }
    this.#memberships?.relieveHomes()
  }

  join(subscription: Subscription): void {
    this.#memberships ??= new Memberships(this.#environment.shared)
    this.#memberships.join(subscription)
  }

  leave(subscription: Subscription): void {
    this.#memberships?.leave(subscription)
    if (this.#memberships?.size === 0) this.#memberships = undefined
  }

  /** Stores and sends a message that was taken from another member of a shared subscription. */
  sendTaken(delivery: Delivery, publication: Publication): void {
    const connection = this.#connection
    if (delivery.qos > 0) this.#queue.addSize(delivery.content)
    if (delivery.qos === 0)
      reportRefused(this.#environment, this, delivery, this.#offerQos0(publication, delivery.retain, delivery.via))
    else if (connection === undefined) this.#append(delivery, publication)
    else reportRefused(this.#environment, this, delivery, this.#start(connection, delivery, publication))
  }

  giveUp(delivery: Delivery): void {
    this.#queue.remove(delivery)
    this.#queue.removeSize(delivery.content)
  }

  forget(delivery: Delivery): number {
    const commitNumber = this.#storage.discarded(delivery)
    this.gap?.finished(delivery.content.stored)
    delivery.releaseContent()
    return commitNumber
  }

  relieve(): void {
    if (this.hasCapacity) this.backPressure.relieve()
  }

  /** A PUBACK arrived: the QoS 1 message is complete. */
  onPuback(packetId: number): void {
    this.#completed(this.inflight.puback(packetId))
  }

  /** A PUBREC arrived: the Client has received the QoS 2 message or, with a Reason Code from 0x80 on, refused it. */
  onPubrec(packetId: number, refused: boolean): Outcome {
    const delivery = this.inflight.get(packetId)
    const outcome = this.inflight.pubrec(packetId, refused)
    if (outcome === 'complete') this.#completed(delivery)
    else if (outcome === 'continues') this.#storage.released(packetId)
    return outcome
  }

  /** A PUBCOMP arrived: the QoS 2 message is complete. */
  onPubcomp(packetId: number): void {
    this.#completed(this.inflight.pubcomp(packetId))
  }

  #completed(delivery: Delivery | undefined): void {
    if (delivery === undefined) return
    this.#storage.completed(delivery)
    this.#finish(delivery.content)
    this.sendPending()
  }

  /** Ends the outbound side. Returns the messages that another member of a shared subscription should receive. */
  end(): Delivery[] {
    this.ended = true
    const orphans: Delivery[] = []
    for (const delivery of this.inflight.inOrder()) {
      // A QoS 2 message that was sent must not be sent to another member [MQTT-4.8.2-5].
      const isOfAnyone = delivery.via.sharedFilter !== undefined && (delivery.qos === 1 || !delivery.sentBefore)
      if (isOfAnyone) orphans.push(delivery)
      this.#queue.removeSize(delivery.content)
    }
    for (let delivery = this.#queue.shift(); delivery !== undefined; delivery = this.#queue.shift()) {
      if (delivery.via.sharedFilter !== undefined) orphans.push(delivery)
      this.#queue.removeSize(delivery.content)
    }
    this.#environment.expiry.forget(this)
    this.#retained = undefined
    this.#commitWait?.clear()
    this.inflight.clear()
    this.backPressure.relieve()
    return orphans
  }

  /** Removes and returns the queued messages of a shared subscription that the session leaves. */
  leaveGroup(sharedFilter: string): Delivery[] {
    const orphans = this.#queue.removeGroup(sharedFilter)
    for (const delivery of orphans) this.#discard(delivery)
    if (orphans.length > 0) storeInOrder(this.#storage, this.#queue, orphans)
    return orphans
  }

  /** Restores a delivery from the storage; a delivery with a Packet Identifier is inflight. */
  restore(delivery: Delivery, recoveredIds: MessageIdSet): void {
    if (delivery.storage === 'none') delivery.storage = 'queued'
    this.recoveredIds ??= recoveredIds
    this.recoveredIds.add(delivery.content.stored)
    this.#queue.addSize(delivery.content)
    if (delivery.packetId === 0) this.#push(delivery)
    else this.inflight.restore(delivery)
  }

  /** Appends a delivery that did not pass `deliver`. */
  enqueue(delivery: Delivery): void {
    this.#queue.addSize(delivery.content)
    this.#append(delivery, undefined)
  }

  #append(delivery: Delivery, publication: Publication | undefined): void {
    delivery.content.detach()
    if (delivery.storage === 'none') {
      const isSecond = isSecondCopy(delivery, this.#queue.last(), this.#storage)
      this.#storage.queued(isSecond ? separate(delivery, this.#queue) : publication, delivery)
    }
    this.#push(delivery)
  }

  #push(delivery: Delivery): void {
    if (isSecondCopy(delivery, this.#queue.last(), this.#storage)) this.#environment.shared.fix(delivery)
    this.#queue.push(delivery)
    if (delivery.message.expiresAt !== Infinity) this.#environment.expiry.watch(this)
  }

  get nextExpiry(): number {
    return this.#queue.nextExpiry
  }

  expireOne(now: number): boolean {
    const delivery = this.#queue.takeExpired(now)
    if (delivery === undefined) return false
    const { message } = delivery
    this.#discard(delivery)
    delivery.releaseContent()
    this.#environment.dropped(message, this.clientId, 'expired')
    return true
  }

  /** Whether the message is queued or inflight, or was read from the storage. */
  hasSeen(id: MessageId): boolean {
    return this.recoveredIds?.has(id) === true || isAmong(this.deliveries(), id)
  }

  #canSend(connection: SessionConnection | undefined): boolean {
    if (connection?.outboundBusy !== false) return false
    return this.inflight.quotaInUse < Math.min(connection.receiveMaximum, this.#environment.settings.limits.maxInflight)
  }

  /** Returns the reason if the message was to be sent at once and the Client does not receive it. */
  #start(
    connection: SessionConnection,
    delivery: Delivery,
    publication: Publication | undefined,
  ): DropReason | undefined {
    const { content } = delivery
    const isLive = publication !== undefined
    if (this.ended || content.isRejected || isExpired(this.#environment, this, content.message, isLive)) {
      this.#discard(delivery)
      return undefined
    }
    this.inflight.start(delivery)
    if (delivery.storage === 'none') this.#storage.queued(publication, delivery)
    else this.#storage.sent(delivery)
    return this.#sendWhenCommitted(connection, delivery)
  }

  /** The Packet Identifier must be committed before the Client sees it, because the Client will acknowledge it. */
  #sendWhenCommitted(connection: SessionConnection, delivery: Delivery): DropReason | undefined {
    if (this.#commitWait?.isEmpty !== false && this.#storage.isCommitted(delivery.commitNumber)) {
      return this.#send(connection, delivery)
    }
    this.#commitWait ??= new CommitWait(this.#storage, () => this.sendPending())
    this.#commitWait.push(delivery)
    return undefined
  }

  #sendCommitted(connection: SessionConnection): void {
    for (let next = this.#commitWait?.shift(); next !== undefined; next = this.#commitWait?.shift()) {
      if (this.inflight.get(next.packetId) !== next || this.#expiresUnsent(next, true)) continue
      reportRefused(this.#environment, this, next, this.#send(connection, next))
    }
  }

  /** Drops a message that expired while it waited for the commit of its Packet Identifier, or for a new connection. */
  #expiresUnsent(delivery: Delivery, isLive: boolean): boolean {
    if (delivery.sentBefore || !isExpired(this.#environment, this, delivery.message, isLive)) return false
    this.#abandon(delivery)
    return true
  }

  /** Writes a delivery with a Packet Identifier. Returns the reason if it is not sent; it is complete then. */
  #send(connection: SessionConnection, delivery: Delivery): DropReason | undefined {
    if (delivery.phase === 'awaiting pubcomp') {
      connection.pubrel(delivery.packetId) // The PUBLISH must not be sent again [MQTT-4.3.3-6].
      return undefined
    }
    const refusal = writeDelivery(this.#environment, this, connection, delivery)
    if (this.ended) return undefined // A hook may have ended the session.
    if (refusal !== undefined) {
      this.#abandon(delivery)
      return refusal === 'rejected' ? undefined : refusal
    }
    delivery.sentBefore = true
    if (this.inflight.quotaInUse > MAX_VIEWS) delivery.content.detach()
    return undefined
  }

  /** Drops a queued message. */
  #discard(delivery: Delivery): void {
    this.#storage.discarded(delivery)
    this.#finish(delivery.content)
  }

  /** Drops an inflight message, which then counts as delivered [MQTT-3.1.2-25]. */
  #abandon(delivery: Delivery): void {
    this.inflight.remove(delivery)
    this.#storage.completed(delivery)
    this.#finish(delivery.content)
  }

  /** The message has left the session. */
  #finish(content: QueuedMessage): void {
    this.gap?.finished(content.stored)
    this.#queue.removeSize(content)
  }
}

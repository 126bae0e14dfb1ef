import type { Client } from '../../types/client.ts'
import type { QoS } from '../../types/packets.ts'
import type { MessageIdSet } from '../messages/message-id-set.ts'
import { type MessageId, messageIdText } from '../messages/message-id.ts'
import type { Publication } from '../messages/publication.ts'
import type { QueuedMessage } from '../messages/queued-message.ts'
import type { DeliverySource, Subscriber, Subscription } from '../messages/subscriber.ts'
import type { Timer } from '../timers.ts'
import { BackPressure } from './back-pressure.ts'
import { Delivery } from './delivery.ts'
import { InflightMessages, type Outcome } from './inflight-messages.ts'
import { OutboundQueue } from './outbound-queue.ts'
import type { ExpiringQueue } from './queue-expiry.ts'
import { RetainedSender } from './retained-sender.ts'
import { RingQueue } from './ring-queue.ts'
import type { SessionConnection } from './session-connection.ts'
import type { SessionEnvironment } from './session-environment.ts'
import type { SessionStorage } from './session-storage.ts'
import { isExpired, writeDelivery, writeQos0 } from './write-delivery.ts'

// Inflight messages of a session that may be views of the read buffer. Most are acknowledged soon, so a copy is waste.
const MAX_VIEWS = 64

/** The outbound side of a session: the outbound queue, the inflight messages, and the order of sending. */
export class Outbound implements Subscriber, ExpiringQueue {
  readonly clientId: string
  readonly backPressure: BackPressure
  readonly inflight: InflightMessages = new InflightMessages()
  /** Ids of messages read from the storage. The broker that published such a message may still send or replay it. */
  recoveredIds: MessageIdSet | undefined
  expiryTimer: Timer | undefined
  readonly #environment: SessionEnvironment
  readonly #storage: SessionStorage
  readonly #subscriptions: ReadonlyMap<string, Subscription>
  readonly #queue: OutboundQueue
  /** Deliveries with a Packet Identifier, not written until it is committed. */
  #awaitingCommit: RingQueue<Delivery> | undefined
  #waitsForCommit = false
  #connection: SessionConnection | undefined
  #client: Client | undefined
  #retained: RetainedSender | undefined
  #isEnded = false

  constructor(
    environment: SessionEnvironment,
    clientId: string,
    storage: SessionStorage,
    subscriptions: ReadonlyMap<string, Subscription>,
  ) {
    this.#environment = environment
    this.#storage = storage
    this.#subscriptions = subscriptions
    this.#queue = new OutboundQueue(environment.settings.limits, environment.queueTotals)
    this.clientId = clientId
    this.backPressure = new BackPressure(environment.timers, environment.settings.limits.holdBackMs)
  }

  get connected(): boolean {
    return this.#connection !== undefined
  }

  get ended(): boolean {
    return this.#isEnded
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
  hasRoomFor({ queued }: Publication): boolean {
    const isSentNow = this.canSendNow && !this.inflight.hasUnsent
    return this.#queue.hasRoomFor(queued, isSentNow) || this.#makeRoomFor(queued, isSentNow)
  }

  get canSendNow(): boolean {
    return this.#connection !== undefined && this.#queue.length === 0 && this.#canSend(this.#connection)
  }

  /** The Client is connected, and queue and output have room for messages that can wait. */
  get hasCapacity(): boolean {
    return this.#connection !== undefined && !this.#connection.outboundBusy && this.#queue.isBelowLowWaterMark
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
    this.#awaitingCommit = undefined // These deliveries are inflight, so they are sent again.
    for (const { content } of this.inflight.inOrder()) content.detach() // The Client may stay away for long.
    this.backPressure.relieve()
  }

  deliver(publication: Publication, qos: QoS, retain: boolean, via: DeliverySource): void {
    if (qos === 0) {
      this.#deliverQos0(publication, retain, via)
      return
    }
    if (this.#isEnded) return
    let isStoredByPeer = false
    if (publication.replay !== undefined || publication.replication !== undefined) {
      if (this.#isDuplicate(publication)) return
      isStoredByPeer = this.#storage.isQueuedByPeer(publication, via)
    }
    const content = publication.queued
    if (isStoredByPeer && this.#deferToGap(content, qos, retain, via)) return
    const connection = this.#connection
    const isSentNow = this.canSendNow && !this.inflight.hasUnsent
    if (!this.#queue.hasRoomFor(content, isSentNow) && !this.#makeRoomFor(content, isSentNow)) {
      this.#environment.dropped(content.message, this.clientId, 'queue-full')
      return
    }
    const delivery = new Delivery(content, qos, retain, via)
    if (isStoredByPeer) delivery.storage = 'queued by peer'
    if (qos === 2) delivery.commitNumber = publication.commitNumber
    this.#queue.addSize(content)
    if (connection !== undefined && isSentNow) {
      this.#start(connection, delivery, publication)
      return
    }
    this.#append(delivery, publication)
    if (connection === undefined) return
    if (publication.encodings !== undefined) publication.encodings.isQueued = true
    if (this.#queue.isAboveHighWaterMark) this.backPressure.congest()
  }

  /** Drops messages that have expired until there is room for a new one. */
  #makeRoomFor(content: QueuedMessage, isSentNow: boolean): boolean {
    const now = this.#environment.timers.now()
    while (this.expireOne(now)) if (this.#queue.hasRoomFor(content, isSentNow)) return true
    return false
  }

  #deliverQos0(publication: Publication, retain: boolean, via: DeliverySource): void {
    const connection = this.#connection
    if (connection === undefined) return
    if (connection.outboundFull) this.#environment.dropped(publication.message, this.clientId, 'queue-full')
    else writeQos0(this.#environment, this, connection, publication, retain, via)
    if (connection.outboundBusy) this.backPressure.congest()
  }

  #deferToGap(content: QueuedMessage, qos: QoS, retain: boolean, via: DeliverySource): boolean {
    const delivery = new Delivery(content, qos, retain, via)
    delivery.storage = 'queued by peer'
    return this.#environment.gaps.defer(this, delivery)
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
      if (delivery !== undefined && !this.#expiresUnsent(delivery)) this.#sendWhenCommitted(connection, delivery)
    }
    while (this.#queue.length > 0 && this.#canSend(connection)) {
      const delivery = this.#queue.shift()
      if (delivery !== undefined) this.#start(connection, delivery, undefined)
    }
    if (!this.hasCapacity) return
    this.backPressure.relieve()
    this.#retained?.run()
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
    this.#isEnded = true
    const orphans: Delivery[] = []
    for (const delivery of this.inflight.inOrder()) {
      // A QoS 2 message that was sent must not be sent to another member [MQTT-4.8.2-5].
      if (delivery.via.sharedFilter !== undefined && delivery.qos === 1) orphans.push(delivery)
      this.#queue.removeSize(delivery.content)
    }
    for (let delivery = this.#queue.shift(); delivery !== undefined; delivery = this.#queue.shift()) {
      if (delivery.via.sharedFilter !== undefined) orphans.push(delivery)
      this.#queue.removeSize(delivery.content)
    }
    this.#environment.expiry.forget(this)
    this.#retained = undefined
    this.#awaitingCommit = undefined
    this.inflight.clear()
    this.backPressure.relieve()
    return orphans
  }

  /** Removes and returns the queued messages of a shared subscription that the session leaves. */
  leaveGroup(sharedFilter: string): Delivery[] {
    const orphans = this.#queue.removeGroup(sharedFilter)
    if (orphans.length === 0) return orphans
    for (const delivery of orphans) this.#discard(delivery)
    this.#storeInOrder(new Set(orphans.map(({ content }) => content)))
    return orphans
  }

  /**
   * The storage discards by message id, so it also removes copies from other subscriptions. To preserve the order, all
   * messages from the first such copy on are stored again.
   */
  #storeInOrder(removed: ReadonlySet<QueuedMessage>): void {
    const queued = [...this.#queue]
    const first = queued.findIndex(({ content }) => removed.has(content))
    if (first === -1) return
    const rest = queued.slice(first)
    const discarded = new Set(removed)
    for (const delivery of rest) {
      if (!discarded.has(delivery.content)) this.#storage.discarded(delivery)
      discarded.add(delivery.content)
    }
    for (const delivery of rest) this.#storage.queued(undefined, delivery)
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
    if (delivery.storage === 'none') this.#storage.queued(publication, delivery)
    this.#push(delivery)
  }

  #push(delivery: Delivery): void {
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

  onExpired(): void {
    this.sendPending()
  }

  /** Whether the message is queued or inflight, or was read from the storage. */
  hasSeen(id: MessageId): boolean {
    if (this.recoveredIds?.has(id) === true) return true
    const text = messageIdText(id)
    for (const { content } of this.deliveries()) {
      if (content.stored !== undefined && messageIdText(content.stored) === text) return true
    }
    return false
  }

  /** Whether a replayed message or a message of a peer was already received. */
  #isDuplicate({ queued, replay, fromPeer }: Publication): boolean {
    const { stored } = queued
    if (stored === undefined) return false
    if (replay !== undefined) return this.hasSeen(stored)
    return fromPeer && this.recoveredIds?.has(stored) === true
  }

  #canSend(connection: SessionConnection): boolean {
    return (
      !connection.outboundBusy &&
      this.inflight.quotaInUse < Math.min(connection.receiveMaximum, this.#environment.settings.limits.maxInflight)
    )
  }

  #start(connection: SessionConnection, delivery: Delivery, publication: Publication | undefined): void {
    const { content } = delivery
    if (this.#isEnded || content.isRejected || isExpired(this.#environment, this, content.message)) {
      this.#discard(delivery)
      return
    }
    this.inflight.start(delivery)
    if (delivery.storage === 'none') this.#storage.queued(publication, delivery)
    else this.#storage.sent(delivery)
    this.#sendWhenCommitted(connection, delivery)
  }

  /** The Packet Identifier must be committed before the Client sees it, because the Client will acknowledge it. */
  #sendWhenCommitted(connection: SessionConnection, delivery: Delivery): void {
    if (this.#awaitingCommit === undefined && this.#storage.isCommitted(delivery.commitNumber)) {
      this.#send(connection, delivery)
      return
    }
    this.#awaitingCommit ??= new RingQueue()
    this.#awaitingCommit.push(delivery)
    this.#waitForCommit()
  }

  #sendCommitted(connection: SessionConnection): void {
    for (let next = this.#awaitingCommit?.peek(); next !== undefined; next = this.#awaitingCommit?.peek()) {
      if (!this.#storage.isCommitted(next.commitNumber)) return this.#waitForCommit()
      this.#awaitingCommit?.shift()
      if (this.inflight.get(next.packetId) === next && !this.#expiresUnsent(next)) this.#send(connection, next)
    }
    this.#awaitingCommit = undefined
  }

  /** Drops a message that expired while it waited for the commit of its Packet Identifier, or for a new connection. */
  #expiresUnsent(delivery: Delivery): boolean {
    if (delivery.sentBefore || !isExpired(this.#environment, this, delivery.message)) return false
    this.#abandon(delivery)
    return true
  }

  #waitForCommit(): void {
    if (this.#waitsForCommit) return
    this.#waitsForCommit = true
    this.#storage.afterCommit(() => {
      this.#waitsForCommit = false
      this.sendPending()
    })
  }

  /** Writes a delivery with a Packet Identifier, for the first time or again. */
  #send(connection: SessionConnection, delivery: Delivery): void {
    if (delivery.phase === 'awaiting pubcomp') {
      connection.pubrel(delivery.packetId) // The PUBLISH must not be sent again [MQTT-4.3.3-6].
      return
    }
    const isWritten = writeDelivery(this.#environment, this, connection, delivery)
    if (this.#isEnded) return // A hook may have ended the session.
    if (!isWritten) this.#abandon(delivery)
    else {
      delivery.sentBefore = true
      if (this.inflight.quotaInUse > MAX_VIEWS) delivery.content.detach()
    }
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
    this.#environment.gaps.finished(this, content)
    this.#queue.removeSize(content)
  }
}

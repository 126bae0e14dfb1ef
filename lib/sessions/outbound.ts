import type { Client } from '../../types/client.ts'
import type { QoS } from '../../types/packets.ts'
import type { MessageIdSet } from '../messages/message-id-set.ts'
import { type MessageId, messageIdText } from '../messages/message-id.ts'
import type { Publication } from '../messages/publication.ts'
import type { QueuedMessage } from '../messages/queued-message.ts'
import type { DeliverySource, Subscriber, Subscription } from '../messages/subscriber.ts'
import { BackPressure } from './back-pressure.ts'
import { Delivery } from './delivery.ts'
import { InflightMessages, type Outcome } from './inflight-messages.ts'
import { OutboundQueue } from './outbound-queue.ts'
import { RetainedSender } from './retained-sender.ts'
import { RingQueue } from './ring-queue.ts'
import type { SessionConnection } from './session-connection.ts'
import type { SessionEnvironment } from './session-environment.ts'
import type { SessionStorage } from './session-storage.ts'
import { isExpired, writeDelivery, writeQos0 } from './write-delivery.ts'

// Inflight messages of a session that may be views of what was read; most are acknowledged before a copy would pay.
const MAX_VIEWS = 64

/** The side of a session that sends: the queue, the messages in flight, and the order in which they leave. */
export class Outbound implements Subscriber {
  readonly clientId: string
  readonly backPressure: BackPressure
  readonly inflight: InflightMessages = new InflightMessages()
  /** Ids of messages that were read from the storage: a broker that published one may still send or replay it. */
  recoveredIds: MessageIdSet | undefined
  readonly #environment: SessionEnvironment
  readonly #storage: SessionStorage
  readonly #subscriptions: ReadonlyMap<string, Subscription>
  readonly #queue: OutboundQueue
  /** Started, with Packet Identifiers, but not written before the storage has them. */
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
    this.#queue = new OutboundQueue(environment)
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

  /** Messages that wait to be sent. */
  get queuedCount(): number {
    return this.#queue.length
  }

  get canSendNow(): boolean {
    return this.#connection !== undefined && this.#queue.length === 0 && this.#canSend(this.#connection)
  }

  /** The Client is connected and keeps up: there is room for more than what is under way. */
  get hasCapacity(): boolean {
    return this.#connection !== undefined && !this.#connection.outboundBusy && this.#queue.isBelowLowWaterMark
  }

  /** Messages in flight in the order of sending, then queued messages. */
  *deliveries(): IterableIterator<Delivery> {
    yield* this.inflight.inOrder()
    yield* this.#queue
  }

  /** The Client is connected. Its messages in flight are sent again once `sendPending` is called. */
  attach(connection: SessionConnection, client: Client): void {
    this.#connection = connection
    this.#client = client
    this.inflight.restart()
  }

  /** The connection is closed, or another one takes its place. */
  detach(): void {
    this.#connection = undefined
    this.#client = undefined
    this.#awaitingCommit = undefined // These are among the messages to be sent again.
    for (const { content } of this.inflight.inOrder()) content.detach() // They may stay for long now.
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
    if (!this.#queue.hasRoomFor(content, isSentNow)) {
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

  /** Sends the retained messages of a subscription: `sendPending` begins with it, and goes on as fast as the Client takes them. */
  deliverRetained(subscription: Subscription): void {
    this.#retained ??= new RetainedSender(this.#environment, this, this.#subscriptions, this.#storage)
    this.#retained.add(subscription)
  }

  /**
   * Sends what may be sent now: first what a lost connection left open, in its order, then what is queued
   * [MQTT-4.4.0-1] [MQTT-4.6.0-5].
   */
  sendPending(): void {
    const connection = this.#connection
    if (connection === undefined) return
    this.#sendCommitted(connection)
    while (this.inflight.hasUnsent && this.#canSend(connection)) {
      const delivery = this.inflight.nextUnsent()
      if (delivery !== undefined) this.#sendWhenCommitted(connection, delivery)
    }
    while (this.#queue.length > 0 && this.#canSend(connection)) {
      const delivery = this.#queue.shift()
      if (delivery !== undefined) this.#start(connection, delivery, undefined)
    }
    if (!this.hasCapacity) return
    this.backPressure.relieve()
    this.#retained?.run()
  }

  /** PUBACK came: a message at QoS 1 is complete. */
  onPuback(packetId: number): void {
    this.#completed(this.inflight.puback(packetId))
  }

  /** PUBREC came: the Client has a message at QoS 2 or, with a Reason Code of 0x80 or more, does not want it. */
  onPubrec(packetId: number, refused: boolean): Outcome {
    const delivery = this.inflight.get(packetId)
    const outcome = this.inflight.pubrec(packetId, refused)
    if (outcome === 'complete') this.#completed(delivery)
    else if (outcome === 'continues') this.#storage.released(packetId)
    return outcome
  }

  /** PUBCOMP came: a message at QoS 2 is complete. */
  onPubcomp(packetId: number): void {
    this.#completed(this.inflight.pubcomp(packetId))
  }

  #completed(delivery: Delivery | undefined): void {
    if (delivery === undefined) return
    this.#storage.completed(delivery)
    this.#finish(delivery.content)
    this.sendPending()
  }

  /** Ends the outbound side. Returns the messages that another member of a shared subscription should get. */
  end(): Delivery[] {
    this.#isEnded = true
    const orphans: Delivery[] = []
    for (const delivery of this.inflight.inOrder()) {
      // One at QoS 2 that was sent goes to nobody else [MQTT-4.8.2-5].
      if (delivery.via.sharedFilter !== undefined && delivery.qos === 1) orphans.push(delivery)
      this.#queue.removeSize(delivery.content)
    }
    for (let delivery = this.#queue.shift(); delivery !== undefined; delivery = this.#queue.shift()) {
      if (delivery.via.sharedFilter !== undefined) orphans.push(delivery)
      this.#queue.removeSize(delivery.content)
    }
    this.#retained = undefined
    this.#awaitingCommit = undefined
    this.inflight.clear()
    this.backPressure.relieve()
    return orphans
  }

  /** Takes back the messages that wait here for a shared subscription which the session leaves. */
  leaveGroup(sharedFilter: string): Delivery[] {
    const orphans = this.#queue.removeGroup(sharedFilter)
    if (orphans.length === 0) return orphans
    for (const delivery of orphans) this.#discard(delivery)
    this.#storeInOrder(new Set(orphans.map(({ content }) => content)))
    return orphans
  }

  /**
   * The storage knows a message by its id only, and has removed those that came by another subscription too.
   * So that they keep their place, all that waits behind the first of them is stored anew.
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

  /** Puts a message back as the storage had it; one with a Packet Identifier is in flight. */
  restore(delivery: Delivery, recoveredIds: MessageIdSet): void {
    if (delivery.storage === 'none') delivery.storage = 'queued'
    this.recoveredIds ??= recoveredIds
    this.recoveredIds.add(delivery.content.stored)
    this.#queue.addSize(delivery.content)
    if (delivery.packetId === 0) this.#queue.push(delivery)
    else this.inflight.restore(delivery)
  }

  /** Appends a message that came on another way than `deliver`. */
  enqueue(delivery: Delivery): void {
    this.#queue.addSize(delivery.content)
    this.#append(delivery, undefined)
  }

  #append(delivery: Delivery, publication: Publication | undefined): void {
    delivery.content.detach()
    if (delivery.storage === 'none') this.#storage.queued(publication, delivery)
    this.#queue.push(delivery)
  }

  /** Whether this message is here, queued or in flight, or came from the storage. */
  hasSeen(id: MessageId): boolean {
    if (this.recoveredIds?.has(id) === true) return true
    const text = messageIdText(id)
    for (const { content } of this.deliveries()) {
      if (content.stored !== undefined && messageIdText(content.stored) === text) return true
    }
    return false
  }

  /** Whether a message of another broker, or one that is published once more, is here already. */
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

  /** The Packet Identifier, which the Client will acknowledge, must outlive the process before the Client has it. */
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
      if (this.inflight.get(next.packetId) === next) this.#send(connection, next)
    }
    this.#awaitingCommit = undefined
  }

  #waitForCommit(): void {
    if (this.#waitsForCommit) return
    this.#waitsForCommit = true
    this.#storage.afterCommit(() => {
      this.#waitsForCommit = false
      this.sendPending()
    })
  }

  /** Writes a message whose Packet Identifier is set, for the first time or again. */
  #send(connection: SessionConnection, delivery: Delivery): void {
    if (delivery.phase === 'awaiting pubcomp') {
      connection.pubrel(delivery.packetId) // Never the PUBLISH again [MQTT-4.3.3-6].
      return
    }
    const isWritten = writeDelivery(this.#environment, this, connection, delivery)
    if (this.#isEnded) return // A hook may have sent the Client away.
    if (!isWritten) this.#abandon(delivery)
    else {
      delivery.sentBefore = true
      if (this.inflight.quotaInUse > MAX_VIEWS) delivery.content.detach()
    }
  }

  /** A queued message is not to be sent. */
  #discard(delivery: Delivery): void {
    this.#storage.discarded(delivery)
    this.#finish(delivery.content)
  }

  /** A message in flight is not to be sent: as if it had been delivered [MQTT-3.1.2-25]. */
  #abandon(delivery: Delivery): void {
    this.inflight.remove(delivery)
    this.#storage.completed(delivery)
    this.#finish(delivery.content)
  }

  /** The session has no more to do with the message. */
  #finish(content: QueuedMessage): void {
    this.#environment.gaps.finished(this, content)
    this.#queue.removeSize(content)
  }
}

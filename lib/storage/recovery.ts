import type { QoS } from '../../types/packets.ts'
import type { PersistedPublish, PersistedQueueItem, PersistedSessionState } from '../../types/persistence.ts'
import { MessageIdSet } from '../messages/message-id-set.ts'
import type { StoredPacket } from '../messages/message-id.ts'
import { Message } from '../messages/message.ts'
import { QueuedMessage } from '../messages/queued-message.ts'
import type { DeliverySource } from '../messages/subscriber.ts'
import type { Subscriptions } from '../messages/subscriptions.ts'
import { Delivery } from '../sessions/delivery.ts'
import type { SessionEnvironment } from '../sessions/session-environment.ts'
import { NEVER_EXPIRES } from '../sessions/session-registry.ts'
import { storageOf } from '../sessions/session-storage.ts'
import { Session } from '../sessions/session.ts'
import { isOfBroker } from '../topics/sys-topic.ts'
import type { CommitQueue } from './commit-queue.ts'
import { LIVING_BROKERS } from './living-brokers.ts'
import { queuedMessageOf } from './stored-message.ts'
import { subscriptionOf } from './stored-subscription.ts'

/** The parts of the broker that recovery uses. */
export interface RecoveryEnvironment extends SessionEnvironment {
  readonly settings: SessionEnvironment['settings'] & { readonly maximumQoS: QoS }
  readonly subscriptions: Subscriptions
  readonly sessions: {
    restore(session: Session): void
    addSubscription(session: Session, subscription: ReturnType<typeof subscriptionOf> & object): unknown
    end(session: Session): void
    startExpiry(session: Session): void
    expireAt(session: Session, due: number): void
  }
  readonly wills: {
    publishAt(session: Session, due: number): void
    connectionEnded(session: Session, graceful: boolean): void
  }
}

const NO_BYTES = Buffer.alloc(0)
// For messages without shared subscription and identifiers. The storage does not record the matching subscription.
const FROM_STORAGE: DeliverySource = { identifiers: undefined, sharedFilter: undefined, parts: undefined }

/** Restores the state of the storage before the first connection is accepted. */
export async function recover(environment: RecoveryEnvironment, commits: CommitQueue): Promise<void> {
  const messages = new RecoveredMessages(environment)
  const sessions: { session: Session; state: PersistedSessionState }[] = []
  for await (const state of commits.storage.readAll()) {
    if (state.kind === 'retained') restoreRetained(environment, commits, messages.of(state.packet))
    else if (state.clientId !== LIVING_BROKERS) {
      const session = restoreSession(environment, commits, state, undefined, messages)
      sessions.push({ session, state: { ...state, queue: [] } })
    }
  }
  environment.shared.restoreOrder()
  // After all sessions are restored: a Will may be delivered to any of them, also as a member of a shared subscription.
  for (const { session, state } of sessions) startExpiry(environment, session, state)
  environment.timers.catchUp() // Sessions that expired before the start must end before the first CONNECT.
}

export function restoreRetained(environment: RecoveryEnvironment, commits: CommitQueue, queued: QueuedMessage): void {
  const { topic, expiresAt } = queued.message
  if (isOfBroker(topic)) return
  if (expiresAt <= environment.timers.now()) commits.forgetRetained(topic)
  else if (environment.retained.hasRoomFor(queued.message)) environment.retained.restore(queued)
}

/** Restores one session. It does not expire before `startExpiry` is called. */
export function restoreSession(
  environment: RecoveryEnvironment,
  commits: CommitQueue,
  state: PersistedSessionState,
  recoveredIds: MessageIdSet | undefined,
  messages: RecoveredMessages = new RecoveredMessages(environment),
): Session {
  const { clientId, subscriptions, queue, incoming, will } = state
  const { owner, expiryInterval } = state.session
  const session = new Session(environment, clientId, owner, storageOf(commits, clientId, expiryInterval > 0))
  session.isRecorded = true
  session.outbound.recoveredIds = recoveredIds
  session.expiryInterval = expiryInterval
  environment.sessions.restore(session)
  const { maximumQoS, limits } = environment.settings
  for (const one of subscriptions) {
    const stored = one.qos > maximumQoS ? { ...one, qos: maximumQoS, requestedQos: one.requestedQos ?? one.qos } : one
    const subscription = subscriptionOf(session.outbound, stored, limits.maxTopicLevels)
    if (subscription !== undefined) environment.sessions.addSubscription(session, subscription)
  }
  const ids = recoveredIds ?? new MessageIdSet()
  for (const item of queue) session.outbound.restore(deliveryOf(item, messages), ids)
  for (const packetId of incoming) session.incoming.reserve(packetId)
  const { storage } = commits
  if (storage.findIncoming !== undefined) {
    session.incoming.doubt(async (packetId) => (await storage.findIncoming?.(clientId, packetId)) ?? 'unknown')
  }
  if (will !== undefined) {
    const { willDelayInterval = 0, ...properties } = will.properties ?? {}
    const payload = typeof will.payload === 'string' ? Buffer.from(will.payload) : will.payload
    const { topic, qos, retain } = will
    const message = { topic, payload, qos, retain, properties }
    session.will = { message, permitted: message, delay: willDelayInterval, client: undefined }
  }
  return session
}

/** Starts the expiry of a restored session: its connection ended at the latest with the earlier process. */
export function startExpiry(
  environment: RecoveryEnvironment,
  session: Session,
  { session: { expiresAt }, will }: PersistedSessionState,
): void {
  const { timers, wills, sessions } = environment
  if (session.expiryInterval === 0) {
    sessions.end(session)
    return
  }
  if (expiresAt !== null) sessions.expireAt(session, timers.fromWallClock(expiresAt))
  else if (session.expiryInterval !== NEVER_EXPIRES) sessions.startExpiry(session)
  if (will?.dueAt !== undefined) wills.publishAt(session, timers.fromWallClock(will.dueAt))
  else if (will !== undefined) wills.connectionEnded(session, false)
}

/** The delivery of a stored queue item. */
export function deliveryOf({ packet, target }: PersistedQueueItem, messages: RecoveredMessages): Delivery {
  if (target === undefined) {
    const releasedMessage = new QueuedMessage(new Message(NO_MESSAGE, undefined, Infinity))
    releasedMessage.stored = idOnly(packet)
    const delivery = new Delivery(releasedMessage, 2, false, FROM_STORAGE)
    delivery.packetId = packet.messageId
    delivery.phase = 'awaiting pubcomp'
    delivery.storage = 'sent'
    return delivery
  }
  const { qos, retain, subscriptionIdentifiers: identifiers, sharedFilter, messageId } = target
  const isPlain = identifiers === undefined && sharedFilter === undefined
  const via = isPlain ? FROM_STORAGE : { identifiers, sharedFilter, parts: undefined }
  const delivery = new Delivery(messages.of(packet), qos, retain, via)
  delivery.storage = 'queued'
  if (messageId !== undefined) {
    delivery.packetId = messageId
    delivery.phase = qos === 1 ? 'awaiting puback' : 'awaiting pubrec'
    delivery.storage = 'sent'
    delivery.sentBefore = true // The earlier process may have sent it.
  }
  return delivery
}

const NO_MESSAGE = { topic: '', payload: NO_BYTES, qos: 2, retain: false, properties: undefined } as const

/** A packet with the message id only, by which a replay of a released message is recognised as a duplicate. */
function idOnly({ brokerId, brokerCounter }: PersistedQueueItem['packet']): StoredPacket | undefined {
  if (brokerId === undefined || brokerCounter === undefined) return undefined
  return { cmd: 'publish', topic: '', payload: NO_BYTES, qos: 2, retain: false, brokerId, brokerCounter }
}

/** Creates one object for each stored message, even if several queues contain it. */
export class RecoveredMessages {
  readonly #environment: Pick<RecoveryEnvironment, 'timers'>
  readonly #known = new WeakMap<object, QueuedMessage>()

  constructor(environment: Pick<RecoveryEnvironment, 'timers'>) {
    this.#environment = environment
  }

  of(packet: PersistedPublish): QueuedMessage {
    let queued = this.#known.get(packet)
    if (queued === undefined) {
      queued = queuedMessageOf(packet, this.#environment.timers)
      this.#known.set(packet, queued)
    }
    return queued
  }
}

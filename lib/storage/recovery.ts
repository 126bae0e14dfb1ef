import type { PersistedQueueItem, PersistedSessionState } from '../../types/persistence.ts'
import type { Core } from '../core.ts'
import { Message } from '../messages/message.ts'
import { Delivery } from '../sessions/delivery.ts'
import type { MessageIdSet } from '../cluster/message-id-set.ts'
import { Session } from '../sessions/session.ts'
import type { CommitQueue } from './commit-queue.ts'
import { messageOf } from './stored-message.ts'
import { subscriptionOf } from './stored-subscription.ts'

const FOR_EVER = 0xffff_ffff
const EMPTY = Buffer.alloc(0)

/** Puts everything back that a store has, before the first connection is taken. */
export async function recover(core: Core, store: CommitQueue): Promise<void> {
  const messages = new Messages(core)
  const sessions: { session: Session; state: PersistedSessionState }[] = []
  for await (const state of store.storage.readAll()) {
    if (state.kind === 'retained') restoreRetained(core, store, messages.of(state.packet))
    else {
      const session = restoreSession(core, store, state, undefined, messages)
      sessions.push({ session, state: { ...state, queue: [] } })
    }
  }
  // Now that all are there that a Will may go to, and all members of shared subscriptions.
  for (const { session, state } of sessions) startExpiry(core, session, state)
  core.timers.catchUp() // What ended before this process began is over for the first Client too.
}

export function restoreRetained(core: Core, store: CommitQueue, message: Message): void {
  if (message.topic.startsWith('$SYS/')) return
  if (isExpired(core, message)) store.forgetRetained(message.topic)
  else core.retained.store(message)
}

/** One session with all that it has. It is nobody's until `leave` or until a Client comes. */
export function restoreSession(
  core: Core,
  store: CommitQueue,
  state: PersistedSessionState,
  readNames?: MessageIdSet,
  messages: Messages = new Messages(core),
): Session {
  const { clientId, subscriptions, queue, incoming, will } = state
  const { owner, expiryInterval } = state.session
  const session = new Session(core, clientId, owner, expiryInterval > 0)
  session.isRecorded = true
  session.recoveredIds = readNames
  session.expiryInterval = expiryInterval
  core.sessions.restore(session)
  for (const stored of subscriptions) {
    const subscription = subscriptionOf(session, stored, core.settings.limits.maxTopicLevels)
    if (subscription !== undefined) core.sessions.addSubscription(session, subscription)
  }
  for (const item of queue) session.restore(deliveryOf(core, item, messages))
  for (const packetId of incoming) session.incoming.reserve(packetId)
  const { storage } = store
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

/** Its connection ended with the process that it was in, at the latest. */
export function startExpiry(
  core: Core,
  session: Session,
  { session: { expiresAt }, will }: PersistedSessionState,
): void {
  const { timers, wills, sessions } = core
  if (session.expiryInterval === 0) {
    sessions.end(session)
    return
  }
  if (expiresAt !== null) sessions.expireAt(session, timers.fromWallClock(expiresAt))
  else if (session.expiryInterval !== FOR_EVER) sessions.startExpiry(session)
  if (will?.dueAt !== undefined) wills.publishAt(session, timers.fromWallClock(will.dueAt))
  else if (will !== undefined) wills.connectionEnded(session, false)
}

/** A message in a queue as it was. */
export function deliveryOf(
  core: Core,
  { packet, target }: PersistedQueueItem,
  messages: Messages = new Messages(core),
): Delivery {
  if (target === undefined) {
    const nothingLeft = new Message('', Buffer.alloc(0), 2, false, undefined, undefined, Infinity)
    nothingLeft.stored = nameIn(packet)
    const delivery = new Delivery(nothingLeft, 2, false, undefined, undefined)
    delivery.packetId = packet.messageId
    delivery.phase = 'awaiting pubcomp'
    return delivery
  }
  const { qos, retain, subscriptionIdentifiers, sharedFilter, messageId } = target
  const group = sharedFilter === undefined ? undefined : core.subscriptions.group(sharedFilter)
  const delivery = new Delivery(messages.of(packet), qos, retain, subscriptionIdentifiers, group)
  delivery.isStored = true
  if (messageId !== undefined) {
    delivery.packetId = messageId
    delivery.phase = qos === 1 ? 'awaiting puback' : 'awaiting pubrec'
    delivery.sentBefore = true // Nobody knows that it was not.
  }
  return delivery
}

/** What is left of a message that was released: by its name it is known when it is handed on again. */
function nameIn({ brokerId, brokerCounter }: PersistedQueueItem['packet']): Message['stored'] {
  if (brokerId === undefined || brokerCounter === undefined) return undefined
  return { cmd: 'publish', topic: '', payload: EMPTY, qos: 2, retain: false, brokerId, brokerCounter }
}

/** A message that several queues have is one again. */
class Messages {
  readonly #core: Core
  readonly #known = new WeakMap<object, Message>()

  constructor(core: Core) {
    this.#core = core
  }

  of(packet: Parameters<typeof messageOf>[0]): Message {
    let message = this.#known.get(packet)
    if (message === undefined) {
      message = messageOf(packet, this.#core.timers)
      this.#known.set(packet, message)
    }
    return message
  }
}

function isExpired(core: Core, message: Message): boolean {
  return message.expiresAt <= core.timers.now()
}

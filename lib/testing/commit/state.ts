import assert from 'node:assert/strict'
import type {
  PersistedPublish,
  PersistedQueueItem,
  PersistedSessionInfo,
  PersistedSubscription,
  PersistedTarget,
  PersistedWill,
} from '../../../types/persistence.ts'
import type { CommitStore } from '../store-under-test.ts'
import { contentOf, plain, willContent } from '../values.ts'

/** A session in a form that can be compared, sorted where a store promises no order. */
export interface SessionState {
  readonly clientId: string
  readonly session: PersistedSessionInfo
  readonly subscriptions: readonly PersistedSubscription[]
  readonly queue: readonly PersistedQueueItem[]
  readonly incoming: readonly number[]
  readonly will: PersistedWill | undefined
}

/** The whole state of a store, in a form that can be compared. */
export interface StoreState {
  readonly retained: unknown[]
  readonly sessions: unknown[]
}

/** The result of `readAll`; fails if a topic or a session comes twice. */
export async function readState(store: CommitStore): Promise<StoreState> {
  const retained: PersistedPublish[] = []
  const sessions: SessionState[] = []
  const seen = new Set<string>()
  for await (const piece of store.readAll()) {
    const name = piece.kind === 'retained' ? `retained ${piece.packet.topic}` : `session ${piece.clientId}`
    assert.ok(!seen.has(name), `${name} came twice from readAll`)
    seen.add(name)
    if (piece.kind === 'retained') retained.push(piece.packet)
    // Its queue must be read before the next piece.
    else sessions.push({ ...piece, queue: [...piece.queue] })
  }
  return stateOf(retained, sessions)
}

/** The result of `readSession` for each of these Clients. */
export async function readSessions(store: CommitStore, clientIds: readonly string[]): Promise<unknown[]> {
  const sessions: SessionState[] = []
  for (const clientId of clientIds) {
    const session = await store.readSession?.(clientId)
    if (session !== undefined) sessions.push({ ...session, queue: [...session.queue] })
  }
  return stateOf([], sessions).sessions
}

export function stateOf(retained: readonly PersistedPublish[], sessions: readonly SessionState[]): StoreState {
  return {
    retained: inOrder(retained, ({ topic }) => topic).map((packet) => plain(contentOf(packet))),
    sessions: inOrder(sessions, ({ clientId }) => clientId).map(comparableSession),
  }
}

function comparableSession(state: SessionState): unknown {
  const { clientId, session, subscriptions, queue, incoming, will } = state
  const { owner, expiryInterval, expiresAt } = session
  return {
    clientId,
    session: { owner, expiryInterval, expiresAt },
    subscriptions: inOrder(subscriptions, ({ topic }) => topic).map(comparableSubscription),
    queue: queue.map(comparableItem),
    incoming: incoming.toSorted((a, b) => a - b),
    will: will === undefined ? undefined : plain(willContent(will)),
  }
}

function comparableSubscription(subscription: PersistedSubscription): unknown {
  const { rh, rap, nl } = subscription
  return plain({ ...subscription, rh: rh ?? 0, rap: rap ?? false, nl: nl ?? false })
}

function comparableItem(item: PersistedQueueItem): unknown {
  if (item.target === undefined) return `PUBREL ${item.packet.messageId}`
  return { message: plain(contentOf(item.packet)), target: comparableTarget(item.target) }
}

function comparableTarget(target: PersistedTarget): unknown {
  const { clientId, qos, retain, sharedFilter, messageId, subscriptionIdentifiers } = target
  return plain({
    clientId,
    qos,
    retain,
    sharedFilter,
    messageId,
    subscriptionIdentifiers: subscriptionIdentifiers?.length === 0 ? undefined : subscriptionIdentifiers,
  })
}

function inOrder<T>(list: readonly T[], nameOf: (item: T) => string): T[] {
  return list.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
}

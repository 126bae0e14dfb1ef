import type { PersistedSessionInfo, PersistedSubscription } from '../../types/persistence.ts'
import type { Session } from '../sessions/session.ts'
import { persistedSubscription } from '../storage/stored-subscription.ts'
import type { RemoteSession } from './remote-session.ts'

/** The fields of a notice about a session; each kind of notice has some of them. */
export interface SessionNotice {
  readonly clientId: string
  readonly session?: PersistedSessionInfo
  readonly connected?: boolean
  /** When its last connection began, in milliseconds since 1970. */
  readonly since?: number
  readonly subscriptions?: readonly PersistedSubscription[]
  readonly subscription?: PersistedSubscription
  readonly topicFilters?: readonly string[]
  readonly topicFilter?: string
  /** Time of the request for the session to which a notice responds, in milliseconds since 1970. */
  readonly time?: number
}

/** A stored session, described to other brokers. */
export type SessionDescription = SessionNotice & { readonly session: PersistedSessionInfo }

/** The response to a request for the sessions of a broker. */
export interface SessionInventory {
  readonly sessions: readonly SessionDescription[]
  /** Sessions that are not stored, with their shared subscriptions. */
  readonly members: readonly { readonly clientId: string; readonly subscription: PersistedSubscription }[]
}

export function describe(session: Session): SessionDescription {
  const { clientId, principal, expiryInterval, connectedAt } = session
  return {
    clientId,
    session: { ...(principal !== undefined && { owner: principal }), expiryInterval, expiresAt: null },
    connected: session.connected || session.pendingConnection !== undefined, // A pending connection is about to be one.
    since: connectedAt,
    subscriptions: Array.from(session.subscriptions.values(), persistedSubscription),
  }
}

/** A session that this broker is releasing: it counts as this broker's until the storage has all of it. */
export function describeReleasing(remote: RemoteSession): SessionDescription | undefined {
  const { state, info, clientId } = remote
  if (state.name !== 'releasing' || info === undefined) return undefined
  const subscriptions = Array.from(remote.subscriptions.values(), persistedSubscription)
  return { clientId, session: info, connected: false, since: state.since, subscriptions }
}

import { MqttError } from '../errors.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { GroupDelivery } from '../messages/group-delivery.ts'
import type { Subscription } from '../messages/subscriber.ts'
import type { Subscriptions } from '../messages/subscriptions.ts'
import type { WillMessages } from '../messages/will-messages.ts'
import type { Settings } from '../options.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import type { Timers } from '../timers.ts'
import type { Predecessors } from './predecessors.ts'
import type { SessionConnection } from './session-connection.ts'
import type { Session, StoredWill } from './session.ts'

/** The state of a session before a connection opened it. Times on the broker's clock. */
export interface PreviousState {
  readonly expiryInterval: number
  readonly endsAt: number | undefined
  readonly will: StoredWill | undefined
  readonly willAt: number | undefined
}

/** A permitted CONNECT. */
interface OpenRequest {
  readonly principal: string | undefined
  readonly cleanStart: boolean
  /** Seconds that the session outlives its connection. */
  readonly expiryInterval: number
}

export interface SessionRegistryContext {
  readonly settings: Pick<Settings, 'sessionOwner'> & { readonly limits: Pick<Settings['limits'], 'maxSessions'> }
  readonly timers: Timers
  readonly hooks: { readonly canAuthenticate: boolean }
  readonly wills: Pick<
    WillMessages,
    'connectionEnded' | 'sessionResumed' | 'sessionEnded' | 'publishAt' | 'isUndecided'
  >
  readonly predecessors: Pick<Predecessors, 'succeeded'>
  readonly groups: Pick<GroupDelivery, 'redistribute'>
  readonly subscriptions: Pick<Subscriptions, 'add' | 'remove'>
  readonly cluster: Pick<Cluster, 'memberChanged'>
  /** Undefined without a storage. */
  readonly commits: Pick<CommitQueue, 'session' | 'endSession'> | undefined
}

type CreateSession = (clientId: string, principal: string | undefined, isKept: boolean) => Session

/** Session Expiry Interval of a session that does not expire [MQTT-3.1.2-23]. */
export const NEVER_EXPIRES = 0xffff_ffff

/** All sessions by Client Identifier. No other part adds or removes a session. */
export class SessionRegistry {
  readonly #context: SessionRegistryContext
  readonly #createSession: CreateSession
  readonly #sessions = new Map<string, Session>()
  /** Sessions that have ended and are still stored for their Wills. */
  readonly #endedInStorage = new Map<string, Session>()

  constructor(context: SessionRegistryContext, createSession: CreateSession) {
    this.#context = context
    this.#createSession = createSession
  }

  get size(): number {
    return this.#sessions.size
  }

  get(clientId: string): Session | undefined {
    return this.#sessions.get(clientId)
  }

  values(): IterableIterator<Session> {
    return this.#sessions.values()
  }

  /**
   * Opens the stored session of a Client, or a new one (section 3.1.4), and ends an earlier connection of the session
   * [MQTT-3.1.4-3]. Returns the state before of a stored session.
   * Throws an `MqttError` if the session has another principal, or if there are too many sessions.
   */
  open(
    clientId: string,
    { principal, cleanStart, expiryInterval }: OpenRequest,
  ): { session: Session; before: PreviousState | undefined } {
    this.check(clientId, principal)
    const { timers, wills, predecessors } = this.#context
    const existing = this.#sessions.get(clientId)
    existing?.connection?.sessionTakenOver()
    if (existing?.pendingConnection !== undefined) this.#cancelPending(existing)
    const stored = this.#sessions.get(clientId) // The session may have ended with its connection.
    if (stored !== undefined && !cleanStart) {
      const before = previousStateOf(stored)
      predecessors.succeeded(clientId)
      timers.cancel(stored.expiry)
      stored.expiry = undefined
      stored.expiryInterval = expiryInterval
      stored.connectedAt = timers.toWallClock(timers.now())
      wills.sessionResumed(stored)
      this.record(stored, null)
      return { session: stored, before }
    }
    if (stored !== undefined) this.end(stored) // [MQTT-3.1.2-4]
    predecessors.succeeded(clientId)
    this.deleteEnded(clientId)
    const session = this.#createSession(clientId, principal, expiryInterval > 0)
    session.expiryInterval = expiryInterval
    session.connectedAt = timers.toWallClock(timers.now())
    this.#sessions.set(clientId, session)
    this.record(session, null)
    return { session, before: undefined }
  }

  /** Throws an `MqttError` if the session has another principal, or if there is no room for a new session. */
  check(clientId: string, principal: string | undefined): void {
    const existing = this.#sessions.get(clientId)
    if (existing === undefined) {
      if (this.#sessions.size < this.#context.settings.limits.maxSessions) return
      throw new MqttError('quota-exceeded', 'too many sessions')
    }
    if (this.checksPrincipal && existing.principal !== principal) {
      throw new MqttError('not-authorized', 'the Client Identifier belongs to another user')
    }
  }

  /** The connection was refused after `open`: restores the state before. */
  undoOpen(session: Session, before: PreviousState | undefined): void {
    this.#context.wills.sessionResumed(session) // A Client that was never connected has no Will.
    if (before === undefined) {
      this.end(session)
      return
    }
    session.expiryInterval = before.expiryInterval
    if (before.endsAt === undefined) this.startExpiry(session)
    else this.expireAt(session, before.endsAt)
    session.will = before.will
    if (before.willAt !== undefined) this.#context.wills.publishAt(session, before.willAt)
  }

  /** A pending connection loses the session; its Will is not published. */
  #cancelPending(session: Session): void {
    const { pendingConnection } = session
    session.pendingConnection = undefined
    pendingConnection?.sessionTakenOver()
    this.#context.wills.sessionResumed(session)
    this.startExpiry(session)
  }

  /** Adds a session that was read from the storage. */
  restore(session: Session): void {
    this.#sessions.set(session.clientId, session)
  }

  /** The connection of a session ended. */
  connectionEnded(session: Session, connection: SessionConnection, graceful: boolean): void {
    if (session.connection !== connection) return
    session.detach(connection)
    this.#context.wills.connectionEnded(session, graceful)
    this.startExpiry(session)
  }

  /** The session has no connection any more, so its Session Expiry Interval starts (section 3.1.2.11.2). */
  startExpiry(session: Session): void {
    if (session.expiryInterval === 0) this.end(session)
    else if (session.expiryInterval === NEVER_EXPIRES) this.record(session, null)
    else this.expireAt(session, this.#context.timers.now() + session.expiryInterval * 1000)
  }

  /** Ends the session at this time of the broker's clock, unless a connection resumes it. */
  expireAt(session: Session, due: number): void {
    this.#context.timers.cancel(session.expiry)
    session.expiry = this.#context.timers.at(due, () => this.end(session))
    this.record(session, this.#context.timers.toWallClock(due))
  }

  /** Ends the session and deletes its state [MQTT-4.1.0-2]. */
  end(session: Session): void {
    if (this.#sessions.get(session.clientId) !== session) return
    this.#sessions.delete(session.clientId)
    this.#context.timers.cancel(session.expiry)
    this.#removeSubscriptions(session)
    this.#context.wills.sessionEnded(session)
    if (session.isRecorded) this.#deleteStored(session)
    this.#context.groups.redistribute(session.end(), session.clientId)
  }

  /** A session with an undecided Will stays stored, so that the next start publishes the Will if this process ends. */
  #deleteStored(session: Session): void {
    const { wills, commits } = this.#context
    const { clientId, principal } = session
    if (wills.isUndecided(session)) {
      this.#endedInStorage.set(clientId, session)
      commits?.session(clientId, { owner: principal, expiryInterval: 0, expiresAt: null })
    } else commits?.endSession(clientId)
  }

  willDecided(session: Session): void {
    if (this.#endedInStorage.get(session.clientId) === session) this.deleteEnded(session.clientId)
  }

  /** Deletes a session that has ended and is still stored. Returns false if there is none. */
  deleteEnded(clientId: string): boolean {
    if (!this.#endedInStorage.delete(clientId)) return false
    this.#context.commits?.endSession(clientId)
    return true
  }

  /** A peer acquires the session: removes it here, but not from the storage. */
  releaseToPeer(session: Session): void {
    this.#sessions.delete(session.clientId)
    this.#context.timers.cancel(session.expiry)
    this.#context.timers.cancel(session.willDelay)
    this.#removeSubscriptions(session)
    session.release()
  }

  #removeSubscriptions(session: Session): void {
    for (const subscription of session.subscriptions.values()) {
      this.#context.subscriptions.remove(subscription)
      if (subscription.shareName !== undefined) session.outbound.leave(subscription)
      this.#context.cluster.memberChanged(session, subscription, false)
    }
    session.subscriptions.clear()
  }

  /** Adds a subscription. Returns the one with the same Topic Filter that it replaces [MQTT-3.8.4-3]. */
  subscribe(session: Session, subscription: Subscription): Subscription | undefined {
    if (session.ended) return undefined
    session.storage.subscribed(subscription)
    return this.addSubscription(session, subscription)
  }

  /** The same for a subscription that is stored already. */
  addSubscription(session: Session, subscription: Subscription): Subscription | undefined {
    const { topicFilter } = subscription.requested
    const previous = session.subscriptions.get(topicFilter)
    // The new one first, so that no message is lost in between [MQTT-3.8.4-4].
    this.#context.subscriptions.add(subscription)
    if (previous !== undefined) {
      this.#context.subscriptions.remove(previous)
      if (previous.shareName !== undefined) session.outbound.leave(previous)
    }
    if (subscription.shareName !== undefined) session.outbound.join(subscription)
    session.subscriptions.set(topicFilter, subscription)
    this.#context.cluster.memberChanged(session, subscription, true)
    session.subscriptionBytes +=
      previous === undefined ? bytesOf(subscription) : bytesOf(subscription) - bytesOf(previous)
    return previous
  }

  unsubscribe(session: Session, topicFilter: string): boolean {
    const subscription = session.subscriptions.get(topicFilter)
    if (subscription === undefined) return false
    session.subscriptions.delete(topicFilter)
    session.storage.unsubscribed(topicFilter)
    this.#context.cluster.memberChanged(session, subscription, false)
    session.subscriptionBytes -= bytesOf(subscription)
    const group = this.#context.subscriptions.remove(subscription)
    if (group === undefined) return true
    session.outbound.leave(subscription)
    this.#context.groups.redistribute(session.outbound.leaveGroup(group.sharedFilter), session.clientId)
    return true
  }

  /** Stores the session without its queue. `expiresAt` in milliseconds since 1970; null if it does not expire. */
  record(session: Session, expiresAt: number | null): void {
    const { clientId, principal, expiryInterval, isRecorded } = session
    if (isRecorded) this.#context.commits?.session(clientId, { owner: principal, expiryInterval, expiresAt })
  }

  /** Whether only the principal of a session may resume it. */
  get checksPrincipal(): boolean {
    const { sessionOwner } = this.#context.settings
    return sessionOwner === undefined ? this.#context.hooks.canAuthenticate : sessionOwner !== 'anyone'
  }
}

function previousStateOf({ expiryInterval, expiry, will, willDelay }: Session): PreviousState {
  return { expiryInterval, endsAt: expiry?.due, will: willDelay && will, willAt: willDelay?.due }
}

/** Approximate bytes of the Topic Filters; each level is a separate node. */
function bytesOf({ topicFilter, requested }: Subscription): number {
  return 2 * (topicFilter.length + requested.topicFilter.length)
}

import { MqttError } from '../errors.ts'
import type { Subscription } from '../messages/subscriber.ts'
import type { Subscriptions } from '../messages/subscriptions.ts'
import type { Settings } from '../options.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import type { Timers } from '../timers.ts'
import type { Delivery } from './delivery.ts'
import type { Predecessors } from './predecessors.ts'
import type { SessionConnection } from './session-connection.ts'
import type { Session, StoredWill } from './session.ts'

/** How a session stood before a connection opened it. Times on the broker's clock. */
export interface PreviousState {
  readonly expiryInterval: number
  readonly endsAt: number | undefined
  readonly will: StoredWill | undefined
  readonly willAt: number | undefined
}

/** A Client that was let in. */
export interface OpenRequest {
  readonly principal: string | undefined
  readonly cleanStart: boolean
  /** Seconds that the session outlives its connection. */
  readonly expiryInterval: number
}

/** The Will of each session, as the registry moves it on. */
export interface SessionWills {
  connectionEnded(session: Session, graceful: boolean): void
  sessionResumed(session: Session): void
  sessionEnded(session: Session): void
  publishAt(session: Session, due: number): void
  isUndecided(session: Session): boolean
}

export interface SessionRegistryContext {
  readonly settings: Pick<Settings, 'sessionOwner'> & { readonly limits: Pick<Settings['limits'], 'maxSessions'> }
  readonly timers: Timers
  readonly hooks: { readonly canAuthenticate: boolean }
  readonly wills: SessionWills
  readonly predecessors: Pick<Predecessors, 'succeeded'>
  readonly router: { redistribute(orphans: readonly Delivery[]): void }
  readonly subscriptions: Pick<Subscriptions, 'add' | 'remove'>
  /** Undefined when no other broker has sessions. */
  readonly ownership:
    | { memberChanged(session: Session, subscription: Subscription, isMember: boolean): void }
    | undefined
  /** Undefined when nothing outlives the process. */
  readonly commits: Pick<CommitQueue, 'session' | 'endSession'> | undefined
}

export type CreateSession = (clientId: string, principal: string | undefined, isKept: boolean) => Session

const FOR_EVER = 0xffff_ffff

/** All sessions by Client Identifier: opened, taken over, resumed, expired. No other part adds or removes one. */
export class SessionRegistry {
  readonly #context: SessionRegistryContext
  readonly #createSession: CreateSession
  readonly #sessions = new Map<string, Session>()
  /** Sessions that have ended and are still stored, for their Wills. */
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
   * The session for a Client that was let in (section 3.1.4): the stored one, or a new one. A connection that has it
   * is ended first [MQTT-3.1.4-3]. Returns how a stored one stood before.
   * Throws an `MqttError` when it belongs to another user or when there are too many.
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
    const stored = this.#sessions.get(clientId) // Its end of connection may have been the end of the session.
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

  /** Throws an `MqttError` when the session belongs to another user, or when there is none and no room for one. */
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

  /** The connection for which it was opened was not let in after all: all is as it was before. */
  undoOpen(session: Session, before: PreviousState | undefined): void {
    this.#context.wills.sessionResumed(session) // As it was never connected its Will is not sent.
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

  /** A connection that was to have the session has lost it before it was let in; its Will is not sent. */
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
  connectionEnded(session: Session, link: SessionConnection, graceful: boolean): void {
    if (session.connection !== link) return
    session.detach(link)
    this.#context.wills.connectionEnded(session, graceful)
    this.startExpiry(session)
  }

  /** No connection has the session now. It lives on for as long as was agreed (section 3.1.2.11.2). */
  startExpiry(session: Session): void {
    if (session.expiryInterval === 0) this.end(session)
    else if (session.expiryInterval === FOR_EVER) this.record(session, null)
    else this.expireAt(session, this.#context.timers.now() + session.expiryInterval * 1000)
  }

  /** No connection has the session, which ends at this time of the broker's clock. */
  expireAt(session: Session, due: number): void {
    this.#context.timers.cancel(session.expiry)
    session.expiry = this.#context.timers.at(due, () => this.end(session))
    this.record(session, this.#context.timers.toWallClock(due))
  }

  /** Nothing of the session is left [MQTT-4.1.0-2]. */
  end(session: Session): void {
    if (this.#sessions.get(session.clientId) !== session) return
    this.#sessions.delete(session.clientId)
    this.#context.timers.cancel(session.expiry)
    this.#removeSubscriptions(session)
    this.#context.wills.sessionEnded(session)
    if (session.isRecorded) this.#deleteStored(session)
    this.#context.router.redistribute(session.end())
  }

  /** A Will that is not decided stays stored with its session: it is published at the next start if this process ends. */
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

  /** Another session takes the place of one that has ended and is still stored. False when there is no such session. */
  deleteEnded(clientId: string): boolean {
    if (!this.#endedInStorage.delete(clientId)) return false
    this.#context.commits?.endSession(clientId)
    return true
  }

  /** Another broker has the session: nothing of it is left here, all of it is in the storage. */
  releaseToPeer(session: Session): void {
    this.#sessions.delete(session.clientId)
    this.#context.timers.cancel(session.expiry)
    this.#context.timers.cancel(session.willDelay)
    this.#removeSubscriptions(session)
    session.end()
  }

  #removeSubscriptions(session: Session): void {
    for (const subscription of session.subscriptions.values()) {
      this.#context.subscriptions.remove(subscription)
      this.#context.ownership?.memberChanged(session, subscription, false)
    }
    session.subscriptions.clear()
  }

  /** Adds a subscription or puts it in the place of the one with the same Topic Filter [MQTT-3.8.4-3], which is returned. */
  subscribe(session: Session, subscription: Subscription): Subscription | undefined {
    if (session.ended) return undefined
    session.storage.subscribed(subscription)
    return this.addSubscription(session, subscription)
  }

  /** The same for one that is stored already. */
  addSubscription(session: Session, subscription: Subscription): Subscription | undefined {
    const { topicFilter } = subscription.requested
    const previous = session.subscriptions.get(topicFilter)
    // The new one first: no message may fall between the two [MQTT-3.8.4-4].
    this.#context.subscriptions.add(subscription)
    if (previous !== undefined) this.#context.subscriptions.remove(previous)
    session.subscriptions.set(topicFilter, subscription)
    this.#context.ownership?.memberChanged(session, subscription, true)
    session.subscriptionBytes +=
      previous === undefined ? bytesOf(subscription) : bytesOf(subscription) - bytesOf(previous)
    return previous
  }

  unsubscribe(session: Session, topicFilter: string): boolean {
    const subscription = session.subscriptions.get(topicFilter)
    if (subscription === undefined) return false
    session.subscriptions.delete(topicFilter)
    session.storage.unsubscribed(topicFilter)
    this.#context.ownership?.memberChanged(session, subscription, false)
    session.subscriptionBytes -= bytesOf(subscription)
    const group = this.#context.subscriptions.remove(subscription)
    if (group !== undefined) this.#context.router.redistribute(session.outbound.leaveGroup(group.sharedFilter))
    return true
  }

  /** Stores the description of the session. `expiresAt` in milliseconds since 1970; null while there is no such time. */
  record(session: Session, expiresAt: number | null): void {
    const { clientId, principal, expiryInterval, isRecorded } = session
    if (isRecorded) this.#context.commits?.session(clientId, { owner: principal, expiryInterval, expiresAt })
  }

  /** Whether a session is for the user only that it belongs to. */
  get checksPrincipal(): boolean {
    const { sessionOwner } = this.#context.settings
    return sessionOwner === undefined ? this.#context.hooks.canAuthenticate : sessionOwner !== 'anyone'
  }
}

function previousStateOf({ expiryInterval, expiry, will, willDelay }: Session): PreviousState {
  return { expiryInterval, endsAt: expiry?.due, will: willDelay && will, willAt: willDelay?.due }
}

/** Bytes that its filters take, roughly; each level is a node of its own. */
function bytesOf({ topicFilter, requested }: Subscription): number {
  return 2 * (topicFilter.length + requested.topicFilter.length)
}

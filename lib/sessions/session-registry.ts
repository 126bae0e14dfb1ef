import type { Core } from '../core.ts'
import { MqttError } from '../errors.ts'
import type { Subscription } from '../messages/subscriber.ts'
import type { SessionConnection } from './session-connection.ts'
import { Session, type StoredWill } from './session.ts'
import { storageOf } from './session-storage.ts'

/** How a session stands that waits for its Client. Times on the broker's clock. */
interface PreviousState {
  readonly expiryInterval: number
  readonly endsAt: number | undefined
  readonly will: StoredWill | undefined
  readonly willAt: number | undefined
}

const FOR_EVER = 0xffff_ffff

/** All sessions by Client Identifier: opened, taken over, resumed, expired. Nobody else adds or removes one. */
export class SessionRegistry {
  readonly #core: Core
  readonly #sessions = new Map<string, Session>()

  constructor(core: Core) {
    this.#core = core
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
   * is ended first [MQTT-3.1.4-3]. Answers how a stored one stood before.
   * Throws an `MqttError` when it is somebody else's or when there are too many.
   */
  open(
    clientId: string,
    owner: string | undefined,
    cleanStart: boolean,
    expiryInterval: number,
  ): { session: Session; before: PreviousState | undefined } {
    const existing = this.#sessions.get(clientId)
    if (existing !== undefined && this.checksPrincipal && existing.principal !== owner) {
      throw new MqttError('not-authorized', 'the Client Identifier belongs to another user')
    }
    existing?.connection?.sessionTakenOver()
    if (existing?.pendingConnection !== undefined) this.#cancelPending(existing)
    const stored = this.#sessions.get(clientId) // Its end of connection may have been the end of the session.
    if (stored !== undefined && !cleanStart) {
      const before = previousStateOf(stored)
      this.#core.timers.cancel(stored.expiry)
      stored.expiry = undefined
      stored.expiryInterval = expiryInterval
      stored.connectedAt = this.#core.timers.toWallClock(this.#core.timers.now())
      this.#core.wills.sessionResumed(stored)
      this.record(stored, null)
      return { session: stored, before }
    }
    if (stored !== undefined) this.end(stored) // [MQTT-3.1.2-4]
    if (this.#sessions.size >= this.#core.settings.limits.maxSessions) {
      throw new MqttError('quota-exceeded', 'too many sessions')
    }
    const session = new Session(
      this.#core,
      clientId,
      owner,
      storageOf(this.#core.commits, clientId, expiryInterval > 0),
    )
    session.expiryInterval = expiryInterval
    session.connectedAt = this.#core.timers.toWallClock(this.#core.timers.now())
    this.#sessions.set(clientId, session)
    this.record(session, null)
    return { session, before: undefined }
  }

  /** The connection for which it was opened was not let in after all: all is as it was before. */
  undoOpen(session: Session, before: PreviousState | undefined): void {
    this.#core.wills.sessionResumed(session) // As it was never connected its Will is not sent.
    if (before === undefined) {
      this.end(session)
      return
    }
    session.expiryInterval = before.expiryInterval
    if (before.endsAt === undefined) this.startExpiry(session)
    else this.expireAt(session, before.endsAt)
    session.will = before.will
    if (before.willAt !== undefined) this.#core.wills.publishAt(session, before.willAt)
  }

  /** A connection that was to have the session has lost it before it was let in; its Will is not sent. */
  #cancelPending(session: Session): void {
    const { pendingConnection } = session
    session.pendingConnection = undefined
    pendingConnection?.sessionTakenOver()
    this.#core.wills.sessionResumed(session)
    this.startExpiry(session)
  }

  /** Knows again what the store had. */
  restore(session: Session): void {
    this.#sessions.set(session.clientId, session)
  }

  /** The connection of a session ended. */
  connectionEnded(session: Session, link: SessionConnection, graceful: boolean): void {
    if (session.connection !== link) return
    session.detach(link)
    this.#core.wills.connectionEnded(session, graceful)
    this.startExpiry(session)
  }

  /** Nobody has the session now. It lives on for as long as was agreed (section 3.1.2.11.2). */
  startExpiry(session: Session): void {
    if (session.expiryInterval === 0) this.end(session)
    else if (session.expiryInterval === FOR_EVER) this.record(session, null)
    else this.expireAt(session, this.#core.timers.now() + session.expiryInterval * 1000)
  }

  /** Nobody has the session, which ends at this time of the broker's clock. */
  expireAt(session: Session, due: number): void {
    this.#core.timers.cancel(session.expiry)
    session.expiry = this.#core.timers.at(due, () => this.end(session))
    this.record(session, this.#core.timers.toWallClock(due))
  }

  /** Nothing of the session is left [MQTT-4.1.0-2]. */
  end(session: Session): void {
    if (this.#sessions.get(session.clientId) !== session) return
    this.#sessions.delete(session.clientId)
    this.#core.timers.cancel(session.expiry)
    this.#removeSubscriptions(session)
    this.#core.wills.sessionEnded(session)
    if (session.isRecorded) this.#core.commits?.endSession(session.clientId)
    this.#core.router.redistribute(session.end())
  }

  /** Another broker has the session: nothing of it is left here, and all of it in the store. */
  releaseToPeer(session: Session): void {
    this.#sessions.delete(session.clientId)
    this.#core.timers.cancel(session.expiry)
    this.#core.timers.cancel(session.willDelay)
    this.#removeSubscriptions(session)
    session.end()
  }

  #removeSubscriptions(session: Session): void {
    for (const subscription of session.subscriptions.values()) {
      this.#core.subscriptions.remove(subscription)
      this.#core.ownership?.memberChanged(session, subscription, false)
    }
    session.subscriptions.clear()
  }

  /** Adds a subscription or puts it in the place of the one with the same Topic Filter [MQTT-3.8.4-3], which it answers. */
  subscribe(session: Session, subscription: Subscription): Subscription | undefined {
    if (session.ended) return undefined
    session.storage.subscribed(subscription)
    return this.addSubscription(session, subscription)
  }

  /** The same for one that the store has. */
  addSubscription(session: Session, subscription: Subscription): Subscription | undefined {
    const { topicFilter } = subscription.requested
    const previous = session.subscriptions.get(topicFilter)
    // The new one first: no message may fall between the two [MQTT-3.8.4-4].
    this.#core.subscriptions.add(subscription)
    if (previous !== undefined) this.#core.subscriptions.remove(previous)
    session.subscriptions.set(topicFilter, subscription)
    this.#core.ownership?.memberChanged(session, subscription, true)
    session.subscriptionBytes +=
      previous === undefined ? bytesOf(subscription) : bytesOf(subscription) - bytesOf(previous)
    return previous
  }

  unsubscribe(session: Session, topicFilter: string): boolean {
    const subscription = session.subscriptions.get(topicFilter)
    if (subscription === undefined) return false
    session.subscriptions.delete(topicFilter)
    session.storage.unsubscribed(topicFilter)
    this.#core.ownership?.memberChanged(session, subscription, false)
    session.subscriptionBytes -= bytesOf(subscription)
    const group = this.#core.subscriptions.remove(subscription)
    if (group !== undefined) this.#core.router.redistribute(session.outbound.leaveGroup(group.sharedFilter))
    return true
  }

  /** Tells the store what is said of the session. `expiresAt` in milliseconds since 1970; null while there is no such time. */
  record(session: Session, expiresAt: number | null): void {
    const { clientId, principal, expiryInterval, isRecorded } = session
    if (isRecorded) this.#core.commits?.session(clientId, { owner: principal, expiryInterval, expiresAt })
  }

  /** Whether a session is its owner's only. */
  get checksPrincipal(): boolean {
    const { sessionOwner } = this.#core.settings
    return sessionOwner === undefined ? this.#core.hooks.canAuthenticate : sessionOwner !== 'anyone'
  }
}

function previousStateOf({ expiryInterval, expiry, will, willDelay }: Session): PreviousState {
  return { expiryInterval, endsAt: expiry?.due, will: willDelay && will, willAt: willDelay?.due }
}

/** What its filters take, roughly; each level is a node of its own. */
function bytesOf({ topicFilter, requested }: Subscription): number {
  return 2 * (topicFilter.length + requested.topicFilter.length)
}

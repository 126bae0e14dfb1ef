import type { Core } from '../core.ts'
import { MqttError } from '../errors.ts'
import type { Subscription } from '../messages/receiver.ts'
import { type Link, Session } from './session.ts'

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
   * is ended first [MQTT-3.1.4-3]. Throws an `MqttError` when it is somebody else's or when there are too many.
   */
  open(clientId: string, owner: string | undefined, cleanStart: boolean): { session: Session; present: boolean } {
    const existing = this.#sessions.get(clientId)
    if (existing !== undefined && this.#protectsOwner && existing.owner !== owner) {
      throw new MqttError('not-authorized', 'the Client Identifier belongs to another user')
    }
    existing?.link?.takenOver()
    const stored = this.#sessions.get(clientId) // Its end of connection may have been the end of the session.
    if (stored !== undefined && !cleanStart) {
      this.#core.timers.cancel(stored.expiry)
      stored.expiry = undefined
      this.#core.wills.sessionResumed(stored)
      return { session: stored, present: true }
    }
    if (stored !== undefined) this.end(stored) // [MQTT-3.1.2-4]
    if (this.#sessions.size >= this.#core.settings.limits.maxSessions) {
      throw new MqttError('quota-exceeded', 'too many sessions')
    }
    const session = new Session(this.#core, clientId, owner)
    this.#sessions.set(clientId, session)
    return { session, present: false }
  }

  /** The connection of a session ended. */
  connectionEnded(session: Session, link: Link, graceful: boolean): void {
    if (session.link !== link) return
    session.detach(link)
    this.#core.wills.connectionEnded(session, graceful)
    this.leave(session)
  }

  /** Nobody has the session now. It lives on for as long as was agreed (section 3.1.2.11.2). */
  leave(session: Session): void {
    if (session.expiryInterval === 0) this.end(session)
    else if (session.expiryInterval !== FOR_EVER) {
      session.expiry = this.#core.timers.after(session.expiryInterval * 1000, () => this.end(session))
    }
  }

  /** Nothing of the session is left [MQTT-4.1.0-2]. */
  end(session: Session): void {
    if (this.#sessions.get(session.clientId) !== session) return
    this.#sessions.delete(session.clientId)
    this.#core.timers.cancel(session.expiry)
    for (const subscription of session.subscriptions.values()) this.#core.subscriptions.remove(subscription)
    session.subscriptions.clear()
    this.#core.wills.sessionEnded(session)
    this.#core.router.moveOn(session.end())
  }

  /** Adds a subscription or puts it in the place of the one with the same Topic Filter [MQTT-3.8.4-3]. Answers whether it is new. */
  subscribe(session: Session, subscription: Subscription): boolean {
    if (session.ended) return false
    const { topicFilter } = subscription.requested
    const previous = session.subscriptions.get(topicFilter)
    // The new one first: no message may fall between the two [MQTT-3.8.4-4].
    this.#core.subscriptions.add(subscription)
    if (previous !== undefined) this.#core.subscriptions.remove(previous)
    session.subscriptions.set(topicFilter, subscription)
    session.subscriptionBytes +=
      previous === undefined ? bytesOf(subscription) : bytesOf(subscription) - bytesOf(previous)
    return previous === undefined
  }

  unsubscribe(session: Session, topicFilter: string): boolean {
    const subscription = session.subscriptions.get(topicFilter)
    if (subscription === undefined) return false
    session.subscriptions.delete(topicFilter)
    session.subscriptionBytes -= bytesOf(subscription)
    const group = this.#core.subscriptions.remove(subscription)
    if (group !== undefined) this.#core.router.moveOn(session.leave(group))
    return true
  }

  get #protectsOwner(): boolean {
    const { sessionOwner } = this.#core.settings
    return sessionOwner === undefined ? this.#core.hooks.canAuthenticate : sessionOwner !== 'anyone'
  }
}

/** What its filters take, roughly; each level is a node of its own. */
function bytesOf({ topicFilter, requested }: Subscription): number {
  return 2 * (topicFilter.length + requested.topicFilter.length)
}

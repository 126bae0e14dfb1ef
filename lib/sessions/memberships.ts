import type { QoS } from '../../types/packets.ts'
import { Publication } from '../messages/publication.ts'
import type { Subscription } from '../messages/subscriber.ts'
import { Delivery } from './delivery.ts'
import type { Home, SharedDelivery, SharedQueues } from './shared-queues.ts'

/** A message of a shared subscription, and the subscription by which the session would get it. */
export interface NextDelivery extends SharedDelivery {
  readonly membership: Subscription
}

/** The session that takes a message. */
interface Taker {
  sendTaken(delivery: Delivery, publication: Publication): void
}

/** The shared subscriptions of a session. */
export class Memberships {
  readonly #shared: SharedQueues
  readonly #byFilter = new Map<string, Subscription>()
  /** The homes of messages that this session has taken since `relieveHomes`. */
  #homes: Set<Home> | undefined

  constructor(shared: SharedQueues) {
    this.#shared = shared
  }

  get size(): number {
    return this.#byFilter.size
  }

  /** Whether a message waits for any member of any shared subscription. */
  get canTake(): boolean {
    return !this.#shared.isEmpty
  }

  join(subscription: Subscription): void {
    this.#byFilter.set(subscription.topicFilter, subscription)
  }

  leave(subscription: Subscription): void {
    const { topicFilter } = subscription
    if (this.#byFilter.get(topicFilter) === subscription) this.#byFilter.delete(topicFilter)
  }

  /**
   * Returns the message of a shared subscription that is to be sent next. `own` is the first message in the queue of the
   * session: if it is of a shared subscription, the first message of that; if there is no `own`, the first message of
   * each shared subscription in turn. Returns undefined if there is none, or if `own` is to be sent.
   */
  next(own: Delivery | undefined): NextDelivery | undefined {
    if (!this.canTake) return undefined
    if (own !== undefined) {
      const { sharedFilter } = own.via
      if (sharedFilter === undefined || this.#shared.isFixed(own)) return undefined
      const membership = this.#byFilter.get(sharedFilter)
      return membership && this.#first(sharedFilter, membership)
    }
    for (const [sharedFilter, membership] of this.#byFilter) {
      const next = this.#first(sharedFilter, membership)
      if (next === undefined) continue
      this.#byFilter.delete(sharedFilter)
      this.#byFilter.set(sharedFilter, membership)
      return next
    }
    return undefined
  }

  #first(sharedFilter: string, membership: Subscription): NextDelivery | undefined {
    const first = this.#shared.first(sharedFilter)
    return first && { ...first, membership }
  }

  /** Moves a message from its home to this session, with the options of the subscription of this session. */
  take({ delivery, home, membership }: NextDelivery, isStored: boolean, taker: Taker): void {
    const publication = Publication.copyOf(delivery)
    const { message } = publication
    const qos = Math.min(membership.qos, message.qos) as QoS // [MQTT-4.8.2-3]
    const retain = membership.retainAsPublished && message.retain
    const taken = new Delivery(publication.queued, qos, retain, membership)
    home.giveUp(delivery)
    this.#homes ??= new Set()
    this.#homes.add(home)
    if (isStored && qos > 0) {
      // In this order a store that is not atomic has the message twice rather than never.
      taker.sendTaken(taken, publication)
      home.forget(delivery)
      return
    }
    const commitNumber = home.forget(delivery)
    // After a crash a QoS 2 message must not be sent to another member [MQTT-4.8.2-5].
    if (qos === 2) taken.commitNumber = Math.max(delivery.commitNumber, commitNumber)
    taker.sendTaken(taken, publication)
  }

  /** Publishers that wait for the members whose messages were taken go on. */
  relieveHomes(): void {
    if (this.#homes === undefined) return
    const homes = this.#homes
    this.#homes = undefined
    for (const home of homes) home.relieve()
  }
}

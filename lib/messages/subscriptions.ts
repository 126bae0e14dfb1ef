import { type SharedGroup, SharedSubscriptions } from '../topics/shared-subscriptions.ts'
import { SubscriptionTree } from '../topics/subscription-tree.ts'
import type { Subscription } from './subscriber.ts'

/** Every subscription there is, of sessions and of the application: those of one receiver, and those that are shared. */
export class Subscriptions {
  readonly #exclusive = new SubscriptionTree<Subscription>()
  readonly #shared = new SharedSubscriptions<Subscription>()

  get size(): number {
    return this.#exclusive.size + this.#shared.size
  }

  get sharedSize(): number {
    return this.#shared.size
  }

  /** Goes up whenever the answer of `match` may be another one. */
  get version(): number {
    return this.#exclusive.version + this.#shared.version
  }

  add(subscription: Subscription): void {
    const { shareName, matchFilter } = subscription
    if (shareName === undefined) this.#exclusive.add(matchFilter, subscription)
    else this.#shared.add(shareName, matchFilter, subscription)
  }

  /** Answers the group that the subscription leaves, when it was a member of one. */
  remove(subscription: Subscription): SharedGroup<Subscription> | undefined {
    const { shareName, matchFilter } = subscription
    if (shareName === undefined) {
      this.#exclusive.remove(matchFilter, subscription)
      return undefined
    }
    const group = this.#shared.get(shareName, matchFilter)
    this.#shared.remove(shareName, matchFilter, subscription)
    return group
  }

  /** The members of a shared subscription, by its Topic Filter with `$share/name/`; undefined when there are none. */
  group(sharedFilter: string): SharedGroup<Subscription> | undefined {
    const [, shareName = '', ...levels] = sharedFilter.split('/')
    return this.#shared.get(shareName, levels.join('/'))
  }

  /** Appends what matches a topic. */
  match(topic: string, found: Subscription[], groups: SharedGroup<Subscription>[]): void {
    this.#exclusive.match(topic, found)
    this.#shared.match(topic, groups)
  }
}

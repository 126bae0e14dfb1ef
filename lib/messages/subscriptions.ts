import { type SharedGroup, SharedSubscriptions } from '../topics/shared-subscriptions.ts'
import { SubscriptionTree } from '../topics/subscription-tree.ts'
import type { Subscription } from './subscriber.ts'

/** All subscriptions of sessions and of the application, shared or not. */
export class Subscriptions {
  readonly #exclusive = new SubscriptionTree<Subscription>()
  readonly #shared = new SharedSubscriptions<Subscription>()

  get size(): number {
    return this.#exclusive.size + this.#shared.size
  }

  get sharedSize(): number {
    return this.#shared.size
  }

  /** Increases when the result of `match` may change. */
  get version(): number {
    return this.#exclusive.version + this.#shared.version
  }

  add(subscription: Subscription): void {
    const { shareName, matchFilter } = subscription
    if (shareName === undefined) this.#exclusive.add(matchFilter, subscription)
    else this.#shared.add(shareName, matchFilter, subscription)
  }

  /** Removes a subscription. Returns its shared group, if it was a member of one. */
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

  /** The group of a shared subscription, by its Topic Filter with `$share/name/`; undefined if it has no members. */
  group(sharedFilter: string): SharedGroup<Subscription> | undefined {
    const [, shareName = '', ...levels] = sharedFilter.split('/')
    return this.#shared.get(shareName, levels.join('/'))
  }

  /** Appends the subscriptions and shared groups that match a topic. */
  match(topic: string, found: Subscription[], groups: SharedGroup<Subscription>[]): void {
    this.#exclusive.match(topic, found)
    this.#shared.match(topic, groups)
  }
}

import type { PersistedSubscription } from '../../types/persistence.ts'
import type { Core } from '../core.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import { subscriptionOf } from '../storage/stored-subscription.ts'
import { RemoteSession } from './remote-session.ts'

/** The sessions that other brokers have, with their subscriptions beside those of this broker. */
export class RemoteSessions {
  readonly #core: Core
  readonly #commits: CommitQueue
  readonly #byClient = new Map<string, RemoteSession>()

  constructor(core: Core, store: CommitQueue) {
    this.#core = core
    this.#commits = store
  }

  get size(): number {
    return this.#byClient.size
  }

  get(clientId: string): RemoteSession | undefined {
    return this.#byClient.get(clientId)
  }

  values(): IterableIterator<RemoteSession> {
    return this.#byClient.values()
  }

  /** The one that is known, or a new one that nothing is known of. */
  of(clientId: string): RemoteSession {
    let remote = this.#byClient.get(clientId)
    if (remote === undefined) {
      remote = new RemoteSession(clientId, undefined, this.#commits)
      this.#byClient.set(clientId, remote)
    }
    return remote
  }

  /** It has these subscriptions and no others. */
  replaceSubscriptions(remote: RemoteSession, subscriptions: readonly PersistedSubscription[]): void {
    const filters = new Set(subscriptions.map(({ topic }) => topic))
    for (const topicFilter of remote.subscriptions.keys()) {
      if (!filters.has(topicFilter)) this.unsubscribe(remote.clientId, topicFilter)
    }
    for (const stored of subscriptions) this.subscribe(remote, stored)
  }

  subscribe(remote: RemoteSession, stored: PersistedSubscription): void {
    const subscription = subscriptionOf(remote, stored, this.#core.settings.limits.maxTopicLevels)
    if (subscription === undefined) return
    const previous = remote.subscriptions.get(stored.topic)
    if (previous?.isAs(subscription) === true) return
    this.#core.subscriptions.add(subscription)
    if (previous !== undefined) this.#core.subscriptions.remove(previous)
    remote.subscriptions.set(stored.topic, subscription)
  }

  unsubscribe(clientId: string, topicFilter: string): void {
    const remote = this.#byClient.get(clientId)
    const subscription = remote?.subscriptions.get(topicFilter)
    if (remote === undefined || subscription === undefined) return
    remote.subscriptions.delete(topicFilter)
    this.#core.subscriptions.remove(subscription)
    if (remote.info === undefined && remote.subscriptions.size === 0) this.#byClient.delete(clientId)
  }

  forget(clientId: string): void {
    const remote = this.#byClient.get(clientId)
    if (remote === undefined) return
    this.#byClient.delete(clientId)
    for (const subscription of remote.subscriptions.values()) this.#core.subscriptions.remove(subscription)
  }
}

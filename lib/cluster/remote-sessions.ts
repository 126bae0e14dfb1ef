import type { PersistedSubscription } from '../../types/persistence.ts'
import type { Subscriptions } from '../messages/subscriptions.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import { subscriptionOf } from '../storage/stored-subscription.ts'
import { RemoteSession } from './remote-session.ts'

/** The parts of the broker that are used here. */
interface Environment {
  readonly settings: { readonly limits: { readonly maxTopicLevels: number } }
  readonly subscriptions: Pick<Subscriptions, 'add' | 'remove'>
}

/** The sessions of peers; their subscriptions stand beside those of this broker. */
export class RemoteSessions {
  readonly #environment: Environment
  readonly #commits: CommitQueue
  readonly #byClient = new Map<string, RemoteSession>()

  constructor(environment: Environment, commits: CommitQueue) {
    this.#environment = environment
    this.#commits = commits
  }

  get(clientId: string): RemoteSession | undefined {
    return this.#byClient.get(clientId)
  }

  values(): IterableIterator<RemoteSession> {
    return this.#byClient.values()
  }

  /** The known session, or a new one without any subscription. */
  of(clientId: string): RemoteSession {
    let remote = this.#byClient.get(clientId)
    if (remote === undefined) {
      remote = new RemoteSession(clientId, this.#commits)
      this.#byClient.set(clientId, remote)
    }
    return remote
  }

  /** The session has these subscriptions and no others. */
  replaceSubscriptions(remote: RemoteSession, subscriptions: readonly PersistedSubscription[]): void {
    const filters = new Set(subscriptions.map(({ topic }) => topic))
    for (const topicFilter of remote.subscriptions.keys()) {
      if (!filters.has(topicFilter)) this.unsubscribe(remote.clientId, topicFilter)
    }
    for (const stored of subscriptions) this.subscribe(remote, stored)
  }

  subscribe(remote: RemoteSession, stored: PersistedSubscription): void {
    const subscription = subscriptionOf(remote, stored, this.#environment.settings.limits.maxTopicLevels)
    if (subscription === undefined) return
    const previous = remote.subscriptions.get(stored.topic)
    if (previous?.isAs(subscription) === true) return
    this.#environment.subscriptions.add(subscription)
    if (previous !== undefined) this.#environment.subscriptions.remove(previous)
    remote.subscriptions.set(stored.topic, subscription)
  }

  unsubscribe(clientId: string, topicFilter: string): void {
    const remote = this.#byClient.get(clientId)
    const subscription = remote?.subscriptions.get(topicFilter)
    if (remote === undefined || subscription === undefined) return
    remote.subscriptions.delete(topicFilter)
    this.#environment.subscriptions.remove(subscription)
    if (remote.info === undefined && remote.subscriptions.size === 0) this.#byClient.delete(clientId)
  }

  forget(clientId: string): void {
    const remote = this.#byClient.get(clientId)
    if (remote === undefined) return
    this.#byClient.delete(clientId)
    for (const subscription of remote.subscriptions.values()) this.#environment.subscriptions.remove(subscription)
  }
}

import { Publication } from '../messages/publication.ts'
import type { QueuedMessage } from '../messages/queued-message.ts'
import type { DeliverySource, Subscription } from '../messages/subscriber.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import { persistedSubscription } from '../storage/stored-subscription.ts'
import type { Delivery } from './delivery.ts'

/** Stores the changes of a session. Each is added to the open batch; a reply to the Client waits for its commit. */
export interface SessionStorage {
  /** Queue, inflight messages and subscriptions of the session outlive the process. */
  readonly isDurable: boolean
  /** Returns the publication of a retained message for this session. */
  publicationOf(queued: QueuedMessage): Publication
  /** Whether another broker stored the publication for this session. */
  isQueuedByPeer(publication: Publication, via: DeliverySource): boolean
  /** A message was queued; if it is sent at once it already has its Packet Identifier. */
  queued(publication: Publication | undefined, delivery: Delivery): void
  /** A message is stored as a peer would store it, and not queued here. */
  queuedAsByPeer(publication: Publication, delivery: Delivery): void
  /** A queued message was assigned its Packet Identifier. */
  sent(delivery: Delivery): void
  /** A PUBREC arrived. */
  released(packetId: number): void
  /** The last acknowledgement arrived. */
  completed(delivery: Delivery): void
  /** A queued message was dropped. Returns the commit number of the change; 0 if it was not stored. */
  discarded(delivery: Delivery): number
  subscribed(subscription: Subscription): void
  unsubscribed(topicFilter: string): void
  /** A QoS 2 message arrived from the Client: its Packet Identifier is in use. */
  received(publication: Publication, packetId: number): void
  /** A PUBREL arrived: the Packet Identifier is free. */
  receivedReleased(packetId: number): void
  isCommitted(commitNumber: number): boolean
  /** Calls `onCommitted` when all changes so far are committed. */
  afterCommit(onCommitted: () => void, onRejected?: (error: Error) => void): void
}

/** For a broker without a storage: every change counts as committed. */
class NoStorage implements SessionStorage {
  readonly isDurable = false

  /** Sessions whose queues are not stored share one queued message. */
  publicationOf(queued: QueuedMessage): Publication {
    return new Publication(queued.message, queued)
  }

  isQueuedByPeer(): boolean {
    return false
  }

  isCommitted(_commitNumber: number): boolean {
    return true
  }

  afterCommit(onCommitted: () => void): void {
    onCommitted()
  }

  queued(): void {}
  queuedAsByPeer(): void {}
  sent(): void {}
  released(): void {}
  completed(): void {}
  discarded(): number {
    return 0
  }
  subscribed(): void {}
  unsubscribed(): void {}
  received(): void {}
  receivedReleased(): void {}
}

export const noStorage: SessionStorage = new NoStorage()

/**
 * For a session that ends with its connection, in a broker with a storage. The session is not stored, but a copy at
 * QoS 2 waits for the commit of its message.
 */
class VolatileSession extends NoStorage {
  readonly #commits: CommitQueue

  constructor(commits: CommitQueue) {
    super()
    this.#commits = commits
  }

  override isCommitted(commitNumber: number): boolean {
    return this.#commits.isCommitted(commitNumber)
  }

  override afterCommit(onCommitted: () => void): void {
    this.#commits.afterCommit(onCommitted)
  }
}

/** For a session that outlives the process. */
class DurableSession implements SessionStorage {
  readonly isDurable = true
  readonly #commits: CommitQueue
  readonly #clientId: string

  constructor(commits: CommitQueue, clientId: string) {
    this.#commits = commits
    this.#clientId = clientId
  }

  /** In a stored queue each copy of a message has another message id. */
  publicationOf({ message }: QueuedMessage): Publication {
    return new Publication(message)
  }

  isQueuedByPeer({ replication }: Publication, { sharedFilter }: DeliverySource): boolean {
    return replication?.isStoredFor(this.#clientId, sharedFilter) === true
  }

  queued(publication: Publication | undefined, delivery: Delivery): void {
    const { content } = delivery
    const published = publication ?? new Publication(content.message, content)
    delivery.storage = delivery.packetId === 0 ? 'queued' : 'sent'
    delivery.commitNumber = this.#commits.enqueue(published, this.#clientId, delivery)
  }

  queuedAsByPeer(publication: Publication, delivery: Delivery): void {
    delivery.storage = 'queued by peer'
    delivery.commitNumber = this.#commits.enqueue(publication, this.#clientId, delivery, true)
  }

  sent(delivery: Delivery): void {
    delivery.commitNumber = this.#commits.send(this.#clientId, delivery)
    delivery.storage = 'sent'
  }

  released(packetId: number): void {
    this.#commits.release(this.#clientId, packetId)
  }

  completed(delivery: Delivery): void {
    if (delivery.storage !== 'none') this.#commits.complete(this.#clientId, delivery.packetId)
  }

  discarded(delivery: Delivery): number {
    return delivery.storage === 'none' ? 0 : this.#commits.discard(this.#clientId, delivery)
  }

  subscribed(subscription: Subscription): void {
    this.#commits.subscribe(this.#clientId, persistedSubscription(subscription))
  }

  unsubscribed(topicFilter: string): void {
    this.#commits.unsubscribe(this.#clientId, topicFilter)
  }

  received(publication: Publication, packetId: number): void {
    publication.commitNumber = this.#commits.incoming(publication, this.#clientId, packetId)
  }

  receivedReleased(packetId: number): void {
    this.#commits.incomingDone(this.#clientId, packetId)
  }

  isCommitted(commitNumber: number): boolean {
    return this.#commits.isCommitted(commitNumber)
  }

  afterCommit(onCommitted: () => void, onRejected?: (error: Error) => void): void {
    this.#commits.afterCommit(onCommitted, onRejected)
  }
}

/** Returns the storage of one session; it is durable if the session outlives its connection. */
export function storageOf(commits: CommitQueue | undefined, clientId: string, isKept: boolean): SessionStorage {
  if (commits === undefined) return noStorage
  return isKept ? new DurableSession(commits, clientId) : new VolatileSession(commits)
}

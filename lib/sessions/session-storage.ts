import { Publication } from '../messages/publication.ts'
import type { QueuedMessage } from '../messages/queued-message.ts'
import type { DeliverySource, Subscription } from '../messages/subscriber.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import { persistedSubscription } from '../storage/stored-subscription.ts'
import type { Delivery } from './delivery.ts'

/** What a session says to the storage. Each change is added to the open batch; a promise to the Client waits for its commit. */
export interface SessionStorage {
  /** Everything of the session outlives the process: its queue, its exchanges, its subscriptions. */
  readonly isDurable: boolean
  /** A retained message on its way to this session. */
  publicationOf(queued: QueuedMessage): Publication
  /** Another broker stored the publication for this session. */
  isQueuedByPeer(publication: Publication, via: DeliverySource): boolean
  /** A message waits in the queue; one that is sent at once has its Packet Identifier already. */
  queued(publication: Publication | undefined, delivery: Delivery): void
  /** A queued message got its Packet Identifier. */
  sent(delivery: Delivery): void
  /** PUBREC came. */
  released(packetId: number): void
  /** The last acknowledgement came. */
  completed(delivery: Delivery): void
  /** A queued message is not to be sent. */
  discarded(delivery: Delivery): void
  subscribed(subscription: Subscription): void
  unsubscribed(topicFilter: string): void
  /** A message at QoS 2 came from the Client: its Packet Identifier is taken. */
  received(publication: Publication, packetId: number): void
  /** PUBREL came: the Packet Identifier is free. */
  receivedReleased(packetId: number): void
  isCommitted(commitNumber: number): boolean
  /** Calls `onCommitted` when all that was said so far is committed. */
  afterCommit(onCommitted: () => void, onRejected?: (error: Error) => void): void
}

/** For a broker that keeps nothing: everything is committed at once. */
export const noStorage: SessionStorage = {
  isDurable: false,
  publicationOf: sharedPublicationOf,
  isQueuedByPeer: () => false,
  queued: nothing,
  sent: nothing,
  released: nothing,
  completed: nothing,
  discarded: nothing,
  subscribed: nothing,
  unsubscribed: nothing,
  received: nothing,
  receivedReleased: nothing,
  isCommitted: () => true,
  afterCommit: (onCommitted) => onCommitted(),
}

/**
 * For a session that ends with its connection, in a broker that keeps others: nothing of it is stored, but a copy at
 * QoS 2 waits for the commit of its message.
 */
class VolatileSession implements SessionStorage {
  readonly isDurable = false
  readonly #commits: CommitQueue

  constructor(commits: CommitQueue) {
    this.#commits = commits
  }

  isCommitted(commitNumber: number): boolean {
    return this.#commits.isCommitted(commitNumber)
  }

  /** A delivery may wait for the commit of its message; an answer to the Client never does. */
  afterCommit(onCommitted: () => void): void {
    this.#commits.afterCommit(onCommitted)
  }

  publicationOf(queued: QueuedMessage): Publication {
    return sharedPublicationOf(queued)
  }

  isQueuedByPeer(): boolean {
    return false
  }

  queued(): void {}
  sent(): void {}
  released(): void {}
  completed(): void {}
  discarded(): void {}
  subscribed(): void {}
  unsubscribed(): void {}
  received(): void {}
  receivedReleased(): void {}
}

/** For a session that outlives the process. */
export class DurableSession implements SessionStorage {
  readonly isDurable = true
  readonly #commits: CommitQueue
  readonly #clientId: string

  constructor(commits: CommitQueue, clientId: string) {
    this.#commits = commits
    this.#clientId = clientId
  }

  /** In a stored queue each message has an id of its own, also one that the queue had before. */
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

  discarded(delivery: Delivery): void {
    if (delivery.storage !== 'none') this.#commits.discard(this.#clientId, delivery)
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

/** The storage of one session: of a session with an expiry, when the broker has a store. */
export function storageOf(commits: CommitQueue | undefined, clientId: string, isKept: boolean): SessionStorage {
  if (commits === undefined) return noStorage
  return isKept ? new DurableSession(commits, clientId) : new VolatileSession(commits)
}

/** Sessions whose queues are not stored share one queued message. */
function sharedPublicationOf(queued: QueuedMessage): Publication {
  return new Publication(queued.message, queued)
}

function nothing(): void {}

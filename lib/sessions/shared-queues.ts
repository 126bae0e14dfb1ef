import { compareMessageIds } from '../messages/message-id.ts'
import type { QueuedMessage } from '../messages/queued-message.ts'
import type { Delivery } from './delivery.ts'
import { RingQueue } from './ring-queue.ts'

/** A session that has queued messages of a shared subscription, which another member may take. */
export interface Home {
  readonly clientId: string
  /** Another member takes the message: it leaves the queue, but not the storage. */
  giveUp(delivery: Delivery): void
  /** Removes a message that was given up from the storage. Returns the commit number; 0 if it was not stored. */
  forget(delivery: Delivery): number
  /** Some of its messages were taken, so that its publishers may go on. */
  relieve(): void
}

/** A queued message of a shared subscription. The queue and the storage of its home have it. */
export interface SharedDelivery {
  readonly delivery: Delivery
  readonly home: Home
}

/** The queued messages of all members of one shared subscription, the first one first. */
class SharedQueue {
  readonly #ring = new RingQueue<SharedDelivery>()
  #count = 0
  #isSorted = true

  get isEmpty(): boolean {
    return this.#count === 0
  }

  /** Adds a queued delivery at its place; `isLast` if that is after all others. */
  add(shared: SharedDelivery, isLast: boolean): void {
    if (!isLast) this.#isSorted = false
    this.#ring.push(shared)
    this.#count += 1
    // At most half of the entries have left, so that their removal costs constant time for each.
    if (this.#ring.length > 2 * this.#count) this.#replace(this.#queued())
  }

  /** A delivery left the queue of its home. */
  left(): void {
    this.#count -= 1
  }

  first(): SharedDelivery | undefined {
    if (!this.#isSorted) this.sort((one, other) => one.delivery.sendSequence - other.delivery.sendSequence)
    for (let first = this.#ring.peek(); first !== undefined; first = this.#ring.peek()) {
      if (first.delivery.phase === 'queued') return first
      this.#ring.shift()
    }
    return undefined
  }

  sort(compare: (one: SharedDelivery, other: SharedDelivery) => number): void {
    this.#replace(this.#queued().toSorted(compare))
    this.#isSorted = true
  }

  [Symbol.iterator](): IterableIterator<SharedDelivery> {
    return this.#ring[Symbol.iterator]()
  }

  #queued(): SharedDelivery[] {
    return [...this.#ring].filter(({ delivery }) => delivery.phase === 'queued')
  }

  #replace(entries: readonly SharedDelivery[]): void {
    this.#ring.clear()
    for (const shared of entries) this.#ring.push(shared)
  }
}

/**
 * The queued messages of the shared subscriptions of this broker. Each waits in the session of one member, its home, as
 * far as limits and the storage are concerned. A member that can send takes the first one, whatever its home is.
 */
export class SharedQueues {
  readonly #queues = new Map<string, SharedQueue>()
  /** Of all queues, because a message may return to a queue that was empty meanwhile. */
  #lastPlace = 0
  /** The places of messages whose home left the shared subscription; by their copies for the next home. */
  readonly #places = new WeakMap<QueuedMessage, number>()
  /** The members that could not take a message; then only its home may send it. */
  readonly #refusedBy = new WeakMap<QueuedMessage, ReadonlySet<string>>()
  readonly #fixed = new WeakSet<Delivery>()

  /** Whether no message waits. */
  get isEmpty(): boolean {
    return this.#queues.size === 0
  }

  /** Whether a message of the same shared subscription waits, which comes before this one. */
  isBefore({ via }: Delivery): boolean {
    return this.#queues.size > 0 && via.sharedFilter !== undefined && this.#queues.has(via.sharedFilter)
  }

  /** The first message that waits for any member; undefined if there is none. */
  first(sharedFilter: string): SharedDelivery | undefined {
    return this.#queues.get(sharedFilter)?.first()
  }

  add(sharedFilter: string, delivery: Delivery, home: Home): void {
    if (this.isFixed(delivery)) return
    let queue = this.#queues.get(sharedFilter)
    if (queue === undefined) {
      queue = new SharedQueue()
      this.#queues.set(sharedFilter, queue)
    }
    const place = this.#places.get(delivery.content)
    delivery.sendSequence = place ?? this.#nextPlace()
    queue.add({ delivery, home }, place === undefined)
  }

  /** A delivery left the queue of its home. */
  left(sharedFilter: string, delivery: Delivery): void {
    const queue = this.#queues.get(sharedFilter)
    if (queue === undefined || this.isFixed(delivery)) return
    queue.left()
    if (queue.isEmpty) this.#queues.delete(sharedFilter)
  }

  /** The copy of a message has the place of the message, which another home had. */
  keepPlace(copy: QueuedMessage, place: number): void {
    this.#places.set(copy, place)
  }

  /** Only its home may send this delivery, which is not queued yet. */
  fix(delivery: Delivery): void {
    this.#fixed.add(delivery)
  }

  isFixed(delivery: Delivery): boolean {
    return this.#fixed.has(delivery) || this.#refusedBy.has(delivery.content)
  }

  /** Sets the Client Identifiers of the members that could not take the message; only its home may send it then. */
  refuse(copy: QueuedMessage, refusedBy: ReadonlySet<string>): void {
    this.#refusedBy.set(copy, refusedBy)
  }

  refusedBy(content: QueuedMessage): ReadonlySet<string> | undefined {
    return this.#refusedBy.get(content)
  }

  /** After a restart, when all sessions are read: restores the order in which the messages were published. */
  restoreOrder(): void {
    for (const queue of this.#queues.values()) {
      queue.sort((one, other) => compareMessageIds(one.delivery.content.stored, other.delivery.content.stored))
      for (const { delivery } of queue) delivery.sendSequence = this.#nextPlace()
    }
  }

  #nextPlace(): number {
    this.#lastPlace += 1
    return this.#lastPlace
  }
}

import type { Limits } from '../../types/options.ts'
import type { QueuedMessage } from '../messages/queued-message.ts'
import type { Delivery } from './delivery.ts'
import { ExpiryHeap } from './expiry-heap.ts'
import { RingQueue } from './ring-queue.ts'
import type { Home, SharedQueues } from './shared-queues.ts'

/** Totals of all outbound queues of a broker. */
export class QueueTotals {
  messages = 0
  /** Bytes of queued and inflight messages. A message in several queues counts once. */
  bytes = 0
}

interface QueueEnvironment {
  readonly settings: { readonly limits: Readonly<Limits> }
  readonly queueTotals: QueueTotals
  readonly shared: SharedQueues
}

/** The queued messages of a session, in order, and the bytes of its queued and inflight messages. */
export class OutboundQueue implements Iterable<Delivery> {
  readonly #limits: Readonly<Limits>
  readonly #totals: QueueTotals
  readonly #shared: SharedQueues
  readonly #home: Home
  /** The messages in order, and some that were removed from the middle. */
  readonly #queue = new RingQueue<Delivery>()
  #length = 0
  /** Bytes of queued and inflight messages. */
  #bytes = 0
  /** Number of queued messages of each shared subscription, by its Topic Filter; undefined if there are none. */
  #byGroup: Map<string, number> | undefined
  /** The messages that can expire; undefined if there never was one. */
  #expiring: ExpiryHeap | undefined

  constructor({ settings, queueTotals, shared }: QueueEnvironment, home: Home) {
    this.#limits = settings.limits
    this.#totals = queueTotals
    this.#shared = shared
    this.#home = home
  }

  get length(): number {
    return this.#length
  }

  /** Bytes of queued and inflight messages. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether at most a quarter of each limit is used. */
  get isBelowLowWaterMark(): boolean {
    const { maxQueuedMessages, maxQueuedBytes } = this.#limits
    return this.#length <= maxQueuedMessages >> 2 && this.#bytes <= maxQueuedBytes / 4
  }

  /** Whether at most 7/16 of each limit are used: a subscriber that makes progress is not slow. */
  get isBelowResumeMark(): boolean {
    const { maxQueuedMessages, maxQueuedBytes } = this.#limits
    return this.#queue.length <= (maxQueuedMessages * 7) >> 4 && this.#bytes <= (maxQueuedBytes * 7) / 16
  }

  /** Whether more than half of a limit is used. */
  get isAboveHighWaterMark(): boolean {
    const { maxQueuedMessages, maxQueuedBytes } = this.#limits
    return this.#length > maxQueuedMessages >> 1 || this.#bytes > maxQueuedBytes / 2
  }

  /** Whether the limits allow one more message. An empty queue accepts a message of any size. */
  hasRoomFor(content: QueuedMessage, isSentNow: boolean): boolean {
    const limits = this.#limits
    if (!isSentNow && this.#length >= limits.maxQueuedMessages) return false
    if (this.#bytes === 0) return true
    const { size } = content.message
    if (this.#bytes + size > limits.maxQueuedBytes) return false
    const total = this.#totals.bytes + (content.holders === 0 ? size : 0)
    return isSentNow || total <= limits.maxTotalQueuedBytes
  }

  /** Counts a message until it is sent and acknowledged. */
  addSize(content: QueuedMessage): void {
    const { size } = content.message
    this.#bytes += size
    content.holders += 1
    if (content.holders === 1) this.#totals.bytes += size
  }

  removeSize(content: QueuedMessage): void {
    const { size } = content.message
    this.#bytes -= size
    content.holders -= 1
    if (content.holders === 0) this.#totals.bytes -= size
  }

  push(delivery: Delivery): void {
    delivery.phase = 'queued'
    this.#queue.push(delivery)
    this.#length += 1
    this.#totals.messages += 1
    if (delivery.message.expiresAt !== Infinity) {
      this.#expiring ??= new ExpiryHeap()
      this.#expiring.add(delivery)
    }
    const { sharedFilter } = delivery.via
    if (sharedFilter === undefined) return
    this.#byGroup ??= new Map()
    this.#byGroup.set(sharedFilter, (this.#byGroup.get(sharedFilter) ?? 0) + 1)
    this.#shared.add(sharedFilter, delivery, this.#home)
  }

  /** The first message; undefined if the queue is empty. */
  peek(): Delivery | undefined {
    for (let first = this.#queue.peek(); first !== undefined; first = this.#queue.peek()) {
      if (first.phase === 'queued') return first
      this.#queue.shift()
    }
    return undefined
  }

  /** The message that was added last; undefined if it is not there any more. */
  last(): Delivery | undefined {
    const last = this.#queue.last()
    return last?.phase === 'queued' ? last : undefined
  }

  /** Removes and returns the next message; undefined if the queue is empty. */
  shift(): Delivery | undefined {
    const delivery = this.peek()
    if (delivery === undefined) return undefined
    this.#queue.shift()
    delivery.phase = 'new'
    this.#left(delivery)
    return delivery
  }

  /** Removes and returns this message, or the next one if it is undefined. */
  take(delivery: Delivery | undefined): Delivery | undefined {
    if (delivery === undefined || delivery === this.peek()) return this.shift()
    this.remove(delivery)
    return delivery.successor()
  }

  /** Removes a message from the middle of the queue. */
  remove(delivery: Delivery): void {
    delivery.phase = 'removed'
    this.#left(delivery)
    // At most half of the entries are removed messages, so that their removal costs constant time for each.
    if (this.#queue.length > 2 * this.#length) this.#compact()
  }

  #compact(): void {
    const queued = [...this]
    this.#queue.clear()
    for (const delivery of queued) this.#queue.push(delivery)
  }

  #left(delivery: Delivery): void {
    this.#length -= 1
    this.#totals.messages -= 1
    if (this.#expiring !== undefined && delivery.message.expiresAt !== Infinity) this.#expiring.left(delivery)
    const { sharedFilter } = delivery.via
    if (sharedFilter === undefined || this.#byGroup === undefined) return
    this.#shared.left(sharedFilter, delivery)
    const left = (this.#byGroup.get(sharedFilter) ?? 1) - 1
    if (left > 0) this.#byGroup.set(sharedFilter, left)
    else this.#byGroup.delete(sharedFilter)
  }

  /** When the next message expires; Infinity if there is none. */
  get nextExpiry(): number {
    return this.#expiring === undefined ? Infinity : this.#expiring.next
  }

  /** Removes and returns a message that has expired; undefined if there is none. */
  takeExpired(now: number): Delivery | undefined {
    const delivery = this.#expiring?.expired(now)
    if (delivery !== undefined) this.remove(delivery)
    return delivery
  }

  /** Removes and returns the messages of one shared subscription. */
  removeGroup(sharedFilter: string): Delivery[] {
    if (this.#byGroup?.has(sharedFilter) !== true) return []
    const removed = [...this].filter(({ via }) => via.sharedFilter === sharedFilter)
    for (const delivery of removed) this.remove(delivery)
    this.#compact() // The removed messages go to other queues.
    return removed
  }

  *[Symbol.iterator](): IterableIterator<Delivery> {
    for (const delivery of this.#queue) if (delivery.phase === 'queued') yield delivery
  }
}

import type { Limits } from '../../types/options.ts'
import type { QueuedMessage } from '../messages/queued-message.ts'
import type { Delivery } from './delivery.ts'
import { RingQueue } from './ring-queue.ts'

/** Totals of all outbound queues of a broker. */
export class QueueTotals {
  messages = 0
  /** Bytes of queued and inflight messages. A message in several queues counts once. */
  bytes = 0
}

/** The queued messages of a session, in order, and the bytes of its queued and inflight messages. */
export class OutboundQueue implements Iterable<Delivery> {
  readonly #limits: Readonly<Limits>
  readonly #totals: QueueTotals
  readonly #queue = new RingQueue<Delivery>()
  /** Bytes of queued and inflight messages. */
  #bytes = 0
  /** Number of queued messages of each shared subscription, by its Topic Filter; undefined if there are none. */
  #byGroup: Map<string, number> | undefined

  constructor(limits: Readonly<Limits>, totals: QueueTotals) {
    this.#limits = limits
    this.#totals = totals
  }

  get length(): number {
    return this.#queue.length
  }

  /** Whether at most a quarter of each limit is used. */
  get isBelowLowWaterMark(): boolean {
    const { maxQueuedMessages, maxQueuedBytes } = this.#limits
    return this.#queue.length <= maxQueuedMessages >> 2 && this.#bytes <= maxQueuedBytes / 4
  }

  /** Whether more than half of a limit is used. */
  get isAboveHighWaterMark(): boolean {
    const { maxQueuedMessages, maxQueuedBytes } = this.#limits
    return this.#queue.length > maxQueuedMessages >> 1 || this.#bytes > maxQueuedBytes / 2
  }

  /** Whether the limits allow one more message. An empty queue accepts a message of any size. */
  hasRoomFor(content: QueuedMessage, isSentNow: boolean): boolean {
    const limits = this.#limits
    if (!isSentNow && this.#queue.length >= limits.maxQueuedMessages) return false
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
    this.#queue.push(delivery)
    this.#totals.messages += 1
    const { sharedFilter } = delivery.via
    if (sharedFilter === undefined) return
    this.#byGroup ??= new Map()
    this.#byGroup.set(sharedFilter, (this.#byGroup.get(sharedFilter) ?? 0) + 1)
  }

  /** Removes and returns the next message; undefined if the queue is empty. */
  shift(): Delivery | undefined {
    const delivery = this.#queue.shift()
    if (delivery === undefined) return undefined
    this.#totals.messages -= 1
    const { sharedFilter } = delivery.via
    if (sharedFilter !== undefined && this.#byGroup !== undefined) {
      const left = (this.#byGroup.get(sharedFilter) ?? 1) - 1
      if (left > 0) this.#byGroup.set(sharedFilter, left)
      else this.#byGroup.delete(sharedFilter)
    }
    return delivery
  }

  /** Removes and returns the messages of one shared subscription. */
  removeGroup(sharedFilter: string): Delivery[] {
    const removed: Delivery[] = []
    if (this.#byGroup?.has(sharedFilter) !== true) return removed
    for (let left = this.#queue.length; left > 0; left -= 1) {
      const delivery = this.shift()
      if (delivery === undefined) break
      if (delivery.via.sharedFilter === sharedFilter) removed.push(delivery)
      else this.push(delivery)
    }
    return removed
  }

  [Symbol.iterator](): Iterator<Delivery> {
    return this.#queue[Symbol.iterator]()
  }
}

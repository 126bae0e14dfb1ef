import type { Core } from '../core.ts'
import type { Message } from '../messages/message.ts'
import type { Subscription } from '../messages/subscriber.ts'
import type { SharedGroup } from '../topics/shared-subscriptions.ts'
import type { Delivery } from './delivery.ts'
import { RingQueue } from './ring-queue.ts'

/** The messages that wait for a Client, in order, and what all that it has not acknowledged takes. */
export class OutboundQueue implements Iterable<Delivery> {
  readonly #core: Core
  readonly #queue = new RingQueue<Delivery>()
  /** Of what is queued and what is in flight. */
  #bytes = 0
  /** Queued messages of each shared subscription; undefined when there are none. */
  #grouped: Map<SharedGroup<Subscription>, number> | undefined

  constructor(core: Core) {
    this.#core = core
  }

  get length(): number {
    return this.#queue.length
  }

  /** At most a quarter of what it may be: there is room for more than what is under way. */
  get isBelowLowWaterMark(): boolean {
    const { maxQueuedMessages, maxQueuedBytes } = this.#core.settings.limits
    return this.#queue.length <= maxQueuedMessages >> 2 && this.#bytes <= maxQueuedBytes / 4
  }

  /** More than half of what it may be. */
  get isAboveHighWaterMark(): boolean {
    const { maxQueuedMessages, maxQueuedBytes } = this.#core.settings.limits
    return this.#queue.length > maxQueuedMessages >> 1 || this.#bytes > maxQueuedBytes / 2
  }

  /** Always for one message, however large; what waits for others does not keep one from being sent at once. */
  hasRoomFor(message: Message, isSentNow: boolean): boolean {
    const { limits } = this.#core.settings
    if (!isSentNow && this.#queue.length >= limits.maxQueuedMessages) return false
    if (this.#bytes === 0) return true
    if (this.#bytes + message.size > limits.maxQueuedBytes) return false
    const inAll = this.#core.statistics.queuedBytes + (message.holders === 0 ? message.size : 0)
    return isSentNow || inAll <= limits.maxTotalQueuedBytes
  }

  /** Counts a message that stays here until it is sent and acknowledged. In all it counts once, however many hold it. */
  addSize(message: Message): void {
    this.#bytes += message.size
    message.holders += 1
    if (message.holders === 1) this.#core.statistics.queuedBytes += message.size
  }

  removeSize(message: Message): void {
    this.#bytes -= message.size
    message.holders -= 1
    if (message.holders === 0) this.#core.statistics.queuedBytes -= message.size
  }

  push(delivery: Delivery): void {
    this.#queue.push(delivery)
    this.#core.statistics.queuedMessages += 1
    const { group } = delivery
    if (group === undefined) return
    this.#grouped ??= new Map()
    this.#grouped.set(group, (this.#grouped.get(group) ?? 0) + 1)
  }

  /** The next one; there is one. */
  shift(): Delivery {
    const delivery = this.#queue.shift() as Delivery
    this.#core.statistics.queuedMessages -= 1
    const { group } = delivery
    if (group !== undefined && this.#grouped !== undefined) {
      const left = (this.#grouped.get(group) ?? 1) - 1
      if (left > 0) this.#grouped.set(group, left)
      else this.#grouped.delete(group)
    }
    return delivery
  }

  /** Takes out those of one shared subscription; the others keep their order. */
  removeGroup(group: SharedGroup<Subscription>): Delivery[] {
    const taken: Delivery[] = []
    if (this.#grouped?.has(group) !== true) return taken
    for (let left = this.#queue.length; left > 0; left -= 1) {
      const delivery = this.shift()
      if (delivery.group === group) taken.push(delivery)
      else this.push(delivery)
    }
    return taken
  }

  [Symbol.iterator](): Iterator<Delivery> {
    return this.#queue[Symbol.iterator]()
  }
}

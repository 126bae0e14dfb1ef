import type { Delivery } from './delivery.ts'

/** The queued messages of a session that can expire: a binary heap, the next one to expire first. */
export class ExpiryHeap {
  #heap: Delivery[] = []
  /** The expiry time of each entry, at the same index. */
  #times: number[] = []
  /** The number of each entry, at the same index: of messages that expire together the first one is dropped first. */
  #numbers: number[] = []
  #lastNumber = 0
  /** Entries that are not queued any more. At most half of all, so that their removal costs constant time for each. */
  #stale = 0

  /** When the next message expires; Infinity if there is none. */
  get next(): number {
    this.#removeStale()
    return this.#times[0] ?? Infinity
  }

  add(delivery: Delivery): void {
    this.#lastNumber += 1
    const time = delivery.message.expiresAt
    let index = this.#heap.length
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (this.#times[parent]! <= time) break
      this.#set(index, this.#heap[parent]!, this.#times[parent]!, this.#numbers[parent]!)
      index = parent
    }
    this.#set(index, delivery, time, this.#lastNumber)
  }

  /** A message left the queue; its phase is another one. */
  left(delivery: Delivery): void {
    this.#stale += 1
    if (this.#heap[0] === delivery)
      this.#removeStale() // The usual case: all messages have the same interval.
    else if (this.#stale > this.#heap.length >> 1) this.#rebuild()
  }

  /** Returns a message that has expired; undefined if there is none. */
  expired(now: number): Delivery | undefined {
    return this.next <= now ? this.#heap[0] : undefined
  }

  /** Removes entries until a queued message is the first. */
  #removeStale(): void {
    for (let first = this.#heap[0]; first !== undefined && first.phase !== 'queued'; first = this.#heap[0]) {
      this.#stale -= 1
      const last = this.#heap.pop()!
      const time = this.#times.pop()!
      const number = this.#numbers.pop()!
      if (this.#heap.length > 0) this.#placeFromRoot(last, time, number)
    }
  }

  #placeFromRoot(delivery: Delivery, time: number, number: number): void {
    const size = this.#heap.length
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= size) break
      if (child + 1 < size && this.#isBefore(child + 1, this.#times[child]!, this.#numbers[child]!)) child += 1
      if (!this.#isBefore(child, time, number)) break
      this.#set(index, this.#heap[child]!, this.#times[child]!, this.#numbers[child]!)
      index = child
    }
    this.#set(index, delivery, time, number)
  }

  #isBefore(index: number, time: number, number: number): boolean {
    const other = this.#times[index]!
    return other < time || (other === time && this.#numbers[index]! < number)
  }

  #set(index: number, delivery: Delivery, time: number, number: number): void {
    this.#heap[index] = delivery
    this.#times[index] = time
    this.#numbers[index] = number
  }

  #rebuild(): void {
    const old = { heap: this.#heap, times: this.#times, numbers: this.#numbers }
    const queued = [...old.heap.keys()].filter((index) => old.heap[index]!.phase === 'queued')
    queued.sort((one, other) => old.times[one]! - old.times[other]! || old.numbers[one]! - old.numbers[other]!)
    this.#heap = queued.map((index) => old.heap[index]!) // A sorted array is a heap.
    this.#times = queued.map((index) => old.times[index]!)
    this.#numbers = queued.map((index) => old.numbers[index]!)
    this.#stale = 0
  }
}

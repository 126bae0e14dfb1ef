const MIN_CAPACITY = 16
// Shared by all empty queues; never written to.
const EMPTY: never[] = []

/** A FIFO queue in a ring that grows and shrinks, so that `shift` takes constant time. */
export class RingQueue<T> {
  #ring: (T | undefined)[] = EMPTY
  #head = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  push(item: T): void {
    if (this.#length === this.#ring.length) this.#resize(Math.max(this.#ring.length * 2, MIN_CAPACITY))
    this.#ring[(this.#head + this.#length) & (this.#ring.length - 1)] = item
    this.#length += 1
  }

  peek(): T | undefined {
    return this.#ring[this.#head]
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined
    const item = this.#ring[this.#head]
    this.#ring[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#ring.length - 1)
    this.#length -= 1
    if (this.#length === 0) this.clear()
    else if (this.#ring.length > MIN_CAPACITY && this.#length <= this.#ring.length >> 3)
      this.#resize(this.#ring.length >> 1)
    return item
  }

  /** The last item; undefined if the queue is empty. */
  last(): T | undefined {
    return this.#length === 0 ? undefined : this.#ring[(this.#head + this.#length - 1) & (this.#ring.length - 1)]
  }

  clear(): void {
    this.#ring = EMPTY
    this.#head = 0
    this.#length = 0
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let index = 0; index < this.#length; index += 1) {
      yield this.#ring[(this.#head + index) & (this.#ring.length - 1)] as T
    }
  }

  #resize(capacity: number): void {
    const ring: (T | undefined)[] = Array.from({ length: capacity })
    for (let index = 0; index < this.#length; index += 1) {
      ring[index] = this.#ring[(this.#head + index) & (this.#ring.length - 1)]
    }
    this.#ring = ring
    this.#head = 0
  }
}

import type { Delivery } from './delivery.ts'
import { RingQueue } from './ring-queue.ts'
import type { SessionStorage } from './session-storage.ts'

/** Deliveries with a Packet Identifier that are not written until it is committed, in order. */
export class CommitWait {
  readonly #storage: SessionStorage
  readonly #onCommitted: () => void
  #waiting: RingQueue<Delivery> | undefined
  #isWaiting = false

  constructor(storage: SessionStorage, onCommitted: () => void) {
    this.#storage = storage
    this.#onCommitted = onCommitted
  }

  /** Whether no delivery waits. */
  get isEmpty(): boolean {
    return this.#waiting === undefined
  }

  push(delivery: Delivery): void {
    this.#waiting ??= new RingQueue()
    this.#waiting.push(delivery)
    this.#wait()
  }

  /** Removes and returns the first delivery if it is committed; undefined otherwise, or if there is none. */
  shift(): Delivery | undefined {
    const first = this.#waiting?.peek()
    if (first === undefined) this.#waiting = undefined
    else if (this.#storage.isCommitted(first.commitNumber)) this.#waiting?.shift()
    else {
      this.#wait()
      return undefined
    }
    return first
  }

  clear(): void {
    this.#waiting = undefined
  }

  #wait(): void {
    if (this.#isWaiting) return
    this.#isWaiting = true
    this.#storage.afterCommit(() => {
      this.#isWaiting = false
      this.#onCommitted()
    })
  }
}

import type { MessageId } from './message-id.ts'

// Older ids are forgotten, because no message is delayed by so many others.
const MAX_IDS = 4096

/** The latest message ids, by broker id. */
export class MessageIdSet {
  readonly #counters = new Map<string, Set<number>>()
  #size = 0

  add(id: MessageId | undefined): void {
    if (id === undefined) return
    let counters = this.#counters.get(id.brokerId)
    if (counters === undefined) this.#counters.set(id.brokerId, (counters = new Set()))
    const before = counters.size
    counters.add(id.brokerCounter)
    this.#size += counters.size - before
    if (this.#size > MAX_IDS) this.#forgetOldest()
  }

  has(id: MessageId | undefined): boolean {
    return id !== undefined && this.#counters.get(id.brokerId)?.has(id.brokerCounter) === true
  }

  #forgetOldest(): void {
    for (const [brokerId, counters] of this.#counters) {
      for (const counter of counters) {
        counters.delete(counter)
        break
      }
      this.#size -= 1
      if (counters.size === 0) this.#counters.delete(brokerId)
      return
    }
  }
}

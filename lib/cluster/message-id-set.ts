import type { Message } from '../messages/message.ts'

// The older ones are forgotten: what comes late does not come that late.
const MAX_IDS = 4096

/** Names of messages, by the broker that gave them; the latest ones. */
export class MessageIdSet {
  readonly #counters = new Map<string, Set<number>>()
  #size = 0

  add({ stored }: Message): void {
    if (stored === undefined) return
    let counters = this.#counters.get(stored.brokerId)
    if (counters === undefined) this.#counters.set(stored.brokerId, (counters = new Set()))
    const before = counters.size
    counters.add(stored.brokerCounter)
    this.#size += counters.size - before
    if (this.#size > MAX_IDS) this.#forgetOldest()
  }

  has({ stored }: Message): boolean {
    return stored !== undefined && this.#counters.get(stored.brokerId)?.has(stored.brokerCounter) === true
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

import type { Message } from '../messages/message.ts'
import type { Delivery } from './delivery.ts'
import { MessageNames } from './message-names.ts'

/**
 * How a session gets what another broker stored for it when the word of that was lost: from the store, in its order.
 *
 *   nothing lost ──fallBehind──▶ behind: what others stored is left there ──begin──▶ reading: it is put aside
 *        ▲                                                                               │
 *        └────────────────────────────────────────missing────────────────────────────────┘
 */
export class Repair {
  /** Messages that came from the store: the broker that published one may still tell of it, or hand it on again. */
  readonly names: MessageNames
  #isBehind = false
  /** What others tell of while the store is read. */
  #late: Delivery[] | undefined
  /** What is gone since the reading began. */
  #gone: MessageNames | undefined

  constructor(names: MessageNames = new MessageNames()) {
    this.names = names
  }

  get isBehind(): boolean {
    return this.#isBehind
  }

  fallBehind(): void {
    this.#isBehind = true
  }

  begin(): void {
    this.#isBehind = true
    this.#late = []
    this.#gone = new MessageNames()
  }

  /** Another broker tells of what it stored. Before the reading it need not be remembered: it will be read. */
  putAside(delivery: Delivery): void {
    this.#late?.push(delivery)
  }

  /** The session has no more to do with the message. */
  gone(message: Message): void {
    this.#gone?.add(message)
  }

  /** What the store has and the session does not, then what came meanwhile. It is with the others again. */
  *missing(stored: Iterable<Delivery>, has: (message: Message) => boolean): IterableIterator<Delivery> {
    const late = this.#late ?? []
    const gone = this.#gone
    this.#isBehind = false
    this.#late = undefined
    this.#gone = undefined
    for (const deliveries of [stored, late]) {
      for (const delivery of deliveries) {
        const { message, packetId } = delivery
        if (packetId !== 0 || gone?.has(message) === true || has(message)) continue
        this.names.add(message)
        yield delivery
      }
    }
  }
}

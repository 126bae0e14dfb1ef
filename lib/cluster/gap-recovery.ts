import type { MessageId } from '../messages/message-id.ts'
import type { Delivery } from '../sessions/delivery.ts'
import { MessageIdSet } from './message-id-set.ts'

/**
 * How a session gets what another broker stored for it when the word of that was lost: from the store, in its order.
 *
 *   nothing lost ──fallBehind──▶ behind: what others stored is left there ──begin──▶ reading: it is put aside
 *        ▲                                                                               │
 *        └────────────────────────────────────────missing────────────────────────────────┘
 */
export class GapRecovery {
  /** Messages that came from the store: the broker that published one may still tell of it, or hand it on again. */
  readonly recoveredIds: MessageIdSet
  #isStale = false
  /** What others tell of while the store is read. */
  #deferred: Delivery[] | undefined
  /** What is gone since the reading began. */
  #finished: MessageIdSet | undefined

  constructor(names: MessageIdSet = new MessageIdSet()) {
    this.recoveredIds = names
  }

  get isStale(): boolean {
    return this.#isStale
  }

  markStale(): void {
    this.#isStale = true
  }

  startReading(): void {
    this.#isStale = true
    this.#deferred = []
    this.#finished = new MessageIdSet()
  }

  /** Another broker tells of what it stored. Before the reading it need not be remembered: it will be read. */
  defer(delivery: Delivery): void {
    this.#deferred?.push(delivery)
  }

  /** The session has no more to do with the message. */
  finished(id: MessageId | undefined): void {
    this.#finished?.add(id)
  }

  /** What the store has and the session does not, then what came meanwhile. It is with the others again. */
  *unseen(stored: Iterable<Delivery>, has: (id: MessageId | undefined) => boolean): IterableIterator<Delivery> {
    const late = this.#deferred ?? []
    const gone = this.#finished
    this.#isStale = false
    this.#deferred = undefined
    this.#finished = undefined
    for (const deliveries of [stored, late]) {
      for (const delivery of deliveries) {
        const { stored } = delivery.content
        if (delivery.packetId !== 0 || gone?.has(stored) === true || has(stored)) continue
        this.recoveredIds.add(stored)
        yield delivery
      }
    }
  }
}

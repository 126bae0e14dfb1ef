import type { MessageId } from '../messages/message-id.ts'
import type { Delivery } from '../sessions/delivery.ts'
import { MessageIdSet } from '../messages/message-id-set.ts'

/**
 * Reads the messages of a session whose notices from a peer were lost: from the storage, in its order.
 *
 *   complete ──markStale──▶ stale: a delivery is left in the storage ──startReading──▶ reading: a delivery is deferred
 *       ▲                                                                                   │
 *       └───────────────────────────────────────unseen──────────────────────────────────────┘
 */
export class GapRecovery {
  /** Ids of messages that came from the storage: the broker that published one may still send or replay it. */
  readonly recoveredIds: MessageIdSet
  #isStale = false
  /** Deliveries that peers stored while the storage is read. */
  #deferred: Delivery[] | undefined
  /** Messages that the session finished since the reading began. */
  #finished: MessageIdSet | undefined

  constructor(recoveredIds: MessageIdSet = new MessageIdSet()) {
    this.recoveredIds = recoveredIds
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

  /** A delivery that a peer stored. Before the reading it is ignored, because it will be read. */
  defer(delivery: Delivery): void {
    this.#deferred?.push(delivery)
  }

  /** The session has completed or discarded the message. */
  finished(id: MessageId | undefined): void {
    this.#finished?.add(id)
  }

  /** Deliveries that the storage has and the session lacks, then those that came meanwhile. The session is complete. */
  *unseen(stored: Iterable<Delivery>, has: (id: MessageId | undefined) => boolean): IterableIterator<Delivery> {
    const deferred = this.#deferred ?? []
    const finished = this.#finished
    this.#isStale = false
    this.#deferred = undefined
    this.#finished = undefined
    for (const deliveries of [stored, deferred]) {
      for (const delivery of deliveries) {
        const { stored } = delivery.content
        if (delivery.packetId !== 0 || finished?.has(stored) === true || has(stored)) continue
        this.recoveredIds.add(stored)
        yield delivery
      }
    }
  }
}

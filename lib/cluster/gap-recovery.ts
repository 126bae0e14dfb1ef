import type { MessageId } from '../messages/message-id.ts'
import { MessageIdSet } from '../messages/message-id-set.ts'
import type { Delivery } from '../sessions/delivery.ts'
import type { SessionGap } from '../sessions/session-gap.ts'

/**
 * Reads the messages of a session whose notices from a peer were lost: from the storage, in its order.
 *
 *   complete ──markStale──▶ stale: a delivery is left in the storage ──startReading──▶ reading: a delivery is deferred
 *       ▲                     ▲                                                             │
 *       │                     └───────────unseen, after another markStale───────────────────┤
 *       └─────────────────────────────────unseen────────────────────────────────────────────┘
 */
export class GapRecovery implements SessionGap {
  /** Ids of messages that came from the storage: the broker that published one may still send or replay it. */
  readonly recoveredIds: MessageIdSet
  #isStale = false
  /** Deliveries that were stored while the storage is read. */
  #deferred: Delivery[] | undefined
  /** Messages that the session finished since the reading began. */
  #finished: MessageIdSet | undefined

  constructor(recoveredIds: MessageIdSet = new MessageIdSet()) {
    this.recoveredIds = recoveredIds
  }

  /** Messages may be lacking that no reading under way will find. */
  get isStale(): boolean {
    return this.#isStale
  }

  markStale(): void {
    this.#isStale = true
  }

  /** The messages that were lost until now will be read. */
  startReading(): void {
    this.#isStale = false
    this.#deferred = []
    this.#finished = new MessageIdSet()
  }

  /** The storage could not be read. */
  failed(): void {
    this.#isStale = true
    this.#deferred = undefined
    this.#finished = undefined
  }

  /** A delivery that is stored. Before the reading it is ignored, because it will be read. */
  defer(delivery: Delivery): void {
    this.#deferred?.push(delivery)
  }

  /** The session has completed or discarded the message. */
  finished(id: MessageId | undefined): void {
    this.#finished?.add(id)
  }

  /**
   * Deliveries that the storage has and the session lacks, then those that came meanwhile. If more was lost meanwhile,
   * the latter wait for the next reading: a lost message may come before them.
   */
  *unseen(stored: Iterable<Delivery>, has: (id: MessageId | undefined) => boolean): IterableIterator<Delivery> {
    const deferred = this.#isStale ? [] : (this.#deferred ?? [])
    const finished = this.#finished
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

import type { PersistedTarget } from '../../types/persistence.ts'
import type { Publication } from '../messages/publication.ts'
import { RingQueue } from '../sessions/ring-queue.ts'

/** The part of the commit queue that is needed here. */
interface Commits {
  /** The number of the batch that is open. */
  readonly openCommitNumber: number
  isCommitted(commitNumber: number): boolean
  isInOpenBatch(publication: Publication): boolean
  afterCommit(onCommitted: () => void, onRejected: (error: Error) => void): void
}

interface Entry {
  readonly publication: Publication
  readonly commitNumber: number
  targets: readonly PersistedTarget[]
  isCommitted: boolean
}

const NOTHING: readonly never[] = []

/**
 * The messages of this broker on their way to the others. One that is stored waits for its commit; one at QoS 1 or 2
 * that is not stored waits for those before it, so that the other brokers get all of them in their order [MQTT-4.6.0-6].
 */
export class ReplicationQueue {
  readonly #send: (publication: Publication, targets: readonly PersistedTarget[]) => void
  readonly #entries = new RingQueue<Entry>()
  readonly #byPublication = new Map<Publication, Entry>()
  /** The latest batch of which a failure is noticed. */
  #watchedCommit = 0

  constructor(send: (publication: Publication, targets: readonly PersistedTarget[]) => void) {
    this.#send = send
  }

  get length(): number {
    return this.#entries.length
  }

  push(publication: Publication, commits: Commits | undefined): void {
    const isStored = commits?.isInOpenBatch(publication) === true
    if (commits === undefined || (!isStored && (publication.message.qos === 0 || this.#entries.length === 0))) {
      this.#send(publication, NOTHING)
      return
    }
    const commitNumber = commits.openCommitNumber
    const entry = { publication, commitNumber, targets: NOTHING, isCommitted: !isStored }
    this.#entries.push(entry)
    if (isStored) this.#byPublication.set(publication, entry)
    if (this.#watchedCommit === commitNumber) return
    this.#watchedCommit = commitNumber
    // While the store fails, a message that is not stored waits for one attempt only.
    commits.afterCommit(ignore, () => this.#sendAllCommitted())
  }

  /** The store has this. */
  committed(publication: Publication, targets: readonly PersistedTarget[]): void {
    const entry = this.#byPublication.get(publication)
    if (entry === undefined) return
    entry.targets = targets
    entry.isCommitted = true
    this.#sendCommitted()
  }

  /** The batch is committed as a whole, also what it has of a message without a queue to store it in. */
  batchCommitted(commits: Commits): void {
    for (const entry of this.#entries) {
      if (!commits.isCommitted(entry.commitNumber)) break
      entry.isCommitted = true
    }
    this.#sendCommitted()
  }

  /** Sends the messages from the first on, up to one that is not committed. */
  #sendCommitted(): void {
    for (let first = this.#entries.peek(); first !== undefined; first = this.#entries.peek()) {
      if (!first.isCommitted && !first.publication.isRejected) return
      this.#entries.shift()
      this.#sendEntry(first)
    }
  }

  /** The store failed: messages that need not wait for it are sent. */
  #sendAllCommitted(): void {
    for (let left = this.#entries.length; left > 0; left -= 1) {
      const entry = this.#entries.shift()
      if (entry === undefined) return
      if (entry.isCommitted || entry.publication.isRejected) this.#sendEntry(entry)
      else this.#entries.push(entry)
    }
  }

  #sendEntry({ publication, targets }: Entry): void {
    this.#byPublication.delete(publication)
    if (!publication.isRejected) this.#send(publication, targets)
  }
}

function ignore(): void {
  // `committed` sends all that waits.
}

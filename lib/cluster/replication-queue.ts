import type { PersistedTarget } from '../../types/persistence.ts'
import type { Publication } from '../messages/publication.ts'
import { RingQueue } from '../sessions/ring-queue.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'

type Commits = Pick<CommitQueue, 'openCommitNumber' | 'isCommitted' | 'isInOpenBatch' | 'afterCommit'>

interface Entry {
  readonly publication: Publication
  readonly commitNumber: number
  targets: readonly PersistedTarget[]
  isCommitted: boolean
}

const NO_TARGETS: readonly never[] = []

/**
 * The messages of this broker that are to be sent to the others. A stored message waits for its commit; a message at
 * QoS 1 or 2 that is not stored waits for those before it, so that all of them arrive in order [MQTT-4.6.0-6].
 */
export class ReplicationQueue {
  readonly #send: (publication: Publication, targets: readonly PersistedTarget[]) => void
  readonly #entries = new RingQueue<Entry>()
  readonly #byPublication = new Map<Publication, Entry>()
  /** The latest batch whose failure calls `#sendAllCommitted`. */
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
      this.#send(publication, NO_TARGETS)
      return
    }
    const commitNumber = commits.openCommitNumber
    const entry = { publication, commitNumber, targets: NO_TARGETS, isCommitted: !isStored }
    this.#entries.push(entry)
    if (isStored) this.#byPublication.set(publication, entry)
    if (this.#watchedCommit === commitNumber) return
    this.#watchedCommit = commitNumber
    // While the storage fails, a message that is not stored waits for one attempt only.
    commits.afterCommit(ignore, () => this.#sendAllCommitted())
  }

  /** The storage has the publication. */
  committed(publication: Publication, targets: readonly PersistedTarget[]): void {
    const entry = this.#byPublication.get(publication)
    if (entry === undefined) return
    entry.targets = targets
    entry.isCommitted = true
    this.#sendCommitted()
  }

  /** The whole batch is committed, also messages that no queue stores. */
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

  /** The commit failed: messages that need not wait for it are sent. */
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
  // `committed` sends the messages that wait.
}

import type { CommitQueue } from '../storage/commit-queue.ts'
import { Publication } from './publication.ts'
import type { QueuedMessage } from './queued-message.ts'
import type { RetainedMessages } from './retained-messages.ts'

/** The used methods of the commit queue. */
export type RetainedCommits = Pick<
  CommitQueue,
  'retain' | 'forgetRetained' | 'openCommitNumber' | 'isCommitted' | 'afterCommit'
>

/** A change of a retained message that is not committed. */
interface Change {
  readonly publication: Publication
  readonly commitNumber: number
  /** The new retained message; undefined for a removal. */
  readonly result: QueuedMessage | undefined
}

/** The changes of one topic, the oldest first, and the retained message before them. */
interface Topic {
  before: QueuedMessage | undefined
  changes: Change[]
}

/** Changes of retained messages that may be rejected; then the message before is retained again. */
export class RetainedChanges {
  readonly #retained: RetainedMessages
  readonly #commits: RetainedCommits
  readonly #topics = new Map<string, Topic>()
  /** The batch after whose commit `#forgetCommitted` is called. */
  #watchedCommit = 0

  constructor(retained: RetainedMessages, commits: RetainedCommits) {
    this.#retained = retained
    this.#commits = commits
  }

  /** Stores or removes a retained message, in memory and in the storage. */
  add(publication: Publication): void {
    const { topic, payload } = publication.message
    let changed = this.#topics.get(topic)
    if (changed === undefined) {
      changed = { before: this.#retained.getQueued(topic), changes: [] }
      this.#topics.set(topic, changed)
    }
    const isKept = this.#retained.store(publication)
    this.#commits.retain(publication, isKept || payload.length === 0)
    const commitNumber = this.#commits.openCommitNumber
    changed.changes.push({ publication, commitNumber, result: isKept ? publication.queued : undefined })
    if (this.#watchedCommit === commitNumber) return
    this.#watchedCommit = commitNumber
    this.#commits.afterCommit(() => this.#forgetCommitted())
  }

  /** Rolls back a rejected change, unless a later change or a peer has replaced it. */
  rollback(publication: Publication): void {
    const { topic } = publication.message
    const changed = this.#topics.get(topic)
    const index = changed?.changes.findIndex((change) => change.publication === publication) ?? -1
    const change = changed?.changes[index]
    if (changed === undefined || change === undefined) return
    changed.changes.splice(index, 1)
    const last = changed.changes.at(-1)
    const previous = last === undefined ? changed.before : last.result
    if (changed.changes.length === 0) this.#topics.delete(topic)
    if (this.#retained.getQueued(topic) !== change.result || previous === change.result) return
    if (previous === undefined) {
      this.#retained.remove(topic)
      this.#commits.forgetRetained(topic)
    } else {
      this.#retained.restore(previous)
      this.#commits.retain(new Publication(previous.message, previous), true)
    }
  }

  #forgetCommitted(): void {
    for (const [topic, changed] of this.#topics) {
      const first = changed.changes.findIndex(({ commitNumber }) => !this.#commits.isCommitted(commitNumber))
      const committed = changed.changes.splice(0, first === -1 ? changed.changes.length : first)
      const last = committed.at(-1)
      if (last !== undefined) changed.before = last.result
      if (changed.changes.length === 0) this.#topics.delete(topic)
    }
  }
}

import type { BackPressure, Pausable } from '../sessions/back-pressure.ts'

/** What is to be stored before a reply may promise it. */
export interface Commits {
  readonly backPressure: BackPressure
  /** Calls `onCommitted` when all changes so far are stored: now, when they are. */
  afterCommit(onCommitted: () => void, onRejected?: (error: Error) => void): void
}

/** The replies of one connection that wait for a commit, and those that must not overtake them. */
export class ReplyOrder {
  readonly #commits: Commits | undefined
  readonly #input: Pausable
  /** With so many replies pending the Client is not read from. */
  readonly #maxPending: number
  #pending = 0

  constructor(commits: Commits | undefined, input: Pausable, maxPending: number) {
    this.#commits = commits
    this.#input = input
    this.#maxPending = maxPending
  }

  get hasPending(): boolean {
    return this.#pending > 0
  }

  /**
   * Calls `reply` when all changes so far are stored, or `onRejected` when that failed; without `onRejected` the commit
   * is tried again. A Client that is far ahead of the storage is not read from.
   */
  afterCommit(reply: () => void, onRejected?: (error: Error) => void): void {
    const commits = this.#commits
    if (commits === undefined) return reply()
    commits.backPressure.pausePublisher(this.#input)
    this.#pending += 1
    if (this.#pending === this.#maxPending) this.#input.pause()
    commits.afterCommit(
      () => {
        this.#settled()
        reply()
      },
      onRejected &&
        ((error) => {
          this.#settled()
          onRejected(error)
        }),
    )
  }

  /** A reply that depends on nothing stored, but must not come before those that do. */
  afterOthers(reply: () => void): void {
    if (this.hasPending) this.afterCommit(reply, reply)
    else reply()
  }

  #settled(): void {
    if (this.#pending === this.#maxPending) this.#input.resume()
    this.#pending -= 1
  }
}

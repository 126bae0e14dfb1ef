import type { BackPressure, Pausable } from '../sessions/back-pressure.ts'

/** What is to be stored before a reply may promise it. */
export interface Commits {
  readonly backPressure: BackPressure
  /** Calls `onCommitted` when all changes so far are stored: now, when they are. */
  afterCommit(onCommitted: () => void, onRejected?: (error: Error) => void): void
}

/** The connection that replies. */
export interface ReplyOwner {
  readonly session: { readonly storage: { readonly isDurable: boolean } } | undefined
  readonly input: Pausable
  readonly sender: { acknowledge(type: 'pubrel' | 'pubcomp', packetId: number, reasonCode: number): void }
}

/** The replies of one connection that wait for a commit, and those that must not overtake them. */
export class ReplyOrder {
  readonly #commits: Commits | undefined
  readonly #owner: ReplyOwner
  /** With so many replies pending the Client is not read from. */
  readonly #maxPending: number
  #pending = 0

  constructor(commits: Commits | undefined, owner: ReplyOwner, maxPending: number) {
    this.#commits = commits
    this.#owner = owner
    this.#maxPending = maxPending
  }

  get hasPending(): boolean {
    return this.#pending > 0
  }

  /** Whether a reply promises a change of the session that is not stored at once. */
  get #promisesCommit(): boolean {
    return this.#owner.session?.storage.isDurable === true
  }

  /**
   * Replies to a packet that changed the session: at once, or when the change is stored. `onRejected` takes the change
   * back when it cannot be stored; without it the commit is tried again.
   */
  reply(answer: () => void, onRejected?: (error: Error) => void): void {
    if (this.#promisesCommit) this.afterCommit(answer, onRejected)
    else answer()
  }

  /** As `reply` with an acknowledgement, without a closure for sessions that are not stored. */
  acknowledge(type: 'pubrel' | 'pubcomp', packetId: number, reasonCode: number): void {
    const { sender } = this.#owner
    if (this.#promisesCommit) this.afterCommit(() => sender.acknowledge(type, packetId, reasonCode))
    else sender.acknowledge(type, packetId, reasonCode)
  }

  /**
   * Calls `reply` when all changes so far are stored, or `onRejected` when that failed; without `onRejected` the commit
   * is tried again. A Client that is far ahead of the storage is not read from.
   */
  afterCommit(reply: () => void, onRejected?: (error: Error) => void): void {
    const commits = this.#commits
    if (commits === undefined) return reply()
    commits.backPressure.pausePublisher(this.#owner.input)
    this.#pending += 1
    if (this.#pending === this.#maxPending) this.#owner.input.pause()
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
    if (this.#pending === this.#maxPending) this.#owner.input.resume()
    this.#pending -= 1
  }
}

import type { Pausable } from '../sessions/back-pressure.ts'
import type { Session } from '../sessions/session.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import type { PacketSender } from './packet-sender.ts'

/** The connection that replies. */
export interface ReplyOwner {
  readonly session: Session | undefined
  readonly input: Pausable
  readonly sender: PacketSender
}

/** Keeps the order of the replies of one connection, some of which wait for a commit. */
export class ReplyOrder {
  readonly #commits: Pick<CommitQueue, 'backPressure' | 'afterCommit'> | undefined
  readonly #owner: ReplyOwner
  /** With this number of pending replies the Client is paused. */
  readonly #maxPending: number
  #pending = 0

  constructor(commits: CommitQueue | undefined, owner: ReplyOwner, maxPending: number) {
    this.#commits = commits
    this.#owner = owner
    this.#maxPending = maxPending
  }

  get hasPending(): boolean {
    return this.#pending > 0
  }

  /** Whether a reply acknowledges a change that needs a commit. */
  get #promisesCommit(): boolean {
    return this.#owner.session?.storage.isDurable === true
  }

  /**
   * Replies to a packet that changed the session; if the session is durable, after the commit. `onRejected`
   * rolls the change back if the commit fails; without it the commit is retried.
   */
  reply(send: () => void, onRejected?: (error: Error) => void): void {
    if (this.#promisesCommit) this.afterCommit(send, onRejected)
    else send()
  }

  /** The same for an acknowledgement, without a closure if the session is not durable. */
  acknowledge(type: 'pubrel' | 'pubcomp', packetId: number, reasonCode: number): void {
    const { sender } = this.#owner
    if (this.#promisesCommit) this.afterCommit(() => sender.acknowledge(type, packetId, reasonCode))
    else sender.acknowledge(type, packetId, reasonCode)
  }

  /**
   * Calls `reply` when all changes so far are committed, or `onRejected` if a commit failed; without `onRejected` the
   * commit is retried. Pauses a Client that is far ahead of the storage.
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

  /** Sends a reply that needs no commit, but must not overtake pending replies. */
  afterOthers(reply: () => void): void {
    if (this.hasPending) this.afterCommit(reply, reply)
    else reply()
  }

  #settled(): void {
    if (this.#pending === this.#maxPending) this.#owner.input.resume()
    this.#pending -= 1
  }
}

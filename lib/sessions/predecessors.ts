import type { Timer, Timers } from '../timers.ts'

/** A message of an ended connection that the application has not decided on: its last packets, or its Will. */
export interface Undecided {
  /** All before it is decided. Calls `decided` when this is decided, too, which may be at once. */
  begin(decided: () => void): void
  /** From now on one time limit applies to the connection, and none to a single hook. */
  limit(): void
  /**
   * The time limit is over. Returns a description of the dropped packets or Will. `isClosing` if the broker closes: a
   * stored Will then stays stored.
   */
  drop(isClosing: boolean): string
}

interface Waiting {
  readonly undecided: Undecided
  hasBegun: boolean
  deadline: Deadline | undefined
}

/** The time limit of one ended connection. */
interface Deadline {
  readonly timer: Timer
  /** Number of undecided entries. */
  open: number
}

/** The undecided entries of one Client, in order. */
interface Queue {
  readonly clientId: string
  waiting: Waiting[]
  isAdvancing: boolean
  /** Starts the handling of packets of the present connection. */
  whenDecided: (() => void) | undefined
}

interface PredecessorsContext {
  readonly timers: Timers
  /** Time limit of one ended connection, from the start of the next one. */
  readonly timeoutMs: number
  readonly reportError: (error: Error) => void
}

// How long the process may outlive the time limit.
const PROCESS_SLACK_MS = 1000
const MAX_TIMEOUT_MS = 2 ** 31 - 1

/**
 * The undecided packets and Wills of ended connections, by Client Identifier: a PUBLISH that a hook has not decided on,
 * the packets behind it, then the Will. Subscribers receive them before messages of the next connection [MQTT-4.6.0-6].
 *
 *   PUBLISH of A ──▶ Will of A ──▶ (B was taken over too: PUBLISH of B ──▶ Will of B) ──▶ packets of the present connection
 */
export class Predecessors {
  readonly #context: PredecessorsContext
  readonly #queues = new Map<string, Queue>()
  #whenEmpty: (() => void) | undefined

  constructor(context: PredecessorsContext) {
    this.#context = context
  }

  /** Whether an ended connection of the Client has undecided packets or an undecided Will. */
  has(clientId: string): boolean {
    return this.#queues.has(clientId)
  }

  /** Adds an entry, and begins at once if it is the first; with `isLimited` its time limit begins now. */
  add(clientId: string, undecided: Undecided, isLimited = false): void {
    let queue = this.#queues.get(clientId)
    if (queue === undefined) {
      queue = { clientId, waiting: [], isAdvancing: false, whenDecided: undefined }
      this.#queues.set(clientId, queue)
    }
    const waiting = { undecided, hasBegun: false, deadline: undefined }
    queue.waiting.push(waiting)
    if (isLimited) this.#limit(queue, [waiting])
    this.#advance(queue)
  }

  /** Removes an entry that has not begun. */
  remove(clientId: string, undecided: Undecided): void {
    const queue = this.#queues.get(clientId)
    const waiting = queue?.waiting.find((candidate) => candidate.undecided === undecided)
    if (queue === undefined || waiting === undefined) return
    this.#remove(queue, [waiting])
    this.#advance(queue)
  }

  /** The next connection of the Client starts the time limit of the undecided entries. */
  succeeded(clientId: string): void {
    const queue = this.#queues.get(clientId)
    const left = queue?.waiting.filter(({ deadline }) => deadline === undefined)
    if (queue !== undefined && left !== undefined && left.length > 0) this.#limit(queue, left)
  }

  #limit(queue: Queue, left: readonly Waiting[]): void {
    const { timers, timeoutMs } = this.#context
    const timer = timers.after(timeoutMs, () => this.#timeOut(queue, left))
    const deadline = { timer, open: left.length }
    for (const waiting of left) {
      waiting.deadline = deadline
      waiting.undecided.limit()
    }
  }

  /** Calls `run` when all entries are decided. Only the latest connection of a Client waits. */
  whenDecided(clientId: string, run: () => void): void {
    const queue = this.#queues.get(clientId)
    if (queue === undefined) run()
    else queue.whenDecided = run
  }

  /** The broker closes. Resolves when all entries are decided, at the latest after the time limit. */
  async close(): Promise<void> {
    if (this.#queues.size === 0) return
    const { timers, timeoutMs } = this.#context
    await new Promise<void>((resolve) => {
      for (const queue of this.#queues.values()) for (const { undecided } of queue.waiting) undecided.limit()
      const timer = timers.after(timeoutMs, () => this.#giveUp())
      // The timers of the broker do not keep the process alive, and a clock of the application may stand still.
      const process = setTimeout(() => this.#giveUp(), Math.min(timeoutMs + PROCESS_SLACK_MS, MAX_TIMEOUT_MS))
      this.#whenEmpty = () => {
        timers.cancel(timer)
        clearTimeout(process)
        resolve()
      }
    })
  }

  #advance(queue: Queue): void {
    if (queue.isAdvancing) return
    queue.isAdvancing = true
    for (let first = queue.waiting[0]; first !== undefined; first = queue.waiting[0]) {
      if (!first.hasBegun) this.#begin(queue, first)
      if (queue.waiting[0] === first) break
    }
    queue.isAdvancing = false
    if (queue.waiting.length > 0) return
    if (this.#queues.get(queue.clientId) === queue) this.#queues.delete(queue.clientId)
    queue.whenDecided?.()
    queue.whenDecided = undefined
    if (this.#queues.size === 0) this.#whenEmpty?.()
  }

  #begin(queue: Queue, waiting: Waiting): void {
    waiting.hasBegun = true
    waiting.undecided.begin(() => {
      if (queue.waiting[0] !== waiting) return // The entry was dropped.
      this.#remove(queue, [waiting])
      this.#advance(queue)
    })
  }

  #remove(queue: Queue, removed: readonly Waiting[]): void {
    queue.waiting = queue.waiting.filter((waiting) => !removed.includes(waiting))
    for (const { deadline } of removed) {
      if (deadline === undefined) continue
      deadline.open -= 1
      if (deadline.open === 0) this.#context.timers.cancel(deadline.timer)
    }
  }

  #timeOut(queue: Queue, left: readonly Waiting[]): void {
    const late = queue.waiting.filter((waiting) => left.includes(waiting))
    const dropped = late.map(({ undecided }) => undecided.drop(false)).join(' and ')
    this.#context.reportError(
      new Error(
        `hooks did not decide within ${this.#context.timeoutMs} ms on what Client ${queue.clientId} had sent before ` +
          `its next connection: ${dropped} dropped`,
      ),
    )
    this.#remove(queue, late)
    this.#advance(queue)
  }

  #giveUp(): void {
    const queues = [...this.#queues.values()]
    const clientIds = queues.slice(0, 10).map(({ clientId }) => clientId)
    this.#context.reportError(
      new Error(
        `hooks did not decide before the broker closed on what ${queues.length} Clients had sent: ` +
          clientIds.join(', ') +
          (queues.length > clientIds.length ? ', …' : ''),
      ),
    )
    for (const queue of queues) {
      for (const { undecided } of queue.waiting) undecided.drop(true)
      this.#remove(queue, queue.waiting)
      this.#advance(queue)
    }
  }
}

import type { Timer, Timers } from '../timers.ts'

/** A part of what a connection left when it ended, which the application has not decided on yet. */
export interface Undecided {
  /** What came before it is decided, so it may go on. Calls `decided` when it is done, which may be at once. */
  begin(decided: () => void): void
  /** From now on all that the connection left has one time limit together; a single hook has none. */
  limit(): void
  /**
   * Its time is over: it has no effect any more. Returns a description of what is dropped. `isClosing` when the broker
   * closes: what is stored stays stored.
   */
  drop(isClosing: boolean): string
}

interface Waiting {
  readonly undecided: Undecided
  hasBegun: boolean
  deadline: Deadline | undefined
}

/** The time limit of what one connection left. */
interface Deadline {
  readonly timer: Timer
  /** Parts that are not decided. */
  open: number
}

/** What the former connections of one Client left, in the order in which it has to become visible. */
interface Queue {
  readonly clientId: string
  waiting: Waiting[]
  isAdvancing: boolean
  /** Lets the packets of the present connection be handled. */
  whenDecided: (() => void) | undefined
}

interface PredecessorsContext {
  readonly timers: Timers
  /** Milliseconds for all that one connection left, from the moment in which another one follows it. */
  readonly timeoutMs: number
  readonly reportError: (error: Error) => void
}

// Milliseconds that the process outlives the time limit, at most.
const PROCESS_SLACK_MS = 1000
const MAX_TIMEOUT_MS = 2 ** 31 - 1

/**
 * What ended connections left undecided, by Client Identifier: a PUBLISH that a hook has not decided on, packets behind
 * it, then the Will. It becomes visible before anything of the next connection [MQTT-4.6.0-6]. Mostly it is empty.
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

  /** Whether something that the former connections of a Client left is not decided. */
  has(clientId: string): boolean {
    return this.#queues.has(clientId)
  }

  /** Begins with it, at once when nothing is before it. `isLimited` when its time limit begins now. */
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

  /** Takes something back that has not begun. */
  remove(clientId: string, undecided: Undecided): void {
    const queue = this.#queues.get(clientId)
    const waiting = queue?.waiting.find((candidate) => candidate.undecided === undecided)
    if (queue === undefined || waiting === undefined) return
    this.#leave(queue, [waiting])
    this.#advance(queue)
  }

  /** Another connection follows: what is undecided has its last time limit now. */
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

  /** Calls `run` when all is decided. Only the last connection of a Client waits: one that was followed is a predecessor. */
  whenDecided(clientId: string, run: () => void): void {
    const queue = this.#queues.get(clientId)
    if (queue === undefined) run()
    else queue.whenDecided = run
  }

  /** The broker closes. Resolves when all is decided, at the latest when the time limit is over. */
  async close(): Promise<void> {
    if (this.#queues.size === 0) return
    const { timers, timeoutMs } = this.#context
    await new Promise<void>((resolve) => {
      for (const queue of this.#queues.values()) for (const { undecided } of queue.waiting) undecided.limit()
      const timer = timers.after(timeoutMs, () => this.#giveUp())
      // The timers of the broker do not keep the process alive, and the broker's clock may stand still.
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
      if (queue.waiting[0] !== waiting) return // It was dropped.
      this.#leave(queue, [waiting])
      this.#advance(queue)
    })
  }

  #leave(queue: Queue, gone: readonly Waiting[]): void {
    queue.waiting = queue.waiting.filter((waiting) => !gone.includes(waiting))
    for (const { deadline } of gone) {
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
    this.#leave(queue, late)
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
      this.#leave(queue, queue.waiting)
      this.#advance(queue)
    }
  }
}

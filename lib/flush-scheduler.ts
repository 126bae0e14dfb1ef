/** A connection, or another part, with work for the time after the reads of this turn. */
export interface Flushable {
  flush(): void
}

// Work of one turn, after which further packets wait for the next turn: a few milliseconds.
const WORK_PER_TURN = 4096
// Connections that are flushed before the rest of the program has its turn: a write takes 5 microseconds or more. The
// others gather more meanwhile, so that one message to 1,000 receivers at QoS 1 costs half of the CPU.
const FLUSHES_PER_TURN = 64

/**
 * One turn of the event loop. What was written in it is flushed once at its end, with one write a connection,
 * which is worth 3 to 6 times the speed of a write a packet; and a turn that has done enough work lets the rest of
 * the program have its turn before it goes on.
 */
export class FlushScheduler {
  /** Messages delivered or packets handled in this turn. */
  used = 0
  /** The members of this turn, from `#next` on; `#later` has those of the next turn. */
  #current: Flushable[] = []
  #next = 0
  #later: Flushable[] = []
  #scheduled = false
  readonly #onError: (error: Error) => void

  constructor(onError: (error: Error) => void) {
    this.#onError = onError
  }

  get isExhausted(): boolean {
    return this.used >= WORK_PER_TURN
  }

  /** Calls `flush` after the reads of this turn or of a later one. The caller must not schedule it twice. */
  schedule(waiting: Flushable): void {
    this.#later.push(waiting)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#end)
  }

  readonly #end = (): void => {
    this.#scheduled = false
    this.used = 0
    if (this.#next === this.#current.length) {
      const spare = this.#current
      spare.length = 0
      this.#current = this.#later
      this.#later = spare
      this.#next = 0
    }
    const end = Math.min(this.#next + FLUSHES_PER_TURN, this.#current.length)
    // After an exhausted turn the rest comes first in the next one, so that a busy connection cannot delay the others.
    while (this.#next < end && !this.isExhausted) {
      try {
        this.#current[this.#next++]?.flush()
      } catch (error) {
        this.#onError(error as Error) // A fault of one must not stop the others.
      }
    }
    // So that closed connections can be collected.
    if (this.#next === this.#current.length) this.#current.length = this.#next = 0
    if (this.#current.length > 0 || this.#later.length > 0) this.#schedule()
  }
}

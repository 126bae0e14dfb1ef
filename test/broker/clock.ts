import type { Clock } from '../../types/options.ts'

interface Waiting {
  readonly due: number
  readonly callback: () => void
}

/** A time that stands still until it is told to move, and then passes every moment at which something is due. */
export class ManualClock implements Clock {
  #now = 1_000_000
  readonly #waiting = new Set<Waiting>()

  now(): number {
    return this.#now
  }

  setTimeout(callback: () => void, milliseconds: number): unknown {
    // As node does with what it cannot wait for.
    const wait = milliseconds > 2 ** 31 - 1 || !(milliseconds >= 1) ? 1 : milliseconds
    const waiting = { due: this.#now + wait, callback }
    this.#waiting.add(waiting)
    return waiting
  }

  clearTimeout(handle: never): void {
    this.#waiting.delete(handle)
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting.size
  }

  /** Lets this much time pass. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds
    for (;;) {
      let first: Waiting | undefined
      for (const waiting of this.#waiting) {
        if (waiting.due <= end && (first === undefined || waiting.due < first.due)) first = waiting
      }
      if (first === undefined) break
      this.#waiting.delete(first)
      this.#now = first.due
      first.callback()
    }
    this.#now = end
  }
}

import type { Clock } from '../../types/options.ts'

interface Waiting {
  readonly due: number
  readonly run: () => void
}

/** A clock that stands still until it is told to move, and then passes every timer at its own time. */
export class ManualClock implements Clock {
  #now = 0
  readonly #waiting = new Set<Waiting>()

  now(): number {
    return this.#now
  }

  setTimeout(callback: () => void, milliseconds: number): unknown {
    const waiting = { due: this.#now + milliseconds, run: callback }
    this.#waiting.add(waiting)
    return waiting
  }

  clearTimeout(handle: never): void {
    this.#waiting.delete(handle)
  }

  advanceTo(time: number): void {
    for (;;) {
      let first: Waiting | undefined
      for (const one of this.#waiting) if (one.due <= time && (first === undefined || one.due < first.due)) first = one
      if (first === undefined) break
      this.#waiting.delete(first)
      this.#now = Math.max(this.#now, first.due)
      first.run()
    }
    this.#now = time
  }
}

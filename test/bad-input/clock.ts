import type { Clock } from '../../types/options.ts'

/** Time that stands still until it is told to move. */
export class StandingClock implements Clock {
  #now = 1_700_000_000_000
  readonly #waiting = new Map<object, { due: number; callback: () => void }>()

  now(): number {
    return this.#now
  }

  setTimeout(callback: () => void, milliseconds: number): unknown {
    const handle = {}
    this.#waiting.set(handle, { due: this.#now + milliseconds, callback })
    return handle
  }

  clearTimeout(handle: object): void {
    this.#waiting.delete(handle)
  }

  /** Moves on, to each time-out in its order. */
  advance(milliseconds: number): void {
    const end = this.#now + milliseconds
    for (;;) {
      let next: [object, { due: number; callback: () => void }] | undefined
      for (const entry of this.#waiting) {
        if (entry[1].due <= end && (next === undefined || entry[1].due < next[1].due)) next = entry
      }
      if (next === undefined) break
      this.#waiting.delete(next[0])
      this.#now = Math.max(this.#now, next[1].due)
      next[1].callback()
    }
    this.#now = end
  }
}

import { setImmediate } from 'node:timers'
import type { Clock } from '../../lib/index.ts'

interface Alarm {
  readonly due: number
  readonly run: () => void
}

/** A clock that only a test moves. */
export class ManualClock implements Clock {
  #now = 1_700_000_000_000
  readonly #alarms = new Set<Alarm>()

  now(): number {
    return this.#now
  }

  setTimeout(run: () => void, milliseconds: number): Alarm {
    const alarm = { due: this.#now + Math.max(0, milliseconds), run }
    this.#alarms.add(alarm)
    return alarm
  }

  clearTimeout(alarm: Alarm): void {
    this.#alarms.delete(alarm)
  }

  /** Advances the time and calls the due timers, each at its time and in order. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds
    for (;;) {
      const next = [...this.#alarms].filter(({ due }) => due <= end).toSorted((a, b) => a.due - b.due)[0]
      if (next === undefined) break
      this.#alarms.delete(next)
      this.#now = Math.max(this.#now, next.due)
      next.run()
      // The callback may have set another timer.
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.#now = end
  }
}

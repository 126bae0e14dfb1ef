import type { Clock } from '../../types/options.ts'

interface Alarm {
  readonly due: number
  readonly run: () => void
}

// Node waits for 1 ms when it is asked to wait longer than this.
const LONGEST_WAIT = 2 ** 31 - 1

/** A clock that stands still until a test moves it, and then passes each time at which a timer is due. */
export class ManualClock implements Clock {
  #now: number
  readonly #alarms = new Set<Alarm>()

  constructor(start = 1_000_000) {
    this.#now = start
  }

  now(): number {
    return this.#now
  }

  setTimeout(run: () => void, milliseconds: number): unknown {
    const wait = milliseconds > LONGEST_WAIT || !(milliseconds >= 1) ? 1 : milliseconds
    const alarm = { due: this.#now + wait, run }
    this.#alarms.add(alarm)
    return alarm
  }

  clearTimeout(alarm: never): void {
    this.#alarms.delete(alarm)
  }

  /** How many timers there are. */
  get size(): number {
    return this.#alarms.size
  }

  /** Lets this much time pass; each timer runs when it is due. */
  advance(milliseconds: number): void {
    this.advanceTo(this.#now + milliseconds)
  }

  advanceTo(time: number): void {
    for (let alarm = this.#next(time); alarm !== undefined; alarm = this.#next(time)) {
      this.#alarms.delete(alarm)
      this.#now = Math.max(this.#now, alarm.due)
      alarm.run()
    }
    this.#now = time
  }

  /** Lets this much time pass while the process stands still, as after SIGSTOP: what became due runs late, at its end. */
  standStill(milliseconds: number): void {
    this.#now += milliseconds
    this.advanceTo(this.#now)
  }

  /** The first of those that are due at this time. */
  #next(time: number): Alarm | undefined {
    let first: Alarm | undefined
    for (const alarm of this.#alarms) {
      if (alarm.due <= time && (first === undefined || alarm.due < first.due)) first = alarm
    }
    return first
  }
}

/** The clock of one process on a machine: it begins at 0 with the process, and ends with it. */
export class ProcessClock implements Clock {
  readonly #machine: Clock
  readonly #begin: number
  #ended = false

  constructor(machine: Clock) {
    this.#machine = machine
    this.#begin = machine.now()
  }

  now(): number {
    return this.#machine.now() - this.#begin
  }

  wallClock(): number {
    return this.#machine.now()
  }

  setTimeout(run: () => void, milliseconds: number): unknown {
    return this.#machine.setTimeout(() => {
      if (!this.#ended) run()
    }, milliseconds)
  }

  clearTimeout(alarm: never): void {
    this.#machine.clearTimeout(alarm)
  }

  /** No timer of this process runs any more. */
  end(): void {
    this.#ended = true
  }
}

/** The real time, which can leap ahead: for brokers that share a real server, which no manual clock can move. */
export class LeapingClock implements Clock {
  #ahead = 0
  readonly #alarms = new Map<object, Alarm>()

  now(): number {
    return performance.now() + this.#ahead
  }

  wallClock(): number {
    return Date.now() + this.#ahead
  }

  setTimeout(run: () => void, milliseconds: number): unknown {
    const handle = setTimeout(() => {
      this.#alarms.delete(handle)
      run()
    }, milliseconds)
    this.#alarms.set(handle, { due: this.now() + milliseconds, run })
    return handle
  }

  clearTimeout(handle: never): void {
    this.#alarms.delete(handle)
    clearTimeout(handle)
  }

  /** In steps, so that brokers hear each other meanwhile. */
  async leap(milliseconds: number, step = 250): Promise<void> {
    const end = this.#ahead + milliseconds
    while (this.#ahead < end) {
      this.#ahead = Math.min(end, this.#ahead + step)
      for (const [handle, { due, run }] of Array.from(this.#alarms)) {
        if (due > this.now() || !this.#alarms.has(handle)) continue
        this.clearTimeout(handle as never)
        run()
      }
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

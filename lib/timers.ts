import type { Clock } from '../types/options.ts'

/** A function that is called at a given time, unless the timer is cancelled. */
export class Timer {
  due: number
  /** Timers of equal due time run in this order. */
  readonly sequence: number
  run: (() => void) | undefined
  /** Index in the heap; -1 if the timer is not in it. */
  index = -1

  constructor(due: number, sequence: number, run: () => void) {
    this.due = due
    this.sequence = sequence
    this.run = run
  }
}

function isBefore(one: Timer, other: Timer): boolean {
  return one.due === other.due ? one.sequence < other.sequence : one.due < other.due
}

// Node fires a timer with a longer delay at once, so a long wait takes several timers.
const MAX_WAIT_MS = 2 ** 31 - 1

/**
 * All timers of a broker: keep-alive, time-outs, session expiry, Will delay. A binary heap with one system timer for
 * the earliest entry, so that 100,000 sessions do not need 100,000 system timers.
 */
export class Timers {
  readonly #clock: Clock
  readonly #heap: Timer[] = []
  readonly #onError: (error: Error) => void
  #sequence = 0
  #handle: unknown
  #armedFor = Infinity

  constructor(clock: Clock, onError: (error: Error) => void) {
    this.#clock = clock
    this.#onError = onError
  }

  /** The current time in milliseconds; it never goes back. */
  now(): number {
    return this.#clock.now()
  }

  /** Converts a time of this clock to milliseconds since 1970, for storage and for other processes. */
  toWallClock(time: number): number {
    return Math.round(time - this.now() + this.#wallClock())
  }

  /** Converts milliseconds since 1970 to a time of this clock. */
  fromWallClock(time: number): number {
    return time - this.#wallClock() + this.now()
  }

  #wallClock(): number {
    return this.#clock.wallClock?.() ?? this.now()
  }

  after(milliseconds: number, run: () => void): Timer {
    return this.at(this.#clock.now() + milliseconds, run)
  }

  at(due: number, run: () => void): Timer {
    this.#sequence += 1
    const timer = new Timer(due, this.#sequence, run)
    this.#insert(timer)
    this.#arm()
    return timer
  }

  cancel(timer: Timer | undefined): void {
    if (timer === undefined || timer.index < 0) return
    timer.run = undefined
    this.#remove(timer)
  }

  /** Runs all timers that are due, in order, before it returns. */
  catchUp(): void {
    this.#disarm()
    this.#fire()
  }

  /** Number of pending timers. */
  get size(): number {
    return this.#heap.length
  }

  /** Cancels all timers. */
  clear(): void {
    for (const timer of this.#heap) timer.index = -1
    this.#heap.length = 0
    this.#disarm()
  }

  #arm(): void {
    const first = this.#heap[0]
    if (first === undefined || first.due >= this.#armedFor) return
    this.#disarm()
    this.#armedFor = first.due
    const wait = Math.min(Math.max(first.due - this.#clock.now(), 0), MAX_WAIT_MS)
    this.#handle = this.#clock.setTimeout(this.#fire, Math.ceil(wait))
    // The broker's timers must not prevent the exit of the program.
    ;(this.#handle as Partial<NodeJS.Timeout> | undefined)?.unref?.()
  }

  #disarm(): void {
    if (this.#handle !== undefined) this.#clock.clearTimeout(this.#handle as never)
    this.#handle = undefined
    this.#armedFor = Infinity
  }

  readonly #fire = (): void => {
    this.#handle = undefined
    this.#armedFor = Infinity
    const now = this.#clock.now()
    let first = this.#heap[0]
    while (first !== undefined && first.due <= now) {
      this.#remove(first)
      try {
        first.run?.()
      } catch (error) {
        this.#onError(error as Error) // A timer that throws must not stop the others.
      }
      first = this.#heap[0]
    }
    this.#arm()
  }

  #insert(timer: Timer): void {
    timer.index = this.#heap.length
    this.#heap.push(timer)
    this.#up(timer)
  }

  #remove(timer: Timer): void {
    const last = this.#heap.pop() as Timer
    const index = timer.index
    timer.index = -1
    if (last === timer) return
    this.#heap[index] = last
    last.index = index
    this.#up(last)
    this.#down(last)
  }

  #up(timer: Timer): void {
    const heap = this.#heap
    let index = timer.index
    while (index > 0) {
      const parentIndex = (index - 1) >> 1
      const parent = heap[parentIndex] as Timer
      if (isBefore(parent, timer)) break
      heap[index] = parent
      parent.index = index
      index = parentIndex
    }
    heap[index] = timer
    timer.index = index
  }

  #down(timer: Timer): void {
    const heap = this.#heap
    let index = timer.index
    for (;;) {
      let childIndex = 2 * index + 1
      if (childIndex >= heap.length) break
      if (childIndex + 1 < heap.length && isBefore(heap[childIndex + 1] as Timer, heap[childIndex] as Timer))
        childIndex += 1
      const child = heap[childIndex] as Timer
      if (isBefore(timer, child)) break
      heap[index] = child
      child.index = index
      index = childIndex
    }
    heap[index] = timer
    timer.index = index
  }
}

import type { Timer, Timers } from '../timers.ts'

/** A publisher that can be paused: a connection that stops reading. */
export interface Pausable {
  /** Each call of `pause` is followed by one call of `resume`. */
  pause(): void
  resume(): void
}

/**
 * A congested subscriber pauses its publishers, so that a burst costs time instead of messages. The pause ends after
 * `graceMs`: the subscriber is then slow, and pauses no publisher until its queue is drained.
 *
 *   flowing ──fills up──▶ congested ──grace is over──▶ slow
 *      ▲───────drained───────┴──────────drained──────────┘
 */
export class BackPressure {
  readonly #timers: Timers
  readonly #graceMs: number
  #paused: Set<Pausable> | undefined
  #state: 'flowing' | 'congested' | 'slow' = 'flowing'
  #timer: Timer | undefined

  constructor(timers: Timers, graceMs: number) {
    this.#timers = timers
    this.#graceMs = graceMs
  }

  /** Whether publishers are paused. */
  get isCongested(): boolean {
    return this.#state === 'congested'
  }

  pausePublisher(publisher: Pausable): void {
    if (!this.isCongested) return // The queue has drained meanwhile, so no call would resume the publisher.
    this.#paused ??= new Set()
    if (this.#paused.has(publisher)) return
    this.#paused.add(publisher)
    publisher.pause()
  }

  congest(): void {
    if (this.#state !== 'flowing') return
    this.#state = 'congested'
    this.#timer = this.#timers.after(this.#graceMs, () => {
      this.#state = 'slow'
      this.#resumeAll()
    })
  }

  relieve(): void {
    if (this.#state === 'flowing') return
    this.#state = 'flowing'
    this.#timers.cancel(this.#timer)
    this.#resumeAll()
  }

  #resumeAll(): void {
    const paused = this.#paused
    this.#paused = undefined
    for (const publisher of paused ?? []) publisher.resume()
  }
}

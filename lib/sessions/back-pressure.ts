import type { Timer, Timers } from '../timers.ts'

/** A publisher that can be paused: a connection that stops reading, or a publication of the application. */
export interface Pausable {
  /** Each call of `pause` is followed by one call of `resume`, unless the publisher is released by `forget`. */
  pause(by?: BackPressure): void
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
  /** No code of the application takes the messages yet; the code that publishes may be about to. */
  isUnattended = false
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
    publisher.pause(this)
  }

  /** The publisher does not wait any more, and is not resumed. */
  forget(publisher: Pausable): void {
    this.#paused?.delete(publisher)
  }

  congest(): void {
    if (this.#state !== 'flowing') return
    this.#state = this.#graceMs > 0 ? 'congested' : 'slow'
    if (!this.isCongested) return
    this.#timer = this.#timers.after(this.#graceMs, () => {
      this.#state = 'slow'
      this.#resumeAll()
    })
  }

  /** The subscriber has sent messages. A congested one that has some room resumes its publishers; a slow one does not. */
  progress(hasRoom: boolean): void {
    if (hasRoom && this.isCongested) this.relieve()
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

import type { Timer, Timers } from '../timers.ts'

/** Somebody who can be made to wait: a connection whose reading stops. */
export interface Pausable {
  /** Called when it is to wait; for each of these there is one `letGo`. */
  pause(): void
  resume(): void
}

/**
 * A receiver that falls behind holds back those who publish to it, so that a burst costs time instead of messages.
 * Not for long: one that has not caught up within the grace time is slow, and nobody waits for it until it has.
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

  /** Whether publishers should wait. */
  get isCongested(): boolean {
    return this.#state === 'congested'
  }

  pausePublisher(publisher: Pausable): void {
    if (!this.isCongested) return // It has drained meanwhile: nobody would let the publisher go.
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
    const held = this.#paused
    this.#paused = undefined
    for (const publisher of held ?? []) publisher.resume()
  }
}

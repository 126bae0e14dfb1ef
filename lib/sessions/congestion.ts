import type { Timer, Timers } from '../timers.ts'

/** Somebody who can be made to wait: a connection whose reading stops. */
export interface Held {
  /** Called when it is to wait; for each of these there is one `letGo`. */
  holdBack(): void
  letGo(): void
}

/**
 * A receiver that falls behind holds back those who publish to it, so that a burst costs time instead of messages.
 * Not for long: one that has not caught up within the grace time is slow, and nobody waits for it until it has.
 *
 *   flowing ──fills up──▶ congested ──grace is over──▶ slow
 *      ▲───────drained───────┴──────────drained──────────┘
 */
export class Congestion {
  readonly #timers: Timers
  readonly #graceMs: number
  #held: Set<Held> | undefined
  #state: 'flowing' | 'congested' | 'slow' = 'flowing'
  #timer: Timer | undefined

  constructor(timers: Timers, graceMs: number) {
    this.#timers = timers
    this.#graceMs = graceMs
  }

  /** Whether publishers should wait. */
  get holds(): boolean {
    return this.#state === 'congested'
  }

  hold(publisher: Held): void {
    if (!this.holds) return // It has drained meanwhile: nobody would let the publisher go.
    this.#held ??= new Set()
    if (this.#held.has(publisher)) return
    this.#held.add(publisher)
    publisher.holdBack()
  }

  fillsUp(): void {
    if (this.#state !== 'flowing') return
    this.#state = 'congested'
    this.#timer = this.#timers.after(this.#graceMs, () => {
      this.#state = 'slow'
      this.#letAllGo()
    })
  }

  drained(): void {
    if (this.#state === 'flowing') return
    this.#state = 'flowing'
    this.#timers.cancel(this.#timer)
    this.#letAllGo()
  }

  #letAllGo(): void {
    const held = this.#held
    this.#held = undefined
    for (const publisher of held ?? []) publisher.letGo()
  }
}

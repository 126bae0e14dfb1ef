import { ManualClock } from '../broker/clock.ts'

/** A clock of a process that can stand still, as after SIGSTOP: its timers then run late. */
export class StandingClock extends ManualClock {
  #stood = 0

  override now(): number {
    return super.now() + this.#stood
  }

  /** Lets this much time pass in which no timer runs; those that became due run at its end. */
  standStill(milliseconds: number): void {
    this.#stood += milliseconds - 1_000
    this.advance(1_000)
  }
}

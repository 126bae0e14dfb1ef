import type { Pausable } from '../sessions/back-pressure.ts'
import type { Timers } from '../timers.ts'

/** Limits the messages of a Client per second: after the message that reaches the limit the Client is paused. */
export class PublishRate {
  readonly #timers: Timers
  readonly #publisher: Pausable
  readonly #messagesPerSecond: number
  #count = 0
  #countedSince = 0

  constructor(timers: Timers, publisher: Pausable, messagesPerSecond: number) {
    this.#timers = timers
    this.#publisher = publisher
    this.#messagesPerSecond = messagesPerSecond
  }

  count(): void {
    const now = this.#timers.now()
    if (now - this.#countedSince >= 1000) {
      this.#countedSince = now
      this.#count = 0
    }
    this.#count += 1
    if (this.#count < this.#messagesPerSecond) return
    this.#publisher.pause()
    this.#timers.at(this.#countedSince + 1000, () => this.#publisher.resume())
  }
}

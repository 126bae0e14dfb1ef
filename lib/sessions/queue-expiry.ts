import type { Timer, Timers } from '../timers.ts'
import { RingQueue } from './ring-queue.ts'

/** A queue with messages that can expire. */
export interface ExpiringQueue {
  /** The timer for its next message; only `QueueExpiry` uses it. */
  expiryTimer: Timer | undefined
  /** When its next message expires; Infinity if there is none. */
  readonly nextExpiry: number
  /** Drops one message that has expired; returns false if there is none. */
  expireOne(now: number): boolean
  /** Some messages expired: others may be sent now, and publishers may go on. */
  sendPending(): void
}

// Messages that are dropped before the rest of the program runs.
const MAX_PER_TURN = 1000

/** Drops queued messages when they expire, so that they take no room from others [MQTT-3.3.2-5]. */
export class QueueExpiry {
  readonly #timers: Timers
  readonly #due = new RingQueue<ExpiringQueue>()
  #isScheduled = false

  constructor(timers: Timers) {
    this.#timers = timers
  }

  /** The queue has a new message that can expire. */
  watch(queue: ExpiringQueue): void {
    const due = queue.nextExpiry
    if (due === Infinity || (queue.expiryTimer !== undefined && queue.expiryTimer.due <= due)) return
    this.forget(queue)
    queue.expiryTimer = this.#timers.at(due, () => {
      queue.expiryTimer = undefined
      this.#due.push(queue)
      if (!this.#isScheduled) this.#run()
    })
  }

  /** The queue has ended. */
  forget(queue: ExpiringQueue): void {
    this.#timers.cancel(queue.expiryTimer)
    queue.expiryTimer = undefined
  }

  #run(): void {
    const now = this.#timers.now()
    let count = 0
    for (let queue = this.#due.peek(); queue !== undefined; queue = this.#due.peek()) {
      const before = count
      while (count < MAX_PER_TURN && queue.expireOne(now)) count += 1
      if (count > before) queue.sendPending()
      if (count >= MAX_PER_TURN) {
        this.#continueLater()
        return
      }
      this.#due.shift()
      this.watch(queue)
    }
  }

  #continueLater(): void {
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#run()
    })
  }
}

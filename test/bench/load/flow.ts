/**
 * A publisher in a closed loop: it sends again when its messages have arrived, so that every broker is always busy and
 * none is flooded. At QoS 0 a whole burst must arrive first; at QoS 1 and 2 the window slides.
 */
import type { Publisher } from './publisher.ts'

export class Flow {
  readonly publisher: Publisher
  /** Deliveries to all subscribers. */
  delivered = 0
  /** Set while the flow waits for the end of a chunk before it sends again. */
  touched = false
  running = false
  readonly #receivers: number
  readonly #window: number
  readonly #qos: number
  #seen = 0

  constructor(publisher: Publisher, options: { qos: number; window: number; receivers: number }) {
    this.publisher = publisher
    this.#qos = options.qos
    this.#window = options.window
    this.#receivers = options.receivers
  }

  get expected(): number {
    return this.publisher.sent * this.#receivers
  }

  advance(): void {
    if (!this.running) return
    const { sent, client } = this.publisher
    const arrived = this.#receivers === 0 ? client.acknowledged : Math.floor(this.delivered / this.#receivers)
    const done = this.#qos === 0 ? arrived : Math.min(arrived, client.acknowledged)
    const free = Math.min(this.#window, this.#window - sent + done)
    if (free <= 0 || (this.#qos === 0 && done < sent)) return
    this.publisher.send(free, performance.now())
  }

  /** Called at intervals, so that a dropped message does not stop the loop. */
  unstick(): void {
    if (!this.running) return
    if (this.#seen === this.delivered && this.#receivers > 0 && this.#qos === 0) {
      this.delivered = this.expected
      this.advance()
    }
    this.#seen = this.delivered
  }
}

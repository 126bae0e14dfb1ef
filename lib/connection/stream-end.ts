import type { Duplex } from 'node:stream'
import type { Timer, Timers } from '../timers.ts'

// Time for the Client to read the last packet and to close.
const LINGER_MS = 1000

/** Ends the stream of one connection, one side after the other. */
export class StreamEnd {
  /** The Client has ended its side. */
  inputEnded = false
  isClosed = false
  readonly #stream: Duplex
  readonly #timers: Timers
  #timer: Timer | undefined
  #whenClosed: (() => void)[] | undefined

  constructor(stream: Duplex, timers: Timers) {
    this.#stream = stream
    this.#timers = timers
  }

  /** The Server has ended its side; the Client has a moment to end its own. */
  linger(): void {
    if (this.inputEnded) this.destroyWhenWritten()
    this.#timer = this.#timers.after(LINGER_MS, () => this.#stream.destroy())
  }

  destroyWhenWritten(): void {
    if (this.#stream.writableFinished) this.#stream.destroy()
    else this.#stream.once('finish', () => this.#stream.destroy())
  }

  /** Resolves when the connection is ended and the stream closed. */
  closed(): Promise<void> {
    if (this.isClosed) return Promise.resolve()
    return new Promise((resolve) => {
      this.#whenClosed ??= []
      this.#whenClosed.push(resolve)
    })
  }

  finished(): void {
    this.#timers.cancel(this.#timer)
    for (const resolve of this.#whenClosed ?? []) resolve()
    this.#whenClosed = undefined
  }
}

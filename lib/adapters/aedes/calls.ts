import type { Persistence } from '../../../types/persistence.ts'
import { Gate } from './keyed-queue.ts'

/** So many calls are with the store at once; each is about another Client. */
const CALLS_AT_ONCE = 64

/** The store did not do what it was asked. */
export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly code = 'ERR_MQTT_STORE'
}

/** Calls the store so that whatever it does ends within its time: throws, rejects, or never answers. */
export class Calls {
  readonly #persistence: Persistence
  readonly #adapter: string
  readonly #timeout: number
  readonly #gate = new Gate(CALLS_AT_ONCE)
  /** What the store says when it does not have a packet; the words differ. */
  notThere: RegExp = /no such packet|not found/i

  constructor(persistence: Persistence, adapter: string, timeout: number) {
    this.#persistence = persistence
    this.#adapter = adapter
    this.#timeout = timeout
  }

  /** One call that must not be done twice. */
  call<T>(method: string, call: (store: Persistence) => T | Promise<T>, timeout: number = this.#timeout): Promise<T> {
    return this.#gate.pass(() => this.#within(method, timeout, async () => call(this.#persistence)))
  }

  /** One call that does no harm when it is done twice, so it gets a second try. */
  async callWithRetry<T>(method: string, call: (store: Persistence) => T | Promise<T>): Promise<T> {
    try {
      return await this.call(method, call)
    } catch (error) {
      if (this.isNotThere(error)) throw error
      return this.call(method, call)
    }
  }

  /** Reads what the store gives one by one, each within the time of one call. */
  async *list<T>(method: string, call: (store: Persistence) => AsyncIterable<T> | Iterable<T>): AsyncGenerator<T> {
    const iterator = await this.#within(method, this.#timeout, async () => {
      const items = call(this.#persistence)
      // A Readable of Node is both, and the asynchronous one is the one that waits.
      return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
    })
    let complete = false
    try {
      for (;;) {
        const next = await this.#within(method, this.#timeout, async () => iterator.next())
        if (next.done === true) break
        // Streams of some versions end with one of these.
        if (next.value !== undefined && next.value !== null) yield next.value
      }
      complete = true
    } finally {
      // Nobody waits for a stream that is not read to its end.
      if (!complete) Promise.resolve(iterator.return?.()).catch(() => undefined)
    }
  }

  isNotThere(error: unknown): boolean {
    return error instanceof StoreError && error.cause instanceof Error && this.notThere.test(error.cause.message)
  }

  /** Undefined instead of an error that says that there is none. */
  async orUndefined<T>(answer: Promise<T>): Promise<T | undefined> {
    try {
      return await answer
    } catch (error) {
      if (this.isNotThere(error)) return undefined
      throw error
    }
  }

  #within<T>(method: string, timeout: number, work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new StoreError(`${this.#adapter}: ${method} did not answer within ${timeout} ms`))
      }, timeout)
      work().then(
        (value) => {
          clearTimeout(timer)
          resolve(value)
        },
        (cause: unknown) => {
          clearTimeout(timer)
          const reason = cause instanceof Error ? cause.message : String(cause)
          reject(new StoreError(`${this.#adapter}: ${method} failed: ${reason}`, { cause }))
        },
      )
    })
  }
}

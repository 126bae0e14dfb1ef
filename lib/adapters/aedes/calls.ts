import type { Persistence } from '../../../types/persistence.ts'
import { Gate } from './keyed-queue.ts'

/** The number of concurrent calls; each is about another Client. */
const MAX_CONCURRENT_CALLS = 64

/** A call of the store failed. */
export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly code = 'ERR_MQTT_STORE'
}

/** Calls the store with a time limit, and makes a `StoreError` of each failure. */
export class Calls {
  readonly #persistence: Persistence
  readonly #adapter: string
  readonly #timeout: number
  readonly #gate = new Gate(MAX_CONCURRENT_CALLS)
  /** The error message of the store for a packet that it does not have; the words differ. */
  notFound: RegExp = /no such packet|not found/i

  constructor(persistence: Persistence, adapter: string, timeout: number) {
    this.#persistence = persistence
    this.#adapter = adapter
    this.#timeout = timeout
  }

  /** One call that must not be repeated. */
  call<T>(method: string, call: (store: Persistence) => T | Promise<T>, timeout: number = this.#timeout): Promise<T> {
    return this.#gate.pass(() => this.#within(method, timeout, async () => call(this.#persistence)))
  }

  /** One call that may be repeated, so it gets a second try. */
  async callWithRetry<T>(method: string, call: (store: Persistence) => T | Promise<T>): Promise<T> {
    try {
      return await this.call(method, call)
    } catch (error) {
      if (this.isNotFound(error)) throw error
      return this.call(method, call)
    }
  }

  /** Reads a list of the store, each item within the time limit of one call. */
  async *list<T>(method: string, call: (store: Persistence) => AsyncIterable<T> | Iterable<T>): AsyncGenerator<T> {
    const iterator = await this.#within(method, this.#timeout, async () => {
      const items = call(this.#persistence)
      // A Readable of Node.js is both; only the asynchronous iterator waits.
      return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
    })
    let complete = false
    try {
      for (;;) {
        const next = await this.#within(method, this.#timeout, async () => iterator.next())
        if (next.done === true) break
        // Streams of some versions end with undefined or null.
        if (next.value !== undefined && next.value !== null) yield next.value
      }
      complete = true
    } finally {
      // The end of a stream that is not read completely is not awaited.
      if (!complete) Promise.resolve(iterator.return?.()).catch(() => undefined)
    }
  }

  isNotFound(error: unknown): boolean {
    return error instanceof StoreError && error.cause instanceof Error && this.notFound.test(error.cause.message)
  }

  /** Returns undefined instead of the error for a missing packet. */
  async orUndefined<T>(result: Promise<T>): Promise<T | undefined> {
    try {
      return await result
    } catch (error) {
      if (this.isNotFound(error)) return undefined
      throw error
    }
  }

  #within<T>(method: string, timeout: number, work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new StoreError(`${this.#adapter}: ${method} did not respond within ${timeout} ms`))
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

import type { EventEmitter } from 'node:events'
import { inspect } from 'node:util'
import type { BrokerEvents } from '../types/events.ts'
import type { Logger } from '../types/options.ts'
import { isPromise } from './promises.ts'

/** Emits an event of the broker. */
export type Notify = <Name extends keyof BrokerEvents>(name: Name, ...values: BrokerEvents[Name]) => void

/** Calls a function, and emits its events when it has returned. */
export type NotifyAfter = (run: () => void) => void

interface WaitingEvent {
  readonly name: keyof BrokerEvents
  readonly values: readonly unknown[]
}

/**
 * Calls the listeners of the application. A listener that fails does not affect others. An event that happens while
 * listeners are called waits until all of them have been called, so that every listener sees the events in their order.
 */
export class Events {
  readonly #emitter: EventEmitter
  readonly #logger: Logger | undefined
  #isEmitting = false
  readonly #waiting: WaitingEvent[] = []

  constructor(emitter: EventEmitter, logger: Logger | undefined) {
    this.#emitter = emitter
    this.#logger = logger
  }

  /** Whether an event has a listener. Asked before `notify` for each message, because its arguments make an array. */
  readonly hasListener = (name: keyof BrokerEvents): boolean => this.#emitter.listenerCount(name) > 0

  /** Calls the listeners one by one, also after one that throws or rejects. */
  readonly notify: Notify = (name, ...values) => {
    if (this.#emitter.listenerCount(name) > 0) this.#emit(name, values)
  }

  /** Reports an error that no Client has caused: to the logger and as `error`, or as a warning of the process. */
  readonly reportError = (thrown: Error): void => {
    const error = errorOf(thrown)
    try {
      this.#logger?.error(error.stack ?? error.message)
    } catch (failure) {
      warn(failure)
    }
    if (this.#emitter.listenerCount('error') > 0) this.#emit('error', [error])
    else if (this.#logger === undefined) warn(error)
  }

  /** Calls `run`; its events are emitted when it has returned, so that listeners see the state after all of them. */
  readonly notifyAfter: NotifyAfter = (run) => {
    if (this.#isEmitting) return run()
    this.#isEmitting = true
    try {
      run()
    } finally {
      this.#emitWaiting()
    }
  }

  #emit(name: keyof BrokerEvents, values: readonly unknown[]): void {
    this.#waiting.push({ name, values })
    if (this.#isEmitting) return
    this.#isEmitting = true
    this.#emitWaiting()
  }

  #emitWaiting(): void {
    for (let next = 0; next < this.#waiting.length; next += 1) this.#callListeners(this.#waiting[next] as WaitingEvent)
    this.#waiting.length = 0
    this.#isEmitting = false
  }

  #callListeners({ name, values }: WaitingEvent): void {
    // An `error` event for each listener of `error` that fails would not end.
    const failed = name === 'error' ? warn : (error: unknown): void => this.reportError(error as Error)
    for (const listener of this.#emitter.rawListeners(name)) {
      try {
        const result: unknown = Reflect.apply(listener, this.#emitter, values)
        if (isPromise(result)) result.then(undefined, failed)
      } catch (error) {
        failed(error)
      }
    }
  }
}

function warn(error: unknown): void {
  process.emitWarning(errorOf(error))
}

/** JavaScript can throw any value. */
function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`${inspect(thrown)} was thrown`)
}

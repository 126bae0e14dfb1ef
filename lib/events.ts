import type { EventEmitter } from 'node:events'
import type { BrokerEvents } from '../types/events.ts'
import type { Logger } from '../types/options.ts'
import { isPromise } from './promises.ts'

/** Emits an event of the broker. */
export type Notify = <Name extends keyof BrokerEvents>(name: Name, ...values: BrokerEvents[Name]) => void

/** Calls the listeners of the application. A listener that fails does not affect others. */
export class Events {
  readonly #emitter: EventEmitter
  readonly #logger: Logger | undefined

  constructor(emitter: EventEmitter, logger: Logger | undefined) {
    this.#emitter = emitter
    this.#logger = logger
  }

  /** Calls the listeners one by one, also after one that throws or rejects. */
  readonly notify: Notify = (name, ...values) => {
    if (this.#emitter.listenerCount(name) === 0) return
    for (const listener of this.#emitter.rawListeners(name)) {
      try {
        const result: unknown = Reflect.apply(listener, this.#emitter, values)
        if (isPromise(result)) result.catch(this.reportError)
      } catch (error) {
        this.reportError(error as Error)
      }
    }
  }

  /** Reports an error that no Client has caused: to the logger and as `error`, or as a warning of the process. */
  readonly reportError = (error: Error): void => {
    this.#logger?.error(error.stack ?? error.message)
    if (this.#emitter.listenerCount('error') === 0) {
      if (this.#logger === undefined) process.emitWarning(error)
      return
    }
    try {
      this.#emitter.emit('error', error)
    } catch (failure) {
      process.emitWarning(failure as Error)
    }
  }
}

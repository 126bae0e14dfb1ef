import type { Emitter } from '../../types/emitter.ts'
import type { BrokerEvents } from '../../types/events.ts'
import type { PersistenceOperation } from '../../types/persistence.ts'
import type { Settings } from '../options.ts'
import { backendOf } from '../persistence/adapter/backend-of.ts'
import { log } from '../persistence/log/log-persistence.ts'
import type { Timers } from '../timers.ts'
import { Store } from './store.ts'

interface Surroundings {
  readonly emitter: Emitter
  /** Told of what the store has now. */
  committed(operations: readonly PersistenceOperation[]): void
  notify<Name extends keyof BrokerEvents>(name: Name, ...values: BrokerEvents[Name]): void
  reportError(error: Error): void
}

/** The store that the options ask for, not open yet; undefined when nothing is to outlive the process. */
export function makeStore(
  settings: Settings,
  bootId: string,
  timers: Timers,
  surroundings: Surroundings,
): Store | undefined {
  const { limits, logger, store: dir } = settings
  const warn = (text: string): void => {
    if (logger === undefined) process.emitWarning(text)
    else logger.warn(text)
  }
  const persistence = dir === undefined ? settings.persistence : log({ dir, onWarning: warn })
  if (persistence === undefined) return undefined
  const backend = backendOf(persistence, {
    id: bootId,
    emitter: surroundings.emitter,
    warn,
    now: () => timers.toWallClock(timers.now()),
  })
  return new Store(backend, {
    brokerId: bootId,
    timers,
    timeoutMs: limits.storeTimeoutMs,
    changed: (error) => {
      if (error === undefined) {
        surroundings.notify('storeRecovered')
        return
      }
      surroundings.notify('storeFailed', error)
      surroundings.reportError(error)
    },
    committed: (operations) => surroundings.committed(operations),
    report: (error) => surroundings.reportError(error),
  })
}

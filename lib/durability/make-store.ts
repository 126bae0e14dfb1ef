import type { Emitter } from '../../types/emitter.ts'
import type { BrokerEvents } from '../../types/events.ts'
import type { Persistence, PersistenceOperation } from '../../types/persistence.ts'
import type { Settings } from '../options.ts'
import { brokerHandle } from '../persistence/adapter/broker-handle.ts'
import { NativeBackend, type NativePersistence } from '../persistence/adapter/native-backend.ts'
import type { BrokerForStore } from '../persistence/backend.ts'
import { DeferredBackend } from '../persistence/deferred-backend.ts'
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
  const { persistence } = settings
  if (dir === undefined && persistence === undefined) return undefined
  const broker: BrokerForStore = {
    id: bootId,
    emitter: surroundings.emitter,
    warn,
    now: () => timers.toWallClock(timers.now()),
  }
  const backend = isNative(persistence)
    ? new NativeBackend(persistence, brokerHandle(bootId, surroundings.emitter))
    : new DeferredBackend(async () => {
        const { backendOf } = await import('../persistence/adapter/backend-of.ts')
        if (dir === undefined) return backendOf(persistence, broker)
        const { log } = await import('../persistence/log/log-persistence.ts')
        return backendOf(log({ dir, onWarning: warn }), broker)
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

/** One that takes whole lists of changes needs no code of ours. */
function isNative(persistence: Partial<Persistence> | undefined): persistence is NativePersistence {
  return persistence?.commit !== undefined && persistence.readAll !== undefined
}

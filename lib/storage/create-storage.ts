import type { Emitter } from '../../types/emitter.ts'
import type { BrokerEvents } from '../../types/events.ts'
import type { Persistence } from '../../types/persistence.ts'
import type { Settings } from '../options.ts'
import { brokerHandle } from '../adapters/aedes/broker-handle.ts'
import { NativeStorage, type NativePersistence } from './native-storage.ts'
import type { StorageBroker } from './storage.ts'
import { LazyStorage } from './lazy-storage.ts'
import type { Timers } from '../timers.ts'
import type { Change } from './commit-batch.ts'
import { CommitQueue } from './commit-queue.ts'

interface StorageEnvironment {
  readonly emitter: Emitter
  /** Told of what the store has now. */
  committed(changes: Iterable<Change>): void
  notify<Name extends keyof BrokerEvents>(name: Name, ...values: BrokerEvents[Name]): void
  reportError(error: Error): void
}

/** The store that the options ask for, not open yet; undefined when nothing is to outlive the process. */
export function createStorage(
  settings: Settings,
  bootId: string,
  timers: Timers,
  surroundings: StorageEnvironment,
): CommitQueue | undefined {
  const { limits, logger, store: dir } = settings
  const warn = (text: string): void => {
    if (logger === undefined) process.emitWarning(text)
    else logger.warn(text)
  }
  const { persistence } = settings
  if (dir === undefined && persistence === undefined) return undefined
  const broker: StorageBroker = {
    id: bootId,
    emitter: surroundings.emitter,
    warn,
    now: () => timers.toWallClock(timers.now()),
  }
  const storage = isNative(persistence)
    ? new NativeStorage(persistence, brokerHandle(bootId, surroundings.emitter))
    : new LazyStorage(async () => {
        const { storageOf } = await import('../adapters/aedes/storage-of.ts')
        if (dir === undefined) return storageOf(persistence, broker)
        const { log } = await import('./log/log-persistence.ts')
        return storageOf(log({ dir, onWarning: warn }), broker)
      })
  return new CommitQueue(storage, {
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
    committed: (changes) => surroundings.committed(changes),
    report: (error) => surroundings.reportError(error),
  })
}

/** One that takes whole lists of changes needs no code of ours. */
function isNative(persistence: Partial<Persistence> | undefined): persistence is NativePersistence {
  return persistence?.commit !== undefined && persistence.readAll !== undefined
}

import type { Emitter } from '../../types/emitter.ts'
import type { BrokerEvents } from '../../types/events.ts'
import type { Storage } from '../../types/storage.ts'
import type { Settings } from '../options.ts'
import type { Timers } from '../timers.ts'
import type { Change } from './commit-batch.ts'
import { CommitQueue } from './commit-queue.ts'
import { isStorage } from './is-storage.ts'
import { lazyStorage } from './lazy-storage.ts'

interface StorageEnvironment {
  readonly emitter: Emitter
  /** Called with the changes that are committed. */
  committed(changes: Iterable<Change>): void
  notify<Name extends keyof BrokerEvents>(name: Name, ...values: BrokerEvents[Name]): void
  reportError(error: Error): void
}

/** The commit queue of the store that the options ask for, not open yet; undefined when nothing is to be stored. */
export function createStorage(
  settings: Settings,
  bootId: string,
  timers: Timers,
  environment: StorageEnvironment,
): CommitQueue | undefined {
  const { limits, logger } = settings
  const warn = (message: string): void => {
    if (logger === undefined) process.emitWarning(message)
    else logger.warn(message)
  }
  const storage = storageOfOptions(settings, warn)
  if (storage === undefined) return undefined
  return new CommitQueue(storage, {
    broker: { id: bootId, emitter: environment.emitter, warn, now: () => timers.toWallClock(timers.now()) },
    timers,
    timeoutMs: limits.storeTimeoutMs,
    changed: (error) => {
      if (error === undefined) {
        environment.notify('storeRecovered')
        return
      }
      environment.notify('storeFailed', error)
      environment.reportError(error)
    },
    committed: (changes) => environment.committed(changes),
    report: (error) => environment.reportError(error),
  })
}

function storageOfOptions(
  { store: dir, persistence }: Settings,
  onWarning: (message: string) => void,
): Storage | undefined {
  if (dir !== undefined) {
    return lazyStorage(async () => {
      const { log } = await import('./log/log-persistence.ts')
      return log({ dir, onWarning })
    })
  }
  if (persistence === undefined || isStorage(persistence)) return persistence
  return lazyStorage(async () => {
    const { storageOf } = await import('../adapters/aedes/storage-of.ts')
    return storageOf(persistence)
  })
}

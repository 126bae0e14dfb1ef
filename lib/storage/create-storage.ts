import type { Emitter } from '../../types/emitter.ts'
import type { BrokerEvents } from '../../types/events.ts'
import type { Storage } from '../../types/storage.ts'
import type { Settings } from '../options.ts'
import type { Timers } from '../timers.ts'
import type { Change } from './commit-batch.ts'
import { CommitQueue } from './commit-queue.ts'

const storageMethods = ['open', 'readAll', 'commit', 'close'] as const satisfies readonly (keyof Storage)[]

interface StorageEnvironment {
  readonly emitter: Emitter
  /** Called with the changes that are committed. */
  committed(changes: Iterable<Change>): void
  notify<Name extends keyof BrokerEvents>(name: Name, ...values: BrokerEvents[Name]): void
  reportError(error: Error): void
}

/** Returns the commit queue of the store of the options, not open yet; undefined without a store. */
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
    store: settings.persistence,
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

/** Whether an object implements `Storage`; a persistence made for aedes does not. */
function isStorage(value: unknown): value is Storage {
  if (typeof value !== 'object' || value === null) return false
  const members = value as Partial<Record<keyof Storage, unknown>>
  return storageMethods.every((method) => typeof members[method] === 'function')
}

/** A store whose code is loaded when it is opened: a broker without a store does not load it. */
function lazyStorage(load: () => Promise<Storage>): Storage {
  let opened: Storage | undefined
  const storage = (): Storage => {
    if (opened === undefined) throw new Error('the store is not open')
    return opened
  }
  return {
    async open(broker) {
      opened = await load()
      await opened.open(broker)
    },
    readAll: () => storage().readAll(),
    readSession: (clientId) => storage().readSession(clientId),
    commit: (operations) => storage().commit(operations),
    get findIncoming() {
      const { findIncoming } = storage()
      return findIncoming?.bind(storage())
    },
    get oneCopyPerQueue() {
      return opened?.oneCopyPerQueue
    },
    get reserved() {
      return opened?.reserved
    },
    get shared() {
      return storage().shared
    },
    close: async () => opened?.close(),
  }
}

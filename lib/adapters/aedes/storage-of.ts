import type { Persistence } from '../../../types/persistence.ts'
import type { Storage } from '../../../types/storage.ts'
import { InvalidOptionError } from '../../errors.ts'
import { type AdapterOptions, AedesStorage } from './aedes-storage.ts'
import { CommitPersistence, type PersistenceWithCommit } from './commit-persistence.ts'
import { promiseForm } from './promise-form.ts'

/** The methods of every persistence since aedes-persistence 9. */
const methods = [
  'storeRetained',
  'createRetainedStream',
  'addSubscriptions',
  'removeSubscriptions',
  'cleanSubscriptions',
  'subscriptionsByClient',
  'countOffline',
  'getClientList',
  'outgoingEnqueue',
  'outgoingEnqueueCombi',
  'outgoingUpdate',
  'outgoingClearMessageId',
  'outgoingStream',
  'incomingStorePacket',
  'incomingGetPacket',
  'incomingDelPacket',
  'putWill',
  'getWill',
  'delWill',
  'streamWill',
  'destroy',
] as const satisfies readonly (keyof Persistence)[]

/** Returns a `Storage` that uses the persistence. */
export function storageOf(persistence: unknown, options: AdapterOptions = {}): Storage {
  if (typeof persistence !== 'object' || persistence === null) {
    throw new InvalidOptionError(`persistence: expected an object, got ${String(persistence)}`)
  }
  const members = persistence as Partial<Record<keyof Persistence, unknown>>
  if (typeof members.commit === 'function' && typeof members.readAll === 'function') {
    return new CommitPersistence(persistence as PersistenceWithCommit)
  }
  const missing = methods.filter((method) => typeof members[method] !== 'function')
  if (missing.length > 0) {
    throw new InvalidOptionError(
      'persistence: expected open, readAll, readSession, commit and close of a Storage, or the methods of ' +
        `aedes-persistence, missing ${missing.join(', ')}`,
    )
  }
  return new AedesStorage(promiseForm(persistence), nameOf(persistence), options)
}

/** aedes-persistence wraps most into one class; the name of the inner class says more. */
function nameOf(persistence: object): string {
  const { asyncPersistence } = persistence as { asyncPersistence?: unknown }
  const inner = typeof asyncPersistence === 'object' && asyncPersistence !== null ? asyncPersistence : persistence
  const { name } = inner.constructor
  return name === 'Object' || name === '' ? 'persistence' : name
}

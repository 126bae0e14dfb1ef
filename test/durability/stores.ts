/** The stores that these tests damage. */
import { createRequire } from 'node:module'
import * as haltere from '../../lib/index.ts'
import type { Persistence } from '../../types/persistence.ts'

const log = (haltere as unknown as { log: (settings: { dir: string }) => Persistence }).log

export function openLog(dir: string): Persistence {
  return log({ dir })
}

export function aedesMemory(): Persistence {
  const AsyncPersistence = createRequire(import.meta.url)(
    'aedes-persistence/asyncPersistence.js',
  ) as new () => Persistence
  return new AsyncPersistence()
}

/** Without `$SYS`; the store has so many milliseconds to answer. */
export function brokerWith(persistence: Persistence, storeTimeoutMs = 10_000): haltere.Broker {
  const options: Record<string, unknown> = { persistence, sysInterval: false, limits: { storeTimeoutMs } }
  return new haltere.Broker(options)
}

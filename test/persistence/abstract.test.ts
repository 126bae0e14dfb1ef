/** The suite that aedes-persistence has for every persistence. */
import { createRequire } from 'node:module'
import { after, test } from 'node:test'
import { LogPersistence } from '../../lib/storage/log/log-persistence.ts'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type { Persistence } from '../../types/persistence.ts'
import { directories } from './log-directories.ts'

const abstractPersistence: (options: {
  test: typeof test
  persistence: () => Promise<Persistence>
  testAsync: true
}) => void = createRequire(import.meta.url)('aedes-persistence/abstract.js')

const { make, removeAll } = directories()
after(removeAll)

abstractPersistence({ test, persistence: async () => new MemoryPersistence(), testAsync: true })
abstractPersistence({ test, persistence: async () => new LogPersistence({ dir: make() }), testAsync: true })

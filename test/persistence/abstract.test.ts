/** The suite that aedes-persistence has for every persistence. */
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type { Persistence } from '../../types/persistence.ts'

const abstractPersistence: (options: {
  test: typeof test
  persistence: () => Promise<Persistence>
  testAsync: true
}) => void = createRequire(import.meta.url)('aedes-persistence/abstract.js')

abstractPersistence({ test, persistence: async () => new MemoryPersistence(), testAsync: true })

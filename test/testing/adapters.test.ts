/** The suite as the author of a store uses it: from the built package, on stores that others wrote. */
import { rmSync, mkdtempSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { type Persistence, testPersistence } from 'haltere/testing'
import { patienceMs } from '../support/patience.ts'

const require = createRequire(import.meta.url)
const memory = require('aedes-persistence') as () => Persistence // in its promise form
const level = require('aedes-persistence-level') as (database: unknown) => Persistence

testPersistence({
  name: 'aedes-persistence',
  timeLimit: patienceMs / 1000,
  open: () => memory(),
  without: ['dollar-topics', 'empty-levels', 'granted-filters', 'optional-methods', 'commit'],
})

const folders = new Map<Persistence, string>()

function openLevel(folder: string): Persistence {
  const persistence = level(new ClassicLevel(folder, { valueEncoding: 'binary' }))
  folders.set(persistence, folder)
  return persistence
}

testPersistence({
  name: 'aedes-persistence-level',
  timeLimit: patienceMs / 1000,
  open: () => openLevel(mkdtempSync(join(tmpdir(), 'haltere-level-'))),
  reopen: (closed) => openLevel(folders.get(closed)!),
  remove: (closed) => rmSync(folders.get(closed)!, { recursive: true }),
  without: [
    'packet-properties',
    'broker-order',
    'qos-0-subscriptions',
    'dollar-topics',
    'empty-levels',
    'optional-methods',
    'commit',
  ],
})

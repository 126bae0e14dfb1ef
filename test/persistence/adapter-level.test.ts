import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { isLong } from '../support/length.ts'
import { adapterConformance } from './adapter-conformance.ts'

const levelPersistence: (db: unknown) => unknown = createRequire(import.meta.url)('aedes-persistence-level')

adapterConformance(
  'aedes-persistence-level',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'haltere-level-'))
    return {
      persistence: () => levelPersistence(new ClassicLevel(folder)),
      end: () => rm(folder, { recursive: true }),
    }
  },
  isLong ? 5000 : 1200,
)

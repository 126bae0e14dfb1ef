/** What our broker needs of a `Storage`, of the durable one and with a restart before each question. */
import { rmSync } from 'node:fs'
import { LogPersistence } from '../../lib/storage/log/log-persistence.ts'
import { testPersistence } from '../../lib/testing/index.ts'
import { isLong } from '../support/length.ts'
import { patienceMs } from '../support/patience.ts'
import { directories } from './log-directories.ts'

const { make } = directories()
const dirs = new Map<LogPersistence, string>()

function open(dir: string, segmentBytes: number): LogPersistence {
  const store = new LogPersistence({ dir, durability: 'os', segmentBytes })
  dirs.set(store, dir)
  return store
}

for (const segmentBytes of isLong ? [67_108_864] : [4096]) {
  testPersistence({
    name: `log, files of ${segmentBytes} bytes`,
    open: () => open(make(), segmentBytes),
    timeLimit: patienceMs / 1000,
    reopen: (closed) => open(dirs.get(closed)!, segmentBytes),
    remove: (closed) => rmSync(dirs.get(closed)!, { recursive: true, force: true }),
    without: ['aedes-methods'],
  })
}

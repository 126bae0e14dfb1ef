/** the power goes at any moment, and the disk has of what was not synced whatever it likes. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { LogPersistence } from '../../lib/storage/log/log-persistence.ts'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import { Random } from '../fuzz/random.ts'
import { isLong } from '../support/length.ts'
import { directories } from './log-directories.ts'
import { commits, contentsOf } from './log-operations.ts'
import { SimulatedDisk } from './simulated-disk.ts'

const { make, removeAll } = directories()
after(removeAll)

const RUNS = isLong ? 150 : 20

/** The lock is in a real directory, which each start has for itself, as after the end of all processes. */
async function open(disk: SimulatedDisk): Promise<LogPersistence> {
  const store = new LogPersistence(
    { dir: make(), durability: 'fsync', segmentBytes: 4096, onWarning: () => undefined },
    disk.files,
  )
  await store.open()
  return store
}

test('after a loss of power everything is there that was said to be safe, and the rest as a whole or not at all', async () => {
  let losses = 0
  let unsafe = 0
  await fc.assert(
    fc.asyncProperty(commits, fc.nat(), async (list, seed) => {
      const random = new Random(seed)
      let disk = new SimulatedDisk(random)
      let store = await open(disk)
      /** What the store must have: after each commit that it may have in part of its list. */
      let expected = [await contentsOf(new MemoryPersistence())]
      const model = new MemoryPersistence()
      let safeCount = 0
      const pending: Promise<unknown>[] = []
      for (const [index, operations] of list.entries()) {
        await model.commit(operations)
        expected.push(await contentsOf(model))
        const number = expected.length - 1
        pending.push(
          store.commit(operations).then(() => {
            safeCount = Math.max(safeCount, number)
          }),
        )
        if (random.below(4) === 0) void store.compact().catch(() => undefined)
        // Somewhere in the middle of what the store is doing.
        for (let turns = random.below(6); turns > 0; turns -= 1) await new Promise(setImmediate)
        if (random.below(3) === 0) await Promise.all(pending)
        if (random.below(6) !== 0 && index < list.length - 1) continue

        const safe = safeCount
        unsafe += disk.unsafe
        disk = disk.afterPowerLoss()
        losses += 1
        void store.close().catch(() => undefined)
        store = await open(disk)
        const contents = await contentsOf(store)
        const found = expected.findLastIndex((each, count) => count >= safe && isSame(each, contents))
        assert.notEqual(found, -1, `after ${safe} commits that were safe, of ${expected.length - 1}`)
        // It goes on from what it has; what was not safe and is gone is told again.
        const again = new MemoryPersistence()
        const all = list.slice(0, index + 1)
        for (const each of all) await again.commit(each)
        for (const each of all.slice(found)) await store.commit(each)
        assert.deepEqual(await contentsOf(store), await contentsOf(again))
        expected = [...expected.slice(0, -1), await contentsOf(again)]
        safeCount = expected.length - 1
        pending.length = 0
      }
      await store.close()
    }),
    { numRuns: RUNS, seed: 1 },
  )
  assert.ok(losses > RUNS && unsafe > RUNS, `${losses} losses with ${unsafe} changes that were not safe`)
})

function isSame(one: unknown, other: unknown): boolean {
  try {
    assert.deepEqual(one, other)
    return true
  } catch {
    return false
  }
}

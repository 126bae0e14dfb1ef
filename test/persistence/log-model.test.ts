/** The log store has what a store in memory has, whatever is committed and whenever it stops. */
import assert from 'node:assert/strict'
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { type Files, machineFiles } from '../../lib/storage/log/files.ts'
import { LogPersistence } from '../../lib/storage/log/log-persistence.ts'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import { isLong } from '../support/length.ts'
import { directories } from './log-directories.ts'
import { commits, contentsOf } from './log-operations.ts'

const { make, removeAll } = directories()
after(removeAll)

const seed = 20_261_124
const unexpected = (message: string): never => assert.fail(`unexpected warning: ${message}`)

async function open(dir: string, files?: Files, onWarning: (message: string) => void = unexpected) {
  const store = new LogPersistence({ dir, durability: 'os', segmentBytes: 4096, onWarning }, files)
  await store.open()
  return store
}

test('after restarts and compactions everything is as it is in memory', async () => {
  const steps = fc.tuple(commits, fc.array(fc.constantFrom('restart', 'compact', 'compact and wait', 'go on')))
  await fc.assert(
    fc.asyncProperty(steps, async ([list, between]) => {
      const dir = make()
      const model = new MemoryPersistence()
      let store = await open(dir)
      let compaction: Promise<unknown> = Promise.resolve()
      for (const [index, operations] of list.entries()) {
        await Promise.all([model.commit(operations), store.commit(operations)])
        const next = between[index]
        if (next === 'restart') {
          await compaction
          await store.close()
          store = await open(dir)
          assert.deepEqual(await contentsOf(store), await contentsOf(model), `after commit ${index}`)
        } else if (next === 'compact') compaction = store.compact()
        else if (next === 'compact and wait') {
          await store.compact()
          assert.deepEqual(await contentsOf(store), await contentsOf(model), `after commit ${index}`)
        }
      }
      await compaction
      const { liveBytes } = store.diskUse
      await store.close()
      store = await open(dir)
      assert.deepEqual(await contentsOf(store), await contentsOf(model))
      assert.equal(store.diskUse.liveBytes, liveBytes, 'what is needed is counted')
      await store.close()
    }),
    { numRuns: isLong ? 60 : 20, seed },
  )
})

test('commits that overlap, with a compaction beside them, are done in their order', async () => {
  await fc.assert(
    fc.asyncProperty(commits, async (list) => {
      const dir = make()
      const model = new MemoryPersistence()
      const store = await open(dir)
      const done: Promise<unknown>[] = []
      for (const [index, operations] of list.entries()) {
        await model.commit(operations)
        done.push(store.commit(operations))
        if (index % 7 === 3) done.push(store.compact())
        if (index % 5 === 4) await new Promise(setImmediate)
      }
      await Promise.all(done)
      assert.deepEqual(await contentsOf(store), await contentsOf(model))
      await store.close()
      const again = await open(dir)
      assert.deepEqual(await contentsOf(again), await contentsOf(model))
      await again.close()
    }),
    { numRuns: isLong ? 60 : 20, seed },
  )
})

test('a last segment that is cut off anywhere has the commits before that place', async () => {
  const [list = []] = fc.sample(commits, { numRuns: 30, seed }).filter((sample) => sample.length >= 8)
  const dir = make()
  const model = new MemoryPersistence()
  const store = await open(dir)
  const ends = [0]
  const expected = [await contentsOf(model)]
  for (const operations of list.slice(0, 5)) {
    await model.commit(operations)
    await store.commit(operations)
    ends.push(store.diskUse.bytes)
    expected.push(await contentsOf(model))
  }
  await store.close()
  const name = readdirSync(dir).find((each) => each.endsWith('.log'))!
  const bytes = readFileSync(join(dir, name))
  assert.equal(bytes.length, ends.at(-1))
  const cut = make()
  for (let length = 0; length <= bytes.length; length += isLong ? 1 : 23) {
    writeFileSync(join(cut, name), bytes.subarray(0, length))
    const warnings: string[] = []
    const again = await open(cut, undefined, (message) => warnings.push(message))
    const count = ends.findLastIndex((end) => end <= length)
    assert.deepEqual(await contentsOf(again), expected[count], `cut off at byte ${length}`)
    await again.commit([{ kind: 'end session', clientId: 'nobody' }])
    await again.close()
  }
})

/** Calls `crash` before and in the middle of everything that changes a file. */
function filesWith(crash: () => void): Files {
  return {
    ...machineFiles,
    async open(path, flags, mode) {
      crash()
      const file = await machineFiles.open(path, flags, mode)
      crash()
      return {
        read: file.read.bind(file),
        async write(buffer, offset, length, position) {
          crash()
          const half = length >> 1
          await file.write(buffer, offset, half, position)
          crash()
          await file.write(buffer, offset + half, length - half, position + half)
          return { bytesWritten: length }
        },
        datasync: file.datasync.bind(file),
        async truncate(length) {
          crash()
          await file.truncate(length)
        },
        stat: file.stat.bind(file),
        close: file.close.bind(file),
      }
    },
    async remove(path) {
      crash()
      await machineFiles.remove(path)
    },
  }
}

test('a process that stops at any moment, also of a compaction, loses and doubles nothing', async () => {
  const samples = fc.sample(commits, { numRuns: 40, seed }).filter((sample) => sample.length >= 30)
  for (const list of samples.slice(0, isLong ? 3 : 1)) {
    const dir = make()
    const model = new MemoryPersistence()
    const expected = [await contentsOf(model)]
    let issued = 0
    let resolved = 0
    const crashes: { readonly dir: string; readonly from: number; readonly to: number }[] = []
    let isOpen = false
    const store = await open(
      dir,
      filesWith(() => {
        if (!isOpen) return
        const copy = make()
        cpSync(dir, copy, { recursive: true, filter: (path) => !path.includes('lock') })
        crashes.push({ dir: copy, from: resolved, to: issued })
      }),
    )
    isOpen = true
    let compaction: Promise<unknown> = Promise.resolve()
    for (const [index, operations] of list.entries()) {
      await model.commit(operations)
      expected.push(await contentsOf(model))
      issued += 1
      if (index % 9 === 5) {
        await compaction
        compaction = store.compact()
      }
      await store.commit(operations)
      resolved += 1
    }
    await compaction
    await store.close()
    assert.ok(crashes.length > 100, `${crashes.length} moments`)
    for (const [index, crash] of crashes.entries()) {
      const again = await open(crash.dir, undefined, () => undefined)
      const contents = await contentsOf(again)
      const possible = expected.slice(crash.from, crash.to + 1)
      if (!possible.some((each) => isEqual(each, contents))) {
        assert.deepEqual(contents, possible[0], `moment ${index}, ${crash.from} to ${crash.to} commits`)
      }
      await again.close()
    }
  }
})

function isEqual(left: unknown, right: unknown): boolean {
  try {
    assert.deepEqual(left, right)
    return true
  } catch {
    return false
  }
}

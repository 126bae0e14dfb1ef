/** What the log store does when the disk, the files or the process fail. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, suite, test } from 'node:test'
import { crc32 as zlibCrc32 } from 'node:zlib'
import { crc32, crc32ByTable } from '../../lib/storage/log/checksum.ts'
import { type File, type Files, machineFiles } from '../../lib/storage/log/files.ts'
import { log, type LogOptions, LogPersistence } from '../../lib/storage/log/log-persistence.ts'
import { isLong } from '../support/length.ts'
import type { PersistenceOperation } from '../../types/persistence.ts'
import { directories } from './log-directories.ts'
import { step } from './log-child.ts'
import { contentsOf } from './log-operations.ts'

const { make, removeAll } = directories()
after(removeAll)

const KILLS = isLong ? 20 : 3

const child = join(import.meta.dirname, 'log-child.js')

const session: PersistenceOperation = {
  kind: 'session',
  clientId: 'c',
  session: { owner: undefined, expiryInterval: 60, expiresAt: null },
}

async function open(options: LogOptions, files?: Files): Promise<LogPersistence> {
  const store = new LogPersistence({ onWarning: (message) => assert.fail(message), ...options }, files)
  await store.open()
  if ((await store.readSession('c')) === undefined) await store.commit([session])
  return store
}

/** The counters of the queue of `c`. */
async function queued(store: LogPersistence): Promise<number[]> {
  return Array.from((await store.readSession('c'))?.queue ?? [], ({ packet }) => packet.brokerCounter!)
}

const segments = (dir: string): string[] =>
  fs
    .readdirSync(dir)
    .filter((name) => name.endsWith('.log'))
    .toSorted()

function flip(path: string, offset: number): void {
  const bytes = fs.readFileSync(path)
  bytes[offset]! ^= 0xff
  fs.writeFileSync(path, bytes)
}

/** A closed store with a queue of so many messages; 200 make several segments. */
async function filled(count = 200): Promise<string> {
  const dir = make()
  const store = await open({ dir, segmentBytes: 16_384 })
  for (let number = 1; number <= count; number += 1) await store.commit(step(number).slice(0, 1))
  await store.close()
  return dir
}

suite('log: a damaged store', () => {
  test('a frame that was being written at the end is cut off with a warning', async () => {
    const dir = await filled(20)
    fs.appendFileSync(join(dir, segments(dir)[0]!), Buffer.from('f7a17e2e 0000000100000010'.replace(' ', ''), 'hex'))
    const warnings: string[] = []
    const store = await open({ dir, onWarning: (message) => warnings.push(message) })
    assert.deepEqual((await queued(store)).length, 20)
    assert.match(warnings.join('\n'), /00000001\.log: cut off at byte \d+/)
    await store.commit(step(21))
    await store.close()
    const again = await open({ dir })
    assert.equal((await queued(again)).at(-1), 21)
    await again.close()
  })

  test('damage before the end is refused with file and offset, and nothing is touched', async () => {
    for (const index of [0, -1]) {
      const dir = await filled()
      const name = segments(dir).at(index)!
      flip(join(dir, name), 300)
      const before = fs.readdirSync(dir).map((each) => [each, fs.readFileSync(join(dir, each), 'latin1')])
      const store = log({ dir })
      await assert.rejects(store.open(), {
        code: 'ECORRUPT',
        message: new RegExp(`${name}: damaged at byte \\d+`),
      })
      await store.close()
      assert.deepEqual(
        fs.readdirSync(dir).map((each) => [each, fs.readFileSync(join(dir, each), 'latin1')]),
        before,
      )
    }
  })

  test('a segment that is missing is refused by its name', async () => {
    for (const index of [0, 1]) {
      const dir = await filled()
      const name = segments(dir)[index]!
      fs.rmSync(join(dir, name))
      await assert.rejects(log({ dir }).open(), { message: new RegExp(`${name}.*missing`) })
    }
  })

  test('with repair: true it goes on without what cannot be read, and keeps that aside', async () => {
    const dir = await filled()
    const [first = '', second = ''] = segments(dir)
    flip(join(dir, second), 10_000)
    const warnings: string[] = []
    const store = await open({ dir, repair: true, onWarning: (message) => warnings.push(message) })
    const left = await queued(store)
    assert.ok(left.length === 199 && left.includes(1) && left.includes(200), `${left.length} messages`)
    assert.match(warnings.join('\n'), new RegExp(`${second}: damaged at byte`))
    await store.commit(step(201))
    const contents = await contentsOf(store)
    await store.close()
    assert.ok(fs.existsSync(join(dir, `${second}.corrupt`)))
    assert.ok(!fs.existsSync(join(dir, first)))
    const again = await open({ dir })
    assert.deepEqual(await contentsOf(again), contents)
    await again.close()
  })

  test('another version of the format is refused, also with repair', async () => {
    const dir = await filled(5)
    const path = join(dir, segments(dir)[0]!)
    const bytes = fs.readFileSync(path)
    bytes.writeUInt32BE(3, 8)
    fs.writeFileSync(path, bytes)
    await assert.rejects(log({ dir, repair: true }).open(), /version 3 of the format, expected at most 2/)
  })

  test('both ways to compute a checksum give the same', () => {
    const bytes = Buffer.from(Array.from({ length: 1000 }, (_, index) => (index * 7) & 0xff))
    for (const seed of [0, 1, 0xffff_ffff]) assert.equal(crc32ByTable(bytes, seed), crc32(bytes, seed))
    assert.equal(crc32ByTable(bytes, 0), zlibCrc32(bytes))
  })
})

suite('log: the lock of a directory', () => {
  test('a second store in this process is refused, and the first goes on', async () => {
    const dir = make()
    const store = await open({ dir })
    const second = log({ dir })
    await assert.rejects(second.open(), new RegExp(`in use by this process, pid ${process.pid}`))
    await second.close()
    await store.commit(step(1))
    await store.close()
    await (await open({ dir })).close()
    assert.deepEqual(fs.readdirSync(dir), ['00000001.log'])
  })

  test('another process is refused by its pid, and its lock is taken over when it was killed', async () => {
    const dir = make()
    const other = spawn(process.execPath, [child, dir, 'hold'])
    await once(createInterface(other.stdout), 'line')
    await assert.rejects(log({ dir }).open(), new RegExp(`another process, pid ${other.pid}`))
    other.kill('SIGKILL')
    await once(other, 'exit')
    const store = await open({ dir, onWarning: () => undefined })
    await store.close()
  })

  test('a lock whose pid belongs to somebody else now is taken over', async (t) => {
    if (!fs.existsSync('/proc/self/stat')) return t.skip('only where the start of a process is known')
    const dir = make()
    fs.writeFileSync(join(dir, 'lock'), JSON.stringify({ pid: process.ppid, started: '1' }))
    await (await open({ dir })).close()
    fs.writeFileSync(join(dir, 'lock'), '')
    await (await open({ dir })).close()
  })

  test('what is not a directory is refused', async () => {
    const path = join(make(), 'file')
    fs.writeFileSync(path, '')
    await assert.rejects(log({ dir: path }).open(), /file: cannot use this directory/)
    await assert.rejects(log({ dir: join(path, 'below') }).open(), /cannot use this directory/)
  })
})

/** Files of which a test lets calls fail. */
function failing(): { readonly files: Files; fail: (call: string, length: number) => string | undefined } {
  const control = {
    files: {
      ...machineFiles,
      async open(path: string, flags: string, mode?: number): Promise<File> {
        const file = await machineFiles.open(path, flags, mode)
        const check = (call: string, length = 0): void => {
          const code = control.fail(call, length)
          if (code !== undefined) throw Object.assign(new Error(`${code}: made up`), { code })
        }
        return {
          read: file.read.bind(file),
          async write(buffer, offset, length, position) {
            try {
              check('write', length)
            } catch (error) {
              await file.write(buffer, offset, length >> 1, position) // A part of it may be there.
              throw error
            }
            return file.write(buffer, offset, length, position)
          },
          async datasync() {
            check('datasync')
            await file.datasync()
          },
          async truncate(length) {
            check('truncate')
            await file.truncate(length)
          },
          stat: file.stat.bind(file),
          close: file.close.bind(file),
        }
      },
    },
    fail: (_call: string, _length: number): string | undefined => undefined,
  }
  return control
}

suite('log: a disk that fails', () => {
  const faults: readonly (readonly [string, string, readonly string[]])[] = [
    ['a full disk', 'ENOSPC', ['write']],
    ['a write error', 'EIO', ['write']],
    ['a write error, and then nothing goes', 'EIO', ['write', 'truncate', 'datasync']],
    ['a sync error', 'EIO', ['datasync']],
    ['a sync error, and no cut', 'EIO', ['datasync', 'truncate']],
  ]
  for (const durability of ['fsync', 'os'] as const) {
    for (const [what, code, calls] of faults) {
      if (durability === 'os' && !calls.includes('write')) continue
      test(`${durability}: ${what} rejects the commits of that time and no others`, async () => {
        const dir = make()
        const control = failing()
        const store = await open({ dir, durability }, control.files)
        await Promise.all([1, 2, 3].map((number) => store.commit(step(number))))
        control.fail = (call) => (calls.includes(call) ? code : undefined)
        const results = await Promise.allSettled([4, 5].map((number) => store.commit(step(number))))
        for (const result of results) {
          assert.ok(result.status === 'rejected')
          const { code: given, message } = result.reason as NodeJS.ErrnoException
          assert.equal(given, code)
          assert.match(message, /0000000\d\.log: cannot .*; /)
        }
        assert.deepEqual(await queued(store), [1, 2, 3], 'nothing of them is done')
        control.fail = () => undefined
        await store.commit(step(6))
        assert.deepEqual(await queued(store), [1, 2, 3, 6])
        // As the process would leave it when it is killed now.
        const copy = make()
        fs.cpSync(dir, copy, { recursive: true, filter: (path) => !path.includes('lock') })
        for (const each of [copy, dir]) {
          if (each === dir) await store.close()
          const again = await open({ dir: each })
          assert.deepEqual(await queued(again), [1, 2, 3, 6])
          await again.close()
        }
      })
    }
  }

  test('a disk without room to write ahead still takes what fits', async () => {
    const control = failing()
    const dir = make()
    const store = await open({ dir }, control.files)
    control.fail = (call, length) => (call === 'write' && length > 100_000 ? 'ENOSPC' : undefined)
    await store.commit(step(1))
    assert.deepEqual(await queued(store), [1])
    await store.close()
  })

  test('a compaction without room fails alone: what is committed meanwhile is stored', async () => {
    const control = failing()
    const dir = make()
    const store = await open({ dir, durability: 'os', segmentBytes: 32_768 }, control.files)
    for (let number = 1; number <= 10; number += 1) await store.commit(step(number))
    const payload = Buffer.alloc(200_000)
    const packet = { cmd: 'publish', topic: 'large', payload, qos: 0, retain: true } as const
    await store.commit([{ kind: 'publish', packet, targets: [], retain: true }])
    control.fail = (call, length) => (call === 'write' && length > 100_000 ? 'ENOSPC' : undefined)
    const compaction = assert.rejects(store.compact(), { code: 'ENOSPC' })
    for (let number = 11; number <= 50; number += 1) await store.commit(step(number))
    await compaction
    control.fail = () => undefined
    await store.compact()
    const contents = await contentsOf(store)
    await store.close()
    const again = await open({ dir })
    assert.deepEqual(await contentsOf(again), contents)
    await again.close()
  })

  test("with durability 'none' a disk that fails is a warning", async () => {
    const control = failing()
    const warnings: string[] = []
    const store = await open(
      { dir: make(), durability: 'none', onWarning: (message) => warnings.push(message) },
      control.files,
    )
    control.fail = () => 'ENOSPC'
    await store.commit(step(1))
    assert.deepEqual(await queued(store), [1])
    await store.close()
    assert.match(warnings.join('\n'), /not stored: .*ENOSPC/)
  })

  test('a limit on the size of files is met by the error that says so, and what was resolved is there', async () => {
    const dir = make()
    const script = `ulimit -f 24; exec "${process.execPath}" "${child}" "${dir}" fill`
    const { stdout } = await new Promise<{ stdout: string }>((resolve) =>
      execFile('/bin/sh', ['-c', script], (_error, stdout) => resolve({ stdout })),
    )
    const [, code, number, message] = /^(E\w+) (\d+) (.*)$/m.exec(stdout) ?? assert.fail(stdout)
    assert.equal(code, 'EFBIG')
    assert.match(message!, /ulimit -f/)
    const store = await open({ dir, onWarning: () => undefined })
    assert.equal((await queued(store)).at(-1), Number(number) - 1)
    await store.close()
  })
})

suite('log: the end of the process', () => {
  test(`killed ${KILLS} times among commits and compactions, it has every commit that was resolved`, async () => {
    const dir = make()
    let first = 1
    for (let round = 0; round < KILLS; round += 1) {
      const writer = spawn(process.execPath, [child, dir, 'run', String(first)])
      const errors: string[] = []
      writer.stderr.on('data', (data) => errors.push(String(data)))
      let resolved = first - 1
      // Stopped in the middle of something: after so many commits, wherever it is then.
      const enough = first + 300 + round * 53
      for await (const line of createInterface(writer.stdout)) {
        if (line !== 'ready') resolved = Number(line)
        if (resolved >= enough) writer.kill('SIGKILL')
      }
      if (writer.signalCode === null) await once(writer, 'exit')
      assert.deepEqual(errors, [])
      const store = await open({ dir, onWarning: () => undefined })
      const counters = await queued(store)
      const last = counters.at(-1)!
      assert.ok(last >= resolved, `round ${round}: ${resolved} was resolved, ${last} is there`)
      assert.deepEqual(
        counters,
        Array.from({ length: 10 }, (_, index) => last - 9 + index),
      )
      await store.close()
      first = last + 1
    }
  })
})

suite('log: the size of the journal', () => {
  test('stays in proportion to what is kept, and is small again when all is gone', async () => {
    const dir = make()
    const store = await open({ dir, durability: 'os', segmentBytes: 65_536 })
    const publish = (counter: number): Promise<unknown> =>
      store.commit([{ ...step(counter)[0]!, retain: false } as ReturnType<typeof step>[number]])
    for (let counter = 1; counter <= 2000; counter += 1) await publish(counter)
    let most = 0
    for (let counter = 2001; counter <= 12_000; counter += 1) {
      void publish(counter)
      await store.commit([{ kind: 'complete', clientId: 'c', messageId: counter - 2000 }])
      most = Math.max(most, store.diskUse.bytes)
    }
    const { bytes, liveBytes } = store.diskUse
    assert.ok(most < 4 * liveBytes, `${most} bytes on the disk for ${liveBytes}`)
    assert.ok(bytes < 4 * liveBytes, `${bytes} bytes on the disk for ${liveBytes}`)
    await store.compact()
    const after = store.diskUse
    assert.ok(after.bytes - after.liveBytes < 0.6 * after.bytes, JSON.stringify(after))
    for (let counter = 10_001; counter <= 12_000; counter += 1) {
      await store.commit([{ kind: 'complete', clientId: 'c', messageId: counter }])
    }
    await store.commit([{ kind: 'end session', clientId: 'c' }])
    await store.compact()
    assert.ok(store.diskUse.bytes < 1000, JSON.stringify(store.diskUse))
    assert.equal(store.diskUse.liveBytes, 0)
    await store.close()
    const again = await open({ dir })
    assert.deepEqual(await queued(again), [])
    await again.close()
  })

  test('a compaction lets the event loop go on each time that its 4 ms are over', async (t) => {
    const dir = make()
    const store = await open({ dir, durability: 'os' })
    const commits: Promise<unknown>[] = []
    for (let counter = 1; counter <= 20_000; counter += 1) commits.push(store.commit([step(counter)[0]!]))
    await Promise.all(commits)
    // A clock on which a millisecond passes with each look at it: every 16 records.
    let time = 0
    t.mock.method(performance, 'now', () => (time += 1))
    const state = { isDone: false }
    const compaction = store.compact().then(() => (state.isDone = true))
    let before = time
    let longest = 0
    while (!state.isDone) {
      await new Promise(setImmediate)
      longest = Math.max(longest, time - before)
      before = time
    }
    await compaction
    assert.ok(time > 20_000 / 16, `${time} looks at the clock`)
    assert.ok(longest <= 6, `${longest} ms in one turn of the event loop`)
    await store.close()
  })
})

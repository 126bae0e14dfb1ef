import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type PersistencePart, testPersistence } from '../../lib/testing/index.ts'
import { InvalidOptionError } from '../../lib/errors.ts'
import type { Persistence } from '../../types/persistence.ts'
import type { Storage } from '../../types/storage.ts'
import { namesInTables, page } from '../docs/pages.ts'
import { patienceMs } from '../support/patience.ts'
import { type Fault, faults } from './faulty-stores.ts'
import { type SoundStore, soundStore } from './sound-store.ts'

testPersistence({
  name: 'a sound store',
  open: soundStore,
  reopen: (closed) => closed,
  timeLimit: patienceMs / 1000,
})

interface Collected {
  readonly name: string
  run(): Promise<'passed' | 'skipped' | Error>
}

/** The tests of the suite for a store, to be run one by one. */
function collect<Store extends Persistence | Storage>(
  open: () => Store,
  reopen?: (closed: Store) => Store,
  without: readonly PersistencePart[] = [],
  timeLimit = patienceMs / 1000,
): Collected[] {
  const collected: Collected[] = []
  testPersistence<Store>({
    name: 'store',
    open,
    ...(reopen === undefined ? {} : { reopen }),
    without,
    timeLimit,
    conversations: 2,
    test: (name, run) =>
      collected.push({
        name,
        async run() {
          let result: 'passed' | 'skipped' = 'passed'
          try {
            await run({ skip: () => (result = 'skipped') })
            return result
          } catch (error) {
            return error instanceof Error ? error : new Error(String(error))
          }
        },
      }),
  })
  return collected
}

/** The results of those tests that have to find the fault. */
async function results(fault: Fault, spoilt: boolean): Promise<(string | Error)[]> {
  const open = (): SoundStore => {
    const store = soundStore()
    return spoilt ? Object.assign(store, fault.spoil(methodsOf(store))) : store
  }
  const reopen = (closed: Persistence): Persistence => {
    if (spoilt) fault.reopen?.(closed as SoundStore) // `open` made it
    return closed
  }
  const withRestart = fault.foundBy.includes('with a restart')
  const timeLimit = fault.name.includes('never answers') ? 0.05 : patienceMs / 1000
  const wanted = collect(open, reopen, [], timeLimit).filter(
    ({ name }) => new RegExp(fault.foundBy).test(name) && name.includes('with a restart') === withRestart,
  )
  assert.ok(wanted.length > 0, `no test is called ${fault.foundBy}`)
  return Promise.all(wanted.map(({ run }) => run()))
}

/** The methods as they are now, each bound to its store. */
function methodsOf(store: SoundStore): SoundStore {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

for (const fault of faults) {
  test(`the suite finds a store that ${fault.name}, by "${fault.foundBy}"`, async () => {
    const found = await results(fault, true)
    assert.ok(
      found.some((result) => result instanceof Error),
      'every test passed',
    )
  })
}

test('a store without commit is not asked for it, and says so', async () => {
  const open = (): Persistence => Object.assign(soundStore(), { commit: undefined, readAll: undefined }) as Persistence
  const commits = collect(open).filter(({ name }) => name.includes(': commit: '))
  assert.ok(commits.length > 20)
  assert.deepEqual(new Set(await Promise.all(commits.map(({ run }) => run()))), new Set(['skipped']))
  const declared = collect(open, undefined, ['commit'])
  assert.deepEqual(
    declared.filter(({ name }) => name.includes('commit:')),
    [],
  )
})

test('a Storage without the methods of aedes is not asked for them, and says so', async () => {
  const open = (): Storage => {
    const { open: start, readAll, readSession, commit, close } = methodsOf(soundStore())
    return { open: start, readAll, readSession, commit, close }
  }
  const found = collect(open)
  const outcomes = async (isCommit: boolean): Promise<Set<unknown>> => {
    const wanted = found.filter(({ name }) => name.includes(': commit: ') === isCommit)
    assert.ok(wanted.length > 20)
    return new Set(await Promise.all(wanted.map(({ run }) => run())))
  }
  assert.deepEqual(await outcomes(false), new Set(['skipped']))
  assert.deepEqual(await outcomes(true), new Set(['passed']))
  const declared = collect(open, undefined, ['aedes-methods'])
  assert.ok(declared.every(({ name }) => name.includes(': commit: ')))
})

test('what a store does without is not checked', async () => {
  const open = (): Persistence => {
    const store = soundStore()
    const { outgoingEnqueue, outgoingEnqueueCombi, outgoingStream } = methodsOf(store)
    const spoilt: Partial<Persistence> = {
      outgoingEnqueue: (target, packet) => outgoingEnqueue(target, { ...packet, properties: {} }),
      outgoingEnqueueCombi: (targets, packet) => outgoingEnqueueCombi(targets, { ...packet, properties: {} }),
      async *outgoingStream(client) {
        const list = []
        for await (const packet of outgoingStream(client)) list.push(packet)
        yield* list.toReversed()
      },
    }
    return Object.assign(store, spoilt)
  }
  const failing = async (without: readonly PersistencePart[]): Promise<string[]> => {
    const tests = collect(open, undefined, [...without, 'commit'])
    const outcomes = await Promise.all(
      tests.map(async ({ name, run }) => ((await run()) instanceof Error ? [name] : [])),
    )
    return outcomes.flat()
  }
  assert.deepEqual(await failing(['packet-properties', 'order']), [])
  assert.ok((await failing(['packet-properties'])).some((name) => name.includes('5,000 queued messages come in order')))
  assert.ok((await failing(['order'])).some((name) => name.includes('keeps its properties')))
})

test('a part that there is not is refused, with the names of all that are in the page for authors', () => {
  assert.throws(
    () => collect(soundStore, undefined, ['ordre' as PersistencePart]),
    (error: unknown) => {
      assert.ok(error instanceof InvalidOptionError)
      const names = /some of (.*), got ordre$/.exec(error.message)?.[1]?.split(', ') ?? []
      const [, table = ''] = page('docs/testing-stores.md').split('## What a store may do without')
      assert.deepEqual(
        names.toSorted(),
        namesInTables(table)
          .filter((name) => name !== 'without')
          .toSorted(),
      )
      return true
    },
  )
})

test('every store is destroyed and removed, also after a test that failed', async () => {
  let opened = 0
  let destroyed = 0
  let removed = 0
  const outcomes: unknown[] = []
  const running: Promise<unknown>[] = []
  testPersistence({
    name: 'store',
    open: () => {
      opened += 1
      return Object.assign(soundStore(), {
        destroy: async () => void (destroyed += 1),
        storeRetained: async () => Promise.reject(new Error('broken')),
      })
    },
    remove: () => void (removed += 1),
    conversations: 0,
    test: (_, run) =>
      running.push(
        run({ skip: () => undefined }).then(
          () => outcomes.push('passed'),
          (error: Error) => outcomes.push(error.message),
        ),
      ),
  })
  await Promise.all(running)
  assert.ok(outcomes.includes('broken'))
  assert.ok(opened > 40)
  assert.equal(destroyed, opened)
  assert.equal(removed, opened)
})

import assert from 'node:assert/strict'
import type { PersistenceOperation } from '../../../types/persistence.ts'
import { Random } from '../random.ts'
import type { CommitStore } from '../store-under-test.ts'
import type { TestCase } from '../test-case.ts'
import { ALL_PROPERTIES, BROKER_ID, subscription, will } from '../values.ts'
import { OperationGenerator } from './operations.ts'
import { ComparedStore, message, retained, session, target } from './steps.ts'

const names = Array.from({ length: 20 }, (_, index) => `c${index}`)

/** The state of a running commit, as seen by all readers. */
interface Progress {
  resolved: boolean
  /** A reader has seen the result. */
  seen: boolean
}

/** The commit adds 50 messages to each queue, and replaces 0 by 50 in the retained message. */
async function readDuring(store: CommitStore, progress: Progress): Promise<void> {
  const mustBeDone = progress.seen
  const counts: number[] = []
  for await (const piece of store.readAll()) {
    const count = piece.kind === 'session' ? [...piece.queue].length : (piece.packet.brokerCounter ?? 0)
    counts.push(count)
    if (count > 0) progress.seen = true
  }
  const inWords = counts.join(' ')
  assert.ok(
    counts.every((count) => count === 0 || count === 50),
    `a part of a commit was seen: ${inWords}`,
  )
  // A reader that began before may see the change, which is not undone; one that begins later sees all of it.
  const isUndone = counts.some((count, index) => index > 0 && count < counts[index - 1]!)
  assert.ok(!isUndone && !(mustBeDone && counts.includes(0)), `half a commit was seen: ${inWords}`)
}

export const togetherCases: readonly TestCase[] = [
  {
    name: 'whoever reads during a commit sees nothing of it or all of it',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      await compared.commit(...names.map((name) => session(name)), retained('state', { brokerCounter: 0 }))
      const everyone = names.map((name) => target(name))
      const batch = [
        ...Array.from({ length: 50 }, (_, index) => message(index + 1, everyone)),
        retained('state', { brokerCounter: 50 }),
      ]
      const progress: Progress = { resolved: false, seen: false }
      const commit = store.commits.commit(batch).finally(() => {
        progress.resolved = true
      })
      do {
        // They begin one after the other, since a single reader may be in step with the store.
        const readers: Promise<void>[] = []
        for (let count = 0; count < 8; count += 1) {
          readers.push(readDuring(store.commits, progress))
          await Promise.resolve()
        }
        await Promise.all(readers)
        await new Promise(setImmediate) // the store may wait for a disk
      } while (!progress.resolved)
      await commit
      compared.model.commit(batch)
      await store.restart()
      await compared.compare()
    },
  },
  {
    name: 'commits that overlap are done in the order in which they came',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      await compared.commit(session('c'), session('d'))
      const batches = Array.from({ length: 300 }, (_, index): PersistenceOperation[] => [
        retained('state', { brokerCounter: index + 1, payload: Buffer.alloc(index % 7 === 0 ? 5000 : 5, 'x') }),
        message(index + 1001, [target(index % 2 === 0 ? 'c' : 'd')]),
        session('c', { owner: undefined, expiryInterval: index, expiresAt: null }),
        { kind: index % 3 === 0 ? 'unsubscribe' : 'subscribe', clientId: 'c', ...SUBSCRIBED },
      ])
      // In one turn, then a few at a time.
      await Promise.all(batches.slice(0, 150).map((batch) => store.commits.commit(batch)))
      const waiting: Promise<unknown>[] = []
      for (const batch of batches.slice(150)) {
        waiting.push(store.commits.commit(batch))
        if (waiting.length === 7) await waiting.shift()
      }
      await Promise.all(waiting)
      for (const batch of batches) compared.model.commit(batch)
      await compared.compare()
      await store.restart()
      await compared.compare()
    },
  },
  {
    name: 'what resolved is there, whatever is committed beside it',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      const operations = names.flatMap((name, index) => [session(name), message(index + 1, [target(name)])])
      compared.model.commit(operations)
      await Promise.all(
        names.map(async (name, index) => {
          await store.commits.commit([session(name)])
          await store.commits.commit([message(index + 1, [target(name)])])
        }),
      )
      await store.restart()
      await compared.compare()
    },
  },
  {
    name: 'what a store is given stays as it is',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      const given = (): PersistenceOperation[] => [
        session('c', { owner: 'somebody', expiryInterval: 60, expiresAt: 1_800_000_000_123 }),
        { kind: 'subscribe', clientId: 'c', subscriptions: [subscription('a/#')] },
        message(1, [target('c', { qos: 2, subscriptionIdentifiers: [1, 2] })], { properties: { ...ALL_PROPERTIES } }),
        retained('a', { brokerCounter: 2, properties: { ...ALL_PROPERTIES } }),
        { kind: 'will', clientId: 'c', will: will('w', { properties: { ...ALL_PROPERTIES } }) },
        { kind: 'send', clientId: 'c', brokerId: BROKER_ID, brokerCounter: 1, messageId: 7 },
        { kind: 'release', clientId: 'c', messageId: 7 },
        { kind: 'unsubscribe', clientId: 'c', topicFilters: ['b'] },
        { kind: 'discard', clientIds: ['c'], brokerId: BROKER_ID, brokerCounter: 9 },
      ]
      const operations = freeze(given())
      await compared.commit(...operations)
      assert.deepEqual(operations, given())
      // Also when it is read, sent anew and ended.
      await compared.commit(freeze({ kind: 'complete', clientId: 'c', messageId: 7 }))
      await compared.commit(freeze({ kind: 'end session', clientId: 'c' }))
      assert.deepEqual(operations, given())
    },
  },
]

const SUBSCRIBED = { subscriptions: [subscription('same')], topicFilters: ['same'] }

/** Bytes cannot be frozen; everything else is. */
function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  for (const field of Object.values(value)) freeze(field)
  return Object.freeze(value)
}

/** Bytes as how many they are. */
function shortly(_name: string, value: unknown): unknown {
  const isBytes = typeof value === 'object' && value !== null && 'data' in value && Array.isArray(value.data)
  return isBytes ? `${(value.data as unknown[]).length} bytes` : value // an array, by the line above
}

/** Random operations, for the store and for the model. */
export function randomCase(seed: number, name: string): TestCase {
  return {
    name,
    restarts: true,
    async run(store) {
      const random = new Random(seed)
      const compared = new ComparedStore(store)
      const generator = new OperationGenerator(random, compared.model)
      const done: string[] = []
      for (let round = 1; round <= 60; round += 1) {
        const overlapping: Promise<unknown>[] = []
        for (let batches = 1 + random.below(3); batches > 0; batches -= 1) {
          const operations = Array.from({ length: 1 + random.below(8) }, () => generator.next())
          done.push(JSON.stringify(operations, shortly))
          overlapping.push(store.commits.commit(operations))
        }
        await Promise.all(overlapping)
        if (random.oneIn(5)) await store.restart()
        await compared.compare(`seed ${seed}, round ${round}; the last commits:\n${done.slice(-3).join('\n')}`)
      }
    },
  }
}

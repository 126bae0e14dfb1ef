import assert from 'node:assert/strict'
import type { StoreUnderTest } from '../store-under-test.ts'
import type { TestCase } from '../test-case.ts'
import { ALL_PROPERTIES, comparableRetained, listOf, publish, sorted, STRANGE_NAMES } from '../values.ts'

async function found(store: StoreUnderTest, topicFilter: string): Promise<string[]> {
  return sorted((await listOf(store.persistence.createRetainedStream(topicFilter))).map(({ topic }) => topic))
}

async function keep(store: StoreUnderTest, topics: readonly string[]): Promise<void> {
  for (const topic of topics) await store.persistence.storeRetained(publish({ topic, retain: true }))
}

export const retainedCases: readonly TestCase[] = [
  {
    name: 'a retained message keeps its properties',
    restarts: true,
    async run(store) {
      const packet = publish({ retain: true, qos: 2, properties: ALL_PROPERTIES, messageExpiry: 1_800_000_000_123 })
      await store.persistence.storeRetained(packet)
      await store.restart()
      const expected = comparableRetained(store, packet)
      const stored = await listOf(store.persistence.createRetainedStream('a'))
      assert.deepEqual(
        stored.map((each) => comparableRetained(store, each)),
        [expected],
      )
      if (store.persistence.retainedGet === undefined) return
      assert.deepEqual(comparableRetained(store, await store.persistence.retainedGet('a')), expected)
      assert.equal(await store.persistence.retainedGet('b'), undefined)
    },
  },
  {
    name: 'a retained message without properties takes the place of one with them',
    restarts: true,
    parts: ['replaced-fields'],
    async run(store) {
      const first = publish({ retain: true, properties: ALL_PROPERTIES, messageExpiry: 5 })
      await store.persistence.storeRetained(first)
      const second = publish({ retain: true, brokerCounter: 2, payload: Buffer.from('y') })
      await store.persistence.storeRetained(second)
      await store.restart()
      const stored = await listOf(store.persistence.createRetainedStream('a'))
      assert.deepEqual(
        stored.map((each) => comparableRetained(store, each)),
        [comparableRetained(store, second)],
      )
    },
  },
  {
    name: 'an empty payload removes the retained message of its topic only [MQTT-3.3.1-6]',
    restarts: true,
    async run(store) {
      await keep(store, ['a', 'a/b', 'b'])
      await store.persistence.storeRetained(publish({ retain: true, payload: Buffer.alloc(0) }))
      await store.persistence.storeRetained(publish({ topic: 'none', retain: true, payload: Buffer.alloc(0) }))
      await store.restart()
      assert.deepEqual(await found(store, '#'), ['a/b', 'b'])
    },
  },
  {
    name: 'retained messages are found by + and #, a parent by its #',
    restarts: true,
    async run(store) {
      await keep(store, ['a', 'a/b', 'a/c', 'a/b/c', 'b', 'b/b'])
      await store.restart()
      assert.deepEqual(await found(store, 'a/#'), ['a', 'a/b', 'a/b/c', 'a/c'])
      assert.deepEqual(await found(store, '+/b'), ['a/b', 'b/b'])
      assert.deepEqual(await found(store, '+'), ['a', 'b'])
      assert.deepEqual(await found(store, 'a/+/c'), ['a/b/c'])
      assert.deepEqual(await found(store, 'c'), [])
    },
  },
  {
    name: 'no wildcard at the first level finds a retained message of a $ topic [MQTT-4.7.2-1]',
    restarts: true,
    async run(store) {
      await keep(store, ['$SYS/x', '$app', 'a/x'])
      await store.restart()
      assert.deepEqual(await found(store, '$SYS/#'), ['$SYS/x'])
      assert.deepEqual(await found(store, '$SYS/+'), ['$SYS/x'])
      if (store.lacks('dollar-topics')) return
      assert.deepEqual(await found(store, '#'), ['a/x'])
      assert.deepEqual(await found(store, '+/x'), ['a/x'])
      assert.deepEqual(await found(store, '+'), [])
    },
  },
  {
    name: '+ finds retained messages with an empty level',
    restarts: true,
    parts: ['empty-levels'],
    async run(store) {
      await keep(store, ['a/', '/', '/a', 'a//b'])
      await store.restart()
      assert.deepEqual(await found(store, 'a/+'), ['a/'])
      assert.deepEqual(await found(store, '+/+'), ['/', '/a', 'a/'])
      assert.deepEqual(await found(store, 'a/+/b'), ['a//b'])
      assert.deepEqual(await found(store, '/#'), ['/', '/a'])
    },
  },
  {
    name: 'characters that mean something elsewhere mean nothing in a Topic Name',
    restarts: true,
    parts: ['glob-characters'],
    async run(store) {
      const names = ['dev[1]/x', 'dev1/x', 'a*/x', 'ab/x', 'a?/x', 'a\\/x', 'a^$|(.)/x']
      await keep(store, names)
      await store.restart()
      for (const name of names) {
        assert.deepEqual(await found(store, name), [name])
        assert.deepEqual(await found(store, name.replace('/x', '/+')), [name])
        assert.deepEqual(await found(store, name.replace('/x', '/#')), [name])
      }
      assert.deepEqual(await found(store, '+/x'), sorted(names))
    },
  },
  {
    name: 'strange Topic Names are topics of their own',
    restarts: true,
    async run(store) {
      const plainNames = STRANGE_NAMES.filter((name) => !store.lacks('glob-characters') || !/[*?[\]]/.test(name))
      await keep(store, plainNames)
      await store.restart()
      for (const name of plainNames) assert.deepEqual(await found(store, name), [name])
      await store.persistence.storeRetained(publish({ topic: '__proto__', retain: true, payload: Buffer.alloc(0) }))
      assert.deepEqual(await found(store, '__proto__'), [])
      assert.deepEqual(await found(store, '#'), sorted(plainNames.filter((name) => name !== '__proto__')))
    },
  },
  {
    name: 'several filters find every retained message that one of them matches',
    restarts: true,
    async run(store) {
      await keep(store, ['a', 'b', 'c/d', 'e'])
      await store.restart()
      const all = await listOf(store.persistence.createRetainedStreamCombi(['a', '+', 'c/#']))
      // Whether a message comes once or once per filter is left open.
      assert.deepEqual(sorted(new Set(all.map(({ topic }) => topic))), ['a', 'b', 'c/d', 'e'])
      const none = await listOf(store.persistence.createRetainedStreamCombi(['x', 'y/#']))
      assert.deepEqual(none, [])
    },
  },
]

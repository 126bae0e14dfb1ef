import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type { LocalSubscription } from '../../types/local-subscription.ts'
import type { Message } from '../../types/message.ts'
import { deferred, settle, start, will, type Setting } from '../support/client.ts'

async function retain({ broker }: Setting, count: number): Promise<void> {
  for (let number = 0; number < count; number += 1) {
    await broker.publish({ topic: `kept/${number}`, payload: 'old', retain: true })
  }
}

const text = ({ topic, payload, retain: isRetained }: Message): string =>
  `${topic} ${payload.toString()}${isRetained ? ' (retained)' : ''}`

// ─── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

const ends: readonly [string, (subscription: LocalSubscription, abort: AbortController) => unknown][] = [
  ['close()', (subscription) => subscription.close()],
  ['its signal', (_, abort) => abort.abort()],
  ['asyncDispose', (subscription) => subscription[Symbol.asyncDispose]()],
]
for (const [how, end] of ends) {
  for (const kind of ['retained', 'live'] as const) {
    const publish = async (setting: Setting): Promise<void> => {
      if (kind === 'retained') return
      for (let count = 0; count < 10; count += 1) void setting.broker.publish({ topic: `kept/${count}` })
      await Promise.resolve()
    }

    for (const when of ['at once', 'in the listener', 'while the listener waits'] as const) {
      test(`a subscription that ${how} ends ${when} gives its listener nothing ${kind} any more`, async (t) => {
        const setting = start(t)
        if (kind === 'retained') await retain(setting, 10)
        const abort = new AbortController()
        const gate = deferred()
        let calls = 0
        const subscription = setting.broker.subscribe(
          '#',
          async () => {
            calls += 1
            if (when === 'in the listener') end(subscription, abort)
            if (when === 'while the listener waits') await gate.promise
          },
          { signal: abort.signal },
        )
        if (when === 'at once') end(subscription, abort)
        await publish(setting)
        await settle()
        if (when === 'while the listener waits') end(subscription, abort)
        gate.resolve()
        await settle()
        await setting.broker.publish({ topic: 'kept/late' }).catch(() => undefined)
        await settle()
        assert.equal(calls, when === 'at once' ? 0 : 1)
      })
    }

    test(`a subscription that ${how} ends gives its loop nothing ${kind} any more`, async (t) => {
      const setting = start(t)
      if (kind === 'retained') await retain(setting, 10)
      const abort = new AbortController()
      const subscription = setting.broker.subscribe('#', { signal: abort.signal })
      await publish(setting)
      await settle()
      let count = 0
      for await (const _ of subscription) {
        count += 1
        end(subscription, abort)
      }
      assert.equal(count, 1)
      assert.deepEqual(await subscription[Symbol.asyncIterator]().next(), { done: true, value: undefined })
    })
  }
}

test('a broker that has closed gives its subscriptions nothing any more', async (t) => {
  const setting = start(t)
  await retain(setting, 10)
  const gate = deferred()
  let calls = 0
  setting.broker.subscribe('#', async () => {
    calls += 1
    await gate.promise
  })
  const loop = setting.broker.subscribe('#')
  await settle()
  await setting.broker.close({ graceMs: 0 })
  gate.resolve()
  for await (const _ of loop) calls += 1
  await settle()
  assert.equal(calls, 1)
})

test('return() of an iterator ends the subscription and the calls of next() that wait', async (t) => {
  const setting = start(t)
  await retain(setting, 3)
  const iterator = setting.broker.subscribe('#')[Symbol.asyncIterator]()
  await iterator.next()
  await iterator.return?.()
  assert.equal((await iterator.next()).done, true)
  assert.equal(setting.broker.stats().subscriptions, 0)
})

test('a listener whose subscription ended with overflow: error gets nothing more', async (t) => {
  const { broker, errors } = start(t)
  const gate = deferred()
  let calls = 0
  broker.subscribe(
    't',
    async () => {
      calls += 1
      await gate.promise
    },
    { highWaterMark: 2, overflow: 'error' },
  )
  for (let count = 0; count < 5; count += 1) void broker.publish({ topic: 't' })
  await settle()
  gate.resolve()
  await settle()
  assert.equal(calls, 1)
  assert.equal(errors.length, 1)
})

test('signals keep no listener of subscriptions, listeners and brokers that have ended', async (t) => {
  const { broker } = start(t)
  const { signal } = new AbortController()
  const added = t.mock.method(signal, 'addEventListener')
  const removed = t.mock.method(signal, 'removeEventListener')
  for (let count = 0; count < 20; count += 1) {
    await broker.subscribe('a', { signal }).close()
    await broker.subscribe('a', () => undefined, { signal }).close()
    await broker.publish({ topic: 'a' }, { signal })
  }
  for (const listener of await broker.listen({ tcp: { port: 0 }, ws: { port: 0 } }, { signal })) await listener.close()
  const other = start(t, { signal })
  await other.broker.close()
  assert.ok(added.mock.callCount() >= 40)
  assert.equal(removed.mock.callCount(), added.mock.callCount())
})

// ─── order ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('the listener is not called before subscribe returns, nor in the middle of publish or disconnect', async (t) => {
  const setting = start(t)
  const { broker, client } = setting
  await retain(setting, 2)
  let isInside = true
  const got: string[] = []
  broker.subscribe('#', (message) => {
    assert.equal(isInside, false)
    got.push(text(message))
  })
  isInside = false
  await settle()
  const one = await client('one', { will: will('of/will', 'x') })
  isInside = true
  void broker.publish({ topic: 'live', payload: 'x' })
  isInside = false
  await settle()
  isInside = true
  void broker.clients.get('one')?.disconnect()
  isInside = false
  await one.closed
  await settle()
  assert.deepEqual(got, ['kept/0 old (retained)', 'kept/1 old (retained)', 'live x', 'of/will x'])
  assert.deepEqual(setting.errors, [])
})

for (const kind of ['a listener', 'an asynchronous listener', 'a slow listener', 'a loop', 'a late loop'] as const) {
  test(`${kind} gets what was retained at subscribe first, then each live message in order`, async (t) => {
    const setting = start(t)
    const { broker } = setting
    await retain(setting, 3)
    const got: string[] = []
    const add = (message: Message): void => void got.push(text(message))
    const subscription =
      kind === 'a loop' || kind === 'a late loop'
        ? broker.subscribe('kept/#')
        : broker.subscribe('kept/#', (message) => {
            add(message)
            if (kind === 'an asynchronous listener') return Promise.resolve()
            return kind === 'a slow listener' ? settle() : undefined
          })
    const loop = async (): Promise<void> => {
      for await (const message of subscription) {
        add(message)
        if (got.length === 7) break
      }
    }
    const early = kind === 'a loop' ? loop() : undefined
    for (const payload of ['v1', 'v2']) {
      for (const topic of ['kept/0', 'kept/2']) void broker.publish({ topic, payload, retain: true })
    }
    void broker.publish({ topic: 'kept/1', retain: true }) // Removes it.
    if (kind === 'a late loop') {
      await settle()
      await loop()
    }
    await early
    for (let round = 0; round < 12; round += 1) await settle()
    const live = ['kept/0 v1', 'kept/2 v1', 'kept/0 v2', 'kept/2 v2'].map((each) => `${each} (retained)`)
    const retained = ['kept/0', 'kept/1', 'kept/2'].map((topic) => `${topic} old (retained)`)
    assert.deepEqual(got.slice(0, 7), [...retained, ...live])
  })
}

test('overlapping subscriptions each get retained messages first and one copy of each live message', async (t) => {
  const setting = start(t)
  const { broker } = setting
  await retain(setting, 1)
  const got = new Map<string, string[]>()
  const filters = ['#', 'kept/#', 'kept/0', 'kept/+']
  const listen = (filter: string | readonly string[]): void => {
    const list: string[] = []
    got.set(String(filter), list)
    broker.subscribe(filter, async (message) => {
      list.push(text(message))
      await Promise.resolve()
    })
  }
  for (const filter of filters) listen(filter)
  listen(filters)
  for (const payload of ['v1', 'v2', 'v3']) await broker.publish({ topic: 'kept/0', payload })
  await settle()
  for (const list of got.values())
    assert.deepEqual(list, ['kept/0 old (retained)', 'kept/0 v1', 'kept/0 v2', 'kept/0 v3'])
  assert.equal(got.size, 5)
})

test('a retained message that expires before it is taken is left out, and a live one too', async (t) => {
  const { broker, clock } = start(t)
  const properties = { messageExpiryInterval: 1 }
  await broker.publish({ topic: 'a', payload: 'kept', retain: true, properties })
  const subscription = broker.subscribe('a')
  await broker.publish({ topic: 'a', payload: 'short', properties })
  await broker.publish({ topic: 'a', payload: 'long' })
  clock.advance(1001)
  for await (const { payload } of subscription) {
    assert.equal(payload.toString(), 'long')
    break
  }
})

test('with a store retained messages come first, also to a subscription that is made before they are restored', async (t) => {
  const persistence = new MemoryPersistence()
  const first = start(t, { persistence })
  await retain(first, 2)
  await first.broker.close()
  const { broker } = start(t, { persistence })
  const got: string[] = []
  void broker.publish({ topic: 'kept/before', payload: 'x', retain: true })
  broker.subscribe('kept/#', (message) => void got.push(text(message)))
  void broker.publish({ topic: 'kept/0', payload: 'new', retain: true })
  for (let round = 0; round < 5; round += 1) await settle()
  assert.deepEqual(got.toSorted(), [
    'kept/0 new (retained)',
    'kept/0 old (retained)',
    'kept/1 old (retained)',
    'kept/before x (retained)',
  ])
  assert.ok(got.indexOf('kept/0 old (retained)') < got.indexOf('kept/0 new (retained)'))
})

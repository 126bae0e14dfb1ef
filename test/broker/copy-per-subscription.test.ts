import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import mqemitter from 'mqemitter'
import { log } from '../../lib/index.ts'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type { PublishPacket } from '../../types/packets.ts'
import type { Emitter } from '../../types/emitter.ts'
import { settle, start, type TestClient } from '../support/client.ts'
import { quickFolder } from '../support/quick-folder.ts'

const kept = { cleanStart: false, properties: { sessionExpiryInterval: 1000 } }

/** `payload qos identifiers` of the next messages, in any order; each is acknowledged. */
async function copies(client: TestClient, count: number): Promise<string[]> {
  const packets: PublishPacket[] = []
  for (let number = 0; number < count; number += 1) packets.push(await client.receives('publish'))
  const acknowledged = packets.filter(({ qos }) => qos > 0)
  assert.equal(new Set(acknowledged.map(({ packetId }) => packetId)).size, acknowledged.length)
  for (const packet of acknowledged) await client.acknowledge(packet)
  await client.quiet()
  return packets
    .map(
      ({ payload, qos, properties }) =>
        `${payload.toString()} ${qos} ${properties?.subscriptionIdentifiers?.join() ?? '-'}`,
    )
    .toSorted()
}

async function subscribeBoth(client: TestClient): Promise<void> {
  await client.subscribe('#', { qos: 1 }, { subscriptionIdentifier: 1 })
  await client.subscribe('a', { qos: 2 }, { subscriptionIdentifier: 2 })
}

test('by default overlapping subscriptions have one copy with all identifiers', async (t) => {
  const { client, broker } = start(t)
  const one = await client('one')
  await subscribeBoth(one)
  await broker.publish({ topic: 'a', payload: 'x', qos: 2 })
  const packet = await one.receives('publish')
  assert.deepEqual([packet.qos, packet.properties?.subscriptionIdentifiers?.toSorted()], [2, [1, 2]])
})

test('copyPerSubscription: each matching subscription has a copy, with its QoS and identifier', async (t) => {
  const { client, broker } = start(t, { copyPerSubscription: true })
  const one = await client('one')
  await subscribeBoth(one)
  await one.subscribe('$share/g/a', { qos: 0 }, { subscriptionIdentifier: 3 })
  for (const [qos, expected] of [
    [0, ['x 0 1', 'x 0 2', 'x 0 3']],
    [1, ['x 0 3', 'x 1 1', 'x 1 2']],
    [2, ['x 0 3', 'x 1 1', 'x 2 2']],
  ] as const) {
    await broker.publish({ topic: 'a', payload: 'x', qos })
    assert.deepEqual(await copies(one, 3), expected)
  }
  await broker.publish({ topic: 'b', payload: 'y', qos: 1 })
  assert.deepEqual(await copies(one, 1), ['y 1 1'])
  await one.unsubscribe('a')
  await broker.publish({ topic: 'a', payload: 'z', qos: 0 })
  assert.deepEqual(await copies(one, 2), ['z 0 1', 'z 0 3'])
  for (const level of [3, 4] as const) {
    const old = await client('old', { level })
    await old.subscribe('#', { qos: 0 })
    await old.subscribe('a', { qos: 1 })
    await broker.publish({ topic: 'a', payload: 'x', qos: 1 })
    assert.deepEqual(await copies(old, 2), ['x 0 -', 'x 1 -'])
    await copies(one, 2)
    await old.disconnect()
  }
})

test('copyPerSubscription: No Local and Retain As Published are those of each subscription', async (t) => {
  const { client } = start(t, { copyPerSubscription: true })
  const one = await client('one')
  await one.subscribe('#', { noLocal: true, retainAsPublished: true })
  await one.subscribe('a', { qos: 0 })
  await one.publish('a', 'own', { retain: true })
  const own = await one.receives('publish')
  assert.deepEqual([own.payload.toString(), own.retain], ['own', false])
  await one.quiet()
  await (await client('two')).publish('a', 'other', { retain: true })
  const flags = [(await one.receives('publish')).retain, (await one.receives('publish')).retain]
  assert.deepEqual(new Set(flags), new Set([false, true]))
})

test('copyPerSubscription: a function decides for each Client, and again when it comes back', async (t) => {
  let isOld = true
  const { client, broker } = start(t, { copyPerSubscription: ({ id }) => id === 'node-red' && isOld })
  const [one, two] = [await client('node-red', kept), await client('two')]
  for (const each of [one, two]) await subscribeBoth(each)
  await broker.publish({ topic: 'a', payload: 'x', qos: 1 })
  assert.deepEqual(await copies(one, 2), ['x 1 1', 'x 1 2'])
  assert.equal((await copies(two, 1)).length, 1)
  await one.drop()
  await broker.publish({ topic: 'a', payload: 'away', qos: 2 })
  isOld = false
  const again = await client('node-red', kept)
  assert.deepEqual(await copies(again, 2), ['away 1 1', 'away 2 2'])
  await broker.publish({ topic: 'a', payload: 'y', qos: 1 })
  assert.equal((await copies(again, 1)).length, 1)
  isOld = true
  await again.drop()
  const third = await client('node-red', kept)
  await broker.publish({ topic: 'a', payload: 'z', qos: 1 })
  assert.equal((await copies(third, 2)).length, 2)
})

for (const store of ['memory', 'log'] as const) {
  test(`copyPerSubscription: subscriptions and queued copies outlive the broker: ${store}`, async (t) => {
    const folder = mkdtempSync(join(quickFolder, 'haltere-copies-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const memory = new MemoryPersistence()
    const options = () => ({
      persistence: store === 'memory' ? memory : log({ dir: folder, durability: 'none' }),
      copyPerSubscription: ({ id }: { id: string }) => id === 'one',
    })
    const first = start(t, options())
    const one = await first.client('one', kept)
    await subscribeBoth(one)
    await one.drop()
    await first.broker.publish({ topic: 'a', payload: 'before', qos: 2 })
    await first.broker.close({ graceMs: 0 })
    const second = start(t, options())
    await second.broker.publish({ topic: 'a', payload: 'between', qos: 2 })
    const again = await second.client('one', kept)
    assert.deepEqual(await copies(again, 4), ['before 1 1', 'before 2 2', 'between 1 1', 'between 2 2'])
    await again.drop()
    await second.broker.close({ graceMs: 0 })
    const third = start(t, options())
    await copies(await third.client('one', kept), 0)
    assert.equal(third.broker.stats().queuedMessages, 0)
  })
}

test('copyPerSubscription: messages of another broker on the same emitter come once for each subscription', async (t) => {
  const emitter = mqemitter() as unknown as Emitter
  const [a, b] = [start(t, { emitter, copyPerSubscription: true }), start(t, { emitter, copyPerSubscription: true })]
  for (let turn = 0; turn < 5; turn += 1) {
    a.clock.advance(1000)
    b.clock.advance(1000)
    await settle()
  }
  const one = await a.client('one')
  await subscribeBoth(one)
  await settle()
  await b.broker.publish({ topic: 'a', payload: 'x', qos: 1 })
  assert.deepEqual(await copies(one, 2), ['x 1 1', 'x 1 2'])
})

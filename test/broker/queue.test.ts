import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Limits } from '../../types/options.ts'
import { publishPacket, settle, start, type Setting, type TestClient } from '../support/client.ts'

const properties = { sessionExpiryInterval: 1000 }

async function away(
  t: TestContext,
  limits: Partial<Limits>,
): Promise<Setting & { dropped: string[]; publisher: TestClient }> {
  const s = start(t, { limits })
  const dropped: string[] = []
  s.broker.on('dropped', (message, clientId, why) =>
    dropped.push(`${clientId} ${message.payload.toString().slice(0, 3)} ${why}`),
  )
  const one = await s.client('one', { properties })
  await one.subscribe('t/#', { qos: 2 })
  await one.drop()
  return { ...s, dropped, publisher: await s.client('publisher') }
}

test('queued messages arrive in order, whatever their QoS', async (t) => {
  const { client, publisher, broker } = await away(t, {})
  const sent: string[] = []
  for (let number = 0; number < 500; number += 1) {
    const qos = ((number % 2) + 1) as 1 | 2
    await publisher.publish(`t/${number % 7}`, `${number}`, { qos })
    sent.push(`${number}`)
  }
  assert.equal(broker.stats().queuedMessages, 500)
  const again = await client('one', { properties, cleanStart: false })
  const received: string[] = []
  const open: number[] = []
  while (received.length < sent.length) {
    const packet = await again.receives('publish')
    received.push(packet.payload.toString())
    open.push(packet.packetId)
    assert.equal(packet.dup, false)
  }
  assert.deepEqual(received, sent)
  assert.equal(new Set(open).size, open.length)
})

test('the limit of waiting messages keeps the oldest and tells about the newest', async (t) => {
  const { client, publisher, dropped, broker } = await away(t, { maxQueuedMessages: 3 })
  for (let number = 0; number < 5; number += 1) await publisher.publish('t', `m${number}`, { qos: 1 })
  assert.deepEqual(dropped, ['one m3 queue-full', 'one m4 queue-full'])
  assert.equal(broker.stats().queuedMessages, 3)
  assert.equal(broker.stats().publishDropped, 2)
  const again = await client('one', { properties, cleanStart: false })
  for (const text of ['m0', 'm1', 'm2']) assert.equal(await again.message(), text)
  await again.quiet()
  assert.equal(broker.stats().queuedMessages, 0)
  assert.equal(broker.stats().queuedBytes, 0)
  // There is room again.
  await publisher.publish('t', 'm5', { qos: 1 })
  assert.equal(await again.message(), 'm5')
})

test('the limit of waiting bytes of one Client holds, and others are not concerned', async (t) => {
  const { client, publisher, dropped, broker } = await away(t, { maxQueuedBytes: 5000 })
  const two = await client('two', { properties })
  await two.subscribe('t/#', { qos: 1 })
  await two.drop()
  for (let number = 0; number < 10; number += 1) await publisher.publish('t', `${number}`.padEnd(1000, '.'), { qos: 1 })
  assert.ok(broker.stats().queuedBytes <= 10_000)
  assert.ok(broker.stats().queuedMessages >= 6)
  assert.equal(dropped.length + broker.stats().queuedMessages, 20)
  // A message larger than all is dropped, a small one still fits.
  await publisher.publish('t', 'x'.repeat(6000), { qos: 1 })
  assert.ok(dropped.at(-1)?.includes('xxx queue-full'))
})

test('the limit of waiting bytes of all Clients holds', async (t) => {
  const { client, publisher, broker, dropped } = await away(t, { maxTotalQueuedBytes: 10_000 })
  for (let number = 0; number < 5; number += 1) {
    const other = await client(`c${number}`, { properties })
    await other.subscribe('t', { qos: 1 })
    await other.drop()
  }
  for (let number = 0; number < 10; number += 1) await publisher.publish('t', `${number}`.padEnd(1000, '.'), { qos: 1 })
  assert.ok(broker.stats().queuedBytes <= 10_000)
  assert.equal(dropped.length + broker.stats().queuedMessages, 60)
  const again = await client('one', { properties, cleanStart: false })
  await again.message()
  const stats = broker.stats()
  await settle()
  assert.ok(stats.queuedBytes < 10_000)
})

test('QoS 0 does not wait for a Client that is away', async (t) => {
  const { client, publisher, broker } = await away(t, {})
  await publisher.publish('t', 'x')
  await publisher.quiet()
  assert.equal(broker.stats().queuedMessages, 0)
  await (await client('one', { properties, cleanStart: false })).quiet()
})

test('a Client that acknowledges nothing has its queue, and its limit, while it is connected', async (t) => {
  const { client, broker } = start(t, { limits: { maxQueuedMessages: 10, holdBackMs: 0 } })
  const one = await client('one', { properties: { receiveMaximum: 2 } })
  await one.subscribe('t', { qos: 1 })
  const publisher = await client('publisher')
  const other = await client('other')
  await other.subscribe('t', { qos: 1 })
  for (let number = 0; number < 30; number += 1) {
    await broker.publish({ topic: 't', payload: `${number}`, qos: 1 })
    assert.equal(await other.message(), `${number}`)
  }
  assert.equal(broker.stats().queuedMessages, 10)
  assert.equal(broker.stats().publishDropped, 18)
  for (let number = 0; number < 12; number += 1) assert.equal(await one.message(), `${number}`)
  await one.quiet()
  await publisher.quiet()
})

test('a publisher is paused while a subscriber catches up, so that no message is lost', async (t) => {
  const { client, broker } = start(t, { limits: { maxQueuedMessages: 100, holdBackMs: 60_000 } })
  const one = await client('one', { properties: { receiveMaximum: 5 } })
  await one.subscribe('t', { qos: 1 })
  const publisher = await client('publisher')
  publisher.send(
    ...Array.from({ length: 2000 }, (_, number) => publishPacket('t', `${number}`, { qos: 1, packetId: number + 1 })),
  )
  for (let number = 0; number < 2000; number += 1) assert.equal(await one.message(), `${number}`)
  assert.equal(broker.stats().publishDropped, 0)
})

test('a subscriber that does not catch up in time pauses no publisher any more', async (t) => {
  const { client, broker, clock } = start(t, { limits: { maxQueuedMessages: 100, holdBackMs: 500 } })
  const one = await client('one', { properties: { receiveMaximum: 1 } })
  await one.subscribe('t', { qos: 1 })
  const publisher = await client('publisher')
  publisher.send(
    ...Array.from({ length: 300 }, (_, number) => publishPacket('t', `${number}`, { qos: 1, packetId: number + 1 })),
    { type: 'pingreq' },
  )
  await settle()
  assert.ok(publisher.received.length < 300, 'it waits')
  const other = await client('other')
  await other.quiet()
  clock.advance(500)
  for (let number = 0; number < 300; number += 1) await publisher.receives('puback')
  await publisher.receives('pingresp')
  assert.equal(broker.stats().publishDropped, 300 - 101)
  // Other publishers are not paused either.
  await other.publish('t', 'x', { qos: 1 })
})

test('all of many retained messages come, however slowly their receiver takes them', async (t) => {
  const { client, broker } = start(t, { limits: { maxQueuedMessages: 100 } })
  for (let number = 0; number < 3000; number += 1) {
    await broker.publish({ topic: `t/${number}`, payload: 'x', qos: 1, retain: true })
  }
  const one = await client('one', { properties: { receiveMaximum: 10 } })
  one.send({
    type: 'subscribe',
    packetId: 1,
    subscriptions: [{ topicFilter: 't/+', qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
    properties: undefined,
  })
  await one.receives('suback')
  const topics = new Set<string>()
  for (let number = 0; number < 3000; number += 1) {
    const packet = await one.receives('publish')
    topics.add(packet.topic)
    await one.acknowledge(packet)
  }
  assert.equal(topics.size, 3000)
  await one.quiet()
  assert.equal(broker.stats().publishDropped, 0)
})

test('retained messages go on after a reconnect, or the Client subscribes again and has them', async (t) => {
  const { client, broker } = start(t, { limits: { maxQueuedMessages: 100 } })
  for (let number = 0; number < 500; number += 1) {
    await broker.publish({ topic: `t/${number}`, payload: 'x', qos: 1, retain: true })
  }
  const one = await client('one', { properties: { ...properties, receiveMaximum: 1 } })
  await one.subscribe('t/+', { qos: 1 })
  await one.drop()
  const again = await client('one', { cleanStart: false, properties })
  const topics = new Set<string>()
  for (let number = 0; number < 500; number += 1) {
    const packet = await again.receives('publish')
    topics.add(packet.topic)
    await again.acknowledge(packet)
  }
  assert.equal(topics.size, 500)
})

/** Queued messages that expire make room, wherever they wait [MQTT-3.3.2-5]. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Broker } from '../../lib/broker.ts'
import { settle, start, type TestClient } from '../support/client.ts'
import { startMachine } from './machine.ts'

const persistent = { cleanStart: false, properties: { sessionExpiryInterval: 100_000 } }

/** The events `dropped` of a broker, as `clientId payload reason`. */
function droppedBy(broker: Broker): string[] {
  const dropped: string[] = []
  broker.on('dropped', ({ payload }, clientId, why) => {
    dropped.push(`${clientId} ${payload.toString().slice(0, 2)} ${why}`)
  })
  return dropped
}

/** Publishes messages named `name` and a number. */
async function publish(
  publisher: Pick<TestClient, 'publish'>,
  names: readonly string[],
  expiry?: number,
  bytes = 1,
  topic = 't',
): Promise<void> {
  for (const name of names) {
    const properties = expiry === undefined ? {} : { messageExpiryInterval: expiry }
    assert.equal(await publisher.publish(topic, name.padEnd(bytes, '.'), { qos: 1, properties }), 0)
  }
}

async function messages(client: TestClient, count: number): Promise<string[]> {
  const payloads: string[] = []
  for (let index = 0; index < count; index += 1) payloads.push((await client.message()).slice(0, 2))
  return payloads
}

const expired = ['x0', 'x1', 'x2', 'x3']
const live = ['y0', 'y1', 'y2', 'y3']
const droppedOf = (clientId: string): string[] => expired.map((name) => `${clientId} ${name} expired`)

for (const [what, limits, bytes] of [
  ['messages', { maxQueuedMessages: 4 }, 1],
  ['bytes', { maxQueuedBytes: 4 * 1200 }, 1000],
  ['bytes of all queues', { maxTotalQueuedBytes: 4 * 1200 }, 1000],
] as const) {
  test(`messages that expired take no room from later ones: limit of ${what}`, async (t) => {
    const { client, broker, clock } = start(t, { limits })
    const dropped = droppedBy(broker)
    const away = await client('away', persistent)
    await away.subscribe('t', { qos: 1 })
    await away.drop()
    const publisher = await client('publisher')
    await publish(publisher, expired, 1, bytes)
    assert.equal(broker.stats().queuedMessages, 4)
    clock.advance(1000)
    assert.deepEqual(dropped, droppedOf('away'))
    assert.equal(broker.stats().queuedMessages, 0)
    assert.equal(broker.stats().queuedBytes, 0)
    await publish(publisher, live, undefined, bytes)
    assert.deepEqual(await messages(await client('away', persistent), 4), live)
    assert.deepEqual(dropped, droppedOf('away'))
    assert.equal(broker.stats().publishDropped, 4)
  })

  test(`a full queue looks for messages that expired before it drops one: limit of ${what}`, async (t) => {
    const { client, broker, clock } = start(t, { limits })
    const dropped = droppedBy(broker)
    const away = await client('away', persistent)
    await away.subscribe('t', { qos: 1 })
    await away.drop()
    const publisher = await client('publisher')
    await publish(publisher, ['a0', 'a1'], undefined, bytes)
    await publish(publisher, ['x0', 'x1'], 1, bytes)
    clock.standStill(1000)
    await publish(publisher, ['b0', 'b1'], undefined, bytes)
    await publish(publisher, ['c0'], undefined, bytes)
    assert.deepEqual(dropped, ['away x0 expired', 'away x1 expired', 'away c0 queue-full'])
    assert.deepEqual(await messages(await client('away', persistent), 4), ['a0', 'a1', 'b0', 'b1'])
  })
}

test('messages that expired in one session take no room of another one', async (t) => {
  const { client, broker, clock } = start(t, { limits: { maxTotalQueuedBytes: 4 * 1200 } })
  const dropped = droppedBy(broker)
  for (const name of ['one', 'two']) {
    const away = await client(name, persistent)
    await away.subscribe(`${name}/#`, { qos: 1 })
    await away.drop()
  }
  const publisher = await client('publisher')
  await publish(publisher, expired, 1, 1000, 'one/t')
  clock.advance(1000)
  await publish(publisher, live, undefined, 1000, 'two/t')
  assert.deepEqual(dropped, droppedOf('one'))
  assert.deepEqual(await messages(await client('two', persistent), 4), live)
})

for (const qos of [1, 2] as const) {
  test(`a Client that does not keep up gets what is not expired; what was sent does not expire, QoS ${qos}`, async (t) => {
    const { client, broker, clock } = start(t, { limits: { maxQueuedMessages: 4 } })
    const dropped = droppedBy(broker)
    const slow = await client('slow', { properties: { receiveMaximum: 1 } })
    await slow.subscribe('t', { qos })
    const properties = { messageExpiryInterval: 1 }
    await broker.publish({ topic: 't', payload: 'in flight', qos, properties })
    for (const payload of expired) void broker.publish({ topic: 't', payload, qos, properties }) // The Client holds it.
    await settle()
    clock.advance(1000)
    for (const payload of live) void broker.publish({ topic: 't', payload, qos })
    await settle()
    assert.equal(await slow.message(), 'in flight')
    assert.deepEqual(await messages(slow, 4), live)
    await slow.quiet()
    assert.deepEqual(dropped, droppedOf('slow'))
  })
}

test('a publisher that waited for a slow Client goes on when its messages expire', async (t) => {
  const { client, broker, clock } = start(t, { limits: { maxQueuedMessages: 4, holdBackMs: 60_000 } })
  const slow = await client('slow', { properties: { receiveMaximum: 1 } })
  await slow.subscribe('t', { qos: 1 })
  const publisher = await client('publisher')
  await publish(publisher, ['a0'])
  await publish(publisher, ['x0', 'x1', 'x2'], 1) // More than half of its queue.
  const waits = publisher.publish('t', 'b0', { qos: 1 })
  await settle()
  assert.equal(broker.stats().queuedMessages, 3)
  clock.advance(1000)
  await waits
  assert.deepEqual(await messages(slow, 2), ['a0', 'b0'])
})

test('messages of a shared subscription that expired make room, and each is dropped once', async (t) => {
  const { client, broker, clock } = start(t, { limits: { maxQueuedMessages: 2 } })
  const dropped = droppedBy(broker)
  for (const name of ['one', 'two']) {
    const away = await client(name, persistent)
    await away.subscribe('$share/g/t', { qos: 1 })
    await away.drop()
  }
  const publisher = await client('publisher')
  await publish(publisher, expired, 1)
  clock.advance(1000)
  await publish(publisher, live)
  assert.deepEqual(
    dropped.map((each) => each.slice(4)).toSorted(),
    expired.map((name) => `${name} expired`),
  )
  assert.equal(broker.stats().queuedMessages, 4)
})

test('many messages that expire together leave the event loop free, and all are dropped', async (t) => {
  const { client, broker, clock } = start(t)
  const away = await client('away', persistent)
  await away.subscribe('t', { qos: 1 })
  await away.drop()
  const properties = { messageExpiryInterval: 1 }
  for (let number = 0; number < 2500; number += 1) {
    await broker.publish({ topic: 't', payload: `${number}`, qos: 1, properties })
  }
  clock.advance(1000)
  assert.equal(broker.stats().queuedMessages, 1500, 'some at a time')
  while (broker.stats().queuedMessages > 0) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(broker.stats().publishDropped, 2500)
  assert.equal(broker.stats().queuedBytes, 0)
})

test('messages with different intervals expire each in its time, and the others keep their order', async (t) => {
  const { client, broker, clock } = start(t)
  const dropped = droppedBy(broker)
  const away = await client('away', persistent)
  await away.subscribe('t', { qos: 1 })
  await away.drop()
  const publisher = await client('publisher')
  for (const expiry of [5, 2, 9, 1, 7, 3, 8, 4, 6]) await publish(publisher, [`m${expiry}`], expiry)
  for (let second = 1; second <= 4; second += 1) {
    clock.advance(1000)
    assert.equal(dropped.length, second)
    assert.equal(dropped.at(-1), `away m${second} expired`)
    assert.equal(broker.stats().queuedMessages, 9 - second)
  }
  assert.deepEqual(await messages(await client('away', persistent), 5), ['m5', 'm9', 'm7', 'm8', 'm6'])
  clock.advance(10_000)
  assert.equal(dropped.length, 4)
})

test('a session that ends has no timer for its messages left', async (t) => {
  const { client, broker } = start(t)
  const away = await client('away', persistent)
  await away.subscribe('t', { qos: 1 })
  await away.drop()
  await publish(await client('publisher'), ['x0'], 1000)
  await (await client('away', { cleanStart: true })).disconnect()
  await settle()
  assert.equal(broker.stats().queuedMessages, 0)
  assert.equal(broker.stats().timers, 0)
})

test('after kill -9 messages that expired meanwhile are dropped once, and take no room', async (t) => {
  const machine = startMachine(t, { limits: { maxQueuedMessages: 4 } })
  const away = await machine.client('away')
  await away.subscribe('t', { qos: 1 })
  await away.drop()
  const publisher = await machine.client('publisher')
  await publish(publisher, ['x0', 'x1'], 10)
  await publish(publisher, ['y0', 'y1'])
  await machine.restart(10_000)
  const dropped = droppedBy(machine.broker)
  await publish(await machine.client('publisher'), ['y2', 'y3'])
  assert.equal(machine.broker.stats().queuedMessages, 4)
  await machine.restart(0)
  const later = droppedBy(machine.broker)
  assert.deepEqual(await messages(await machine.client('away'), 4), live)
  assert.deepEqual([dropped, later], [['away x0 expired', 'away x1 expired'], []])
})

for (const overflow of ['drop-oldest', 'pause', 'error'] as const) {
  test(`messages that expired while they waited for the application make room: overflow ${overflow}`, async (t) => {
    const { broker, clock } = start(t)
    const subscription = broker.subscribe('t', { highWaterMark: 4, overflow })
    const send = (payload: string, messageExpiryInterval?: number): Promise<unknown> =>
      broker.publish({
        topic: 't',
        payload,
        qos: 1,
        retain: payload === 'x1',
        ...(messageExpiryInterval !== undefined && { properties: { messageExpiryInterval } }),
      })
    await send('y0')
    for (const payload of ['x0', 'x1', 'x2']) await send(payload, 1)
    clock.advance(1001)
    for (const payload of ['y1', 'y2', 'y3']) await send(payload)
    assert.equal(subscription.dropped, 0)
    const came: string[] = []
    for await (const message of subscription) {
      came.push(message.payload.toString())
      if (came.length === 4) break
    }
    assert.deepEqual(came, live)
  })
}

test('a message that expired while it waited for the application is not passed to it', async (t) => {
  const { broker, clock } = start(t)
  const subscription = broker.subscribe('t', { qos: 1 })
  await broker.publish({ topic: 't', payload: 'x', qos: 2, properties: { messageExpiryInterval: 1 } })
  await broker.publish({ topic: 't', payload: 'y', qos: 2 })
  clock.standStill(1001)
  for await (const message of subscription) {
    assert.equal(message.payload.toString(), 'y')
    break
  }
})

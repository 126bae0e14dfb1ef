import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type { Clock } from '../../types/options.ts'
import { ManualClock } from '../support/clock.ts'
import { ack, deferred, publishPacket, settle, start } from '../support/client.ts'

const expires = (messageExpiryInterval: number): { properties: { messageExpiryInterval: number } } => ({
  properties: { messageExpiryInterval },
})

test('a message is delivered with what is left of its expiry [MQTT-3.3.2-6]', async (t) => {
  const { client, clock, broker } = start(t)
  const live = await client('live')
  await live.subscribe('t', { qos: 1 })
  const away = await client('away', { properties: { sessionExpiryInterval: 1000 } })
  await away.subscribe('t', { qos: 1 })
  await away.drop()
  const publisher = await client('publisher')
  await publisher.publish('t', 'x', { qos: 1, retain: true, ...expires(100) })
  const first = await live.receives('publish')
  assert.equal(first.properties?.messageExpiryInterval, 100)
  clock.advance(40_000)
  const again = await client('away', { cleanStart: false })
  assert.equal((await again.receives('publish')).properties?.messageExpiryInterval, 60)
  const late = await client('late')
  await late.subscribe('t')
  assert.equal((await late.receives('publish')).properties?.messageExpiryInterval, 60)
  clock.advance(59_000)
  await late.subscribe('t')
  assert.equal((await late.receives('publish')).properties?.messageExpiryInterval, 1)
  clock.advance(1000)
  await late.subscribe('t')
  await late.quiet()
  assert.equal(broker.stats().retainedMessages, 0)
  assert.equal(broker.stats().retainedBytes, 0)
})

test('a queued message that expired is not sent, and is counted [MQTT-3.3.2-5]', async (t) => {
  const { client, clock, broker } = start(t)
  const dropped: string[] = []
  broker.on('dropped', (message, clientId, why) => dropped.push(`${message.topic} ${clientId} ${why}`))
  const away = await client('away', { properties: { sessionExpiryInterval: 1000 } })
  await away.subscribe('#', { qos: 1 })
  await away.drop()
  const publisher = await client('publisher')
  await publisher.publish('short', 'x', { qos: 1, ...expires(1) })
  await publisher.publish('long', 'y', { qos: 1, ...expires(1000) })
  await publisher.publish('for ever', 'z', { qos: 1 })
  clock.advance(1000)
  const again = await client('away', { cleanStart: false })
  assert.equal(await again.message(), 'y')
  assert.equal(await again.message(), 'z')
  await again.quiet()
  assert.deepEqual(dropped, ['short away expired'])
  assert.equal(broker.stats().queuedMessages, 0)
  assert.equal(broker.stats().queuedBytes, 0)
})

for (const store of [undefined, 'memory'] as const) {
  test(`a message with an expiry of 0 reaches the subscribers that can receive it at once: store ${store}`, async (t) => {
    const { client, broker, clock } = start(t, store && { persistence: new MemoryPersistence() })
    const dropped: string[] = []
    broker.on('dropped', (message, clientId, why) => dropped.push(`${message.qos} ${clientId} ${why}`))
    const heard: string[] = []
    broker.subscribe('t', ({ payload }) => void heard.push(payload.toString()))
    const properties = { sessionExpiryInterval: 1000 }
    const away = await client('away', { properties })
    await away.subscribe('t', { qos: 2 })
    await away.drop()
    const busy = await client('busy', { properties: { ...properties, receiveMaximum: 1 } })
    await busy.subscribe('#', { qos: 2 })
    await broker.publish({ topic: 'first', qos: 1 })
    const first = await busy.receives('publish')
    const [five, four, member] = [
      await client('five', { properties }),
      await client('four', { level: 4 }),
      await client('member'),
    ]
    for (const one of [five, four]) await one.subscribe('t', { qos: 2 })
    await member.subscribe('$share/g/t', { qos: 2 })
    const publisher = await client('publisher')
    for (const qos of [0, 1, 2] as const) {
      await publisher.publish('t', `${qos}`, { qos, retain: true, ...expires(0) })
      for (const one of [five, four, member]) {
        const packet = await one.receives('publish')
        assert.equal(packet.payload.toString(), `${qos}`)
        assert.equal(packet.properties?.messageExpiryInterval, one === four ? undefined : 0)
        await one.acknowledge(packet)
      }
    }
    assert.deepEqual(heard, ['0', '1', '2'])
    clock.advance(1)
    await busy.message().then((payload) => assert.equal(payload, '0', 'QoS 0 does not wait for the Receive Maximum'))
    busy.send(ack('puback', first.packetId))
    await busy.quiet()
    const again = await client('away', { cleanStart: false })
    await again.quiet()
    const late = await client('late')
    await late.subscribe('t')
    await late.quiet()
    assert.deepEqual(dropped.toSorted(), ['1 away expired', '1 busy expired', '2 away expired', '2 busy expired'])
    assert.equal(broker.stats().queuedMessages, 0)
    assert.equal(broker.stats().retainedMessages, 0)
  })
}

test('a message with an expiry of 0 reaches a listener of the application although time passes meanwhile', async (t) => {
  const manual = new ManualClock()
  const clock: Clock = {
    now: () => {
      manual.advance(1)
      return manual.now()
    },
    setTimeout: (callback, milliseconds) => manual.setTimeout(callback, milliseconds),
    clearTimeout: (handle: never) => manual.clearTimeout(handle),
  }
  const { broker } = start(t, { clock })
  const heard: string[] = []
  broker.subscribe('t', ({ payload }) => void heard.push(payload.toString()))
  await broker.publish({ topic: 't', payload: 'x', ...expires(0) })
  await settle() // With a store, until what it has is read.
  assert.deepEqual(heard, ['x'])
})

test('a message with an expiry of 0 replaces the retained message, which is outdated', async (t) => {
  const { client, broker } = start(t, { persistence: new MemoryPersistence() })
  const one = await client('one')
  await one.publish('t', 'old', { qos: 1, retain: true })
  await one.publish('t', 'new', { qos: 1, retain: true, ...expires(0) })
  assert.equal(broker.stats().retainedMessages, 0)
  await one.subscribe('t')
  await one.quiet()
})

test('a message with an expiry of 0 goes out after a hook has decided; one with more has expired then', async (t) => {
  const decision = deferred<boolean>()
  const { client, clock } = start(t, { plugins: [{ name: 'slow', authorizePublish: () => decision.promise }] })
  const one = await client('one')
  await one.subscribe('t', { qos: 1 })
  const [zero, more] = [await client('zero'), await client('more')]
  zero.send(publishPacket('t', 'zero', { ...expires(0) }))
  more.send(publishPacket('t', 'more', { ...expires(1) }))
  await settle()
  clock.advance(5000)
  decision.resolve(true)
  assert.equal(await one.message(), 'zero')
  await one.quiet()
})

test('once sent, a message does not expire: it is sent again after a reconnect [MQTT-4.4.0-1]', async (t) => {
  const { client, clock } = start(t)
  const properties = { sessionExpiryInterval: 1000 }
  const one = await client('one', { properties })
  await one.subscribe('t', { qos: 1 })
  const publisher = await client('publisher')
  await publisher.publish('t', 'x', { qos: 1, ...expires(5) })
  const { packetId } = await one.receives('publish')
  await one.drop()
  clock.advance(10_000)
  const again = await client('one', { properties, cleanStart: false })
  const packet = await again.receives('publish')
  assert.deepEqual([packet.packetId, packet.dup, packet.payload.toString()], [packetId, true, 'x'])
  assert.equal(packet.properties?.messageExpiryInterval, 0)
})

test('a large expiry counts in seconds of 32 bits, and MQTT 3 receivers see none', async (t) => {
  const { client, clock } = start(t)
  const publisher = await client('publisher')
  await publisher.publish('t', 'x', { qos: 1, retain: true, ...expires(2 ** 32 - 1) })
  clock.advance(2 ** 31 * 1000)
  const five = await client('five')
  await five.subscribe('t')
  assert.equal((await five.receives('publish')).properties?.messageExpiryInterval, 2 ** 31 - 1)
  const four = await client('four', { level: 4 })
  await four.subscribe('t')
  assert.equal((await four.receives('publish')).properties, undefined)
  clock.advance(2 ** 31 * 1000)
  await five.subscribe('t')
  await five.quiet()
})

test('a retained message that is replaced takes the expiry of the new one', async (t) => {
  const { client, clock, broker } = start(t)
  const publisher = await client('publisher')
  await publisher.publish('t', 'x', { qos: 1, retain: true, ...expires(10) })
  await publisher.publish('t', 'y', { qos: 1, retain: true })
  clock.advance(20_000)
  assert.equal(broker.stats().retainedMessages, 1)
  await publisher.publish('t', 'z', { qos: 1, retain: true, ...expires(10) })
  clock.advance(10_000)
  assert.equal(broker.stats().retainedMessages, 0)
  assert.equal(broker.stats().timers, 0)
})

test('messages of the application expire too', async (t) => {
  const { broker, client, clock } = start(t)
  await broker.publish({ topic: 't', payload: 'x', retain: true, ...expires(3) })
  clock.advance(2000)
  const one = await client('one')
  await one.subscribe('t')
  assert.equal((await one.receives('publish')).properties?.messageExpiryInterval, 1)
  clock.advance(1000)
  const left = []
  for await (const message of broker.retained()) left.push(message)
  assert.deepEqual(left, [])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { publishPacket, settle, start, type TestClient } from '../support/client.ts'

const persistent = { cleanStart: false, properties: { sessionExpiryInterval: 1000 } }

/** The payloads that came, everything acknowledged. */
async function drain(one: TestClient): Promise<string[]> {
  const payloads: string[] = []
  await settle()
  for (;;) {
    const packet = one.received.shift()
    if (packet === undefined) return payloads
    if (packet.type !== 'publish') continue
    payloads.push(packet.payload.toString())
    if (packet.qos === 1) one.send({ type: 'puback', packetId: packet.packetId, reasonCode: 0, properties: undefined })
    await settle()
  }
}

test('each message goes to one member, and everybody has a fair share [MQTT-4.8.2-4]', async (t) => {
  const { client, broker } = start(t)
  const members = [await client('a'), await client('b', { level: 4 }), await client('c', { level: 3 })]
  for (const member of members) await member.subscribe('$share/g/t/+', { qos: 1 })
  for (let number = 0; number < 300; number += 1)
    await broker.publish({ topic: `t/${number}`, payload: `${number}`, qos: 1 })
  const shares = []
  for (const member of members) shares.push(await drain(member))
  assert.deepEqual(
    shares
      .flat()
      .map(Number)
      .toSorted((one, other) => one - other),
    Array.from({ length: 300 }, (_, number) => number),
  )
  for (const share of shares) assert.equal(share.length, 100)
})

test('groups with other names or filters are other groups, and plain subscriptions get their own copy', async (t) => {
  const { client, broker } = start(t)
  const one = await client('one')
  for (const topicFilter of ['$share/g/t', '$share/h/t', '$share/g/#', 't']) await one.subscribe(topicFilter)
  await broker.publish({ topic: 't', payload: 'x' })
  assert.equal((await drain(one)).length, 4)
  assert.equal(broker.stats().sharedSubscriptions, 3)
  assert.equal(broker.stats().subscriptions, 4)
})

test('each member gets messages at its own QoS [MQTT-4.8.2-3], with its own identifier and RETAIN as published', async (t) => {
  const { client, broker } = start(t)
  for (const qos of [0, 1, 2] as const) {
    const member = await client(`q${qos}`)
    await member.subscribe('$share/g/t', { qos, retainAsPublished: qos === 1 }, { subscriptionIdentifier: qos + 10 })
    for (const published of [0, 1, 2] as const) {
      await broker.publish({ topic: 't', payload: 'x', qos: published, retain: true })
      const packet = await member.receives('publish')
      assert.equal(packet.qos, Math.min(qos, published))
      assert.equal(packet.retain, qos === 1)
      assert.deepEqual(packet.properties?.subscriptionIdentifiers, [qos + 10])
      await member.acknowledge(packet)
    }
    await member.disconnect()
  }
})

test('retained messages are not sent for a shared subscription (section 4.8.2)', async (t) => {
  const { client, broker } = start(t)
  await broker.publish({ topic: 't', payload: 'x', retain: true })
  const one = await client('one')
  await one.subscribe('$share/g/t')
  await one.quiet()
})

test('No Local on a shared subscription is a protocol error [MQTT-3.8.3-4]', async (t) => {
  const { client } = start(t)
  const one = await client('one')
  one.send({
    type: 'subscribe',
    packetId: 1,
    subscriptions: [{ topicFilter: '$share/g/t', qos: 0, noLocal: true, retainAsPublished: false, retainHandling: 0 }],
    properties: undefined,
  })
  await one.endedWith(0x82)
})

test('a member that unsubscribes, disconnects or ends its session gets nothing more; the rest get everything', async (t) => {
  const { client, broker, clock } = start(t)
  const stays = await client('stays')
  await stays.subscribe('$share/g/t', { qos: 1 })
  const leaves = await client('leaves')
  const goes = await client('goes')
  const expires = await client('expires', { properties: { sessionExpiryInterval: 5 } })
  for (const one of [leaves, goes, expires]) await one.subscribe('$share/g/t', { qos: 1 })
  assert.deepEqual(await leaves.unsubscribe('$share/g/t'), [0])
  assert.deepEqual(await leaves.unsubscribe('$share/g/t'), [0x11])
  await goes.disconnect()
  await expires.drop()
  clock.advance(5000)
  for (let number = 0; number < 10; number += 1) await broker.publish({ topic: 't', payload: `${number}`, qos: 1 })
  assert.equal((await drain(stays)).length, 10)
  assert.equal(broker.stats().sharedSubscriptions, 1)
})

test('a member that is away gets nothing while another one is here', async (t) => {
  const { client, broker } = start(t)
  const away = await client('away', persistent)
  await away.subscribe('$share/g/t', { qos: 1 })
  await away.drop()
  const here = await client('here')
  await here.subscribe('$share/g/t', { qos: 1 })
  for (let number = 0; number < 10; number += 1) await broker.publish({ topic: 't', payload: `${number}`, qos: 1 })
  assert.equal((await drain(here)).length, 10)
  await here.disconnect()
  // Without a connected member the remaining session queues them.
  for (let number = 10; number < 13; number += 1) await broker.publish({ topic: 't', payload: `${number}`, qos: 1 })
  assert.deepEqual(await drain(await client('away', persistent)), ['10', '11', '12'])
})

test('QoS 0 messages are not thrown away on a member that is away while another one is here', async (t) => {
  const { client, broker } = start(t)
  const away = await client('away', persistent)
  await away.subscribe('$share/g/t', { qos: 1 })
  await away.drop()
  const here = await client('here')
  await here.subscribe('$share/g/t')
  for (let number = 0; number < 10; number += 1) await broker.publish({ topic: 't', payload: `${number}` })
  assert.equal((await drain(here)).length, 10)
})

test('a QoS 1 message that a member did not acknowledge goes to another when its session ends (section 4.8.2)', async (t) => {
  for (const how of ['end', 'unsubscribe'] as const) {
    const { client, broker } = start(t)
    const first = await client('first', { properties: { receiveMaximum: 1 } })
    await first.subscribe('$share/g/t', { qos: 1 })
    for (const payload of ['sent', 'waiting 1', 'waiting 2']) await broker.publish({ topic: 't', payload, qos: 1 })
    assert.equal((await first.receives('publish')).payload.toString(), 'sent')
    const second = await client('second', { properties: { receiveMaximum: 1 } })
    await second.subscribe('$share/g/t', { qos: 1 })
    if (how === 'end') {
      await first.drop()
      assert.deepEqual(await drain(second), ['waiting 1', 'sent', 'waiting 2'], 'what was sent first, then what waits')
    } else {
      await first.unsubscribe('$share/g/t')
      assert.deepEqual(await drain(second), ['waiting 1', 'waiting 2'])
    }
    assert.equal(broker.stats().queuedMessages, 0)
  }
})

test('a QoS 2 message that was sent to one member goes to no other [MQTT-4.8.2-5]', async (t) => {
  const { client, broker } = start(t)
  const first = await client('first', { properties: { receiveMaximum: 1 } })
  await first.subscribe('$share/g/t', { qos: 2 })
  await broker.publish({ topic: 't', payload: 'sent', qos: 2 })
  await broker.publish({ topic: 't', payload: 'waiting', qos: 2 })
  await first.receives('publish')
  const second = await client('second')
  await second.subscribe('$share/g/t', { qos: 2 })
  await first.drop()
  assert.equal(await second.message(), 'waiting')
  await second.quiet()
})

test('messages that a member was sent and did not acknowledge are for others when its session ends', async (t) => {
  const { client, broker, clock } = start(t)
  const away = await client('away', { properties: { sessionExpiryInterval: 10 } })
  await away.subscribe('$share/g/t', { qos: 1 })
  await broker.publish({ topic: 't', payload: 'x', qos: 1 })
  assert.equal((await away.receives('publish')).dup, false)
  await away.drop()
  const here = await client('here')
  await here.subscribe('$share/g/t', { qos: 1 })
  await here.quiet()
  clock.advance(10_000)
  assert.equal(await here.message(), 'x')
})

test('a member that does not keep up leaves messages to those who do', async (t) => {
  const { client, broker } = start(t, { limits: { maxQueuedMessages: 10 } })
  const slow = await client('slow', { properties: { receiveMaximum: 1 } })
  const fast = await client('fast')
  for (const one of [slow, fast]) await one.subscribe('$share/g/t', { qos: 1 })
  const publisher = await client('publisher')
  for (let number = 0; number < 200; number += 1) {
    publisher.send(publishPacket('t', `${number}`, { qos: 1, packetId: number + 1 }))
    await settle()
    for (const packet of fast.received.splice(0)) {
      if (packet.type === 'publish') await fast.acknowledge(packet)
    }
  }
  assert.equal(broker.stats().publishDropped, 0)
  assert.ok(broker.stats().queuedMessages <= 10)
})

test('a message to an empty group reaches no subscriber, and the PUBACK says so [MQTT-4.8.2]', async (t) => {
  const { client } = start(t)
  const one = await client('one')
  await one.subscribe('$share/g/t')
  const publisher = await client('publisher')
  assert.equal(await publisher.publish('t', 'x', { qos: 1 }), 0)
  await one.receives('publish')
  await one.disconnect()
  assert.equal(await publisher.publish('t', 'x', { qos: 1 }), 0x10)
})

test('a shared subscription of the application is a member like others', async (t) => {
  const { client, broker } = start(t)
  const got: string[] = []
  const subscription = broker.subscribe('$share/g/t', (message) => void got.push(message.payload.toString()))
  const one = await client('one')
  await one.subscribe('$share/g/t')
  for (let number = 0; number < 10; number += 1) await broker.publish({ topic: 't', payload: `${number}` })
  assert.equal(got.length, 5)
  assert.equal((await drain(one)).length, 5)
  await subscription.close()
  await broker.publish({ topic: 't', payload: 'x' })
  assert.deepEqual(await drain(one), ['x'])
})

test('after a resume a member is a member again, once', async (t) => {
  const { client, broker } = start(t)
  for (let round = 0; round < 3; round += 1) {
    const one = await client('one', persistent)
    await one.subscribe('$share/g/t', { qos: 1 })
    await broker.publish({ topic: 't', payload: 'x', qos: 1 })
    assert.deepEqual(await drain(one), ['x'])
    await one.drop()
    assert.equal(broker.stats().sharedSubscriptions, 1)
  }
})

test('a resubscription of a member changes its QoS and not the size of its group', async (t) => {
  const { client, broker } = start(t)
  const one = await client('one')
  await one.subscribe('$share/g/t', { qos: 0 })
  await one.subscribe('$share/g/t', { qos: 1 })
  assert.equal(broker.stats().sharedSubscriptions, 1)
  for (let number = 0; number < 4; number += 1) {
    await broker.publish({ topic: 't', payload: 'x', qos: 1 })
    const packet = await one.receives('publish')
    assert.equal(packet.qos, 1)
    await one.acknowledge(packet)
  }
  await one.quiet()
})

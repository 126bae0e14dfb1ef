import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Plugin } from '../../types/hooks.ts'
import type { PublishPacket } from '../../types/packets.ts'
import { ack, connectPacket, filter, levels, publishPacket, settle, type TestClient, will } from '../support/client.ts'
import { startMachine } from './machine.ts'

const forEver = { sessionExpiryInterval: 0xffff_ffff }
const persistentSession = { cleanStart: false, properties: forEver }
const seconds = (sessionExpiryInterval: number) => ({ properties: { sessionExpiryInterval } })

/** All the messages that come now, acknowledged to the end. */
async function drain(client: TestClient): Promise<PublishPacket[]> {
  const came: PublishPacket[] = []
  await settle()
  for (let packet = client.received.shift(); packet !== undefined; packet = client.received.shift()) {
    if (packet.type === 'publish') {
      came.push(packet)
      if (packet.qos > 0) client.send(ack(packet.qos === 1 ? 'puback' : 'pubrec', packet.packetId))
    } else if (packet.type === 'pubrel') client.send(ack('pubcomp', packet.packetId))
    else assert.fail(`${packet.type} came instead of a message`)
    await settle()
  }
  return came
}

/** The payloads of all the messages that come now. */
async function payloads(client: TestClient): Promise<string[]> {
  return (await drain(client)).map(({ payload }) => payload.toString())
}

/** A message in short. */
function told({ topic, payload, qos, retain, dup, packetId, properties }: PublishPacket): string {
  // In whatever order they come: by name here.
  const named = Object.entries(properties ?? {}).toSorted(([one], [other]) => (one < other ? -1 : 1))
  return `${topic} ${payload.toString()} q${qos}${retain ? ' r' : ''}${dup ? ' d' : ''} ${packetId} ${JSON.stringify(Object.fromEntries(named))}`
}

for (const end of ['killed', 'closed'] as const) {
  test(`a broker that is ${end} knows the sessions of Clients of all versions again [MQTT-4.1.0-1]`, async (t) => {
    const machine = startMachine(t)
    const restart = end === 'killed' ? machine.restart.bind(machine) : machine.closeAndRestart.bind(machine)
    for (const level of levels) {
      const one = await machine.client(`stays${level}`, { level })
      await one.subscribe('t', { qos: 1 })
      await machine.client(`nothing${level}`, { level })
      const clean = await machine.client(`clean${level}`, { level, cleanStart: true, properties: {} })
      await clean.subscribe('t', { qos: 1 })
    }
    await restart(86_400_000)
    for (const level of levels) {
      const isTold = level !== 3
      for (const name of [`stays${level}`, `nothing${level}`]) {
        const { connack } = await machine.resume(name, { level, cleanStart: false })
        assert.equal(connack.sessionPresent, isTold, name)
      }
      const { connack } = await machine.resume(`clean${level}`, { level, cleanStart: false })
      assert.equal(connack.sessionPresent, false)
    }
    assert.deepEqual(machine.errors, [])
  })

  test(`a session ends at its own time when the broker is ${end} [MQTT-3.1.2-23]`, async (t) => {
    const machine = startMachine(t)
    const restart = end === 'killed' ? machine.restart.bind(machine) : machine.closeAndRestart.bind(machine)
    for (const name of ['before', 'after']) {
      const one = await machine.client(name, seconds(100))
      await one.subscribe('t', { qos: 1 })
      await one.disconnect()
    }
    const late = await machine.client('late', seconds(100))
    await late.disconnect(0, 250)
    await settle()
    machine.clock.advance(30_000)
    await restart(30_000)
    machine.clock.advance(39_000)
    const { connack } = await machine.resume('before', { cleanStart: false, ...seconds(100) })
    assert.equal(connack.sessionPresent, true)
    machine.clock.advance(1000)
    await settle()
    assert.equal((await machine.resume('after', { cleanStart: false })).connack.sessionPresent, false)
    machine.clock.advance(149_000)
    assert.equal((await machine.resume('late', { cleanStart: false })).connack.sessionPresent, true)
  })

  test(`a session that ended while the broker was ${end} is not present for the first CONNECT [MQTT-3.1.2-23]`, async (t) => {
    const machine = startMachine(t)
    const restart = end === 'killed' ? machine.restart.bind(machine) : machine.closeAndRestart.bind(machine)
    const one = await machine.client('x', seconds(100))
    await one.subscribe('t', { qos: 1 })
    await one.disconnect()
    await settle()
    await restart(100_000)
    assert.equal((await machine.resume('x', { cleanStart: false, properties: forEver })).connack.sessionPresent, false)
    assert.equal(machine.broker.stats().subscriptions, 0)
    await machine.restart()
    assert.equal((await machine.resume('x', { cleanStart: false })).connack.sessionPresent, true)
    assert.equal(machine.broker.stats().subscriptions, 0)
  })

  test(`queued messages are as they were when the broker is ${end}`, async (t) => {
    const machine = startMachine(t)
    const restart = end === 'killed' ? machine.restart.bind(machine) : machine.closeAndRestart.bind(machine)
    const one = await machine.client('x')
    await one.subscribe([filter('a/#', { qos: 2, retainAsPublished: true })], {}, { subscriptionIdentifier: 7 })
    await one.subscribe([filter('a/+', { qos: 1 })], {}, { subscriptionIdentifier: 268_435_455 })
    await one.subscribe([filter('b', { qos: 1, retainAsPublished: true })])
    await one.disconnect()
    const two = await machine.client('publisher')
    const properties = {
      payloadFormatIndicator: 1 as const,
      contentType: 'text',
      responseTopic: 'answer',
      correlationData: Buffer.from([0, 255]),
      messageExpiryInterval: 100,
      userProperties: [['b', '2'] as const, ['a', '1'] as const, ['b', '2'] as const],
    }
    await two.publish('a/b', 'one', { qos: 2, properties })
    await two.publish('b', 'two', { qos: 2, retain: true })
    await two.publish('a', '', { qos: 1 })
    await two.publish('a', 'short', { qos: 1, properties: { messageExpiryInterval: 25 } })
    await two.publish('a/b', 'lost', { qos: 0 })
    machine.clock.advance(10_000)
    await restart(20_000)
    const { client, connack } = await machine.resume('x', { cleanStart: false, properties: forEver })
    assert.equal(connack.sessionPresent, true)
    const came = [await client.receives('publish'), await client.receives('publish'), await client.receives('publish')]
    assert.deepEqual(came[0]?.properties, {
      ...properties,
      messageExpiryInterval: 70,
      subscriptionIdentifiers: [7, 268_435_455],
    })
    assert.deepEqual(
      came.map((packet) => told({ ...packet, properties: undefined })),
      ['a/b one q2 1 {}', 'b two q1 r 2 {}', 'a  q1 3 {}'],
    )
    assert.deepEqual(came[2]?.properties, { subscriptionIdentifiers: [7] })
    await client.quiet()
    for (const packet of came) await client.acknowledge(packet)
    await client.quiet()
    await machine.restart()
    await (await machine.client('x')).quiet()
  })

  test(`inflight messages are sent again as before when the broker is ${end} [MQTT-4.4.0-1] [MQTT-3.3.1-1]`, async (t) => {
    const machine = startMachine(t)
    const restart = end === 'killed' ? machine.restart.bind(machine) : machine.closeAndRestart.bind(machine)
    const one = await machine.client('x', { properties: { ...forEver, receiveMaximum: 5 } })
    await one.subscribe('t', { qos: 2 })
    const two = await machine.client('publisher')
    for (const [index, qos] of ([1, 2, 2, 1, 2, 1, 2] as const).entries()) await two.publish('t', `m${index}`, { qos })
    const first = []
    for (let count = 0; count < 5; count += 1) first.push(await one.receives('publish'))
    one.send(ack('pubrec', 2)) // 2 is released,
    assert.equal((await one.receives('pubrel')).packetId, 2)
    one.send(ack('pubrec', 3)) // 3 is complete,
    await one.receives('pubrel')
    one.send(ack('pubcomp', 3))
    assert.equal((await one.receives('publish')).payload.toString(), 'm5')
    one.send(ack('pubrec', 5, 0x80)) // and 5 is refused.
    assert.equal((await one.receives('publish')).payload.toString(), 'm6')
    await one.quiet()
    await restart()
    const { client } = await machine.resume('x', { cleanStart: false, properties: { ...forEver, receiveMaximum: 5 } })
    assert.equal(told(await client.receives('publish')), 't m0 q1 d 1 {}')
    assert.deepEqual(await client.receives('pubrel'), ack('pubrel', 2))
    assert.equal(told(await client.receives('publish')), 't m3 q1 d 4 {}')
    assert.equal(told(await client.receives('publish')), 't m5 q1 d 6 {}')
    assert.equal(told(await client.receives('publish')), 't m6 q2 d 7 {}')
    client.send(ack('pubcomp', 2))
    const later = await machine.client('publisher')
    await later.publish('t', 'm7', { qos: 1 })
    assert.equal(told(await client.receives('publish')), 't m7 q1 8 {}') // An identifier that is in use comes never.
    await client.quiet()
  })
}

test('a Packet Identifier in use is not given again after a restart, wherever the counting begins [MQTT-2.2.1-4]', async (t) => {
  const machine = startMachine(t)
  const one = await machine.client('x')
  await one.subscribe('t', { qos: 1 })
  const two = await machine.client('publisher')
  for (let count = 0; count < 4; count += 1) await two.publish('t', 'x', { qos: 1 })
  for (let count = 0; count < 4; count += 1) await one.receives('publish')
  one.send(ack('puback', 4), ack('puback', 2))
  await one.quiet()
  await machine.restart()
  const { client } = await machine.resume('x', { cleanStart: false })
  const inUse = [(await client.receives('publish')).packetId, (await client.receives('publish')).packetId]
  assert.deepEqual(inUse, [1, 3])
  for (let count = 0; count < 3; count += 1) {
    await machine.broker.publish({ topic: 't', payload: 'x', qos: 1 })
    const { packetId, dup } = await client.receives('publish')
    assert.equal(dup, false)
    assert.ok(!inUse.includes(packetId))
    inUse.push(packetId)
  }
})

test('subscriptions keep their options and identifiers through two restarts', async (t) => {
  const machine = startMachine(t)
  const one = await machine.client('x')
  await one.subscribe(
    [
      filter('a', { qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 1 }),
      filter('b/#', { qos: 2, retainHandling: 2 }),
      filter('c'),
      filter('d', { qos: 2 }),
      filter('e', { qos: 2 }),
    ],
    {},
    { subscriptionIdentifier: 3 },
  )
  await one.subscribe([filter('d', { qos: 1 })])
  await one.unsubscribe('e')
  await machine.restart()
  await machine.restart()
  assert.equal(machine.broker.stats().subscriptions, 0) // Not yet read.
  const { client } = await machine.resume('x', { cleanStart: false, properties: forEver })
  assert.equal(machine.broker.stats().subscriptions, 4)
  await client.publish('a', 'own', { qos: 1 })
  await client.quiet()
  for (const topic of ['a', 'b/b', 'c', 'd', 'e']) {
    await machine.broker.publish({ topic, payload: 'x', qos: 2, retain: true })
  }
  const came: string[] = []
  for (let count = 0; count < 4; count += 1) came.push(told(await client.receives('publish')))
  assert.deepEqual(came.toSorted(), [
    'a x q1 r 1 {"subscriptionIdentifiers":[3]}',
    'b/b x q2 2 {"subscriptionIdentifiers":[3]}',
    'c x q0 0 {"subscriptionIdentifiers":[3]}',
    'd x q1 3 {}',
  ])
  await client.subscribe([filter('a', { qos: 1, retainHandling: 1 })]) // It is not new, so nothing retained comes.
  await client.quiet()
})

test('a subscription that a hook rewrote is ended by the filter that the Client asked for', async (t) => {
  const plugin: Plugin = {
    name: 'tenant',
    authorizeSubscribe: (subscription) => ({
      ...subscription,
      topicFilter: `tenant/${subscription.topicFilter.replace('tenant/', '')}`,
      qos: 1,
    }),
  }
  const machine = startMachine(t, { plugins: [plugin] })
  const one = await machine.client('x')
  await one.subscribe('a', { qos: 2 })
  await machine.restart()
  await machine.broker.publish({ topic: 'a', payload: 'no', qos: 2 })
  await machine.broker.publish({ topic: 'tenant/a', payload: 'yes', qos: 2 })
  const { client } = await machine.resume('x', { cleanStart: false, properties: forEver })
  assert.equal(told(await client.receives('publish')), 'tenant/a yes q1 1 {}')
  assert.equal(machine.broker.stats().subscriptions, 1)
  assert.deepEqual(await client.unsubscribe('tenant/a'), [0x11])
  assert.deepEqual(await client.unsubscribe('a'), [0])
  await machine.restart()
  await machine.client('x')
  assert.equal(machine.broker.stats().subscriptions, 0)
})

test('a stored subscription without permission after the restart is removed', async (t) => {
  let isAllowed = true
  const plugin: Plugin = { name: 'rights', authorizeSubscribe: (subscription) => isAllowed && subscription }
  const machine = startMachine(t, { plugins: [plugin] })
  await (await machine.client('x')).subscribe('a', { qos: 2 })
  await machine.restart()
  isAllowed = false
  await machine.client('x')
  assert.equal(machine.broker.stats().subscriptions, 0)
  await machine.restart()
  isAllowed = true
  await machine.client('x')
  assert.equal(machine.broker.stats().subscriptions, 0)
})

test('shared subscriptions go on: members, queues and messages that move on [MQTT-4.8.2-3]', async (t) => {
  const machine = startMachine(t)
  for (const name of ['x', 'y']) {
    const one = await machine.client(name, seconds(100))
    await one.subscribe('$share/g/t', { qos: 1 })
    await one.disconnect()
  }
  for (let count = 0; count < 4; count += 1) await machine.broker.publish({ topic: 't', payload: `m${count}`, qos: 1 })
  await machine.restart(50_000)
  const x = await machine.client('x', { properties: { ...forEver, receiveMaximum: 1 } })
  assert.equal(machine.broker.stats().sharedSubscriptions, 2)
  assert.equal(await x.message(), 'm0')
  assert.equal((await x.receives('publish')).payload.toString(), 'm1')
  await x.quiet()
  await machine.restart(0)
  await machine.restart(49_999)
  machine.clock.advance(1) // The session of y ends, and what waited for it goes to x.
  await settle()
  assert.equal(machine.broker.stats().sessions, 1)
  const again = await machine.client('x')
  const came = await drain(again)
  assert.deepEqual(
    came.map(({ payload, dup }) => [payload.toString(), dup]),
    [
      ['m1', true],
      ['m2', false],
      ['m3', false],
    ],
  )
})

test('a message that is queued twice, alone and shared, keeps its place when the shared subscription ends', async (t) => {
  const machine = startMachine(t)
  const x = await machine.client('x')
  await x.subscribe([filter('t', { qos: 2 }), filter('$share/g/t', { qos: 1 })])
  await x.disconnect()
  const y = await machine.client('y')
  await y.subscribe('$share/g/t', { qos: 1 })
  const leaves = await machine.client('z')
  await y.disconnect()
  for (let count = 0; count < 4; count += 1) await leaves.publish('t', `m${count}`, { qos: 2 })
  const back = await machine.client('x', { properties: { ...forEver, receiveMaximum: 1 } })
  const first = await back.receives('publish')
  await back.unsubscribe('$share/g/t')
  await machine.restart()
  const { client } = await machine.resume('x', { cleanStart: false, properties: forEver })
  const came = await drain(client)
  assert.equal(came[0]?.packetId, first.packetId)
  const alone = came.filter(({ qos }) => qos === 2).map(({ payload }) => payload.toString())
  assert.deepEqual(alone, ['m0', 'm1', 'm2', 'm3'])
})

test('a message that is queued alone and shared is there once when the shared subscription ends before the commit', async (t) => {
  const machine = startMachine(t)
  const x = await machine.client('x', { properties: { ...forEver, receiveMaximum: 1 } })
  await x.subscribe([filter('t', { qos: 2 }), filter('$share/g/t', { qos: 2 })])
  const two = await machine.client('publisher')
  await two.publish('t', 'first', { qos: 1 })
  const first = await x.receives('publish')
  x.send(publishPacket('t', 'm', { qos: 1, packetId: 100 }), {
    type: 'unsubscribe',
    packetId: 101,
    topicFilters: ['$share/g/t'],
    properties: undefined,
  })
  await x.receives('puback')
  await x.receives('unsuback')
  await machine.restart()
  const { client } = await machine.resume('x', { cleanStart: false, properties: forEver })
  assert.equal((await client.receives('publish')).packetId, first.packetId)
  assert.equal(told(await client.receives('publish')), 't m q1 2 {}')
  await client.quiet()
})

test('a message that moved on to a Client that has it already is two messages in the store', async (t) => {
  const machine = startMachine(t)
  const x = await machine.client('x')
  await x.subscribe([filter('t', { qos: 2 }), filter('$share/g/t', { qos: 2 })])
  await x.disconnect()
  const y = await machine.client('y', seconds(10))
  await y.subscribe('$share/g/t', { qos: 2 })
  await y.disconnect()
  for (let count = 0; count < 4; count += 1) await machine.broker.publish({ topic: 't', payload: `m${count}`, qos: 2 })
  machine.clock.advance(10_000) // What waited for y goes to x.
  await settle()
  const back = machine.open()
  await back.connect('x', { cleanStart: false, properties: { ...forEver, receiveMaximum: 1 } })
  assert.equal((await back.receives('publish')).payload.toString(), 'm0')
  assert.deepEqual(await back.unsubscribe('$share/g/t'), [0])
  await machine.restart()
  assert.deepEqual(await payloads(await machine.client('x')), ['m0', 'm1', 'm2', 'm3'])
})

// ─── exchanges ───────────────────────────────────────────────────────────────────────────────────────────────────────

test('a message at QoS 2 comes once, at whatever step of its way in the broker is killed [MQTT-4.3.3-10]', async (t) => {
  for (const level of [4, 5] as const) {
    for (const step of ['PUBLISH', 'PUBREC', 'PUBREL', 'PUBCOMP']) {
      const machine = startMachine(t)
      const x = await machine.client('x', { level })
      const y = await machine.client('y')
      await y.subscribe('t', { qos: 2 })
      await y.disconnect()
      if (step === 'PUBLISH') machine.hold()
      const packet = publishPacket('t', 'once', { qos: 2, packetId: 5 })
      x.send(packet)
      if (step === 'PUBLISH')
        await machine.commit() // It is lost.
      else {
        await x.receives('pubrec')
        if (step === 'PUBREL') machine.hold()
        if (step !== 'PUBREC') x.send(ack('pubrel', 5))
        if (step === 'PUBREL') await machine.commit()
        if (step === 'PUBCOMP') await x.receives('pubcomp')
      }
      await machine.restart()
      const again = await machine.client('x', { level })
      if (step === 'PUBLISH' || step === 'PUBREC') {
        again.send({ ...packet, dup: true })
        assert.equal((await again.receives('pubrec')).reasonCode, 0)
      }
      again.send(ack('pubrel', 5))
      const known = step !== 'PUBCOMP' || level !== 5
      assert.equal((await again.receives('pubcomp')).reasonCode, known ? 0 : 0x92, `${step} ${level}`)
      await again.publish('t', 'next', { qos: 2, packetId: 5 })
      const reader = await machine.client('y')
      assert.deepEqual(await payloads(reader), ['once', 'next'])
    }
  }
})

test('a message at QoS 2 goes out once, at whatever step the broker is killed [MQTT-4.3.3-5]', async (t) => {
  for (const step of ['PUBLISH', 'PUBREC', 'PUBREL', 'PUBCOMP']) {
    const machine = startMachine(t)
    const x = await machine.client('x')
    await x.subscribe('t', { qos: 2 })
    await machine.broker.publish({ topic: 't', payload: 'once', qos: 2 })
    await x.receives('publish')
    machine.hold()
    if (step === 'PUBREC' || step === 'PUBREL') {
      x.send(ack('pubrec', 1))
      const commit = await machine.commit()
      await x.quiet()
      if (step === 'PUBREL') {
        await commit.resolve()
        await x.receives('pubrel')
      }
    } else if (step === 'PUBCOMP') {
      await machine.letGo()
      x.send(ack('pubrec', 1))
      await x.receives('pubrel')
      machine.hold()
      x.send(ack('pubcomp', 1))
      await machine.commit()
    }
    await machine.restart()
    const again = await machine.client('x')
    if (step === 'PUBREL' || step === 'PUBCOMP') assert.equal((await again.receives('pubrel')).packetId, 1)
    else {
      assert.equal(told(await again.receives('publish')), 't once q2 d 1 {}')
      again.send(ack('pubrec', 1))
      await again.receives('pubrel')
    }
    again.send(ack('pubcomp', 1))
    await again.quiet()
    await machine.restart()
    await (await machine.client('x')).quiet()
  }
})

test('messages and exchanges of a session with Clean Start are not there after a restart [MQTT-3.1.2-4]', async (t) => {
  const machine = startMachine(t)
  const x = await machine.client('x')
  await x.subscribe('t', { qos: 2 })
  x.send(publishPacket('t', 'old', { qos: 2, packetId: 9 }))
  assert.deepEqual([(await x.receivesAny()).type, (await x.receivesAny()).type].toSorted(), ['publish', 'pubrec'])
  await machine.client('x', { cleanStart: true })
  await machine.restart()
  const { client, connack } = await machine.resume('x', { cleanStart: false })
  assert.equal(connack.sessionPresent, true)
  client.send(ack('pubrel', 9))
  assert.equal((await client.receives('pubcomp')).reasonCode, 0x92)
  await client.quiet()
  assert.equal(machine.broker.stats().subscriptions, 0)
})

test('a session that is resumed with an expiry of 0 ends with the broker', async (t) => {
  const machine = startMachine(t)
  const x = await machine.client('x')
  await x.subscribe('t', { qos: 2 })
  await x.disconnect()
  await machine.client('x', { properties: {} })
  await machine.restart()
  assert.equal((await machine.resume('x', { cleanStart: false })).connack.sessionPresent, false)
})

test("a session is still its owner's after a restart", async (t) => {
  const plugin: Plugin = { name: 'users', authenticate: ({ username }) => username ?? 'nobody' }
  const machine = startMachine(t, { plugins: [plugin] })
  await machine.client('x', { username: 'ann' })
  await machine.restart(1000)
  const stranger = machine.open()
  assert.equal((await stranger.connect('x', { username: 'bob', cleanStart: true })).reasonCode, 0x87)
  const { connack } = await machine.resume('x', { username: 'ann', cleanStart: false })
  assert.equal(connack.sessionPresent, true)
})

// ─── Wills ───────────────────────────────────────────────────────────────────────────────────────────────────────────

test('the Will of who was connected is sent once after a restart, whatever becomes of its session [MQTT-3.1.2-8]', async (t) => {
  const machine = startMachine(t)
  const y = await machine.client('y')
  await y.subscribe('will/#', { qos: 2, retainAsPublished: true })
  await y.disconnect()
  const properties = { contentType: 'text', userProperties: [['a', '1'] as const], messageExpiryInterval: 60 }
  await machine.client('stays', { will: will('will/stays', 'w', { qos: 2, retain: true, properties }) })
  await machine.client('old', { level: 4, will: will('will/old', 'w', { qos: 1 }) })
  const clean = { cleanStart: true, properties: {} }
  await machine.client('clean', { ...clean, will: will('will/clean', 'w', { qos: 1 }) })
  await machine.client('oldest', { ...clean, level: 3, will: will('will/oldest', 'w', { qos: 1 }) })
  await (await machine.client('left', { ...clean, will: will('will/left', 'w', { qos: 1 }) })).disconnect()
  await (await machine.client('gone', { ...clean, will: will('will/gone', 'w', { qos: 1 }) })).drop()
  await machine.restart(1000)
  const { client } = await machine.resume('y', { cleanStart: false, properties: forEver })
  const came = (await drain(client)).map((packet) => told({ ...packet, packetId: 0 }))
  assert.equal(came.shift(), 'will/gone w q1 0 {}')
  assert.deepEqual(came.toSorted(), [
    'will/clean w q1 0 {}',
    'will/old w q1 0 {}',
    'will/oldest w q1 0 {}',
    'will/stays w q2 r 0 {"contentType":"text","messageExpiryInterval":60,"userProperties":[["a","1"]]}',
  ])
  await client.quiet()
  await machine.restart(1000)
  await (await machine.client('y')).quiet()
  const stored = await machine.stored()
  assert.ok(stored.every((state) => state.kind === 'retained' || state.will === undefined))
  assert.equal(stored.filter(({ kind }) => kind === 'session').length, 3) // y, stays, old
})

test('a Will is delayed from the restart on, or by what is left of its delay [MQTT-3.1.3-9]', async (t) => {
  const machine = startMachine(t)
  const y = await machine.client('y')
  await y.subscribe('will/#', { qos: 1 })
  await y.disconnect()
  const delayed = (topic: string) => will(topic, 'w', { qos: 1, properties: { willDelayInterval: 100 } })
  await machine.client('here', { will: delayed('will/here') })
  await machine.client('back', { will: delayed('will/back') })
  await (await machine.client('away', { will: delayed('will/away') })).drop()
  await (await machine.client('missed', { will: delayed('will/missed') })).drop()
  await (await machine.client('ends', { ...seconds(80), will: delayed('will/ends') })).drop()
  machine.clock.advance(30_000)
  await machine.restart(30_000)
  await machine.client('back')
  await settle()
  let reader = await machine.client('y')
  await reader.quiet()
  machine.clock.advance(19_999)
  await settle()
  await reader.quiet()
  machine.clock.advance(1)
  assert.equal(await reader.message(), 'w') // The session of ends is over.
  assert.equal((await machine.resume('ends', { cleanStart: false })).connack.sessionPresent, false)
  await machine.restart(10_000)
  await machine.client('missed') // 90 of 100 seconds are over.
  machine.clock.advance(9_999)
  await settle()
  reader = await machine.client('y')
  await reader.quiet()
  machine.clock.advance(1)
  const { topic } = await reader.receives('publish')
  assert.equal(topic, 'will/away')
  await reader.quiet()
  machine.clock.advance(89_999) // here was not there at the second restart, so its delay goes on.
  await settle()
  await machine.restart(0)
  reader = await machine.client('y')
  assert.equal((await reader.receives('publish')).dup, true)
  machine.clock.advance(1)
  await settle()
  machine.clock.advance(100_000)
  await settle()
  const topics: string[] = []
  for (const packet of reader.received) if (packet.type === 'publish') topics.push(packet.topic)
  assert.deepEqual(topics, ['will/here'])
})

test('a Will whose delay was over while the broker was dead is sent although its Client comes first of all', async (t) => {
  const machine = startMachine(t)
  const y = await machine.client('y')
  await y.subscribe('will/#', { qos: 1 })
  const delayed = will('will/x', 'w', { qos: 1, properties: { willDelayInterval: 10 } })
  await (await machine.client('x', { will: delayed })).drop()
  await machine.restart(10_000)
  await machine.client('x')
  assert.equal(await (await machine.client('y')).message(), 'w')
})

test('a Will is sent after a restart as the hook rewrote it, not as the Client sent it', async (t) => {
  const plugin: Plugin = {
    name: 'tenant',
    authorizePublish: (message) => ({ ...message, topic: `tenant/${message.topic}` }),
  }
  const machine = startMachine(t, { plugins: [plugin] })
  const y = await machine.client('y')
  await y.subscribe('#', { qos: 1 })
  await machine.client('x', { will: will('w', 'w', { qos: 1 }) })
  await machine.restart()
  const reader = await machine.client('y')
  assert.equal((await reader.receives('publish')).topic, 'tenant/w')
  await reader.quiet()
})

test('a Will that was taken back, refused or replaced is not sent after a restart', async (t) => {
  const machine = startMachine(t)
  const y = await machine.client('y')
  await y.subscribe('#', { qos: 1 })
  await (await machine.client('x', { will: will('x', 'no', { qos: 1 }) })).disconnect()
  await (
    await machine.client('z', { will: will('z', 'first', { qos: 1, properties: { willDelayInterval: 9 } }) })
  ).drop()
  await machine.client('z', { will: will('z', 'second', { qos: 1 }) })
  await machine.restart()
  const reader = await machine.client('y')
  assert.equal(await reader.message(), 'second')
  await reader.quiet()
})

test('when the broker is closed, the Wills are sent before, and not again', async (t) => {
  const machine = startMachine(t)
  const y = await machine.client('y')
  await y.subscribe('#', { qos: 1 })
  await y.disconnect()
  await machine.client('x', { will: will('x', 'w', { qos: 1 }) })
  await machine.client('clean', { cleanStart: true, properties: {}, will: will('c', 'w', { qos: 1 }) })
  await machine.closeAndRestart()
  const reader = await machine.client('y')
  assert.deepEqual([await reader.message(), await reader.message()], ['w', 'w'])
  await reader.quiet()
  const stored = await machine.stored()
  assert.ok(stored.every((state) => state.kind === 'retained' || state.will === undefined))
})

// ─── retained messages ───────────────────────────────────────────────────────────────────────────────────────────────

test('retained messages are there again, each the last of its topic, until they expire [MQTT-3.3.1-5]', async (t) => {
  const machine = startMachine(t, { sysInterval: 1 })
  const without = { sysInterval: false } as const
  const x = await machine.client('x')
  await x.publish('replaced', 'one', { retain: true, qos: 2 })
  await x.publish('replaced', 'two', { retain: true })
  await x.publish('removed', 'one', { retain: true, qos: 1 })
  await x.publish('removed', '', { retain: true, qos: 1 })
  await x.publish('short', 's', { retain: true, qos: 1, properties: { messageExpiryInterval: 50 } })
  await x.publish('long', 'l', { retain: true, qos: 1, properties: { messageExpiryInterval: 100, contentType: 'c' } })
  await x.quiet()
  machine.clock.advance(5000)
  await settle()
  await machine.restart(45_000, without)
  const { client } = await machine.resume('y')
  await client.subscribe('#', { qos: 2 })
  const came = [told(await client.receives('publish')), told(await client.receives('publish'))]
  assert.deepEqual(came.toSorted(), [
    'long l q1 r 1 {"contentType":"c","messageExpiryInterval":50}',
    'replaced two q0 r 0 {}',
  ])
  await client.quiet()
  machine.clock.advance(50_000)
  await settle()
  await machine.restart(0, without)
  assert.equal((await machine.resume('y')).connack.sessionPresent, false)
  assert.equal(machine.broker.stats().retainedMessages, 1)
  const topics = (await machine.stored()).map((state) => (state.kind === 'retained' ? state.packet.topic : ''))
  assert.deepEqual(
    topics.filter((topic) => topic !== ''),
    ['replaced'],
  )
})

test('a retained message that is no longer there for want of room is not there after a restart either', async (t) => {
  const machine = startMachine(t, { limits: { maxRetainedBytes: 400 } })
  await machine.broker.publish({ topic: 't', payload: 'small', retain: true })
  const x = await machine.client('x')
  await x.publish('t', 'x'.repeat(500), { retain: true })
  await x.quiet()
  await machine.restart()
  await machine.resume('y')
  assert.equal(machine.broker.stats().retainedMessages, 0)
})

test('an application that subscribes at once receives the retained messages, and then the new ones', async (t) => {
  const machine = startMachine(t)
  await machine.broker.publish({ topic: 't', payload: 'kept', retain: true, qos: 1 })
  await machine.client('x', { cleanStart: true, properties: {}, will: will('w', 'will', { qos: 1 }) })
  await machine.restart()
  const heard: string[] = []
  machine.broker.subscribe('#', ({ topic }) => void heard.push(topic))
  const asked = machine.broker.subscribe('#')[Symbol.asyncIterator]()
  const taken = [asked.next(), asked.next()].map(async (next) => ((await next).value as { topic: string }).topic)
  const found: string[] = []
  for await (const { topic } of machine.broker.retained()) found.push(topic)
  assert.deepEqual(found, ['t'])
  await settle()
  assert.deepEqual(heard, ['t', 'w'])
  assert.deepEqual(await Promise.all(taken), ['t', 'w'])
})

test('messages that the application publishes at once reach the stored sessions', async (t) => {
  const machine = startMachine(t)
  await (await machine.client('x')).subscribe('t', { qos: 1 })
  await machine.restart()
  await machine.broker.publish({ topic: 't', payload: 'm', qos: 1 })
  assert.deepEqual(await payloads(await machine.client('x')), ['m'])
})

test('10,000 messages and 1,000 sessions are as they were after a restart', async (t) => {
  const machine = startMachine(t)
  const x = await machine.client('x')
  await x.subscribe('t', { qos: 1 })
  await x.disconnect()
  const published: Promise<void>[] = []
  for (let count = 0; count < 10_000; count += 1)
    published.push(machine.broker.publish({ topic: 't', payload: String(count), qos: 1 }))
  await Promise.all(published)
  const clients = Array.from({ length: 1000 }, () => machine.open())
  for (const [count, client] of clients.entries()) client.send(connectPacket(`c${count}`, persistentSession))
  for (const client of clients) await client.receives('connack')
  await machine.restart()
  const back = await machine.client('x')
  for (let count = 0; count < 10_000; count += 1) assert.equal(await back.message(), String(count))
  await back.quiet()
  assert.equal(machine.broker.stats().sessions, 1001)
})

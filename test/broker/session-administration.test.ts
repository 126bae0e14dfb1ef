/** What the application sees and changes of the sessions of one broker. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Broker, InvalidOptionError, MqttError } from '../../lib/index.ts'
import type { BrokerOptions } from '../../types/options.ts'
import type { QoS } from '../../types/packets.ts'
import type { ClientSession, ClientSubscribeOptions } from '../../types/session.ts'
import type { MessageInit } from '../../types/message.ts'
import { type ConnectOptions, levels, settle, start, type TestClient, will } from '../support/client.ts'
import { startMachine } from './machine.ts'

const lasting: ConnectOptions = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } }

async function listOf(broker: Broker): Promise<ClientSession[]> {
  const found: ClientSession[] = []
  for await (const session of broker.sessions()) found.push(session)
  return found.toSorted((a, b) => (a.clientId < b.clientId ? -1 : 1))
}

async function payloads(client: TestClient): Promise<string[]> {
  await settle()
  const came: string[] = []
  while (client.received[0]?.type === 'publish') came.push(await client.message())
  return came
}

async function hasSession(broker: Broker, clientId: string): Promise<boolean> {
  return (await broker.session(clientId)) !== undefined
}

// ─── list ──────────────────────────────────────────────────────────────────────────────────────────────────────────

test('sessions() has every session with its state, connected and away', async (t) => {
  const { broker, client, clock } = start(t)
  const away = await client('away', {
    ...lasting,
    username: 'alice',
    will: will('w', 'x', { properties: { willDelayInterval: 60 } }),
  })
  await away.subscribe('a/+', { qos: 1, retainAsPublished: true }, { subscriptionIdentifier: 7 })
  await away.subscribe('$share/g/b', { qos: 2 })
  await away.drop()
  const here = await client('here')
  await here.subscribe('a/#', { qos: 1 })
  await broker.publish({ topic: 'a/1', payload: 'one', qos: 1 })
  await settle()
  const [first, second] = await listOf(broker)
  const now = clock.now()
  assert.deepEqual(
    { ...first },
    {
      clientId: 'away',
      owner: 'alice',
      connected: false,
      stored: process.env.TEST_STORE === 'memory',
      broker: broker.id,
      expiryInterval: 3600,
      expiresAt: now + 3_600_000,
      connectedAt: now,
      hasWill: true,
      subscriptions: [
        {
          topicFilter: 'a/+',
          qos: 1,
          noLocal: false,
          retainAsPublished: true,
          retainHandling: 0,
          subscriptionIdentifier: 7,
        },
        {
          topicFilter: '$share/g/b',
          qos: 2,
          noLocal: false,
          retainAsPublished: false,
          retainHandling: 0,
          shareName: 'g',
        },
      ],
      queuedMessages: 1,
      inflightMessages: 0,
      queuedBytes: first?.queuedBytes,
    },
  )
  assert.ok((first?.queuedBytes ?? 0) > 0)
  assert.equal(second?.clientId, 'here')
  assert.equal(second.connected, true)
  assert.equal(second.expiresAt, undefined)
  assert.equal(second.inflightMessages, 1)
  assert.equal((await broker.session('away'))?.clientId, 'away')
  assert.equal(await broker.session('nobody'), undefined)
})

test('a session of MQTT 3 that does not expire says so', async (t) => {
  const { broker, client } = start(t)
  const one = await client('one', { level: 4, cleanStart: false })
  await one.drop()
  const session = await broker.session('one')
  assert.equal(session?.expiryInterval, 0xffff_ffff)
  assert.equal(session.expiresAt, undefined)
})

test('a loop over many sessions lets other work go on, and may delete them', async (t) => {
  const { broker, client } = start(t)
  for (let number = 0; number < 600; number += 1) await (await client(`c${number}`, lasting)).drop()
  let turns = 0
  let isOver = false
  const count = (): void => {
    turns += 1
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  let deleted = 0
  for await (const session of broker.sessions()) if (await session.delete()) deleted += 1
  isOver = true
  assert.equal(deleted, 600)
  assert.ok(turns >= 2, `${turns} turns`)
  assert.equal(broker.stats().sessions, 0)
})

test('sessions are found again after a restart', async (t) => {
  const machine = startMachine(t)
  const one = await machine.client('one', { username: 'alice' })
  await one.subscribe('t', { qos: 1 })
  await one.drop()
  await machine.broker.publish({ topic: 't', payload: 'x', qos: 1 })
  await machine.restart()
  const session = await machine.broker.session('one')
  assert.equal(session?.queuedMessages, 1)
  assert.equal(session.owner, 'alice')
  assert.equal(session.stored, true)
  assert.equal(session.connectedAt, undefined)
  assert.deepEqual(
    session.subscriptions.map(({ topicFilter }) => topicFilter),
    ['t'],
  )
})

// ─── delete ────────────────────────────────────────────────────────────────────────────────────────────────────────

for (const level of levels) {
  test(`deleteSession ends the connection and the session of a Client of version ${level}`, async (t) => {
    const { broker, client, resume } = start(t)
    const reasons: number[] = []
    broker.on('clientDisconnected', (_client, { reasonCode }) => reasons.push(reasonCode))
    const one = await client('one', { ...lasting, level })
    await one.subscribe('t', { qos: 1 })
    assert.equal(await broker.deleteSession('one'), true)
    await one.endedWith(0x98)
    assert.deepEqual(reasons, [0x98])
    assert.equal(await hasSession(broker, 'one'), false)
    assert.equal(broker.stats().subscriptions, 0)
    const again = await resume('one', { ...lasting, level })
    assert.equal(again.connack.sessionPresent, false)
  })
}

test('deleteSession says that there was no session', async (t) => {
  const { broker } = start(t)
  assert.equal(await broker.deleteSession('nobody'), false)
  await assert.rejects(broker.deleteSession(5 as never), InvalidOptionError)
})

test('deleteSession of a Client that is away ends queue, subscriptions and timers', async (t) => {
  const { broker, client } = start(t)
  const one = await client('one', lasting)
  await one.subscribe('t', { qos: 1 })
  await one.drop()
  await broker.publish({ topic: 't', payload: 'x', qos: 1 })
  assert.equal(await broker.deleteSession('one'), true)
  const { sessions, subscriptions, queuedMessages, queuedBytes, timers } = broker.stats()
  assert.deepEqual([sessions, subscriptions, queuedMessages, queuedBytes, timers], [0, 0, 0, 0, 0])
})

test('what is deleted is gone from the store, also after a kill', async (t) => {
  const machine = startMachine(t)
  for (const name of ['away', 'here']) {
    const one = await machine.client(name)
    await one.subscribe('t', { qos: 1 })
    if (name === 'away') await one.drop()
  }
  await machine.broker.publish({ topic: 't', payload: 'x', qos: 1 })
  assert.equal(await machine.broker.deleteSession('away'), true)
  assert.equal(await machine.broker.deleteSession('here'), true)
  assert.deepEqual(await machine.stored(), [])
  await machine.restart()
  assert.deepEqual(await listOf(machine.broker), [])
})

test('deleteSession resolves after the commit, and rejects when the store fails; the store deletes it later', async (t) => {
  const machine = startMachine(t)
  for (const name of ['one', 'two']) await (await machine.client(name)).drop()
  machine.hold()
  let isDone = false
  const deleted = machine.broker.deleteSession('one').then(() => (isDone = true))
  const commit = await machine.commit()
  await settle()
  assert.equal(isDone, false)
  await commit.resolve()
  await deleted
  machine.answer()
  machine.fail(new Error('broken'))
  await assert.rejects(machine.broker.deleteSession('two'), MqttError)
  machine.fail(undefined)
  machine.clock.advance(60_000)
  await settle()
  assert.deepEqual(await machine.stored(), [])
})

for (const [when, isConnected] of [
  ['connected', true],
  ['away', false],
] as const) {
  test(`deleteSession publishes the Will of a Client that is ${when}, before its Will Delay Interval [MQTT-3.1.2-10]`, async (t) => {
    const machine = startMachine(t)
    const watcher = await machine.client('watcher')
    await watcher.subscribe('w', { qos: 1 })
    const one = await machine.client('one', {
      will: will('w', 'gone', { qos: 1, properties: { willDelayInterval: 100 } }),
    })
    if (!isConnected) await one.drop()
    assert.equal(await machine.broker.deleteSession('one'), true)
    assert.equal(await watcher.message(), 'gone')
    await settle()
    await machine.restart()
    machine.clock.advance(200_000)
    const again = await machine.client('watcher')
    assert.deepEqual(await payloads(again), [], 'the Will is published once')
  })
}

test('a member of a shared subscription that is deleted leaves its messages to another', async (t) => {
  const { broker, client } = start(t)
  const one = await client('one', lasting)
  await one.subscribe('$share/g/t', { qos: 1 })
  await one.drop()
  await broker.publish({ topic: 't', payload: 'x', qos: 1 })
  const other = await client('other')
  await other.subscribe('$share/g/t', { qos: 1 })
  await broker.deleteSession('one')
  assert.equal(await other.message(), 'x')
})

test('a hook may delete the session that it is asked about', async (t) => {
  const { broker, client } = start(t, {
    plugins: [
      {
        name: 'rules',
        async authorizePublish(_message, { id }) {
          await broker.deleteSession(id)
          return false
        },
      },
    ],
  })
  const one = await client('one', lasting)
  one.send({
    type: 'publish',
    topic: 't',
    payload: Buffer.from('x'),
    qos: 1,
    retain: false,
    dup: false,
    packetId: 1,
    properties: undefined,
  })
  await one.endedWith(0x98)
  assert.equal(await hasSession(broker, 'one'), false)
})

// ─── clearRetained ─────────────────────────────────────────────────────────────────────────────────────────────────

test('clearRetained removes what matches, returns the number, and it is gone after a restart', async (t) => {
  const machine = startMachine(t)
  const published: string[] = []
  for (const topic of ['a/1', 'a/2', 'b/1', '$own/1'])
    await machine.broker.publish({ topic, payload: 'x', retain: true, qos: 1 })
  machine.broker.on('published', ({ topic, payload }) => published.push(`${topic} ${payload.length}`))
  const watcher = await machine.client('watcher')
  await watcher.subscribe('a/1', { retainHandling: 2 })
  assert.equal(await machine.broker.clearRetained('a/#'), 2)
  assert.deepEqual(published.toSorted(), ['a/1 0', 'a/2 0'])
  assert.equal(await watcher.message(), '')
  assert.equal(await machine.broker.clearRetained('a/#'), 0)
  assert.equal(await machine.broker.clearRetained('b/1'), 1)
  assert.equal(await machine.broker.clearRetained('#'), 0)
  await machine.restart()
  const left: string[] = []
  for (const filter of ['#', '$own/#']) for await (const { topic } of machine.broker.retained(filter)) left.push(topic)
  assert.deepEqual(left, ['$own/1'])
  assert.equal(await machine.broker.clearRetained('$own/+'), 1)
})

test('clearRetained removes thousands, refuses what is no filter, and leaves $SYS', async (t) => {
  const { broker } = start(t, { sysInterval: 10_000 })
  for (let number = 0; number < 3000; number += 1)
    await broker.publish({ topic: `t/${number}`, payload: 'x', retain: true })
  const before = broker.stats().retainedMessages
  assert.equal(await broker.clearRetained('#'), 3000)
  assert.equal(await broker.clearRetained('$SYS/#'), 0)
  assert.equal(broker.stats().retainedMessages, before - 3000)
  for (const filter of ['', 'a/#/b', '$share/g/a', undefined, 5]) {
    await assert.rejects(broker.clearRetained(filter as string), MqttError)
  }
})

test('clearRetained rejects when the store fails, and what it could not remove is there again', async (t) => {
  const machine = startMachine(t)
  await machine.broker.publish({ topic: 'a', payload: 'x', retain: true, qos: 1 })
  machine.fail(new Error('broken'))
  await assert.rejects(machine.broker.clearRetained('#'), MqttError)
  machine.fail(undefined)
  machine.clock.advance(60_000)
  await settle()
  const left: string[] = []
  for await (const { topic } of machine.broker.retained('#')) left.push(topic)
  assert.deepEqual(left, ['a'])
})

// ─── one Client ────────────────────────────────────────────────────────────────────────────────────────────────────

function clientOf(broker: Broker, clientId: string) {
  const client = broker.clients.get(clientId)
  assert.ok(client)
  return client
}

test('client.subscribe subscribes it as its SUBSCRIBE would, with retained messages and an event', async (t) => {
  const { broker, client } = start(t)
  const subscribed: string[] = []
  broker.on('subscribed', ({ topicFilter, qos }, { id }) => subscribed.push(`${id} ${topicFilter} ${qos}`))
  await broker.publish({ topic: 'a/1', payload: 'kept', retain: true, qos: 1 })
  const one = await client('one')
  await clientOf(broker, 'one').subscribe(['a/+', 'b'], { qos: 1, subscriptionIdentifier: 9 })
  const packet = await one.receives('publish')
  assert.deepEqual([packet.payload.toString(), packet.retain, packet.qos], ['kept', true, 1])
  assert.deepEqual(packet.properties?.subscriptionIdentifiers, [9])
  await one.acknowledge(packet)
  await broker.publish({ topic: 'b', payload: 'live', qos: 2 })
  assert.equal(await one.message(), 'live')
  assert.deepEqual(subscribed, ['one a/+ 1', 'one b 1'])
  assert.deepEqual([...clientOf(broker, 'one').subscriptions.keys()], ['a/+', 'b'])
})

test('client.unsubscribe ends subscriptions of the Client and of the application', async (t) => {
  const { broker, client } = start(t)
  const ended: string[] = []
  broker.on('unsubscribed', (topicFilter, { id }) => ended.push(`${id} ${topicFilter}`))
  const one = await client('one')
  await one.subscribe('a')
  await clientOf(broker, 'one').subscribe('b')
  assert.equal(await clientOf(broker, 'one').unsubscribe(['a', 'b', 'c']), 2)
  assert.deepEqual(ended, ['one a', 'one b'])
  await broker.publish({ topic: 'a', payload: 'x' })
  await broker.publish({ topic: 'b', payload: 'x' })
  await one.quiet()
})

for (const qos of [0, 1, 2] as const satisfies QoS[]) {
  for (const level of levels) {
    test(`client.publish sends a message at QoS ${qos} to this Client of version ${level} only, subscribed or not`, async (t) => {
      const { broker, client } = start(t)
      const [one, other] = [await client('one', { level }), await client('other', { level })]
      await other.subscribe('a', { qos: 2 })
      await clientOf(broker, 'one').publish({ topic: 'a', payload: 'for you', qos, properties: { contentType: 'x' } })
      const packet = await one.receives('publish')
      assert.deepEqual(
        [packet.topic, packet.payload.toString(), packet.qos, packet.retain],
        ['a', 'for you', qos, false],
      )
      if (level === 5) assert.deepEqual(packet.properties, { contentType: 'x' })
      await one.acknowledge(packet)
      await one.quiet()
      await other.quiet()
      assert.equal(broker.stats().queuedBytes, 0)
    })
  }
}

test('a message for a Client that is away waits in its session, also over a restart; at QoS 0 it is missed', async (t) => {
  const machine = startMachine(t)
  await (await machine.client('one')).drop()
  const session = await machine.broker.session('one')
  assert.ok(session)
  for (const qos of [0, 1, 2] as const) await session.publish({ topic: 'a', payload: `q${qos}`, qos })
  await machine.restart()
  const { client } = await machine.resume('one', lasting)
  assert.deepEqual(await payloads(client), ['q1', 'q2'])
})

test('a subscription for a Client that is away is stored, with the retained messages that wait for it', async (t) => {
  const asked: string[] = []
  const machine = startMachine(t, {
    plugins: [
      {
        name: 'rules',
        authorizeSubscribe({ topicFilter }) {
          asked.push(topicFilter)
          return topicFilter !== 'secret'
        },
      },
    ],
  })
  for (const topic of ['secret', 'other'])
    await machine.broker.publish({ topic, payload: `kept ${topic}`, retain: true, qos: 1 })
  await (await machine.client('one')).drop()
  const session = await machine.broker.session('one')
  await session?.subscribe('secret', { qos: 1 })
  await machine.restart()
  const { client } = await machine.resume('one', lasting)
  assert.deepEqual(await payloads(client), ['kept secret'])
  await machine.broker.publish({ topic: 'secret', payload: 'live', qos: 1 })
  assert.deepEqual(await payloads(client), ['live'])
  assert.deepEqual(asked, [], 'no hook is asked, not even when the session is resumed')
  assert.deepEqual(await client.subscribe('secret', { qos: 1 }), [0x87], 'the Client itself may not')
  assert.equal(await (await machine.broker.session('one'))?.unsubscribe('secret'), 1)
  await client.drop()
  await machine.restart()
  assert.deepEqual((await machine.broker.session('one'))?.subscriptions, [])
})

test('Retain Handling counts for a subscription of the application', async (t) => {
  const { broker, client } = start(t)
  await broker.publish({ topic: 'a', payload: 'kept', retain: true, qos: 1 })
  const one = await client('one', lasting)
  await clientOf(broker, 'one').subscribe('a', { retainHandling: 2 })
  await one.quiet()
  await clientOf(broker, 'one').subscribe('a', { retainHandling: 1 })
  await one.quiet()
  await clientOf(broker, 'one').subscribe('a')
  assert.equal(await one.message(), 'kept')
})

test('a subscription that the store refuses is undone', async (t) => {
  const machine = startMachine(t)
  const one = await machine.client('one')
  await one.subscribe('a', { qos: 1 })
  machine.fail(new Error('broken'))
  await assert.rejects(clientOf(machine.broker, 'one').subscribe(['a', 'b'], { qos: 0 }), MqttError)
  const published = assert.rejects(
    clientOf(machine.broker, 'one').publish({ topic: 'c', payload: 'x', qos: 1 }),
    MqttError,
  )
  for (let attempt = 0; attempt < 3; attempt += 1) {
    await settle()
    machine.clock.advance(5000) // The store is tried again.
  }
  await published
  machine.fail(undefined)
  machine.clock.advance(60_000)
  await settle()
  const session = await machine.broker.session('one')
  assert.deepEqual(
    session?.subscriptions.map(({ topicFilter, qos }) => [topicFilter, qos]),
    [['a', 1]],
  )
  await one.quiet()
})

for (const [what, filter, options, error] of [
  ['a filter that is none', 'a/#/b', {}, MqttError],
  ['an empty filter', '', {}, MqttError],
  ['no filters', [], {}, InvalidOptionError],
  ['a filter that is a number', 5, {}, InvalidOptionError],
  ['one bad filter of two', ['a', '+b'], {}, MqttError],
  ['QoS 3', 'a', { qos: 3 }, InvalidOptionError],
  ['an unknown option', 'a', { retained: true }, InvalidOptionError],
  ['Subscription Identifier 0', 'a', { subscriptionIdentifier: 0 }, InvalidOptionError],
  ['No Local on a shared subscription', '$share/g/a', { noLocal: true }, InvalidOptionError],
] as [string, string, ClientSubscribeOptions, typeof MqttError][]) {
  test(`client.subscribe refuses ${what} and changes nothing`, async (t) => {
    const { broker, client } = start(t)
    await client('one')
    await assert.rejects(clientOf(broker, 'one').subscribe(filter, options), error)
    assert.equal(broker.stats().subscriptions, 0)
  })
}

for (const [what, init, error] of [
  ['a topic with a wildcard', { topic: 'a/#' }, MqttError],
  ['QoS 3', { topic: 'a', qos: 3 }, InvalidOptionError],
  ['RETAIN', { topic: 'a', retain: true }, InvalidOptionError],
  ['a wrong Property', { topic: 'a', properties: { contentType: 5 } }, InvalidOptionError],
] as [string, MessageInit, typeof MqttError][]) {
  test(`client.publish refuses ${what}`, async (t) => {
    const { broker, client } = start(t)
    const one = await client('one')
    await assert.rejects(clientOf(broker, 'one').publish(init), error)
    await one.quiet()
  })
}

test('limits count for changes of the application, too', async (t) => {
  const limits: BrokerOptions['limits'] = { maxSubscriptionsPerClient: 2, maxQueuedMessages: 2 }
  const { broker, client } = start(t, { limits })
  const one = await client('one', lasting)
  const session = clientOf(broker, 'one')
  await session.subscribe(['a', 'b'])
  await session.subscribe('a', { qos: 0 })
  await assert.rejects(session.subscribe(['c', 'd']), { reasonCode: 0x97 })
  assert.equal(broker.stats().subscriptions, 2)
  await one.drop()
  const away = await broker.session('one')
  for (const payload of ['1', '2']) await away?.publish({ topic: 't', payload, qos: 1 })
  await assert.rejects(async () => away?.publish({ topic: 't', payload: '3', qos: 1 }), { reasonCode: 0x97 })
})

test('a loop of client.publish waits for a Client that falls behind, and loses nothing', async (t) => {
  const { broker, client } = start(t, { limits: { maxQueuedMessages: 100, maxInflight: 10 } })
  const one = await client('one')
  const dropped: string[] = []
  broker.on('dropped', (message) => dropped.push(message.payload.toString()))
  const target = clientOf(broker, 'one')
  let isOver = false
  const publishing = (async () => {
    for (let number = 0; number < 1000; number += 1) await target.publish({ topic: 't', payload: `${number}`, qos: 1 })
    isOver = true
  })()
  await settle()
  assert.equal(isOver, false)
  for (let number = 0; number < 1000; number += 1) assert.equal(await one.message(), `${number}`)
  await publishing
  assert.deepEqual(dropped, [])
})

test('changes of a session that there is not, or of a closed broker, are refused', async (t) => {
  const { broker, client } = start(t)
  const one = await client('one')
  const ended = clientOf(broker, 'one')
  await one.disconnect()
  await assert.rejects(ended.subscribe('a'), MqttError)
  await assert.rejects(ended.unsubscribe('a'), MqttError)
  await assert.rejects(ended.publish({ topic: 'a' }), MqttError)
  await broker.close()
  await assert.rejects(broker.deleteSession('one'))
  await assert.rejects(broker.clearRetained('#'))
  await assert.rejects(broker.session('one'))
  await assert.rejects(listOf(broker))
})

test('authorizeDeliver is asked for what the application sends to one Client, and other hooks are not', async (t) => {
  const asked: string[] = []
  const { broker, client } = start(t, {
    plugins: [
      {
        name: 'rules',
        authorizePublish: () => (asked.push('authorizePublish'), true),
        inspect: () => void asked.push('inspect'),
        authorizeSubscribe: () => (asked.push('authorizeSubscribe'), true),
        authorizeDeliver: ({ topic }) => (asked.push('authorizeDeliver'), topic !== 'secret'),
      },
    ],
  })
  const one = await client('one')
  await clientOf(broker, 'one').subscribe('a')
  await clientOf(broker, 'one').publish({ topic: 'b', payload: 'x' })
  assert.equal(await one.message(), 'x')
  await clientOf(broker, 'one').publish({ topic: 'secret', payload: 'x', qos: 1 })
  await one.quiet()
  assert.deepEqual(asked, ['authorizeDeliver', 'authorizeDeliver'])
})

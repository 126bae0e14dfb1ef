/** The queue of a shared subscription: a message waits for any member, and is dropped only if none can take it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Broker } from '../../lib/broker.ts'
import type { PublishPacket, QoS } from '../../types/packets.ts'
import { ack, publishPacket, settle, start, type TestClient } from '../support/client.ts'
import { startMachine } from './machine.ts'

const filter = '$share/g/t'
const persistent = { cleanStart: false, properties: { sessionExpiryInterval: 100_000 } }
const oneAtATime = { properties: { receiveMaximum: 1 } }
const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `${from + index}`)

function droppedBy(broker: Broker): string[] {
  const dropped: string[] = []
  broker.on('dropped', ({ payload }, clientId, why) => dropped.push(`${clientId} ${payload.toString()} ${why}`))
  return dropped
}

async function publish(broker: Broker, payloads: readonly string[], qos: QoS = 1, retain = false): Promise<void> {
  for (const payload of payloads) await broker.publish({ topic: 't', payload, qos, retain })
}

/** All messages that come now, acknowledged to the end. */
async function packets(client: TestClient): Promise<PublishPacket[]> {
  const came: PublishPacket[] = []
  await settle()
  for (let packet = client.received.shift(); packet !== undefined; packet = client.received.shift()) {
    if (packet.type === 'publish') {
      came.push(packet)
      if (packet.qos > 0) client.send(ack(packet.qos === 1 ? 'puback' : 'pubrec', packet.packetId))
    } else if (packet.type === 'pubrel') client.send(ack('pubcomp', packet.packetId))
    await settle()
  }
  return came
}

async function drain(client: TestClient): Promise<string[]> {
  return (await packets(client)).map(({ payload }) => payload.toString())
}

// ─── the next member that can take it ────────────────────────────────────────────────────────────────────────────────

test('of members that are away the next one with room gets a message; when none has room it is dropped', async (t) => {
  const { client, broker } = start(t, { limits: { maxQueuedMessages: 2 } })
  const dropped = droppedBy(broker)
  const a = await client('a', persistent)
  await a.subscribe(filter, { qos: 1 })
  await a.subscribe('other', { qos: 1 })
  await a.drop()
  for (const payload of ['x', 'y']) await broker.publish({ topic: 'other', payload, qos: 1 })
  const b = await client('b', persistent)
  await b.subscribe(filter, { qos: 1 })
  await b.drop()
  await publish(broker, numbers(1, 3))
  assert.equal(dropped.length, 1)
  assert.match(dropped[0]!, /^[ab] 3 queue-full$/)
  assert.deepEqual(await drain(await client('b', persistent)), ['1', '2'])
})

test('the same by bytes: a message goes to the member with room for it', async (t) => {
  const { client, broker } = start(t, { limits: { maxQueuedBytes: 3000 } })
  const dropped = droppedBy(broker)
  for (const name of ['a', 'b']) {
    const member = await client(name, persistent)
    await member.subscribe(filter, { qos: 2 })
    await member.drop()
  }
  await publish(
    broker,
    ['1', '2', '3', '4'].map((name) => name.padEnd(1000, '.')),
    2,
  )
  assert.deepEqual(dropped, [])
  assert.equal(broker.stats().queuedMessages, 4)
})

test('a connected member that is stuck loses no message while another has room', async (t) => {
  const { client, broker } = start(t, { limits: { maxQueuedMessages: 2, holdBackMs: 0 } })
  const dropped = droppedBy(broker)
  const stuck = await client('stuck', oneAtATime)
  await stuck.subscribe(filter, { qos: 1 })
  await publish(broker, ['1', '2', '3'])
  const other = await client('other', persistent)
  await other.subscribe(filter, { qos: 1 })
  assert.deepEqual(await drain(other), ['2', '3'])
  await publish(broker, numbers(4, 9))
  assert.deepEqual(await drain(other), numbers(4, 9))
  assert.deepEqual(dropped, [])
})

test('an away member with room gets a message rather than nobody, when the connected ones are full', async (t) => {
  const { client, broker } = start(t, { limits: { maxQueuedMessages: 2, holdBackMs: 0 } })
  const dropped = droppedBy(broker)
  const away = await client('away', persistent)
  await away.subscribe(filter, { qos: 1 })
  await away.drop()
  const stuck = await client('stuck', oneAtATime)
  await stuck.subscribe(filter, { qos: 1 })
  await publish(broker, numbers(1, 6))
  assert.deepEqual(dropped, ['stuck 6 queue-full'].slice(0, dropped.length))
  assert.equal(dropped.length, 1)
  assert.equal(broker.stats().queuedMessages, 4)
})

for (const qos of [0, 1, 2] as const) {
  test(`a member that authorizeDeliver refuses leaves the message to another, at QoS ${qos}`, async (t) => {
    const { client, broker } = start(t, {
      plugins: [{ name: 'permits', authorizeDeliver: (_message, { id }) => !id.startsWith('no') }],
    })
    const dropped = droppedBy(broker)
    const clients = []
    for (const name of ['no1', 'yes', 'no2']) {
      const member = await client(name)
      await member.subscribe(filter, { qos })
      clients.push(member)
    }
    await publish(broker, numbers(1, 6), qos)
    assert.deepEqual(await drain(clients[1]!), numbers(1, 6))
    assert.deepEqual(dropped, [])
    await clients[1]!.disconnect()
    await publish(broker, ['7'], qos)
    assert.equal(dropped.length, 1, 'dropped once, when nobody may have it')
    assert.match(dropped[0]!, /^no[12] 7 not-authorized$/)
    assert.equal(broker.stats().queuedMessages, 0)
    assert.equal(broker.stats().queuedBytes, 0)
  })

  test(`a message that is too large for one member goes to another, at QoS ${qos}`, async (t) => {
    const { client, broker } = start(t)
    const dropped = droppedBy(broker)
    const small = await client('small', { properties: { maximumPacketSize: 100 } })
    await small.subscribe(filter, { qos })
    const large = await client('large')
    await large.subscribe(filter, { qos })
    const payloads = numbers(1, 4).map((name) => name.padEnd(200, '.'))
    await publish(broker, payloads, qos)
    assert.deepEqual(await drain(large), payloads)
    assert.deepEqual(await drain(small), [])
    assert.deepEqual(dropped, [])
    await publish(broker, ['s1', 's2'], qos)
    assert.deepEqual([...(await drain(large)), ...(await drain(small))].toSorted(), ['s1', 's2'])
  })
}

test('a stored message that one member may not have goes to another, also after kill -9', async (t) => {
  const machine = startMachine(t, {
    plugins: [{ name: 'permits', authorizeDeliver: (_message, { id }) => id !== 'no' }],
  })
  const no = await machine.client('no')
  await no.subscribe(filter, { qos: 1 })
  const yes = await machine.client('yes')
  await yes.subscribe(filter, { qos: 1 })
  await yes.drop()
  const publisher = await machine.client('publisher')
  for (const payload of ['1', '2', '3']) await publisher.publish('t', payload, { qos: 1 })
  await settle()
  await machine.restart()
  const dropped = droppedBy(machine.broker)
  await machine.client('no')
  assert.deepEqual(await drain(await machine.client('yes')), ['1', '2', '3'])
  assert.deepEqual(dropped, [])
})

test('a message at QoS 0 goes to a connected member, or to one whose session keeps it', async (t) => {
  const { client, broker } = start(t)
  const dropped = droppedBy(broker)
  const zero = await client('zero', persistent)
  await zero.subscribe(filter, { qos: 0 })
  await zero.drop()
  const one = await client('one', persistent)
  await one.subscribe(filter, { qos: 1 })
  await one.drop()
  await publish(broker, numbers(1, 4), 1)
  await publish(broker, ['for nobody'], 0)
  assert.equal(broker.stats().queuedMessages, 4)
  assert.deepEqual(dropped, [])
  assert.deepEqual(await drain(await client('one', persistent)), numbers(1, 4))
})

test('the application leaves messages to members with room when its queue is full, and takes them later', async (t) => {
  const { client, broker } = start(t)
  const subscription = broker.subscribe(filter, { highWaterMark: 2 })
  const away = await client('away', persistent)
  await away.subscribe(filter, { qos: 1 })
  await away.drop()
  await publish(broker, numbers(1, 6))
  assert.equal(broker.stats().queuedMessages, 4)
  const came: string[] = []
  for await (const message of subscription) {
    came.push(message.payload.toString())
    if (came.length === 6) break
  }
  assert.deepEqual(came, numbers(1, 6))
  assert.equal(subscription.dropped, 0)
  assert.equal(broker.stats().queuedMessages, 0)
})

// ─── a queue in common ───────────────────────────────────────────────────────────────────────────────────────────────

for (const qos of [1, 2] as const) {
  test(`beside a member that is stuck the idle one gets all other messages, in order, at QoS ${qos}`, async (t) => {
    const { client, broker } = start(t)
    const stuck = await client('stuck', oneAtATime)
    const worker = await client('worker', oneAtATime)
    for (const member of [stuck, worker]) await member.subscribe(filter, { qos })
    await publish(broker, numbers(1, 10), qos)
    assert.equal((await stuck.receives('publish')).payload.toString(), '1')
    assert.deepEqual(await drain(worker), numbers(2, 10))
    assert.equal(broker.stats().queuedMessages, 0)
  })

  test(`all members are away: the one that is back first gets everything, in order, at QoS ${qos}`, async (t) => {
    const { client, broker } = start(t)
    for (const name of ['a', 'b', 'c']) {
      const member = await client(name, persistent)
      await member.subscribe(filter, { qos })
      await member.drop()
    }
    await publish(broker, numbers(1, 10), qos)
    assert.deepEqual(await drain(await client('b', persistent)), numbers(1, 10))
    for (const name of ['a', 'c']) assert.deepEqual(await drain(await client(name, persistent)), [])
    assert.equal(broker.stats().queuedMessages, 0)
    assert.equal(broker.stats().queuedBytes, 0)
  })

  test(`a new member gets what waits, with its own options, at QoS ${qos}`, async (t) => {
    const { client, broker } = start(t)
    const away = await client('away', persistent)
    await away.subscribe(filter, { qos }, { subscriptionIdentifier: 1 })
    await away.drop()
    await publish(broker, ['1', '2'], qos, true)
    for (const [index, granted] of ([0, 1, 2] as const).entries()) {
      const member = await client(`new${granted}`)
      await member.subscribe(filter, { qos: granted, retainAsPublished: index === 1 }, { subscriptionIdentifier: 7 })
      const came = await packets(member)
      assert.deepEqual(
        came.map(({ payload }) => payload.toString()),
        index === 0 ? ['1', '2'] : [],
      )
      for (const packet of came) {
        assert.deepEqual(
          [packet.qos, packet.retain, packet.properties?.subscriptionIdentifiers],
          [Math.min(granted, qos), index === 1, [7]],
        )
      }
      await member.disconnect()
    }
  })
}

test('a member takes a message with its own QoS, RETAIN and Subscription Identifier', async (t) => {
  for (const granted of [1, 2] as const) {
    const { client, broker } = start(t)
    const away = await client('away', persistent)
    await away.subscribe(filter, { qos: 2 }, { subscriptionIdentifier: 1 })
    await away.drop()
    await publish(broker, ['1'], 2, true)
    const member = await client('new')
    await member.subscribe(filter, { qos: granted, retainAsPublished: true }, { subscriptionIdentifier: 9 })
    const [packet] = await packets(member)
    assert.deepEqual(
      [packet?.qos, packet?.retain, packet?.dup, packet?.properties?.subscriptionIdentifiers],
      [granted, true, false, [9]],
    )
    assert.equal(broker.stats().queuedMessages, 0)
  }
})

test('messages of the own subscriptions of a member come in their order among those of the shared one', async (t) => {
  const { client, broker } = start(t)
  const a = await client('a', persistent)
  const b = await client('b', persistent)
  for (const member of [a, b]) {
    await member.subscribe(filter, { qos: 1 })
    await member.drop()
  }
  const own = await client('a', persistent)
  await own.subscribe('own', { qos: 1 })
  await own.drop()
  for (let round = 1; round <= 4; round += 1) {
    await broker.publish({ topic: 't', payload: `t${round}`, qos: 1 })
    await broker.publish({ topic: 'own', payload: `own${round}`, qos: 1 })
  }
  const came = await drain(await client('a', persistent))
  const of = (start: string): string[] => came.filter((payload) => payload.startsWith(start))
  assert.deepEqual([of('t'), of('own')], [numbers(1, 4).map((n) => `t${n}`), numbers(1, 4).map((n) => `own${n}`)])
  assert.deepEqual(await drain(await client('b', persistent)), [])
})

test('what waits for a member that unsubscribes, ends or is deleted keeps its place among the others', async (t) => {
  for (const how of ['unsubscribe', 'disconnect', 'drop', 'clean start'] as const) {
    const { client, broker } = start(t)
    const leaves = await client('leaves', oneAtATime)
    const stays = await client('stays', oneAtATime)
    for (const member of [leaves, stays]) await member.subscribe(filter, { qos: 1 })
    await publish(broker, numbers(1, 10))
    const first = await stays.receives('publish')
    const sent = await leaves.receives('publish')
    if (how === 'unsubscribe') await leaves.unsubscribe(filter)
    else if (how === 'clean start') await client('leaves', { cleanStart: true })
    else await leaves[how]()
    await stays.acknowledge(first)
    const expected = how === 'unsubscribe' ? numbers(3, 10) : [sent.payload.toString(), ...numbers(3, 10)]
    assert.deepEqual(await drain(stays), expected, how)
    assert.equal(broker.stats().queuedMessages, 0, how)
    assert.equal(broker.stats().queuedBytes, how === 'unsubscribe' ? broker.stats().queuedBytes : 0)
  }
})

test('the last member leaves: what waited is dropped, each with an event', async (t) => {
  const { client, broker, clock } = start(t)
  const dropped = droppedBy(broker)
  for (const how of ['unsubscribe', 'expiry'] as const) {
    const last = await client('last', { properties: { receiveMaximum: 1, sessionExpiryInterval: 5 } })
    await last.subscribe(filter, { qos: 1 })
    await publish(broker, ['1', '2', '3'])
    await last.receives('publish')
    if (how === 'unsubscribe') await last.unsubscribe(filter)
    await last.drop()
    clock.advance(5000)
    assert.deepEqual(dropped.splice(0), ['last 2 no-member', 'last 3 no-member'], how)
    assert.equal(broker.stats().queuedMessages, 0)
  }
})

test('in flight at a member that unsubscribed: at the end of its session it goes to a group that was founded anew', async (t) => {
  const { client, broker } = start(t)
  const leaves = await client('leaves', oneAtATime)
  await leaves.subscribe(filter, { qos: 1 })
  await publish(broker, ['1'])
  await leaves.receives('publish')
  await leaves.unsubscribe(filter)
  assert.equal(broker.stats().sharedSubscriptions, 0)
  const next = await client('next')
  await next.subscribe(filter, { qos: 1 })
  await leaves.drop()
  assert.deepEqual(await drain(next), ['1'])
})

test('the same after kill -9, and at QoS 2 the message stays with its member [MQTT-4.8.2-5]', async (t) => {
  for (const qos of [1, 2] as const) {
    const machine = startMachine(t)
    const leaves = await machine.client('leaves', { properties: { receiveMaximum: 1, sessionExpiryInterval: 10 } })
    await leaves.subscribe(filter, { qos })
    await publish(machine.broker, ['1'], qos)
    await leaves.receives('publish')
    await leaves.unsubscribe(filter)
    const next = await machine.client('next')
    await next.subscribe(filter, { qos })
    await machine.restart()
    const again = await machine.client('next')
    machine.clock.advance(11_000)
    assert.deepEqual(await drain(again), qos === 1 ? ['1'] : [])
  }
})

test('a message of a shared subscription that expires is dropped once, wherever it waits', async (t) => {
  const { client, broker, clock } = start(t)
  const dropped = droppedBy(broker)
  for (const name of ['a', 'b']) {
    const member = await client(name, persistent)
    await member.subscribe(filter, { qos: 1 })
    await member.drop()
  }
  const properties = { messageExpiryInterval: 1 }
  await broker.publish({ topic: 't', payload: 'x', qos: 1, properties })
  await publish(broker, ['y'])
  await broker.publish({ topic: 't', payload: 'z', qos: 1, properties })
  clock.advance(1000)
  assert.deepEqual(
    dropped.map((each) => each.slice(2)),
    ['x expired', 'z expired'],
  )
  assert.deepEqual(await drain(await client('b', persistent)), ['y'])
  assert.equal(broker.stats().queuedMessages, 0)
})

test('publishers wait when all members are congested, and go on when another member takes the messages', async (t) => {
  const { client, broker } = start(t, { limits: { maxQueuedMessages: 4, holdBackMs: 60_000 } })
  const stuck = await client('stuck', oneAtATime)
  await stuck.subscribe(filter, { qos: 1 })
  const publisher = await client('publisher')
  publisher.send(
    ...numbers(1, 20).map((payload, index) => publishPacket('t', payload, { qos: 1, packetId: index + 1 })),
  )
  await settle()
  const waiting = broker.stats().queuedMessages
  assert.ok(waiting <= 4, 'the publisher waits')
  assert.equal(broker.stats().publishDropped, 0)
  const worker = await client('worker')
  await worker.subscribe(filter, { qos: 1 })
  assert.deepEqual(await drain(worker), numbers(2, 20))
  assert.equal(broker.stats().publishDropped, 0)
})

test('a group has room for as much as its members together', async (t) => {
  const { client, broker } = start(t, { limits: { maxQueuedMessages: 5 } })
  for (const name of ['a', 'b']) {
    const member = await client(name, persistent)
    await member.subscribe(filter, { qos: 1 })
    await member.drop()
  }
  await publish(broker, numbers(1, 11))
  assert.equal(broker.stats().queuedMessages, 10)
  assert.equal(broker.stats().publishDropped, 1)
  assert.deepEqual(await drain(await client('a', persistent)), numbers(1, 10))
})

// ─── with a store ────────────────────────────────────────────────────────────────────────────────────────────────────

for (const qos of [1, 2] as const) {
  test(`after kill -9 what waited for members is there once and in order, whoever comes back, at QoS ${qos}`, async (t) => {
    const machine = startMachine(t)
    for (const name of ['a', 'b', 'c']) {
      const member = await machine.client(name)
      await member.subscribe(filter, { qos })
      await member.drop()
    }
    const publisher = await machine.client('publisher')
    for (const payload of numbers(1, 9)) await publisher.publish('t', payload, { qos })
    await machine.restart()
    assert.deepEqual(await drain(await machine.client('c')), numbers(1, 9))
    await machine.restart()
    for (const name of ['a', 'b', 'c']) assert.deepEqual(await drain(await machine.client(name)), [], name)
    const kept = (await machine.stored()).filter((state) => state.kind === 'session')
    assert.equal(kept.flatMap(({ queue }) => [...queue]).length, 0)
  })

  test(`kill -9 while a member has what it took: it goes on with it, at QoS ${qos}`, async (t) => {
    const machine = startMachine(t)
    const away = await machine.client('away')
    await away.subscribe(filter, { qos })
    await away.drop()
    const publisher = await machine.client('publisher')
    for (const payload of numbers(1, 4)) await publisher.publish('t', payload, { qos })
    const taker = await machine.client('taker', { properties: { receiveMaximum: 2, sessionExpiryInterval: 1000 } })
    await taker.subscribe(filter, { qos })
    const sent = [await taker.receives('publish'), await taker.receives('publish')]
    assert.deepEqual(
      sent.map(({ payload }) => payload.toString()),
      ['1', '2'],
    )
    await machine.restart()
    const other = await machine.client('away')
    assert.deepEqual(await drain(other), ['3', '4'])
    const again = await machine.client('taker')
    const came = await packets(again)
    assert.deepEqual(
      came.map(({ payload, dup }) => [payload.toString(), dup]),
      [
        ['1', true],
        ['2', true],
      ],
    )
  })
}

test('a message that came by a shared and an own subscription is taken by another member once, and kept once', async (t) => {
  const machine = startMachine(t)
  const both = await machine.client('both')
  await both.subscribe(filter, { qos: 1 })
  await both.subscribe('t', { qos: 1 })
  await both.drop()
  const publisher = await machine.client('publisher')
  for (const payload of numbers(1, 3)) await publisher.publish('t', payload, { qos: 1 })
  const other = await machine.client('other')
  await other.subscribe(filter, { qos: 1 })
  assert.deepEqual(await drain(other), numbers(1, 3))
  await machine.restart()
  assert.deepEqual(await drain(await machine.client('other')), [])
  assert.deepEqual(await drain(await machine.client('both')), numbers(1, 3))
})

test('a member whose session is not kept takes QoS 2 messages out of the store before it gets them [MQTT-4.8.2-5]', async (t) => {
  const machine = startMachine(t)
  const away = await machine.client('away')
  await away.subscribe(filter, { qos: 2 })
  await away.drop()
  const publisher = await machine.client('publisher')
  await publisher.publish('t', '1', { qos: 2 })
  const taker = await machine.client('taker', { cleanStart: true, properties: {} })
  await taker.subscribe(filter, { qos: 2 })
  await taker.receives('publish')
  await machine.restart()
  assert.deepEqual(await drain(await machine.client('away')), [])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Plugin } from '../../types/hooks.ts'
import type { Packet } from '../../types/packets.ts'
import {
  ack,
  connectPacket,
  deferred,
  filter,
  levels,
  publishPacket,
  settle,
  type TestClient,
  will,
} from '../support/client.ts'
import { type Machine, startMachine } from './machine.ts'

const forEver = { sessionExpiryInterval: 0xffff_ffff }
const broken = new Error('broken')
const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })

/** The packets so far, in short. */
async function came(client: TestClient): Promise<string[]> {
  await settle()
  return client.received.splice(0).map((packet) => short(packet))
}

function short(packet: Packet): string {
  const code = 'reasonCode' in packet && packet.reasonCode !== 0 ? ` 0x${packet.reasonCode.toString(16)}` : ''
  const codes = 'reasonCodes' in packet ? ` ${packet.reasonCodes.map((one) => `0x${one.toString(16)}`).join()}` : ''
  const id = 'packetId' in packet && packet.packetId > 0 ? ` ${packet.packetId}` : ''
  const payload = packet.type === 'publish' ? ` ${packet.payload.toString()}` : ''
  return `${packet.type}${id}${payload}${code}${codes}`
}

const subscribe = (packetId: number, topicFilter: string, qos: 0 | 1 | 2 = 1): Packet => ({
  type: 'subscribe',
  packetId,
  subscriptions: [filter(topicFilter, { qos })],
  properties: undefined,
})
const unsubscribe = (packetId: number, topicFilter: string): Packet => ({
  type: 'unsubscribe',
  packetId,
  topicFilters: [topicFilter],
  properties: undefined,
})

/** Sends, checks that no packet comes before the commit, and then compares the packets after it. */
async function only(machine: Machine, client: TestClient, packets: Packet[], answer: string[]): Promise<void> {
  machine.hold()
  client.send(...packets)
  const commit = await machine.commit()
  client.send({ type: 'pingreq' })
  assert.deepEqual(await came(client), ['pingresp'])
  await commit.resolve()
  assert.deepEqual(await came(client), answer)
  await machine.letGo()
}

test('nothing is acknowledged before it is stored', async (t) => {
  for (const level of levels) {
    const machine = startMachine(t)
    const reader = await machine.client('reader')
    await reader.subscribe('t/#', { qos: 2 })
    const x = await machine.client('x', { level })
    await reader.disconnect()
    const none = level === 5 ? ' 0x10' : ''
    await only(machine, x, [publishPacket('t/1', 'm', { qos: 1, packetId: 1 })], ['puback 1'])
    await only(machine, x, [publishPacket('t/1', 'm', { qos: 2, packetId: 2 })], ['pubrec 2'])
    await only(machine, x, [publishPacket('nobody', 'm', { qos: 2, packetId: 3 })], [`pubrec 3${none}`])
    await only(machine, x, [publishPacket('r', 'm', { qos: 1, packetId: 4, retain: true })], [`puback 4${none}`])
    await only(machine, x, [ack('pubrel', 2)], ['pubcomp 2'])
    await only(machine, x, [subscribe(5, 'a', 2)], ['suback 5 0x2'])
    await only(machine, x, [subscribe(6, 'r', 1)], ['suback 6 0x1'])
    assert.deepEqual(await came(x), ['publish 1 m'])
    await only(machine, x, [unsubscribe(7, 'r')], [level === 5 ? 'unsuback 7 0x0' : 'unsuback 7 '])
    await machine.broker.publish({ topic: 'a', payload: 'm', qos: 2 })
    assert.deepEqual(await came(x), ['publish 2 m'])
    await only(machine, x, [ack('pubrec', 2)], ['pubrel 2'])
    assert.deepEqual(machine.errors, [])
  }
})

test('CONNACK waits for the store when the session or the Will is to be kept', async (t) => {
  for (const level of levels) {
    const machine = startMachine(t)
    const kept = { level, cleanStart: false, properties: forEver }
    await (await machine.client('old', kept)).disconnect()
    machine.hold()
    for (const [clientId, options] of [
      ['new', kept],
      ['old', kept],
      ['will', { level, cleanStart: true, will: will('w', 'w') }],
    ] as const) {
      const client = machine.open(level)
      client.send(connectPacket(clientId, options))
      const commit = await machine.commit()
      assert.deepEqual(await came(client), [])
      await commit.resolve()
      const connack = await client.receives('connack')
      assert.equal(connack.sessionPresent, clientId === 'old' && level !== 3)
    }
    const clean = machine.open(level)
    await clean.connect('clean', { level, cleanStart: true })
    assert.equal(machine.waiting, 0)
  }
})

test('a message that may be sent again is sent only after its commit', async (t) => {
  const machine = startMachine(t)
  const kept = await machine.client('kept')
  const clean = await machine.client('clean', { cleanStart: true, properties: {} })
  for (const client of [kept, clean]) await client.subscribe('t', { qos: 2 })
  const x = await machine.client('x')
  machine.hold()
  x.send(publishPacket('t', 'm', { qos: 2, packetId: 1 }))
  const commit = await machine.commit()
  assert.deepEqual([await came(kept), await came(clean), await came(x)], [[], [], []])
  await commit.resolve()
  assert.deepEqual(
    [await came(kept), await came(clean), await came(x)],
    [['publish 1 m'], ['publish 1 m'], ['pubrec 1']],
  )
  clean.send(ack('pubrec', 1))
  assert.deepEqual(await came(clean), ['pubrel 1']) // Nothing of it outlives the process.
})

test('acknowledgements come in the order of the messages, refused ones too [MQTT-4.6.0-2] [MQTT-4.6.0-3]', async (t) => {
  const machine = startMachine(t, {
    plugins: [{ name: 'rights', authorizePublish: ({ topic }) => topic !== 'forbidden' }],
  })
  const reader = await machine.client('reader')
  await reader.subscribe('t', { qos: 2 })
  const x = await machine.client('x')
  x.send(publishPacket('t', 'm', { qos: 2, packetId: 9 }))
  await came(x)
  await came(reader)
  machine.hold()
  x.send(
    publishPacket('t', 'm', { qos: 1, packetId: 1 }),
    publishPacket('forbidden', 'm', { qos: 1, packetId: 2 }),
    publishPacket('t', 'm', { qos: 2, packetId: 3 }),
    publishPacket('forbidden', 'm', { qos: 2, packetId: 4 }),
    publishPacket('t', 'm', { qos: 2, packetId: 9, dup: true }),
    publishPacket('nobody', 'm', { qos: 1, packetId: 5 }),
  )
  const commit = await machine.commit()
  assert.deepEqual(await came(x), [])
  x.send(publishPacket('t', 'm', { qos: 1, packetId: 6 }), publishPacket('forbidden', 'm', { qos: 1, packetId: 7 }))
  assert.deepEqual(await came(x), [])
  await commit.resolve()
  assert.deepEqual(await came(x), [
    'puback 1',
    'puback 2 0x87',
    'pubrec 3',
    'pubrec 4 0x87',
    'pubrec 9',
    'puback 5 0x10',
  ])
  await (await machine.commit()).resolve()
  assert.deepEqual(await came(x), ['puback 6', 'puback 7 0x87'])
})

test('PUBREL comes in the order of PUBREC, also for what is not known [MQTT-4.6.0-4]', async (t) => {
  const machine = startMachine(t)
  const x = await machine.client('x')
  await x.subscribe('t', { qos: 2 })
  await machine.broker.publish({ topic: 't', payload: 'm', qos: 2 })
  assert.deepEqual(await came(x), ['publish 1 m'])
  machine.hold()
  x.send(ack('pubrec', 1), ack('pubrec', 77))
  const commit = await machine.commit()
  assert.deepEqual(await came(x), [])
  await commit.resolve()
  assert.deepEqual(await came(x), ['pubrel 1', 'pubrel 77 0x92'])
})

// ─── a store that fails ──────────────────────────────────────────────────────────────────────────────────────────────

for (const [error, code] of [
  [broken, '0x83'],
  [full, '0x97'],
] as const) {
  test(`a change that cannot be stored is refused with ${code}, and the broker works again when the store does`, async (t) => {
    const machine = startMachine(t)
    const reader = await machine.client('reader')
    await reader.subscribe('t', { qos: 2 })
    const away = await machine.client('away')
    await away.subscribe('t', { qos: 1 })
    await away.disconnect()
    const clean = await machine.client('clean', { cleanStart: true, properties: {} })
    await clean.subscribe('t', { qos: 2 })
    const x = await machine.client('x')
    await x.publish('t', 'before', { qos: 1, retain: true })
    assert.deepEqual([await came(reader), await came(clean)], [['publish 1 before'], ['publish 1 before']])
    reader.send(ack('puback', 1))
    await settle()
    machine.fail(error)
    x.send(publishPacket('t', 'lost', { qos: 2, packetId: 10, retain: true }), subscribe(11, 't'), subscribe(12, 't'))
    assert.deepEqual(await came(x), [`pubrec 10 ${code}`, `suback 11 ${code}`, `suback 12 ${code}`])
    x.send(publishPacket('t', 'lost', { qos: 2, packetId: 12, retain: true }))
    const late = machine.open()
    late.send(connectPacket('late', { cleanStart: false, properties: forEver }))
    await settle()
    machine.clock.advance(100) // It is tried again.
    assert.deepEqual(await came(x), [`pubrec 12 ${code}`])
    assert.deepEqual(await came(late), [`connack ${code}`])
    assert.deepEqual(machine.events, ['failed'])
    assert.equal(machine.errors.length, 1)
    assert.deepEqual([await came(reader), await came(clean)], [[], []])
    machine.fail(undefined)
    machine.clock.advance(2000)
    await settle()
    assert.deepEqual(machine.events, ['failed', 'recovered'])
    assert.deepEqual([await came(reader), await came(clean)], [[], []])
    x.send(publishPacket('t', 'after', { qos: 2, packetId: 10 }))
    assert.deepEqual(await came(x), ['pubrec 10']) // x is not subscribed, and the identifier was free.
    assert.equal((await came(reader)).length, 1)
    assert.equal((await came(clean)).length, 1)
    const newcomer = await machine.client('newcomer', { cleanStart: true, properties: {} })
    await newcomer.subscribe('t', { qos: 1 })
    assert.deepEqual(await came(newcomer), ['publish 1 before'])
    await machine.restart()
    assert.equal((await machine.resume('late', { cleanStart: false })).connack.sessionPresent, false)
    assert.deepEqual(await came(await machine.client('away')), ['publish 1 before', 'publish 2 after'])
    assert.equal((await came(await machine.client('reader'))).length, 1)
    const again = await machine.client('x')
    again.send(publishPacket('t', 'after', { qos: 2, packetId: 10, dup: true }))
    assert.deepEqual(await came(again), ['pubrec 10'])
    assert.equal(machine.broker.stats().subscriptions, 2)
    assert.equal(machine.broker.stats().retainedMessages, 1)
  })
}

test('MQTT 3 has no refusal: the connection ends without an acknowledgement', async (t) => {
  for (const level of [3, 4] as const) {
    for (const qos of [1, 2] as const) {
      const machine = startMachine(t)
      const reader = await machine.client('reader')
      await reader.subscribe('t', { qos: 2 })
      const x = await machine.client('x', { level })
      machine.hold()
      x.send(publishPacket('t', 'm', { qos, packetId: 1 }))
      await (await machine.commit()).reject(broken)
      await x.ended()
      await machine.letGo()
      machine.clock.advance(2000)
      assert.deepEqual(await came(reader), [])
      const again = await machine.client('x', { level })
      again.send(publishPacket('t', 'm', { qos, packetId: 1, dup: true }))
      assert.deepEqual(await came(again), [qos === 1 ? 'puback 1' : 'pubrec 1'])
      assert.equal((await came(reader)).length, 1)
      machine.hold()
      again.send(subscribe(2, 'a'))
      await (await machine.commit()).reject(broken)
      if (level === 4) assert.deepEqual(await came(again), ['suback 2 0x80'])
      else await again.ended()
      assert.equal(machine.broker.stats().subscriptions, 1)
    }
  }
})

test('a CONNECT that is refused leaves the session, its time and its Will as they were', async (t) => {
  const machine = startMachine(t)
  const reader = await machine.client('reader')
  await reader.subscribe('w', { qos: 1 })
  const delayed = will('w', 'w', { qos: 1, properties: { willDelayInterval: 50 } })
  const x = await machine.client('x', { properties: { sessionExpiryInterval: 100 }, will: delayed })
  await x.drop()
  await settle()
  machine.clock.advance(20_000)
  machine.fail(broken)
  const refused = machine.open()
  refused.send(connectPacket('x', { cleanStart: false }))
  assert.deepEqual(await came(refused), ['connack 0x83'])
  machine.fail(undefined)
  machine.clock.advance(100)
  await settle()
  machine.clock.advance(29_899)
  assert.deepEqual(await came(reader), [])
  machine.clock.advance(1)
  assert.deepEqual(await came(reader), ['publish 1 w'])
  machine.clock.advance(49_999)
  assert.equal(machine.broker.stats().sessions, 2)
  await machine.restart(0)
  await machine.client('reader')
  assert.equal(machine.broker.stats().sessions, 2)
  machine.clock.advance(1)
  assert.equal(machine.broker.stats().sessions, 1)
})

test('a CONNECT of MQTT 3 that cannot be stored is refused with 3: the Server is unavailable', async (t) => {
  const machine = startMachine(t)
  await machine.resume('first')
  machine.fail(broken)
  const x = machine.open(4)
  x.send(connectPacket('x', { level: 4, cleanStart: false }))
  assert.deepEqual(await came(x), ['connack 0x3'])
  await x.ended()
  machine.fail(undefined)
  machine.clock.advance(2000)
  await settle()
  assert.equal((await machine.resume('x', { level: 4, cleanStart: false })).connack.sessionPresent, false)
})

test('refused retained messages and subscriptions leave what was there before them', async (t) => {
  const machine = startMachine(t)
  const x = await machine.client('x')
  await x.publish('t', 'kept', { qos: 1, retain: true })
  await x.publish('w', 'kept', { qos: 1, retain: true })
  await x.subscribe([filter('t', { qos: 2, retainHandling: 2 })], {}, { subscriptionIdentifier: 5 })
  machine.hold()
  x.send(
    publishPacket('t', 'one', { qos: 1, packetId: 11, retain: true }),
    publishPacket('t', 'two', { qos: 1, packetId: 12, retain: true }),
    publishPacket('u', 'one', { qos: 1, packetId: 13, retain: true }),
    publishPacket('u', 'two', { qos: 1, packetId: 14, retain: true }),
    publishPacket('w', '', { qos: 1, packetId: 19, retain: true }),
    publishPacket('w', 'three', { qos: 1, packetId: 20, retain: true }),
    subscribe(15, 't', 1),
    subscribe(16, 't', 0),
    subscribe(17, 'v', 1),
    subscribe(18, 'v', 0),
  )
  await (await machine.commit()).reject(broken)
  await machine.letGo()
  machine.clock.advance(2000)
  assert.equal((await came(x)).filter((one) => one.includes('0x83')).length, 10)
  assert.equal(machine.broker.stats().subscriptions, 1)
  for (const round of ['before', 'after']) {
    const reader = await machine.client('reader', { cleanStart: true, properties: {} })
    await reader.subscribe('#', { qos: 1 })
    assert.deepEqual(await came(reader), ['publish 1 kept', 'publish 2 kept'], round)
    await reader.disconnect()
    await machine.broker.publish({ topic: 't', payload: round, qos: 2 })
    const mine = round === 'before' ? x : await machine.client('x')
    await settle()
    const packet = mine.received.at(-1)
    assert.equal(packet?.type === 'publish' && packet.qos, 2)
    assert.deepEqual(packet?.type === 'publish' && packet.properties?.subscriptionIdentifiers, [5])
    if (round === 'before') await machine.restart()
    else assert.equal(machine.broker.stats().subscriptions, 1)
  }
})

test('a removal of a retained message that is refused does not take place', async (t) => {
  const machine = startMachine(t)
  const x = await machine.client('x')
  await x.publish('t', 'kept', { qos: 1, retain: true })
  machine.hold()
  x.send(publishPacket('t', '', { qos: 1, packetId: 11, retain: true }))
  await (await machine.commit()).reject(broken)
  assert.deepEqual(await came(x), ['puback 11 0x83'])
  await machine.letGo()
  assert.equal(machine.broker.stats().retainedMessages, 1)
  machine.clock.advance(2000)
  await settle()
  await machine.restart()
  await machine.resume('y')
  assert.equal(machine.broker.stats().retainedMessages, 1)
})

test('publish rejects for a message of the application that is not stored', async (t) => {
  const machine = startMachine(t)
  const reader = await machine.client('reader')
  await reader.subscribe('t', { qos: 2 })
  machine.hold()
  const published = assert.rejects(machine.broker.publish({ topic: 't', payload: 'm', qos: 2, retain: true }), {
    reasonCode: 0x97,
  })
  await (await machine.commit()).reject(full)
  await published
  await machine.letGo()
  machine.clock.advance(2000)
  assert.deepEqual(await came(reader), [])
  assert.equal(machine.broker.stats().retainedMessages, 0)
  await machine.broker.publish({ topic: 't', payload: 'n', qos: 2 })
  assert.deepEqual(
    (await came(reader)).map((one) => one.slice(-1)),
    ['n'],
  )
})

test('a commit that was done although it failed doubles nothing', async (t) => {
  const machine = startMachine(t)
  const reader = await machine.client('reader')
  await reader.subscribe('t', { qos: 2 })
  await reader.disconnect()
  const x = await machine.client('x')
  machine.hold()
  x.send(publishPacket('t', 'm', { qos: 2, packetId: 1 }))
  await (await machine.commit()).reject(broken, true)
  assert.deepEqual(await came(x), ['pubrec 1 0x83'])
  machine.clock.advance(2000)
  await (await machine.commit()).resolve()
  x.send(publishPacket('t', 'm', { qos: 2, packetId: 1 }))
  await (await machine.commit()).resolve()
  assert.deepEqual(await came(x), ['pubrec 1'])
  await machine.restart()
  assert.deepEqual(await came(await machine.client('reader')), ['publish 1 m'])
})

test('PUBCOMP, PUBREL and UNSUBACK wait until the store works again', async (t) => {
  const machine = startMachine(t)
  const x = await machine.client('x')
  await x.subscribe([filter('t', { qos: 2 }), filter('u')])
  x.send(publishPacket('t', 'm', { qos: 2, packetId: 5 }))
  assert.equal((await came(x)).length, 2)
  machine.fail(broken)
  x.send(ack('pubrel', 5), ack('pubrec', 1), unsubscribe(6, 'u'))
  assert.deepEqual(await came(x), [])
  machine.clock.advance(500)
  assert.deepEqual(await came(x), [])
  machine.fail(undefined)
  machine.clock.advance(2000)
  assert.deepEqual(await came(x), ['pubcomp 5', 'pubrel 1', 'unsuback 6 0x0'])
  await machine.restart()
  const again = await machine.client('x')
  assert.deepEqual(await came(again), ['pubrel 1'])
  assert.equal(machine.broker.stats().subscriptions, 1)
})

test('a commit that does not settle has failed after the time limit, and its late result has no effect', async (t) => {
  const machine = startMachine(t, { limits: { storeTimeoutMs: 3000 } })
  const reader = await machine.client('reader')
  await reader.subscribe('t', { qos: 1 })
  const x = await machine.client('x')
  machine.hold()
  x.send(publishPacket('t', 'm', { qos: 1, packetId: 1 }))
  const hanging = await machine.commit()
  machine.clock.advance(2999)
  assert.deepEqual(await came(x), [])
  machine.clock.advance(1)
  assert.deepEqual(await came(x), ['puback 1 0x83'])
  x.send(publishPacket('t', 'n', { qos: 1, packetId: 2 }))
  machine.clock.advance(500)
  assert.deepEqual(await came(x), ['puback 2 0x83'])
  assert.equal(machine.waiting, 0) // Two commits never overlap.
  assert.deepEqual(machine.events, ['failed'])
  await hanging.resolve()
  machine.clock.advance(2000)
  await settle()
  await machine.letGo()
  assert.deepEqual(machine.events, ['failed', 'recovered'])
  x.send(publishPacket('t', 'o', { qos: 1, packetId: 3 }))
  assert.deepEqual(await came(x), ['puback 3'])
  assert.deepEqual(
    (await came(reader)).map((one) => one.slice(-1)),
    ['o'],
  )
  await machine.restart()
  assert.deepEqual(
    (await came(await machine.client('reader'))).map((one) => one.slice(-1)),
    ['o'],
  )
})

// ─── a slow store ────────────────────────────────────────────────────────────────────────────────────────────────────

test('a Client that publishes faster than the store commits is paused', async (t) => {
  for (const options of [{ qos: 1 }, { qos: 2 }, { qos: 0, retain: true }] as const) {
    const machine = startMachine(t)
    const away = await machine.client('away')
    await away.subscribe('t', { qos: 2 })
    await away.disconnect()
    const x = await machine.client('x', { level: 4 })
    machine.hold()
    const payload = Buffer.alloc(64 * 1024)
    let sent = 0
    let isFull = false
    for (; sent < 2000 && !isFull; sent += 1) {
      x.send(publishPacket('t', payload, { ...options, packetId: options.qos > 0 ? 1 + sent : 0 }))
      await settle()
      isFull = x.stream.writableLength > 1024 * 1024
    }
    assert.ok(isFull, `${sent} messages of 64 KiB at QoS ${options.qos} were taken`)
    await machine.letGo()
    await settle()
    x.send({ type: 'pingreq' })
    let packet = await x.receivesAny()
    while (packet.type !== 'pingresp') packet = await x.receivesAny()
  }
})

// ─── one after the other ─────────────────────────────────────────────────────────────────────────────────────────────

test('a Client that connects again before the store has its first CONNECT gets the session', async (t) => {
  const machine = startMachine(t)
  await machine.resume('other')
  machine.hold()
  const one = machine.open()
  one.send(connectPacket('x', { cleanStart: true, will: will('w', 'never') }))
  const commit = await machine.commit()
  const two = machine.open()
  two.send(connectPacket('x', { cleanStart: false, properties: forEver }))
  await settle()
  await commit.resolve()
  await machine.letGo()
  assert.deepEqual(await came(one), [])
  assert.equal(one.isClosed || one.stream.readableEnded, true)
  const connack = await two.receives('connack')
  assert.equal(connack.sessionPresent, false) // The first was to end with its connection.
  await two.subscribe('t', { qos: 1 })
  await machine.restart()
  const { connack: again } = await machine.resume('x', { cleanStart: false })
  assert.equal(again.sessionPresent, true)
  assert.equal(machine.broker.stats().subscriptions, 1)
})

test('all changes are stored when the broker is closed in the middle of a commit', async (t) => {
  const closing = deferred()
  const plugin: Plugin = { name: 'last', setup: () => () => closing.resolve() }
  const machine = startMachine(t, { plugins: [plugin] })
  const y = await machine.client('y')
  await y.subscribe('#', { qos: 1 })
  await machine.client('x', { properties: { sessionExpiryInterval: 100 } })
  machine.hold()
  const published = machine.broker.publish({ topic: 't', payload: 'm', qos: 1 })
  const commit = await machine.commit()
  const restarted = machine.closeAndRestart(100_000)
  await closing.promise // Only the store is left.
  await settle()
  machine.answer()
  await commit.resolve()
  await published
  await restarted
  assert.equal((await machine.resume('x', { cleanStart: false })).connack.sessionPresent, false)
  assert.deepEqual(await came(await machine.client('y')), ['publish 1 m'])
})

test('a store that fails at the end does not keep the broker from closing', async (t) => {
  const machine = startMachine(t)
  await machine.client('x', { will: will('w', 'w', { qos: 1 }) })
  machine.fail(broken)
  await machine.closeAndRestart()
  assert.deepEqual(machine.events, ['failed'])
})

test('a message waits for the store also when a listener has another one published before it is acknowledged', async (t) => {
  for (const qos of [1, 2] as const) {
    const machine = startMachine(t)
    const kept = await machine.client('kept')
    await kept.subscribe('t/#', { qos: 2 })
    const x = await machine.client('x')
    await machine.client('other', { will: will('t/will', 'w', { qos: 1 }) })
    // Its Will is published at once, while the message of the listener is not acknowledged.
    machine.broker.on('published', ({ topic }) => {
      if (topic === 't/1') void machine.broker.clients.get('other')?.disconnect()
    })
    machine.hold()
    x.send(publishPacket('t/1', 'm', { qos, packetId: 1 }))
    const commit = await machine.commit()
    assert.deepEqual(await came(x), [])
    await commit.reject(Object.assign(new Error('full'), { code: 'ENOSPC' }))
    assert.deepEqual(await came(x), [`${qos === 1 ? 'puback' : 'pubrec'} 1 0x97`])
    await machine.letGo()
    machine.clock.advance(200)
    await settle()
    assert.deepEqual(await came(kept), ['publish 2 w'], 'the Will is tried again, the message is refused')
  }
})

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { encode } from '../../lib/packets/encoder.ts'
import type { UserProperties } from '../../types/properties.ts'
import {
  ack,
  connectPacket,
  filter,
  levels,
  publishPacket,
  settle,
  start,
  type Setting,
  TestClient,
} from '../support/client.ts'

async function tcpPort({ broker }: Setting): Promise<number> {
  const [listener] = await broker.listen({ tcp: 0 })
  return Number(new URL(listener?.url ?? '').port)
}

function tcp(t: TestContext, port: number): Socket {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  t.after(() => socket.destroy())
  return socket
}

test('maxPacketSize: a larger packet ends the connection with 0x95, one of that size is taken', async (t) => {
  const s = start(t, { limits: { maxPacketSize: 1000 } })
  const { client, resume } = s
  const { connack } = await resume('told')
  assert.equal(connack.properties?.maximumPacketSize, 1000)
  for (const level of levels) {
    const one = await client('one', { level })
    const overhead = encode(publishPacket('t', 'x'.repeat(900)), level).length - 900
    await one.publish('t', 'x'.repeat(1000 - overhead))
    await one.quiet()
    one.send(publishPacket('t', 'x'.repeat(1001 - overhead)))
    await one.endedWith(0x95)
  }
  await (await client('two')).quiet()
})

test('maxPacketSize: the length alone is enough, the bytes need not come', async (t) => {
  const { client } = start(t)
  const one = await client('one')
  one.write('30 ff ff ff 7f')
  await one.endedWith(0x95)
})

test('maxConnectPacketSize: a larger CONNECT is refused before its bytes are kept, and a later packet may be larger', async (t) => {
  const { client, open, broker } = start(t, { limits: { maxConnectPacketSize: 200 } })
  for (const level of levels) {
    const one = open(level)
    one.send(connectPacket('x', { level, username: 'u'.repeat(300) }))
    await one.receives('connack').catch(() => undefined)
    await one.closed
  }
  const announced = open()
  announced.write('10 ff ff ff 7f')
  await announced.closed
  assert.equal(broker.clients.size, 0)
  const small = await client('small')
  await small.publish('t', 'x'.repeat(10_000), { qos: 1 })
})

test('maxConnections: one more is closed at once; when one goes there is room again', async (t) => {
  const { client, open } = start(t, { limits: { maxConnections: 2 } })
  const one = await client('one')
  const two = await client('two')
  const third = open()
  third.send(connectPacket('third'))
  await third.ended()
  await two.quiet()
  await one.disconnect()
  await client('third')
})

test('maxConnectionsPerIp: counts the open connections of each address', async (t) => {
  const s = start(t, { limits: { maxConnectionsPerIp: 2 } })
  const port = await tcpPort(s)
  const sockets = [tcp(t, port), tcp(t, port)]
  for (const [index, socket] of sockets.entries()) {
    socket.write(encode(connectPacket(`c${index}`, { level: 4 }), 4))
    await once(socket, 'data')
  }
  const third = tcp(t, port)
  third.resume()
  await once(third, 'close')
  // From elsewhere it is welcome.
  await s.client('memory')
  sockets[0]?.destroy()
  await once(s.broker, 'clientDisconnected')
  await settle()
  const fourth = new TestClient(tcp(t, port), 4)
  assert.equal((await fourth.connect('fourth', { level: 4 })).reasonCode, 0)
})

test('connectTimeoutMs: a connection without a whole CONNECT is closed then, whatever trickles in', async (t) => {
  const { open, clock, client, broker } = start(t, { limits: { connectTimeoutMs: 5000 } })
  const silent = open()
  const trickling = open()
  const late = open()
  const bytes = encode(connectPacket('x'), 5)
  for (let second = 0; second < 4; second += 1) {
    trickling.write(bytes.subarray(second, second + 1))
    await settle()
    clock.advance(1000)
  }
  assert.equal((await late.connect('late')).reasonCode, 0)
  clock.advance(999)
  await (await client('other')).quiet()
  assert.equal(silent.isClosed, false)
  clock.advance(1)
  await silent.closed
  await trickling.closed
  await late.quiet()
  assert.equal(broker.clients.size, 2)
})

test('receiveMaximum: a Client with more QoS 2 messages open is ended with 0x93, in MQTT 5.0 [MQTT-3.3.4-8]', async (t) => {
  const { client, resume } = start(t, { limits: { receiveMaximum: 5 } })
  assert.equal((await resume('told')).connack.properties?.receiveMaximum, 5)
  for (const level of levels) {
    const one = await client('one', { level })
    one.send(...Array.from({ length: 5 }, (_, number) => publishPacket('t', '', { qos: 2, packetId: number + 1 })))
    for (let number = 0; number < 5; number += 1) await one.receives('pubrec')
    await one.quiet()
    one.send(ack('pubrel', 1), publishPacket('t', '', { qos: 2, packetId: 6 }))
    await one.receives('pubcomp')
    await one.receives('pubrec')
    one.send(publishPacket('t', '', { qos: 2, packetId: 7 }))
    if (level === 5) await one.endedWith(0x93)
    else await one.receives('pubrec') // MQTT 3 has no Receive Maximum.
  }
  await (await client('two')).publish('t', '', { qos: 2 })
})

test('receiveMaximum: what an earlier connection left open gives no room when it is released (section 4.9)', async (t) => {
  const { resume } = start(t, { limits: { receiveMaximum: 2 } })
  const options = { cleanStart: false, properties: { sessionExpiryInterval: 100 } }
  const open = (...ids: number[]) => ids.map((packetId) => publishPacket('t', '', { qos: 2, packetId }))
  const { client: before } = await resume('one', options)
  before.send(...open(1, 2))
  await before.receives('pubrec')
  await before.receives('pubrec')
  await before.drop()
  const { client: after } = await resume('one', options)
  after.send(ack('pubrel', 1), ack('pubrel', 2), ...open(3, 4))
  for (const type of ['pubcomp', 'pubcomp', 'pubrec', 'pubrec'] as const) await after.receives(type)
  after.send(...open(5))
  await after.endedWith(0x93)
})

test('receiveMaximum: QoS 1 messages one after the other are no matter, however many come in one chunk', async (t) => {
  const { client } = start(t, { limits: { receiveMaximum: 2 } })
  const one = await client('one')
  one.send(...Array.from({ length: 100 }, (_, number) => publishPacket('t', '', { qos: 1, packetId: number + 1 })))
  for (let number = 1; number <= 100; number += 1) assert.equal((await one.receives('puback')).packetId, number)
})

test('70,000 QoS 2 messages of MQTT 5.0 without a PUBREL end the connection and leave nothing', async (t) => {
  const { client, broker } = start(t)
  const one = await client('one')
  for (let from = 1; from < 65_000; from += 5000) {
    one.send(
      ...Array.from({ length: 5000 }, (_, number) => publishPacket('t', '', { qos: 2, packetId: from + number })),
    )
  }
  await one.closed
  assert.ok(one.received.length <= 1025) // With the DISCONNECT.
  assert.equal(broker.stats().sessions, 0)
})

test('maxInflight: no more than that is sent at once, even if the Client would take more', async (t) => {
  const { client, broker } = start(t, { limits: { maxInflight: 3 } })
  for (const level of [4, 5] as const) {
    const one = await client('one', { level })
    await one.subscribe('t', { qos: 2 })
    for (let number = 0; number < 10; number += 1) await broker.publish({ topic: 't', payload: `${number}`, qos: 1 })
    const open = []
    for (let number = 0; number < 3; number += 1) open.push(await one.receives('publish'))
    await one.quiet()
    for (const packet of open) await one.acknowledge(packet)
    for (let number = 3; number < 10; number += 1) assert.equal(await one.message(), `${number}`)
  }
})

test('maxOutboundBytes: a QoS 0 flood to a Client that never reads is dropped and counted, and others are served', async (t) => {
  const s = start(t, { limits: { maxOutboundBytes: 512 * 1024, holdBackMs: 0 } })
  const frozen = tcp(t, await tcpPort(s))
  frozen.pause()
  frozen.write(
    Buffer.concat([
      encode(connectPacket('frozen', { level: 4 }), 4),
      encode({ type: 'subscribe', packetId: 1, subscriptions: [filter('t')], properties: undefined }, 4),
    ]),
  )
  await once(s.broker, 'subscribed')
  const other = await s.client('other')
  await other.subscribe('t')
  const payload = Buffer.alloc(10_000)
  let dropped = 0
  s.broker.on('dropped', (_message, clientId, why) => {
    assert.equal(clientId, 'frozen')
    assert.equal(why, 'queue-full')
    dropped += 1
  })
  const before = process.memoryUsage().arrayBuffers
  for (let number = 0; number < 3000; number += 1) {
    await s.broker.publish({ topic: 't', payload })
    await other.receives('publish')
  }
  assert.ok(dropped > 1000, `${dropped} dropped`)
  assert.equal(s.broker.stats().publishDropped, dropped)
  assert.ok(process.memoryUsage().arrayBuffers - before < 40 * 1024 * 1024)
})

test('maxOutboundBytes: QoS 1 for a Client that does not read waits in its queue, which has its limits', async (t) => {
  const s = start(t, { limits: { maxQueuedMessages: 50, holdBackMs: 0 } })
  const frozen = tcp(t, await tcpPort(s))
  frozen.pause()
  frozen.write(
    Buffer.concat([
      encode(connectPacket('frozen', { level: 4 }), 4),
      encode({ type: 'subscribe', packetId: 1, subscriptions: [filter('t', { qos: 1 })], properties: undefined }, 4),
    ]),
  )
  await once(s.broker, 'subscribed')
  const payload = Buffer.alloc(50_000)
  for (let number = 0; number < 1500; number += 1) {
    await s.broker.publish({ topic: 't', payload, qos: 1 })
    if (number % 10 === 0) await settle()
  }
  assert.equal(s.broker.stats().queuedMessages, 50)
  assert.ok(s.broker.stats().publishDropped > 0)
})

test('drainTimeoutMs: a Client that takes no bytes is ended then; one that takes some is not', async (t) => {
  const { client, broker, clock } = start(t, { limits: { drainTimeoutMs: 10_000, holdBackMs: 0 } })
  const frozen = await client('frozen', { properties: { sessionExpiryInterval: 0 } })
  const slow = await client('slow')
  await frozen.subscribe('t')
  await slow.subscribe('t')
  frozen.stream.pause()
  slow.stream.pause()
  const flood = async (): Promise<void> => {
    for (let number = 0; number < 40; number += 1) {
      await broker.publish({ topic: 't', payload: Buffer.alloc(10_000) })
      await settle()
    }
  }
  await flood()
  for (let second = 0; second < 3; second += 1) {
    clock.advance(4000)
    slow.stream.resume()
    await settle()
    slow.stream.pause()
    await flood()
  }
  assert.equal(broker.clients.has('frozen'), false)
  assert.equal(broker.clients.has('slow'), true)
})

test('maxSubscriptionsPerClient: one more is refused with 0x97, replacing one is not', async (t) => {
  const { client, broker } = start(t, { limits: { maxSubscriptionsPerClient: 3 } })
  const one = await client('one')
  assert.deepEqual(
    await one.subscribe(['a', 'b', '$share/g/c', 'd', 'a'].map((name) => filter(name, { qos: 1 }))),
    [1, 1, 1, 0x97, 1],
  )
  assert.deepEqual(await one.unsubscribe('b'), [0])
  assert.deepEqual(await one.subscribe('d'), [0])
  const four = await client('four', { level: 4 })
  assert.deepEqual(await four.subscribe(['a', 'b', 'c', 'd'].map((name) => filter(name))), [0, 0, 0, 0x80])
  assert.equal(broker.stats().subscriptions, 6)
})

test('maxTopicLevels: for publications, subscriptions and Wills', async (t) => {
  const { client, open } = start(t, { limits: { maxTopicLevels: 3 } })
  const one = await client('one')
  assert.deepEqual(
    await one.subscribe([filter('a/b/c'), filter('a/b/c/d'), filter('+/+/+/#'), filter('a/b/#')]),
    [0, 0x8f, 0x8f, 0],
  )
  assert.equal(await one.publish('a/b/c/d', '', { qos: 1 }), 0x90)
  assert.equal(await one.publish('x/b/c', '', { qos: 1 }), 0x10)
  await one.publish('a/b/c/d', '')
  await one.endedWith(0x90)
  const deep = open()
  assert.equal(
    (
      await deep.connect('deep', {
        will: { topic: '////', payload: Buffer.from(''), qos: 0, retain: false, properties: undefined },
      })
    ).reasonCode,
    0x90,
  )
})

test('maxRetained: one more is refused with 0x97; replacing and removing go on', async (t) => {
  const { client, broker } = start(t, { limits: { maxRetained: 2 } })
  const one = await client('one')
  await one.publish('a', 'x', { qos: 1, retain: true })
  await one.publish('b', 'x', { qos: 1, retain: true })
  assert.equal(await one.publish('c', 'x', { qos: 1, retain: true }), 0x97)
  assert.equal(await one.publish('c', 'x', { qos: 2, retain: true }), 0x97)
  assert.equal(await one.publish('a', 'y', { qos: 1, retain: true }), 0x10)
  const four = await client('four', { level: 4 })
  const watcher = await client('watcher')
  await watcher.subscribe('c')
  await four.publish('c', 'not kept', { qos: 1, retain: true })
  assert.equal(await watcher.message(), 'not kept')
  assert.equal(broker.stats().retainedMessages, 2)
  await one.publish('b', '', { qos: 1, retain: true })
  assert.equal(await one.publish('c', 'x', { qos: 1, retain: true }), 0)
  assert.equal(broker.stats().retainedMessages, 2)
})

test('maxRetainedBytes: holds, and a message may be replaced by one that is no larger', async (t) => {
  const { client, broker } = start(t, { limits: { maxRetainedBytes: 5000 } })
  const one = await client('one')
  let kept = 0
  for (let number = 0; number < 100; number += 1) {
    if ((await one.publish(`t${number}`, 'x'.repeat(900), { qos: 1, retain: true })) < 0x80) kept += 1
  }
  assert.ok(broker.stats().retainedBytes <= 5000, `${broker.stats().retainedBytes} bytes are retained`)
  assert.ok(kept >= 3)
  assert.equal(broker.stats().retainedMessages, kept)
  // As full as can be: what is there can still be brought up to date.
  assert.equal(await one.publish('t0', 'y'.repeat(900), { qos: 1, retain: true }), 0x10)
  const late = await client('late')
  await late.subscribe('t0')
  assert.equal(await late.message(), 'y'.repeat(900))
})

test('maxRetainedBytes: many small topics hold to it too', async (t) => {
  const { broker } = start(t, { limits: { maxRetainedBytes: 10_000 } })
  for (let number = 0; number < 1000; number += 1) {
    await broker.publish({ topic: `t${number}`, payload: 'x', retain: true }).catch(() => undefined)
  }
  assert.ok(broker.stats().retainedBytes <= 10_000, `${broker.stats().retainedBytes}`)
})

test('topicAliasMaximum: a higher alias ends the connection with 0x94; 0 allows none', async (t) => {
  for (const [topicAliasMaximum, alias] of [
    [2, 3],
    [0, 1],
  ] as const) {
    const { resume, client } = start(t, { limits: { topicAliasMaximum } })
    const { client: one, connack } = await resume('one')
    assert.equal(connack.properties?.topicAliasMaximum ?? 0, topicAliasMaximum)
    await one.subscribe('t')
    for (let good = 1; good <= topicAliasMaximum; good += 1) {
      one.send(publishPacket('t', 'x', { properties: { topicAlias: good } }))
      one.send(publishPacket('', 'y', { properties: { topicAlias: good } }))
      assert.equal(await one.message(), 'x')
      assert.equal(await one.message(), 'y')
    }
    one.send(publishPacket('t', 'x', { properties: { topicAlias: alias } }))
    await one.endedWith(0x94)
    await (await client('two')).quiet()
  }
})

test('maxOutboundTopicAliases: no higher alias is sent than both sides take', async (t) => {
  for (const [limit, maximum, most] of [
    [3, 10, 3],
    [10, 2, 2],
    [0, 10, 0],
  ] as const) {
    const { client, broker } = start(t, { limits: { maxOutboundTopicAliases: limit } })
    const one = await client('one', { properties: { topicAliasMaximum: maximum } })
    await one.subscribe('#')
    const known = new Map<number, string>()
    for (let number = 0; number < 40; number += 1) {
      await broker.publish({ topic: `t${number % 5}`, payload: `t${number % 5}` })
      const packet = await one.receives('publish')
      const alias = packet.properties?.topicAlias ?? 0
      assert.ok(alias <= most)
      if (packet.topic !== '' && alias > 0) known.set(alias, packet.topic)
      assert.equal(packet.topic === '' ? known.get(alias) : packet.topic, packet.payload.toString())
    }
  }
})

test('maxUserProperties: a packet with more ends the connection, before and after the CONNACK', async (t) => {
  const { client, open } = start(t, { limits: { maxUserProperties: 3 } })
  const many = (count: number): UserProperties => Array.from({ length: count }, () => ['a', 'b'] as const)
  const one = await client('one', { properties: { userProperties: many(3) } })
  await one.publish('t', '', { qos: 1, properties: { userProperties: many(3) } })
  one.send(publishPacket('t', '', { qos: 1, packetId: 9, properties: { userProperties: many(4) } }))
  const { reasonCode } = await one.receives('disconnect')
  assert.ok(reasonCode >= 0x80)
  await one.ended()
  const two = open()
  assert.ok((await two.connect('two', { properties: { userProperties: many(4) } })).reasonCode >= 0x80)
  await two.ended()
  await (await client('three')).quiet()
})

test('maxKeepAlive: sent to MQTT 5.0 Clients, and applied to all', async (t) => {
  for (const level of levels) {
    for (const keepAlive of [0, 5, 100]) {
      const { resume, clock, broker } = start(t, { limits: { maxKeepAlive: 10 } })
      const { client: one, connack } = await resume('one', { level, keepAlive })
      const used = keepAlive === 5 ? 5 : 10
      if (level === 5) assert.equal(connack.properties?.serverKeepAlive, keepAlive === 5 ? undefined : 10)
      clock.advance(used * 1500 - 1)
      await one.quiet()
      clock.advance(used * 1500 - 1)
      assert.equal(broker.clients.size, 1)
      await settle()
      clock.advance(used * 1500)
      await one.endedWith(0x8d)
    }
  }
})

test('keep-alive: no packet for one and a half times its value ends the connection [MQTT-3.1.2-22]; bytes alone do not keep it', async (t) => {
  const { client, clock, broker } = start(t)
  const one = await client('one', { keepAlive: 10 })
  const none = await client('none', { keepAlive: 0 })
  clock.advance(14_000)
  one.write('30') // A packet that does not get complete.
  await settle()
  assert.equal(broker.clients.size, 2)
  clock.advance(1000)
  await one.endedWith(0x8d)
  clock.advance(2 ** 35)
  await none.quiet()
})

test('messagesPerSecond: beyond it a connection is read more slowly, and others are not', async (t) => {
  const { client, clock } = start(t, { limits: { messagesPerSecond: 10 } })
  const watcher = await client('watcher')
  await watcher.subscribe('t')
  const fast = await client('fast')
  fast.send(...Array.from({ length: 35 }, (_, number) => publishPacket('t', `${number}`)))
  for (let second = 0; second < 4; second += 1) {
    await settle()
    const count = watcher.received.length
    assert.ok(count === (second === 3 ? 5 : 10), `${count} in second ${second}`)
    watcher.received.length = 0
    const other = await client(`other${second}`)
    await other.quiet()
    clock.advance(1000)
  }
  await settle()
  await fast.quiet()
})

test('messagesPerSecond: a Client that waits is not silent to its keep-alive, and may be ended', async (t) => {
  const { client, clock, broker } = start(t, { limits: { messagesPerSecond: 1 } })
  const one = await client('one', { keepAlive: 1 })
  one.send(...Array.from({ length: 10 }, (_, number) => publishPacket('t', `${number}`)))
  for (let second = 0; second < 8; second += 1) {
    await settle()
    clock.advance(1000)
    assert.equal(broker.clients.size, 1, `second ${second}`)
  }
  await one.drop()
  assert.equal(broker.clients.size, 0)
  clock.advance(5000)
  assert.equal(broker.stats().timers, 0)
})

test('a limit of 0 allows none', async (t) => {
  const nobody = start(t, { limits: { maxConnections: 0 } })
  await nobody.open().ended()
  const nothing = start(t, {
    limits: {
      maxQueuedMessages: 0,
      maxRetained: 0,
      maxSubscriptionsPerClient: 0,
      maxSessionExpiry: 0,
      maxUserProperties: 0,
    },
  })
  const { client: one, connack } = await nothing.resume('one', { properties: { sessionExpiryInterval: 50 } })
  assert.equal(connack.properties?.sessionExpiryInterval, 0)
  assert.deepEqual(await one.subscribe('t'), [0x97])
  assert.equal(await one.publish('t', 'x', { qos: 1, retain: true }), 0x97)
  await one.drop()
  assert.equal(nothing.broker.stats().sessions, 0)
  const full = start(t, { limits: { maxSessions: 0 } })
  assert.equal((await full.open().connect('x')).reasonCode, 0x97)
})

test('maxQueuedMessages 0 queues nothing for disconnected Clients, and sends to connected ones', async (t) => {
  const { client, broker } = start(t, { limits: { maxQueuedMessages: 0 } })
  const one = await client('one')
  await one.subscribe('t', { qos: 1 })
  await broker.publish({ topic: 't', payload: 'here', qos: 1 })
  assert.equal((await one.receives('publish')).payload.toString(), 'here')
})

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { encode } from '../../lib/packets/encoder.ts'
import type { Packet } from '../../types/packets.ts'
import {
  ack,
  connectPacket,
  deferred,
  filter,
  publishPacket,
  settle,
  start,
  TestClient,
  unhandled,
  will,
} from '../support/client.ts'

// Findings of two hostile reviews. The clock stands still, so no time limit is ever over.

const forever = { sessionExpiryInterval: 0xffff_ffff }

/** Writes the same bytes again and again, each time when the other side has taken what was before; as TCP would. */
function writeOnAndOn(stream: Duplex, bytes: Buffer, times: number): void {
  if (times > 0) stream.write(bytes, () => writeOnAndOn(stream, bytes, times - 1))
}

/** The side of a stream that the broker has; the test says when what was written is taken. */
class SlowStream extends Duplex {
  readonly taken: Buffer[] = []
  #waiting: (() => void) | undefined

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.taken.push(chunk)
    this.#waiting = callback
  }

  override _writev(chunks: { chunk: Buffer }[], callback: () => void): void {
    Reflect.apply(this['_write'], this, [Buffer.concat(chunks.map(({ chunk }) => chunk)), 'buffer', callback])
  }

  takePiece(): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.()
  }

  says(...packets: Packet[]): void {
    this.push(Buffer.concat(packets.map((packet) => encode(packet, 5))))
  }
}

test('the deferred packets of a paused publisher are limited by all their bytes, with User Properties', async (t) => {
  const { client, broker } = start(t, { limits: { messagesPerSecond: 1 } })
  const one = await client('one')
  const properties = { userProperties: Array.from({ length: 5 }, () => ['a', 'x'.repeat(60_000)] as const) }
  writeOnAndOn(one.stream, encode(publishPacket('t', 'x', { properties }), 5), 60)
  for (let round = 0; round < 10; round += 1) await settle()
  assert.equal(broker.stats()['publishReceived'], 1)
  assert.ok((broker.stats()['bytesReceived'] ?? 0) < 2_000_000, `${broker.stats()['bytesReceived']} bytes were read`)
})

test('deferred packets do not count any more when they are handled: acknowledgements behind them are read', async (t) => {
  const { client, broker, clock } = start(t, { limits: { messagesPerSecond: 1 } })
  const one = await client('one')
  await one.subscribe('s', { qos: 1 })
  await broker.publish({ topic: 's', payload: 'x', qos: 1 })
  const { packetId } = await one.receives('publish')
  const large = Buffer.alloc(250_000)
  one.send(publishPacket('t', ''), publishPacket('t', large), publishPacket('t', large), publishPacket('t', ''))
  for (let second = 0; second < 2; second += 1) {
    await settle()
    clock.advance(1000)
  }
  await settle()
  assert.equal(broker.stats()['publishReceived'], 3)
  one.send(publishPacket('t', Buffer.alloc(100_000)), ack('puback', packetId))
  await settle()
  assert.equal(broker.stats()['queuedBytes'], 0)
})

test('a Client that is slower than its messages can ping and unsubscribe', async (t) => {
  const { broker, clock } = start(t)
  const stream = new SlowStream()
  broker.handle(stream)
  stream.says(connectPacket('slow'))
  const payload = Buffer.alloc(200_000)
  stream.says({ type: 'subscribe', packetId: 1, subscriptions: [filter('t')], properties: undefined })
  await settle()
  stream.takePiece()
  const more = async (): Promise<void> => {
    // The promises resolve when the Client has taken more.
    for (let number = 0; number < 4; number += 1) void broker.publish({ topic: 't', payload })
    await settle()
  }
  await more()
  clock.advance(1000) // Beyond the time for which it may hold anybody back.
  await more()
  stream.says({ type: 'pingreq' }, { type: 'unsubscribe', packetId: 7, topicFilters: ['t'], properties: undefined })
  let pieces = 0
  for (; pieces < 20 && broker.stats()['subscriptions'] === 1; pieces += 1) {
    stream.takePiece()
    await more()
  }
  assert.ok(pieces <= 2, 'it is listened to with each piece that it takes')
  for (; stream.writableLength > 0 && pieces < 200; pieces += 1) {
    stream.takePiece()
    await settle()
  }
  const all = Buffer.concat(stream.taken)
  assert.ok(all.includes(Buffer.from('d000b004000700', 'hex')), 'PINGRESP and UNSUBACK')
})

test('a stream that is destroyed already is no unhandled rejection when a hook refuses it', async (t) => {
  const reasons = unhandled(t)
  const { broker, errors } = start(t, { plugins: [{ name: 'p', connect: () => false }] })
  const stream = new SlowStream()
  stream.destroy()
  broker.handle(stream)
  await settle()
  assert.deepEqual(reasons, [])
  assert.deepEqual(errors, [])
})

test('a hook that sends the Client away when it is to get a message leaves nothing queued', async (t) => {
  const { broker, client } = start(t, {
    plugins: [
      {
        name: 'p',
        authorizeDeliver: (_message, receiver) => {
          void receiver.disconnect()
          return true
        },
      },
    ],
  })
  const one = await client('one')
  await one.subscribe('t', { qos: 1 })
  await broker.publish({ topic: 't', payload: 'x'.repeat(1000), qos: 1 })
  await one.endedWith(0x98)
  const { sessions, queuedMessages, queuedBytes } = broker.stats()
  assert.deepEqual({ sessions, queuedMessages, queuedBytes }, { sessions: 0, queuedMessages: 0, queuedBytes: 0 })
})

test('a subscriber that acknowledges at once gets everything though the queues of others have used up the total', async (t) => {
  const { broker, client } = start(t, { limits: { maxTotalQueuedBytes: 20_000, maxQueuedBytes: 10_000 } })
  for (const id of ['a', 'b', 'c']) {
    const offline = await client(id, { cleanStart: false, properties: forever })
    await offline.subscribe(id, { qos: 1 })
    await offline.drop()
    for (let number = 0; number < 20; number += 1) {
      await broker.publish({ topic: id, payload: 'x'.repeat(900), qos: 1 })
    }
  }
  const { queuedBytes } = broker.stats()
  assert.ok((queuedBytes ?? 0) > 18_000 && (queuedBytes ?? 0) <= 20_000)
  const healthy = await client('healthy')
  await healthy.subscribe('t', { qos: 1 })
  for (let batch = 0; batch < 5; batch += 1) {
    for (let number = 0; number < 10; number += 1) await broker.publish({ topic: 't', payload: `${number}`, qos: 1 })
    for (let number = 0; number < 10; number += 1) assert.equal(await healthy.message(), `${number}`)
  }
  await healthy.quiet()
  assert.equal(broker.stats()['queuedBytes'], queuedBytes)
})

test('a paused Client that ends its side of the stream is disconnected, and its Will is published', async (t) => {
  const { broker, client } = start(t)
  const watcher = await client('watcher')
  await watcher.subscribe('w')
  const busy = deferred()
  t.after(() => busy.resolve())
  broker.subscribe('x', () => busy.promise, { overflow: 'pause', highWaterMark: 1 })
  const one = await client('one', { will: will('w', 'gone') })
  one.send(publishPacket('x', '1'), publishPacket('x', '2'), publishPacket('x', '3'))
  await settle()
  one.stream.end()
  assert.equal(await watcher.message(), 'gone')
  assert.equal(broker.clients.has('one'), false)
})

test('a Client that ends its side at once receives its replies, in memory and from a server of the application', async (t) => {
  const { broker } = start(t, { plugins: [{ name: 'p', authorizePublish: () => settle().then(() => true) }] })
  const server = createServer(broker.handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as { port: number }
  for (const stream of [broker.connect(), connect(port, '127.0.0.1')]) {
    const one = new TestClient(stream)
    const packets = [connectPacket('one'), publishPacket('t', 'x', { qos: 1, packetId: 1 })]
    one.stream.end(Buffer.concat(packets.map((packet) => encode(packet, 5))))
    await one.receives('connack')
    assert.equal((await one.receives('puback')).packetId, 1)
    await one.closed
  }
})

test('a message that one broker hands to another is counted by each of them', async (t) => {
  const [here, there] = [start(t), start(t)]
  here.broker.subscribe('#', (message) => there.broker.publish(message))
  const [one, two] = [await here.client('one'), await there.client('two')]
  for (const client of [one, two]) await client.subscribe('t', { qos: 1 })
  for (let number = 0; number < 3; number += 1) {
    await here.broker.publish({ topic: 't', payload: 'x'.repeat(1000), qos: 1 })
  }
  await settle()
  for (const { broker } of [here, there]) assert.ok((broker.stats()['queuedBytes'] ?? 0) >= 3000)
  for (const client of [two, one]) {
    for (let number = 0; number < 3; number += 1) await client.message()
    await client.quiet()
  }
  for (const { broker } of [here, there]) assert.equal(broker.stats()['queuedBytes'], 0)
})

test('a broker that a listener closes in the middle of a take-over connects no Client', async (t) => {
  const { broker, client, open, errors } = start(t)
  const seen: string[] = []
  broker.on('clientConnected', ({ connected }) => seen.push(`connected: ${connected}`))
  broker.on('clientDisconnected', () => {
    seen.push('disconnected')
    void broker.close({ graceMs: 0 })
  })
  await client('x')
  const second = open()
  second.send(connectPacket('x'))
  await second.closed
  await settle()
  assert.deepEqual(seen, ['connected: true', 'disconnected'])
  assert.equal(broker.clients.size, 0)
  assert.deepEqual(errors, [])
})

test('a publisher is not paused by a subscriber that has ended at the end of the distribution', async (t) => {
  const { broker, client } = start(t, { limits: { maxQueuedMessages: 8 } })
  const receiver = await client('receiver', { properties: { receiveMaximum: 1 } })
  await receiver.subscribe([filter('t', { qos: 1 }), filter('$share/g/t', { qos: 1 })])
  // Its queue is so full that the promises wait.
  for (let number = 0; number < 6; number += 1) void broker.publish({ topic: 't', payload: 'x', qos: 1 })
  await settle()
  let drops = 0
  broker.on('dropped', (_message, id, why) => {
    if (why === 'queue-full') drops += 1
    if (drops === 2) void broker.clients.get(id ?? '')?.disconnect('quota-exceeded')
  })
  const publisher = await client('publisher')
  assert.equal(await publisher.publish('t', '1', { qos: 1 }), 0)
  await publisher.quiet()
  assert.equal(drops, 2)
  assert.ok((await publisher.publish('t', '2', { qos: 1 })) < 0x80)
})

test('Clients that publish to each other do not block each other, and no acknowledged message is lost', async (t) => {
  const { broker, client } = start(t, { limits: { maxQueuedMessages: 20 } })
  const [count, window, each] = [4, 16, 100]
  const clients: TestClient[] = []
  for (let number = 0; number < count; number += 1) {
    const one = await client(`c${number}`, { properties: { receiveMaximum: 4 } })
    await one.subscribe('t', { qos: 1 })
    clients.push(one)
  }
  const run = async (one: TestClient): Promise<void> => {
    let sent = 0
    const next = (): void => {
      sent += 1
      if (sent <= each) one.send(publishPacket('t', 'x', { qos: 1, packetId: sent }))
    }
    for (let number = 0; number < window; number += 1) next()
    let [came, acknowledged] = [0, 0]
    while (came < count * each || acknowledged < each) {
      const packet = await one.receivesAny()
      if (packet.type === 'puback') {
        acknowledged += 1
        next()
      } else if (packet.type === 'publish') {
        came += 1
        one.send(ack('puback', packet.packetId))
      }
    }
  }
  await Promise.all(clients.map(run))
  assert.equal(broker.stats()['publishDropped'], 0)
  assert.equal(broker.stats()['queuedBytes'], 0)
})

test('a listener of the application gets one message at a time and in order, however many wait', async (t) => {
  const { broker, client } = start(t)
  const came: number[] = []
  const all = deferred()
  let atOnce = 0
  let most = 0
  broker.subscribe(
    't',
    async (message) => {
      atOnce += 1
      most = Math.max(most, atOnce)
      came.push(Number(message.payload.toString()))
      await new Promise((resolve) => setImmediate(resolve))
      atOnce -= 1
      if (came.length === 300) all.resolve()
    },
    { overflow: 'pause', highWaterMark: 10 },
  )
  const publishers = [await client('a'), await client('b')]
  for (let number = 0; number < 300; number += 1) publishers[0]?.send(publishPacket('t', `${number}`))
  await all.promise
  assert.deepEqual(
    came,
    Array.from({ length: 300 }, (_, number) => number),
  )
  assert.equal(most, 1)
})

test('a burst that is larger than the queue of a subscriber pauses the publisher instead of being lost', async (t) => {
  const { broker, client } = start(t, { limits: { maxQueuedBytes: 200_000 } })
  const subscriber = await client('subscriber', { properties: { receiveMaximum: 1 } })
  await subscriber.subscribe('t', { qos: 1 })
  const publisher = await client('publisher')
  const payload = 'x'.repeat(10_000)
  for (let packetId = 1; packetId <= 60; packetId += 1)
    publisher.send(publishPacket('t', payload, { qos: 1, packetId }))
  await settle()
  assert.ok(publisher.received.length < 20, 'the others are not acknowledged')
  for (let number = 0; number < 60; number += 1) await subscriber.message()
  for (let packetId = 1; packetId <= 60; packetId += 1) {
    assert.equal((await publisher.receives('puback')).packetId, packetId)
  }
  assert.equal(broker.stats()['publishDropped'], 0)
})

test('a Client whose PINGREQ lies unread because it reads slowly is not ended by its keep-alive [MQTT-3.1.2-22]', async (t) => {
  const { broker, clock } = start(t)
  const stream = new SlowStream()
  broker.handle(stream)
  stream.says(connectPacket('slow', { keepAlive: 1 }))
  stream.says({ type: 'subscribe', packetId: 1, subscriptions: [filter('t')], properties: undefined })
  await settle()
  stream.takePiece()
  for (let number = 0; number < 10; number += 1) void broker.publish({ topic: 't', payload: Buffer.alloc(100_000) })
  for (let second = 0; second < 10; second += 1) {
    stream.says({ type: 'pingreq' })
    await settle()
    clock.advance(1000)
  }
  assert.equal(broker.clients.has('slow'), true)
})

test('a Message Expiry Interval of 4,294,967,295 arrives as it is, at whatever fraction of a millisecond', async (t) => {
  let fraction = 0
  const clock = {
    now: (): number => {
      fraction += 0.000_012_3 // Less than a number of this size can tell apart.
      return 1_760_000_000_000 + fraction
    },
    setTimeout: (): undefined => undefined,
    clearTimeout: (): undefined => undefined,
  }
  const { client, errors } = start(t, { clock })
  const [one, two] = [await client('one'), await client('two')]
  await two.subscribe('t')
  const properties = { messageExpiryInterval: 0xffff_ffff }
  for (let number = 0; number < 1000; number += 1) one.send(publishPacket('t', 'x', { properties }))
  for (let number = 0; number < 1000; number += 1) {
    const interval = (await two.receives('publish')).properties?.messageExpiryInterval ?? 0
    assert.ok(interval <= 0xffff_ffff && interval > 0xffff_ffff - 10, `${interval}`)
  }
  await one.quiet()
  assert.deepEqual(errors, [])
})

test('a Client that sends faster than packets are handled is not read further', async (t) => {
  const { broker } = start(t)
  const stream = new SlowStream()
  broker.handle(stream)
  stream.says(connectPacket('flood'))
  await settle()
  stream.takePiece()
  const chunk = Buffer.alloc(64 * 1024, Buffer.from('40020001', 'hex'))
  for (let number = 0; number < 50; number += 1) stream.push(chunk)
  assert.equal(stream.isPaused(), true)
  assert.ok((broker.stats()['bytesReceived'] ?? 0) < 4 * chunk.length)
})

test('a Client that accepts no CONNACK of ours is not connected [MQTT-3.2.0-1]', async (t) => {
  const { broker, open } = start(t)
  const one = open()
  one.send(connectPacket('one', { properties: { maximumPacketSize: 3 } }), publishPacket('t', 'x'))
  await one.ended()
  assert.equal(broker.clients.size, 0)
  assert.equal(broker.stats()['sessions'], 0)
})

test('a search through retained messages that finds nothing lets the rest of the program have its turn', async (t) => {
  const { broker, client } = start(t)
  for (let number = 0; number < 5_000; number += 1) {
    await broker.publish({ topic: `a${number}/b`, payload: 'x', retain: true })
  }
  const one = await client('one')
  let turns = 0
  let isOver = false
  const count = (): void => {
    turns += 1
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  const filters = Array.from({ length: 30 }, (_, number) => filter(`+/z${number}`))
  await one.subscribe([...filters, filter('a7/b')])
  assert.equal(await one.message(), 'x')
  isOver = true
  assert.ok(turns >= 8, `${turns} turns for 150,000 topics looked at`)
})

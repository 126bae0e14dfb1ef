import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { Duplex, PassThrough } from 'node:stream'
import { test, type TestContext } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { encode } from '../../lib/packets/encoder.ts'
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
  will,
} from '../support/client.ts'

async function overTcp(t: TestContext, { broker }: Setting, allowHalfOpen = false): Promise<Socket> {
  const [listener] = await broker.listen({ tcp: 0 })
  const socket = connect({ port: Number(new URL(listener?.url ?? '').port), allowHalfOpen })
  socket.on('error', () => undefined)
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

test('a PUBLISH with the FIN right behind it counts, over TCP and in memory', async (t) => {
  for (const way of ['tcp', 'memory'] as const) {
    for (const qos of [0, 1, 2] as const) {
      const s = start(t)
      const watcher = await s.client('watcher')
      await watcher.subscribe('#', { qos: 0 })
      const stream = way === 'tcp' ? await overTcp(t, s) : s.broker.connect()
      const packets = [
        connectPacket('one', { will: will('w', 'lost') }),
        publishPacket('t', 'last words', { qos, packetId: qos === 0 ? 0 : 1 }),
      ]
      stream.on('error', () => undefined)
      stream.resume()
      stream.end(Buffer.concat(packets.map((packet) => encode(packet, 5))))
      assert.equal(await watcher.message(), 'last words')
      assert.equal(await watcher.message(), 'lost')
      if (!stream.closed) await once(stream, 'close')
    }
  }
})

test('a PUBLISH before the FIN counts although a hook takes its time', async (t) => {
  const s = start(t, { plugins: [{ name: 'a', authorizePublish: () => settle().then(() => true) }] })
  const watcher = await s.client('watcher')
  await watcher.subscribe('#')
  const socket = await overTcp(t, s)
  socket.resume()
  socket.end(
    Buffer.concat(
      [connectPacket('one'), publishPacket('t', '1'), publishPacket('t', '2'), publishPacket('t', '3')].map((packet) =>
        encode(packet, 5),
      ),
    ),
  )
  for (const payload of ['1', '2', '3']) assert.equal(await watcher.message(), payload)
  await once(socket, 'close')
  assert.equal(s.broker.clients.size, 1)
})

test('what a connected Client published before its FIN counts although a hook takes its time', async (t) => {
  for (const way of ['tcp', 'memory'] as const) {
    const s = start(t, { plugins: [{ name: 'a', authorizePublish: () => settle().then(() => true) }] })
    const watcher = await s.client('watcher')
    await watcher.subscribe('#')
    const one = new TestClient(way === 'tcp' ? await overTcp(t, s) : s.broker.connect())
    await one.connect('one')
    one.send(publishPacket('t', '1'), publishPacket('t', '2'), publishPacket('t', '3'))
    one.stream.end()
    for (const payload of ['1', '2', '3']) assert.equal(await watcher.message(), payload)
    await one.closed
  }
})

test('a half-open connection: the Client ends its side, receives its replies, and is disconnected', async (t) => {
  const s = start(t)
  const client = new TestClient(await overTcp(t, s, true), 5)
  client.send(connectPacket('one'), publishPacket('t', 'x', { qos: 1, packetId: 1 }))
  client.stream.end()
  await client.receives('connack')
  await client.receives('puback')
  client.stream.destroy()
  await client.closed
  await settle()
  assert.equal(s.broker.clients.size, 0)
})

test('a reset connection is a lost one: its Will is sent, nothing is thrown', async (t) => {
  const s = start(t)
  const watcher = await s.client('watcher')
  await watcher.subscribe('w')
  const socket = await overTcp(t, s)
  socket.write(encode(connectPacket('one', { will: will('w', 'reset') }), 5))
  await once(socket, 'data')
  socket.resetAndDestroy()
  assert.equal(await watcher.message(), 'reset')
  assert.deepEqual(s.errors, [])
})

test('bytes after DISCONNECT are not looked at [MQTT-3.14.4-1]', async (t) => {
  const { client, broker } = start(t)
  const watcher = await client('watcher')
  await watcher.subscribe('#')
  for (const level of levels) {
    const one = await client('one', { level, will: will('w', 'x') })
    one.send({ type: 'disconnect', reasonCode: 0, properties: undefined }, publishPacket('t', 'x'))
    one.write('ff ff ff ff ff')
    await one.ended()
  }
  await watcher.quiet()
  assert.equal(broker.clients.size, 1)
})

test('a packet in chunks of one byte is a packet', async (t) => {
  const { open } = start(t)
  const one = open()
  const bytes = Buffer.concat(
    [
      connectPacket('one', { username: 'u', will: will('w', 'x') }),
      { type: 'subscribe' as const, packetId: 1, subscriptions: [filter('t', { qos: 2 })], properties: undefined },
      publishPacket('t', 'x'.repeat(300), { qos: 2, packetId: 2 }),
      { type: 'pingreq' as const },
    ].map((packet) => encode(packet, 5)),
  )
  for (const byte of bytes) {
    one.stream.write(Buffer.from([byte]))
    await new Promise((resolve) => setImmediate(resolve))
  }
  await one.receives('connack')
  await one.receives('suback')
  await one.receives('publish')
  await one.receives('pubrec')
  await one.receives('pingresp')
})

/** A stream whose other side is in the hands of the test. */
class Handmade extends Duplex {
  readonly written: Buffer[] = []
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.written.push(chunk)
    callback()
  }
}

const pushes: Record<string, (stream: Handmade) => void> = {
  nothing: () => undefined,
  'half a packet': (stream) => void stream.push(Buffer.from('10200004', 'hex')),
  CONNECT: (stream) => void stream.push(encode(connectPacket('x'), 5)),
  'CONNECT and half a PUBLISH': (stream) =>
    void stream.push(Buffer.concat([encode(connectPacket('x'), 5), Buffer.from('30ff01', 'hex')])),
  'CONNECT and DISCONNECT': (stream) =>
    void stream.push(
      Buffer.concat([
        encode(connectPacket('x'), 5),
        encode({ type: 'disconnect', reasonCode: 0, properties: undefined }, 5),
      ]),
    ),
  nonsense: (stream) => void stream.push(Buffer.from('ffffffffff', 'hex')),
}

for (const [state, push] of Object.entries(pushes)) {
  for (const way of ['destroy', 'destroy with an error', 'emit an error', 'end', 'end and destroy'] as const) {
    for (const when of ['at once', 'later'] as const) {
      test(`a stream that said ${state} may ${way} ${when}: nothing is thrown and nothing is left`, async (t) => {
        const { broker, errors, clock } = start(t)
        const stream = new Handmade()
        broker.handle(stream)
        push(stream)
        if (when === 'later') await settle()
        if (way === 'destroy') stream.destroy()
        if (way === 'destroy with an error') stream.destroy(new Error('network is down'))
        if (way === 'emit an error') stream.emit('error', new Error('network is down'))
        if (way === 'end' || way === 'end and destroy') {
          if (!stream.readableEnded && !stream.destroyed) stream.push(null)
        }
        if (way === 'end and destroy') stream.destroy()
        await settle()
        clock.advance(1000) // The other side has a moment to take what was written.
        await settle()
        assert.equal(stream.destroyed, true)
        assert.equal(broker.clients.size, 0)
        assert.equal(broker.stats().sessions, 0)
        assert.equal(broker.stats().timers, 0)
        assert.deepEqual(errors, [])
      })
    }
  }
}

test('a stream that is destroyed already, or that has ended, makes no connection', async (t) => {
  const { broker, errors } = start(t)
  const destroyed = new Handmade()
  destroyed.destroy()
  broker.handle(destroyed)
  const ended = new Handmade()
  ended.push(null)
  ended.resume()
  await settle()
  broker.handle(ended)
  const errored = new Handmade()
  errored.on('error', () => undefined)
  errored.destroy(new Error('before'))
  await settle()
  broker.handle(errored)
  await settle()
  await settle()
  assert.equal(broker.stats().timers, 0, 'no connection waits for a CONNECT')
  assert.deepEqual(errors, [])
  await broker.close({ graceMs: 10_000 })
})

test('a stream that gives strings is closed, and an error is reported', async (t) => {
  const { broker, errors, client } = start(t)
  const stream = new Handmade()
  stream.setEncoding('utf8')
  broker.handle(stream)
  stream.push(encode(connectPacket('x'), 5))
  await settle()
  await settle()
  assert.equal(broker.clients.size, 0)
  assert.equal(errors.length, 1)
  await (await client('other')).quiet()
})

test('a stream that gives Uint8Arrays instead of Buffers works, or is closed; nothing is thrown', async (t) => {
  const { broker } = start(t)
  const stream = new Duplex({
    objectMode: true,
    read() {},
    write(_chunk, _encoding, callback) {
      callback()
    },
  })
  broker.handle(stream)
  stream.push(new Uint8Array(encode(connectPacket('x'), 5)))
  await settle()
  assert.ok(broker.clients.size === 1 || stream.destroyed || stream.writableEnded)
})

test('a stream whose write throws or fails ends its connection alone', async (t) => {
  const { broker, errors, client } = start(t)
  for (const fail of [
    (_callback: (error?: Error) => void): void => {
      throw new Error('write throws')
    },
    (callback: (error?: Error) => void): void => callback(new Error('write fails')),
  ]) {
    const stream = new Duplex({ read() {}, write: (_chunk, _encoding, callback) => fail(callback) })
    broker.handle(stream)
    stream.push(encode(connectPacket('x'), 5))
    await settle()
    await settle()
    assert.equal(broker.clients.has('x'), false)
  }
  assert.ok(errors.length <= 1)
  await (await client('other')).quiet()
})

test('handle takes any Duplex, and says what is known of it', async (t) => {
  const { broker, client } = start(t)
  const [toBroker, toClient] = [new PassThrough(), new PassThrough()]
  const stream = Duplex.from({ readable: toBroker, writable: toClient })
  broker.handle(stream, { transport: 'quic', remoteAddress: '10.0.0.1' })
  toBroker.write(encode(connectPacket('x'), 5))
  await once(toClient, 'data')
  const info = broker.clients.get('x')?.connection
  assert.equal(info?.transport, 'quic')
  assert.equal(info?.remoteAddress, '10.0.0.1')
  await (await client('other')).quiet()
})

test('handle is a listener for net.createServer as it is', async (t) => {
  const { broker } = start(t)
  const server = createServer(broker.handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const address = server.address()
  const client = new TestClient(connect(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1'))
  await client.connect('one')
  assert.equal(broker.clients.get('one')?.connection.transport, 'tcp')
  assert.equal(broker.clients.get('one')?.connection.remoteAddress, '127.0.0.1')
  client.stream.destroy()
})

test('a Client that closes in each state of a handshake and resumes goes on where it was [MQTT-4.4.0-1]', async (t) => {
  const { client, broker } = start(t)
  const options = { cleanStart: false, properties: { sessionExpiryInterval: 1000 } }
  const watcher = await client('watcher')
  await watcher.subscribe('out', { qos: 2 })
  let one = await client('one', options)
  await one.subscribe('in', { qos: 2 })
  const reconnect = async (): Promise<void> => {
    await one.drop()
    one = await client('one', options)
  }
  await broker.publish({ topic: 'in', payload: 'x', qos: 2 })
  await one.receives('publish')
  await reconnect()
  const { packetId, dup } = await one.receives('publish')
  assert.equal(dup, true)
  one.send(ack('pubrec', packetId))
  await one.receives('pubrel')
  await reconnect()
  assert.equal((await one.receives('pubrel')).packetId, packetId)
  one.send(ack('pubcomp', packetId))
  await one.quiet()
  await reconnect()
  await one.quiet()
  one.send(publishPacket('out', 'y', { qos: 2, packetId: 4 }))
  await one.receives('pubrec')
  await reconnect()
  one.send(publishPacket('out', 'y', { qos: 2, packetId: 4, dup: true }))
  await one.receives('pubrec')
  one.send(ack('pubrel', 4))
  assert.equal((await one.receives('pubcomp')).reasonCode, 0)
  assert.equal(await watcher.message(), 'y')
  await watcher.quiet()
})

test('20,000 connections that come, publish and go leave nothing', async (t) => {
  const { broker, clock } = start(t)
  const connectBytes = encode(connectPacket('x', { keepAlive: 60, will: will('w', 'x') }), 5)
  const rest = Buffer.concat(
    [
      { type: 'subscribe' as const, packetId: 1, subscriptions: [filter('t', { qos: 1 })], properties: undefined },
      publishPacket('t', 'x', { qos: 1, packetId: 2 }),
      publishPacket('t', 'x', { qos: 2, packetId: 3 }),
    ].map((packet) => encode(packet, 5)),
  )
  const goodbye = encode({ type: 'disconnect', reasonCode: 0, properties: undefined }, 5)
  const cycle = (ending: number): Promise<void> =>
    new Promise((resolve) => {
      const stream = broker.connect()
      stream.on('error', () => undefined)
      stream.once('data', () => {
        stream.resume()
        if (ending === 0) stream.end(Buffer.concat([rest, goodbye]))
        else if (ending === 1) {
          stream.write(rest)
          setImmediate(() => stream.destroy())
        } else stream.end(rest)
      })
      stream.once('close', () => resolve())
      stream.write(connectBytes)
    })
  const burst = async (count: number): Promise<void> => {
    for (let number = 0; number < count; number += 1) await cycle(number % 3)
    await settle()
    clock.advance(5000)
    await settle()
  }
  await burst(2000)
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  gc()
  const before = process.memoryUsage().heapUsed
  await burst(18_000)
  gc()
  const grown = process.memoryUsage().heapUsed - before
  const { sessions, subscriptions, timers, queuedMessages, queuedBytes, clientsConnected } = broker.stats()
  assert.deepEqual(
    { sessions, subscriptions, timers, queuedMessages, queuedBytes, clientsConnected },
    { sessions: 0, subscriptions: 0, timers: 0, queuedMessages: 0, queuedBytes: 0, clientsConnected: 0 },
  )
  assert.equal(clock.size, 0)
  assert.ok(grown < 3 * 1024 * 1024, `${grown} bytes more`)
})

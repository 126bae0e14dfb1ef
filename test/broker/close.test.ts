import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { patienceMs } from '../support/patience.ts'
import {
  ack,
  closing,
  connectPacket,
  filter,
  publishPacket,
  settle,
  start,
  type TestClient,
  will,
} from '../support/client.ts'

const run = promisify(execFile)

test('close() tells MQTT 5.0 Clients, ends all connections and may be called again', async (t) => {
  const { client, broker, open } = start(t)
  const [five, four] = [await client('five'), await client('four', { level: 4 })]
  const [first, second] = [broker.close(), broker.close()]
  assert.equal(first, second)
  await five.endedWith(0x8b)
  await four.ended()
  await first
  await broker.close()
  await broker[Symbol.asyncDispose]()
  await open().ended()
  await assert.rejects(broker.publish({ topic: 't' }))
  await assert.rejects(broker.listen({ tcp: 0 }))
  assert.equal(broker.clients.size, 0)
})

test('close() with a reason of its own', async (t) => {
  const { client, broker } = start(t)
  const one = await client('one')
  void broker.close({ reason: 'server-moved' })
  await one.endedWith(0x9d)
})

/** Brings a connection into a state from which the broker closes. */
const states: Record<string, (one: TestClient) => Promise<void> | void> = {
  'nothing said': () => undefined,
  'half a CONNECT': (one) => one.write('10 20 00 04'),
  'a CONNECT that a hook is at': async (one) => {
    one.send(connectPacket('slow', { will: will('w', 'x') }))
    await settle()
  },
  connected: async (one) => void (await one.connect('one')),
  'a PUBLISH that a hook is at': async (one) => {
    await one.connect('one')
    one.send(publishPacket('slow', 'x', { qos: 2, packetId: 1 }))
    await settle()
  },
  'a SUBSCRIBE that a hook is at': async (one) => {
    await one.connect('one')
    one.send({ type: 'subscribe', packetId: 1, subscriptions: [filter('slow')], properties: undefined })
    await settle()
  },
  'PUBREC sent': async (one) => {
    await one.connect('one')
    one.send(publishPacket('t', 'x', { qos: 2, packetId: 1 }))
    await one.receives('pubrec')
  },
  'PUBREL sent': async (one) => {
    await one.connect('one')
    await one.subscribe('t', { qos: 2 })
    one.send(publishPacket('t', 'x', { qos: 2, packetId: 5 }))
    const packet = await one.receives('publish')
    one.send(ack('pubrec', packet.packetId))
    await one.receives('pubrec')
    await one.receives('pubrel')
  },
  'half a PUBLISH': async (one) => {
    await one.connect('one')
    one.write('30 ff 01 00')
  },
}

for (const [name, reach] of Object.entries(states)) {
  for (const level of [4, 5] as const) {
    test(`close() with a connection in this state: ${name} (level ${level})`, async (t) => {
      const never = (): Promise<never> => new Promise(() => undefined)
      const { open, broker, errors, clock } = start(t, {
        plugins: [
          {
            name: 'a',
            authenticate: ({ clientId }) => (clientId === 'slow' ? never() : true),
            authorizePublish: ({ topic }) => (topic === 'slow' ? never() : true),
            authorizeSubscribe: ({ topicFilter }) => (topicFilter === 'slow' ? never() : true),
          },
        ],
      })
      const one = open(level)
      await reach(one)
      await closing(broker.close({ graceMs: 200 }), clock)
      await one.closed
      assert.equal(broker.clients.size, 0)
      assert.equal(broker.stats().timers, 0)
      assert.ok(one.received.every((packet) => packet.type !== 'connack' || packet.reasonCode >= 0x80))
      const isUndecided = name === 'a PUBLISH that a hook is at'
      assert.deepEqual(
        errors.map(({ message }) => message),
        isUndecided ? ['hooks did not decide before the broker closed on what 1 Clients had sent: one'] : [],
      )
    })
  }
}

test('close() does not wait for a Client that is frozen longer than its grace', async (t) => {
  const { broker } = start(t)
  // Takes no byte and never closes.
  const frozen = new Duplex({ read() {}, write(_chunk, _encoding, _callback) {}, final(_callback) {} })
  broker.handle(frozen)
  const socket = await tcp(t, broker)
  socket.pause()
  socket.write(Buffer.from('100d00044d51545404020000000161', 'hex'))
  await once(broker, 'clientConnected')
  await broker.close({ graceMs: 50 })
  assert.equal(frozen.destroyed, true)
})

async function tcp(t: Parameters<typeof start>[0], broker: ReturnType<typeof start>['broker']): Promise<Socket> {
  const [listener] = await broker.listen({ tcp: 0 })
  const socket = connect(Number(new URL(listener?.url ?? '').port))
  socket.on('error', () => undefined)
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

test('what was published before close() reaches those who are there', async (t) => {
  const { client, broker } = start(t)
  const one = await client('one')
  await one.subscribe('t', { qos: 1 })
  await broker.publish({ topic: 't', payload: 'last', qos: 1 })
  void broker.close()
  assert.equal((await one.receives('publish')).payload.toString(), 'last')
  await one.endedWith(0x8b)
})

test('close() while listen() is under way leaves nothing open', async (t) => {
  const { broker } = start(t)
  const listening = broker.listen({ tcp: 0, ws: 0 })
  await broker.close()
  const listeners = await listening.catch(() => [])
  t.after(() => Promise.all(listeners.map((listener) => listener.close())))
  for (const listener of listeners) {
    const socket = connect(Number(new URL(listener.url).port))
    t.after(() => socket.destroy())
    const outcome = await new Promise((resolve) => {
      socket.once('connect', () => resolve('open'))
      socket.once('error', () => resolve('refused'))
    })
    assert.equal(outcome, 'refused', listener.url)
  }
})

test('close() ends although nothing else keeps the process, and a stream does not end', async () => {
  const url = new URL('../../lib/index.js', import.meta.url).href
  const { stdout } = await run(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { Broker } from ${JSON.stringify(url)}
       import { Duplex } from 'node:stream'
       const broker = new Broker()
       broker.handle(new Duplex({ read() {}, write() {}, final() {} }))
       await broker.close({ graceMs: 50 })
       console.log('closed')`,
    ],
    { timeout: patienceMs },
  )
  assert.equal(stdout, 'closed\n')
})

test('a broker with connections and listeners is closed and leaves no handle', async () => {
  const url = new URL('../../lib/index.js', import.meta.url).href
  const { stdout } = await run(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `
    import { createBroker } from ${JSON.stringify(url)}
    import { connect } from 'node:net'
    import { once } from 'node:events'
    const broker = await createBroker({ listen: { tcp: 0, ws: 0 } })
    const [listener] = await broker.listen({ tcp: 0 })
    const socket = connect(new URL(listener.url).port)
    socket.write(Buffer.from('100d00044d5154540402003c000161', 'hex'))
    await once(socket, 'data')
    broker.subscribe('a', () => undefined)
    await broker.publish({ topic: 'a', payload: 'x', retain: true, properties: { messageExpiryInterval: 1000 } })
    const gone = once(socket, 'close')
    socket.resume()
    await broker.close()
    await gone
    await new Promise((resolve) => setImmediate(resolve))
    // 'PipeWrap' and 'TTYWrap' are the standard streams.
    console.log(JSON.stringify(process.getActiveResourcesInfo().filter((name) => !/Pipe|TTY|FSReq/.test(name))))
    `,
    ],
    { timeout: patienceMs },
  )
  assert.deepEqual(JSON.parse(stdout), [])
})

test('a process that only holds a broker without listeners ends by itself', async () => {
  const url = new URL('../../lib/index.js', import.meta.url).href
  await run(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { Broker } from ${JSON.stringify(url)}
     const broker = new Broker()
     await broker.publish({ topic: 'a', payload: 'x', retain: true, properties: { messageExpiryInterval: 1000 } })
     broker.connect()`,
    ],
    { timeout: patienceMs },
  )
})

test('close() with a plugin whose teardown never ends is not for this broker to judge, but listeners are closed first', async (t) => {
  const { broker } = start(t, { plugins: [{ name: 'a', setup: () => () => undefined }] })
  const socket = await tcp(t, broker)
  const ended = once(socket, 'close')
  socket.resume()
  await broker.close()
  await ended
})

import assert from 'node:assert/strict'
import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import mqemitter from 'mqemitter'
import { Broker, InvalidOptionError, MemoryPersistence } from '../../lib/index.ts'
import type { Emitter } from '../../types/emitter.ts'
import type { BrokerHealth } from '../../types/health.ts'
import type { ListenOptionsMap } from '../../types/listen.ts'
import { deferred, settle, start } from '../support/client.ts'
import { ManualClock } from '../support/clock.ts'
import { startMachine } from './machine.ts'

interface Reply {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly body: string
}

function ask(port: number, path: string, method = 'GET'): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const asked = httpRequest({ port, host: '127.0.0.1', path, method }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (body += chunk))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
    })
    asked.on('error', reject)
    asked.end()
  })
}

function portOf({ address }: { readonly address: AddressInfo | string }): number {
  assert.ok(typeof address === 'object')
  return address.port
}

test('a broker without listeners, store and emitter is healthy, and is not when it is closed', async () => {
  const broker = new Broker({ sysInterval: false })
  const health: BrokerHealth = broker.health()
  assert.deepEqual(health, {
    healthy: true,
    state: 'open',
    listeners: [],
    store: 'none',
    brokers: { state: 'alone', peers: 0 },
  })
  const closed = broker.close()
  assert.deepEqual([broker.health().healthy, broker.health().state], [false, 'closing'])
  await closed
  assert.deepEqual([broker.health().healthy, broker.health().state], [false, 'closed'])
})

test('health() is not healthy until the plugins are set up, nor after one failed', async (t) => {
  const ready = deferred()
  const { broker } = start(t, { plugins: [{ name: 'slow', setup: () => ready.promise }] })
  assert.deepEqual([broker.health().healthy, broker.health().state], [false, 'opening'])
  ready.resolve()
  await settle()
  assert.deepEqual([broker.health().healthy, broker.health().state], [true, 'open'])
  const { broker: other } = start(t, { plugins: [{ name: 'bad', setup: () => Promise.reject(new Error('no')) }] })
  await settle()
  assert.deepEqual([other.health().healthy, other.health().state], [false, 'failed'])
})

test('health() says that the store opens, works, fails and works again', async (t) => {
  const machine = startMachine(t)
  assert.equal(machine.broker.health().store, 'opening')
  const one = await machine.client('one')
  assert.deepEqual([machine.broker.health().healthy, machine.broker.health().store], [true, 'working'])
  machine.fail(new Error('broken'))
  assert.notEqual(await one.publish('t', 'x', { qos: 1, retain: true }), 0)
  assert.deepEqual([machine.broker.health().healthy, machine.broker.health().store], [false, 'failing'])
  machine.fail(undefined)
  machine.clock.advance(10_000)
  await settle()
  assert.deepEqual([machine.broker.health().healthy, machine.broker.health().store], [true, 'working'])
})

test('health() has the listeners, and one that accepts nothing any more is not healthy', async (t) => {
  const { broker } = start(t)
  const [tcp] = await broker.listen({ tcp: 0, ws: 0 })
  assert.deepEqual(broker.health().listeners, [
    { protocol: 'mqtt', listening: true },
    { protocol: 'ws', listening: true },
  ])
  await tcp?.stopAccepting()
  assert.equal(broker.health().healthy, false)
  assert.equal(tcp?.listening, false)
  await tcp.close()
  assert.equal(broker.health().healthy, true)
})

test('an attached server counts as listening while it listens', async (t) => {
  const { broker } = start(t)
  const server = createServer()
  broker.attach(server)
  assert.equal(broker.health().healthy, false)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  assert.equal(broker.health().healthy, true)
  await new Promise((resolve) => server.close(resolve))
  assert.equal(broker.health().healthy, false)
})

test('health() says whether the brokers of an emitter hear each other', async (t) => {
  const inner = mqemitter({ matchEmptyLevels: true }) as unknown as Emitter
  let isCut = false
  const emitter: Emitter = {
    on: (topic, listener, callback) => inner.on(topic, listener, callback),
    emit: (message, callback) => (isCut ? callback?.(new Error('away')) : inner.emit(message, callback)),
    removeListener: (topic, listener, callback) => inner.removeListener(topic, listener, callback),
    close: (callback) => inner.close(callback),
  }
  const clock = new ManualClock()
  const [a, b] = [0, 1].map(() => new Broker({ sysInterval: false, clock, emitter })) as [Broker, Broker]
  for (const broker of [a, b]) broker.on('error', () => undefined)
  t.after(async () => {
    isCut = false
    for (const broker of [a, b]) {
      const closed = broker.close({ graceMs: 0 })
      for (let step = 0; step < 5; step += 1) {
        await settle()
        clock.advance(1000)
      }
      await closed
    }
  })
  assert.deepEqual(a.health().brokers, { state: 'joining', peers: 0 })
  const pass = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second += 1) {
      await settle()
      clock.advance(1000)
    }
    await settle()
  }
  await pass(3)
  for (const broker of [a, b]) {
    assert.deepEqual(broker.health().brokers, { state: 'joined', peers: 1 })
    assert.equal(broker.health().healthy, true)
  }
  isCut = true
  await pass(8)
  assert.equal(a.health().brokers.state, 'failing')
  assert.equal(a.health().healthy, false)
  isCut = false
  await pass(5)
  assert.deepEqual(a.health().brokers, { state: 'joined', peers: 1 })
})

test('a WebSocket listener responds at healthPath to GET and HEAD, with 200 or 503, and tells no address', async (t) => {
  const { broker } = start(t, { persistence: new MemoryPersistence() })
  const [tcp, ws] = await broker.listen({ tcp: 0, ws: { port: 0, healthPath: '/health' } })
  assert.ok(tcp && ws)
  const port = portOf(ws)
  const good = await ask(port, '/health?verbose')
  assert.equal(good.status, 200)
  assert.match(String(good.headers['content-type']), /application\/json/)
  assert.equal(good.headers['cache-control'], 'no-store')
  assert.deepEqual(JSON.parse(good.body), broker.health())
  assert.ok(!good.body.includes('127.0.0.1') && !good.body.includes(String(portOf(tcp))))
  await tcp.stopAccepting()
  const bad = await ask(port, '/health')
  assert.equal(bad.status, 503)
  assert.equal((JSON.parse(bad.body) as BrokerHealth).healthy, false)
  const head = await ask(port, '/health', 'HEAD')
  assert.deepEqual([head.status, head.body], [503, ''])
  assert.equal(head.headers['content-length'], bad.headers['content-length'])
  const posted = await ask(port, '/health', 'POST')
  assert.deepEqual([posted.status, posted.headers.allow], [405, 'GET, HEAD'])
  assert.equal((await ask(port, '/other')).status, 426)
})

test('a WebSocket listener says nothing of its health by default', async (t) => {
  const { broker } = start(t)
  const [ws] = await broker.listen({ ws: 0 })
  assert.ok(ws)
  for (const path of ['/', '/health', '/healthz', '/mqtt']) assert.equal((await ask(portOf(ws), path)).status, 426)
})

for (const healthPath of ['', 'health', '/a?b', '/mqtt', 5]) {
  test(`healthPath ${JSON.stringify(healthPath)} is refused`, async (t) => {
    const { broker } = start(t)
    const options = { ws: { port: 0, healthPath } } as ListenOptionsMap
    await assert.rejects(broker.listen(options), InvalidOptionError)
    assert.throws(() => broker.attach(createServer(), { healthPath } as object), InvalidOptionError)
  })
}

test('healthHandler responds on a server of the application', async (t) => {
  const { broker } = start(t)
  const server = createServer((request, response) => {
    if (request.url === '/healthz') broker.healthHandler(request, response)
    else response.writeHead(404).end()
  })
  const { healthHandler } = broker
  const bare = createServer(healthHandler)
  for (const each of [server, bare]) {
    await new Promise<void>((resolve) => each.listen(0, '127.0.0.1', resolve))
    t.after(() => each.close())
    const { port } = each.address() as AddressInfo
    assert.equal((await ask(port, '/healthz')).status, 200)
  }
  await broker.close()
  const reply = await ask((bare.address() as AddressInfo).port, '/')
  assert.equal(reply.status, 503)
  assert.equal((JSON.parse(reply.body) as BrokerHealth).state, 'closed')
})

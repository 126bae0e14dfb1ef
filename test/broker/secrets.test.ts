import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { test, type TestContext } from 'node:test'
import { format, inspect } from 'node:util'
import WebSocket, { createWebSocketStream } from 'ws'
import { Broker } from '../../lib/broker.ts'
import type { Plugin } from '../../types/hooks.ts'
import type { BrokerEvents } from '../../types/events.ts'
import { connectPacket, settle, start, TestClient } from '../support/client.ts'

const secrets = ['s3cret', 't0ken', 'c00kie', 'basic-auth', 'pr0tocol', 'api-k3y', 'auth-d4ta']
const headers = {
  Authorization: 'Basic basic-auth',
  Cookie: 'session=c00kie',
  'X-Api-Key': 'api-k3y',
  'User-Agent': 'a browser',
}

/** Fails if a secret is shown by one of the ways in which programs log values. */
function assertHidden(what: string, ...values: readonly unknown[]): void {
  const shown = [inspect(values, { depth: 4 }), format('%o %O %j', values, values, values), JSON.stringify(values)]
  for (const text of shown) {
    for (const secret of secrets) {
      assert.ok(!text.includes(secret), `${what} shows ${secret}: ${text.slice(0, 2000)}`)
      assert.ok(
        !text.includes(
          Buffer.from(secret)
            .toString('hex')
            .replaceAll(/(..)(?=.)/g, '$1 '),
        ),
        `${what}, as bytes`,
      )
      assert.ok(!text.includes([...Buffer.from(secret)].join(',')), `${what}, as numbers`)
    }
  }
}

interface Seen {
  readonly hooks: Map<string, readonly unknown[]>
  readonly plugin: Plugin
}

/** A plugin that retains the arguments of its hooks. */
function watch(): Seen {
  const hooks = new Map<string, readonly unknown[]>()
  const plugin: Plugin = {
    name: 'watch',
    connect: (...values) => void hooks.set('connect', values),
    authenticate: async (...values) => {
      hooks.set('authenticate', [...values, { ...values[0] }])
      const exchange = values[3]
      if (exchange.method !== undefined) {
        hooks.set('exchange', [await exchange.exchange(Buffer.from('auth-d4ta'))])
        exchange.conclude(Buffer.from('auth-d4ta'))
      }
      if (values[0].username === 'refused') return false
      return { password: 's3cret', user: values[0].username }
    },
    authorizeSubscribe: (...values) => {
      hooks.set('authorizeSubscribe', values)
      return true
    },
  }
  return { hooks, plugin }
}

function watchEvents(broker: Broker): Map<string, unknown[]> {
  const seen = new Map<string, unknown[]>()
  const names: (keyof BrokerEvents)[] = [
    'clientConnected',
    'clientDisconnected',
    'clientError',
    'connectionRefused',
    'subscribed',
    'error',
  ]
  for (const name of names) broker.on(name, (...values: unknown[]) => void seen.set(name, values))
  return seen
}

const takers: Record<string, (t: TestContext, broker: Broker) => Promise<number>> = {
  listen: async (_t, broker) => {
    const [listener] = await broker.listen({ ws: 0 })
    return Number(new URL(listener?.url ?? '').port)
  },
  attach: (t, broker) => serve(t, (server) => void broker.attach(server)),
  handleUpgrade: (t, broker) => serve(t, (server) => server.on('upgrade', broker.handleUpgrade)),
  'handle with the request': (t, broker) =>
    serve(t, async (server) => {
      const { WebSocketServer } = await import('ws')
      new WebSocketServer({ server }).on('connection', (socket, request) =>
        broker.handle(createWebSocketStream(socket), request),
      )
    }),
}

async function serve(t: TestContext, setUp: (server: ReturnType<typeof createServer>) => unknown): Promise<number> {
  const server = createServer()
  await setUp(server)
  server.listen(0, '127.0.0.1')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  await once(server, 'listening')
  return (server.address() as { port: number }).port
}

for (const [name, take] of Object.entries(takers)) {
  test(`a WebSocket Client shows no secret in hooks, events and its own object (${name})`, async (t) => {
    const { hooks, plugin } = watch()
    const { broker } = start(t, { plugins: [plugin] })
    const events = watchEvents(broker)
    const port = await take(t, broker)
    const open = async (): Promise<TestClient> => {
      const url = `ws://127.0.0.1:${port}/mqtt?token=t0ken`
      const socket = new WebSocket(url, name.startsWith('handle with') ? ['mqtt'] : ['mqtt', 'pr0tocol'], { headers })
      await once(socket, 'open')
      const client = new TestClient(createWebSocketStream(socket, { allowHalfOpen: false }))
      t.after(() => socket.terminate())
      return client
    }
    const client = await open()
    await client.connect('one', { username: 'ann', password: 's3cret' })
    await client.subscribe('t')
    const found = broker.clients.get('one')
    assert.ok(found)
    assertHidden('the client', found, found.connection, found.connect, found.connection.request, broker.clients)
    assert.match(inspect(found), /Client \{[^]*id: 'one'[^]*a browser/)
    assert.equal((JSON.parse(JSON.stringify(found)) as { id: string }).id, 'one')
    assert.match(inspect(found.connection, { depth: 5 }), /url: '\/mqtt\?\[hidden\]'/)
    // The values themselves are all there.
    assert.equal(found.connection.request?.url, '/mqtt?token=t0ken')
    assert.equal(found.connection.request?.headers.cookie, 'session=c00kie')
    const bad = await open()
    bad.write('ff ff ff ff')
    await bad.closed
    const refused = await open()
    await refused.connect('two', { username: 'refused', password: 's3cret' }).catch(() => undefined)
    await refused.closed
    client.stream.destroy()
    await client.closed
    while (!events.has('clientDisconnected')) await settle()
    for (const kind of ['clientConnected', 'clientDisconnected', 'clientError', 'connectionRefused', 'subscribed']) {
      assert.ok(events.has(kind), kind)
    }
    for (const [kind, values] of [...events, ...hooks]) assertHidden(kind, ...values)
    assertHidden('the broker', inspect(broker))
  })
}

test('the password and Authentication Data are hidden, and can be read and compared', async (t) => {
  const { hooks, plugin } = watch()
  const { broker, open } = start(t, { plugins: [plugin] })
  const client = open()
  client.send(
    connectPacket('one', {
      username: 'ann',
      password: 's3cret',
      properties: { authenticationMethod: 'm', authenticationData: Buffer.from('auth-d4ta') },
    }),
  )
  await client.receives('auth')
  client.send({
    type: 'auth',
    reasonCode: 0x18,
    properties: { authenticationMethod: 'm', authenticationData: Buffer.from('auth-d4ta') },
  })
  await client.receives('connack')
  for (const [hook, values] of hooks) assertHidden(hook, ...values)
  const [request, , , exchange] = hooks.get('authenticate') as Parameters<NonNullable<Plugin['authenticate']>>
  assert.equal(request.password?.toString(), 's3cret')
  assert.deepEqual(request.password, Buffer.from('s3cret'))
  assert.equal(String(exchange.data), 'auth-d4ta')
  assert.match(inspect(request), /password: \[hidden\]/)
  assertHidden('clients', broker.clients)
})

test('a request that cannot be changed is taken too', async (t) => {
  const { broker, open } = start(t)
  await open().connect('other')
  const server = createServer()
  server.listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  httpRequest({ port, host: '127.0.0.1' })
    .on('error', () => undefined)
    .end()
  const [request] = (await once(server, 'request')) as [IncomingMessage]
  Object.preventExtensions(request)
  const stream = new PassThrough()
  broker.handle(stream, request)
  stream.destroy()
  request.socket.destroy()
})

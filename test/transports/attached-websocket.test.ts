import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect as connectTcp, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { test, type TestContext } from 'node:test'
import WebSocket, { type ClientOptions, WebSocketServer } from 'ws'
import { Broker } from '../../lib/broker.ts'
import { InvalidOptionError } from '../../lib/errors.ts'
import type { UpgradeOptions, WebSocketSettings } from '../../types/listen.ts'

interface Setting {
  readonly broker: Broker
  readonly server: Server
  readonly port: number
  /** Resolves with the status of an upgrade request for this path: 101 if a Client may connect. */
  upgrade(path: string, options?: ClientOptions): Promise<number | undefined>
}

async function start(t: TestContext, broker = new Broker({ sysInterval: false })): Promise<Setting> {
  const server = createServer((_request, response) => response.end('the application'))
  server.listen(0, '127.0.0.1')
  t.after(async () => {
    await broker.close()
    server.close()
    server.closeAllConnections()
  })
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const upgrade = (path: string, options: ClientOptions = {}): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, ['mqtt'], options)
      t.after(() => socket.terminate())
      socket.once('open', () => resolve(101))
      socket.once('unexpected-response', (request, response) => {
        request.destroy()
        resolve(response.statusCode)
      })
      socket.on('error', reject)
    })
  return { broker, server, port, upgrade }
}

test('a second attach to a path throws at once, also of another broker, and the first one works', async (t) => {
  const { broker, server, upgrade } = await start(t)
  const other = new Broker({ sysInterval: false })
  t.after(() => other.close())
  broker.attach(server, { path: '/one' })
  broker.attach(server)
  assert.throws(() => broker.attach(server), InvalidOptionError)
  assert.throws(() => broker.attach(server, { path: '/mqtt' }), /"\/mqtt" of this server is attached already/)
  assert.throws(() => other.attach(server, { path: '/one' }), InvalidOptionError)
  assert.equal(broker.openListeners.length, 2)
  assert.deepEqual(other.openListeners, [])
  assert.equal(await upgrade('/mqtt'), 101)
  assert.equal(await upgrade('/one'), 101)
})

test('a path can be attached again after close or stopAccepting, and the closed listener does not remove it', async (t) => {
  const { broker, server, upgrade } = await start(t)
  const first = broker.attach(server)
  await first.close()
  const second = broker.attach(server)
  await first.close()
  await first.stopAccepting()
  assert.equal(await upgrade('/mqtt'), 101)
  await second.stopAccepting()
  const third = broker.attach(server)
  await second.close()
  assert.equal(await upgrade('/mqtt'), 101)
  await third.close()
  assert.equal(server.listenerCount('upgrade'), 0)
})

test('one broker attaches to two servers with the same path', async (t) => {
  const broker = new Broker({ sysInterval: false })
  const one = await start(t, broker)
  const two = await start(t, broker)
  const attached = [broker.attach(one.server), broker.attach(two.server)]
  assert.deepEqual(
    attached.map(({ url }) => url),
    [one, two].map(({ port }) => `ws://127.0.0.1:${port}/mqtt`),
  )
  await attached[0]?.close()
  assert.equal(await two.upgrade('/mqtt'), 101)
})

test('a request for an unknown path is refused with 404 when all listeners of upgrade are attached brokers', async (t) => {
  const { broker, server, upgrade } = await start(t)
  const other = new Broker({ sysInterval: false })
  t.after(() => other.close())
  const attached = [
    broker.attach(server),
    broker.attach(server, { path: '/two' }),
    other.attach(server, { path: '/3' }),
  ]
  for (const path of ['/', '/unknown', '/mqtt/', '/two?']) {
    assert.equal(await upgrade(path), path === '/two?' ? 101 : 404, path)
  }
  await attached[0]?.close()
  assert.equal(await upgrade('/mqtt'), 404)
  assert.equal(await upgrade('/two'), 101)
  assert.equal(await upgrade('/3'), 101)
})

for (const order of ['before', 'after'] as const) {
  test(`a request for an unknown path is left to a listener that came ${order} attach, and MQTT works beside it`, async (t) => {
    const { broker, server, upgrade } = await start(t)
    const listen = (): void => {
      const webSockets = new WebSocketServer({ noServer: true })
      server.on('upgrade', (request, socket, head) => {
        if (request.url === '/live') webSockets.handleUpgrade(request, socket, head, () => undefined)
        if (request.url === '/later')
          setImmediate(() => webSockets.handleUpgrade(request, socket, head, () => undefined))
      })
    }
    if (order === 'before') listen()
    broker.attach(server)
    broker.attach(server, { path: '/two' })
    if (order === 'after') listen()
    for (const path of ['/live', '/later', '/mqtt', '/two']) assert.equal(await upgrade(path), 101, path)
  })
}

test('a request that another program has replied to is left alone, and nothing is thrown', async (t) => {
  const { broker, server, upgrade, port } = await start(t)
  const webSockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) => {
    if (request.url === '/mqtt') webSockets.handleUpgrade(request, socket, head, () => undefined)
    if (request.url === '/refused') socket.end('HTTP/1.1 402 Payment Required\r\nContent-Length: 0\r\n\r\n')
    if (request.url === '/own') {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      socket.on('data', (chunk: Buffer) => socket.end(chunk))
    }
  })
  for (const path of ['/mqtt', '/refused', '/own']) broker.attach(server, { path })
  server.on('upgrade', broker.handleUpgrade) // Every request comes here a second time.
  assert.equal(await upgrade('/mqtt'), 101)
  assert.equal(webSockets.clients.size, 1)
  assert.equal(await upgrade('/refused'), 402)
  const socket = connectTcp(port, '127.0.0.1')
  socket.write('GET /own HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
  await once(socket, 'data')
  socket.write('echo')
  const [answer] = await once(socket, 'data')
  assert.equal(String(answer), 'echo')
  assert.equal(broker.stats().connections, 0)
})

test('handleUpgrade beside attach, and the same request twice: the first of them has the connection', async (t) => {
  const { broker, server, upgrade } = await start(t)
  server.on('upgrade', (request, socket, head) => {
    broker.handleUpgrade(request, socket, head)
    broker.handleUpgrade(request, socket, head)
  })
  broker.attach(server)
  assert.equal(await upgrade('/mqtt'), 101)
  assert.equal(broker.stats().connections, 1)
  assert.equal(await upgrade('/mqtt', { origin: 'https://evil.example' }), 403)
  assert.equal(await upgrade('/any'), 101)
})

test('a connection whose bytes the application counts is upgraded', async (t) => {
  const { broker, server, upgrade } = await start(t)
  server.on('connection', (socket: Socket) => socket.on('data', () => undefined))
  broker.attach(server)
  assert.equal(await upgrade('/mqtt'), 101)
})

test('a keep-alive connection is upgraded after its first request', async (t) => {
  const { broker, server, port } = await start(t)
  broker.attach(server)
  const socket = connectTcp(port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
  await once(socket, 'data')
  socket.write(upgradeRequest('/mqtt'))
  assert.match(String((await once(socket, 'data'))[0]), /^HTTP\/1.1 101/)
  socket.destroy()
})

test('a connection that fails before or after its upgrade ends nothing else', async (t) => {
  const { broker, server, port, upgrade } = await start(t)
  const sockets: Duplex[] = []
  server.prependListener('upgrade', (_request, socket) => sockets.push(socket))
  server.on('upgrade', () => undefined) // A listener that takes no request.
  broker.attach(server)
  for (const path of ['/mqtt', '/nobody']) {
    for (const when of ['before', 'after'] as const) {
      const socket = connectTcp(port, '127.0.0.1', () => {
        socket.write(upgradeRequest(path))
        if (when === 'before') socket.resetAndDestroy()
      })
      socket.on('error', () => undefined)
      const [, taken] = (await once(server, 'upgrade')) as [unknown, Duplex]
      taken.destroy(new Error('the connection failed'))
      await new Promise((resolve) => (taken.closed ? resolve(0) : taken.once('close', resolve)))
      socket.destroy()
    }
  }
  assert.equal(sockets.length, 4)
  assert.equal(await upgrade('/mqtt'), 101)
})

test('handleUpgrade with a stream that is closed, that has ended or that fails throws nothing', async (t) => {
  const { broker, server, port } = await start(t)
  server.on('upgrade', (request, socket, head) => {
    const streams = [brokenStream('destroyed'), brokenStream('ended'), brokenStream('throws')]
    const failed = new Duplex()
    failed.destroy(new Error('before; emitted later'))
    broker.handleUpgrade(request, failed, head)
    for (const stream of streams) {
      broker.handleUpgrade(request, stream, head)
      stream.destroy(new Error('later'))
    }
    broker.handleUpgrade(request, socket, undefined as unknown as Buffer)
  })
  const socket = connectTcp(port, '127.0.0.1')
  socket.write(upgradeRequest('/mqtt'))
  assert.match(String((await once(socket, 'data'))[0]), /^HTTP\/1.1 101/)
  socket.destroy()
})

test('an upgrade after close is refused with 503, and an attached path is free', async (t) => {
  const { broker, server, upgrade } = await start(t)
  broker.attach(server, { path: '/attached' })
  server.on('upgrade', broker.handleUpgrade)
  await broker.close()
  assert.equal(await upgrade('/mqtt'), 503)
  assert.equal(await upgrade('/attached'), 503)
})

test('handleUpgrade has origins of its own, and refuses options that do not exist', async (t) => {
  const { broker, server, upgrade } = await start(t)
  server.on('upgrade', (request, socket, head) => {
    const options = request.url === '/open' ? { origins: ['https://app.example'] } : {}
    broker.handleUpgrade(request, socket, head, options)
    for (const wrong of [{ orgins: [] }, { origins: 'https://app.example' }, { maxPayload: 1 }, { path: '/x' }]) {
      assert.throws(
        () => broker.handleUpgrade(request, socket, head, wrong as unknown as UpgradeOptions),
        InvalidOptionError,
      )
    }
  })
  assert.equal(await upgrade('/open', { origin: 'https://app.example' }), 101)
  assert.equal(await upgrade('/open', { origin: 'http://127.0.0.1' }), 403)
  assert.equal(await upgrade('/open'), 101)
  assert.equal(await upgrade('/other', { origin: 'https://app.example' }), 403)
  assert.equal(await upgrade('/other', { origin: 'http://127.0.0.1' }), 101)
})

test('settings with invalid values are refused, and nothing is attached', async (t) => {
  const { broker, server } = await start(t)
  const wrong: unknown[] = [
    { path: 'mqtt' },
    { path: '' },
    { path: '/mqtt?token=1' },
    { path: 5 },
    { origins: 'https://app.example' },
    { origins: [5] },
    { maxPayload: 0 },
    { maxPayload: Infinity },
    { maxPayload: '1' },
    { orgins: [] },
  ]
  for (const settings of wrong) {
    assert.throws(() => broker.attach(server, settings as WebSocketSettings), InvalidOptionError)
    await assert.rejects(broker.listen({ ws: { port: 0, ...(settings as WebSocketSettings) } }), InvalidOptionError)
  }
  assert.equal(server.listenerCount('upgrade'), 0)
})

function upgradeRequest(path: string): string {
  return (
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    'Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Version: 13\r\n' +
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
  )
}

function brokenStream(how: 'destroyed' | 'ended' | 'throws'): Duplex {
  const stream = new Duplex({
    read() {},
    write() {
      throw new Error('write throws')
    },
    final: (done) => done(),
  })
  stream.on('error', () => undefined)
  if (how === 'destroyed') stream.destroy()
  if (how === 'ended') stream.end()
  return stream
}

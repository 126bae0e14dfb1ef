import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { InvalidOptionError } from '../../lib/errors.ts'
import { listenTcp } from '../../lib/transports/tcp.ts'
import type { Listener, TcpListenOptions } from '../../types/listen.ts'
import { Accepted, read } from './accepted.ts'

async function start(t: TestContext, options: number | TcpListenOptions = 0) {
  const accepted = new Accepted()
  const listener = await listenTcp(options, accepted.accept)
  t.after(() => listener.close())
  return { accepted, listener, port: portOf(listener) }
}

function portOf({ address }: Listener): number {
  return typeof address === 'string' ? 0 : address.port
}

test('a TCP connection is handed over with its addresses', async (t) => {
  const { accepted, listener, port } = await start(t)
  assert.equal(listener.protocol, 'mqtt')
  assert.equal(listener.url, `mqtt://127.0.0.1:${port}`)
  const client = connect(port)
  const { stream, info } = await accepted.next()
  assert.deepEqual(info, {
    transport: 'tcp',
    remoteAddress: '127.0.0.1',
    remotePort: client.localPort,
    listener: listener.url,
  })
  client.write('ping')
  assert.equal((await read(stream, 4)).toString(), 'ping')
})

test('a TCP listener listens on the loopback interface unless told otherwise', async (t) => {
  const { listener } = await start(t)
  assert.equal(typeof listener.address === 'object' && listener.address.address, '127.0.0.1')
  const { listener: all } = await start(t, { port: 0, host: '0.0.0.0' })
  assert.match(all.url, /^mqtt:\/\/127\.0\.0\.1:\d+$/)
})

test("a port that is taken rejects with the system's error", async (t) => {
  const { port } = await start(t)
  await assert.rejects(
    listenTcp(port, () => {}),
    { code: 'EADDRINUSE' },
  )
})

test('an option of a listener that does not exist is refused', async () => {
  await assert.rejects(
    listenTcp({ port: 0, hots: '0.0.0.0' } as TcpListenOptions, () => {}),
    InvalidOptionError,
  )
})

test('one connection more than maxConnections is closed at once', async (t) => {
  const { accepted, port } = await start(t, { port: 0, maxConnections: 1 })
  connect(port)
  await accepted.next()
  await once(connect(port), 'close')
  assert.equal(accepted.connections.length, 1)
})

test('a TCP listener on a Unix domain socket', { skip: process.platform === 'win32' }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'haltere-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'mqtt.sock')
  const { accepted, listener } = await start(t, { path })
  assert.equal(listener.address, path)
  connect(path)
  assert.equal((await accepted.next()).info.transport, 'tcp')
})

test('stopAccepting frees the port and leaves the open connections alone', async (t) => {
  const { accepted, listener, port } = await start(t)
  const client = connect(port)
  const { stream } = await accepted.next()
  await listener.stopAccepting()
  await start(t, port)
  stream.write('still here')
  assert.equal((await read(client, 10)).toString(), 'still here')
})

test('closing a TCP listener sends what is still to be sent, then ends its connections', async (t) => {
  const { accepted, listener, port } = await start(t)
  const client = connect(port)
  const { stream } = await accepted.next()
  stream.write(Buffer.alloc(100_000))
  const received = read(client, 100_000)
  const closing = listener.close()
  await received
  client.resume()
  await closing
  assert.ok(stream.destroyed)
  await listener.close()
})

test('closing a TCP listener does not wait for ever for a Client that reads nothing', async (t) => {
  const { accepted, listener, port } = await start(t)
  const client = connect(port)
  client.pause()
  const { stream } = await accepted.next()
  stream.write(Buffer.alloc(50_000_000))
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const closing = listener.close()
  await new Promise((resolve) => setImmediate(resolve))
  assert.ok(!stream.destroyed)
  t.mock.timers.tick(2000)
  await closing
  assert.ok(stream.destroyed)
  client.destroy()
})

test('a connection that is reset does not end the program', async (t) => {
  const { accepted, port } = await start(t)
  const client: Socket = connect(port)
  const { stream } = await accepted.next()
  const closed = new Promise((resolve) => stream.once('close', resolve))
  stream.resume()
  client.resetAndDestroy()
  await closed
})

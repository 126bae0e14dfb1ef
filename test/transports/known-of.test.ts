import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { createWebSocketStream, WebSocket, WebSocketServer } from 'ws'
import { InvalidOptionError } from '../../lib/errors.ts'
import { encode } from '../../lib/packets/encoder.ts'
import { connectionInfo } from '../../lib/transports/info.ts'
import { knownOf } from '../../lib/transports/known-of.ts'
import type { ConnectionInfo } from '../../types/connection-info.ts'
import { connectPacket, start } from '../support/client.ts'

test('handle takes a WebSocket stream and its HTTP request, as programs for aedes call it', async (t) => {
  const seen: ConnectionInfo[] = []
  const { broker } = start(t, { plugins: [{ name: 'a', connect: (info) => void seen.push(info) }] })
  const server = createServer()
  const sockets = new WebSocketServer({ server, handleProtocols: () => 'mqtt' })
  const requests: IncomingMessage[] = []
  sockets.on('connection', (webSocket, request) => {
    requests.push(request)
    broker.handle(createWebSocketStream(webSocket), request)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as { port: number }
  const one = new WebSocket(`ws://127.0.0.1:${port}/mqtt?a=b`, 'mqtt')
  t.after(() => one.terminate())
  await once(one, 'open')
  const connected = once(broker, 'clientConnected')
  one.send(encode(connectPacket('one'), 5))
  const [client] = await connected
  const { transport, remoteAddress, remotePort, request } = client.connection
  assert.deepEqual([transport, remoteAddress, request], ['ws', '127.0.0.1', requests[0]])
  assert.equal(remotePort, request?.socket.remotePort)
  assert.equal(request?.url, '/mqtt?a=b')
  assert.deepEqual(Object.keys(client.connection).toSorted(), ['remoteAddress', 'remotePort', 'request', 'transport'])
  assert.equal(seen[0], client.connection)
})

const socket = { remoteAddress: '10.1.2.3', remotePort: 5, encrypted: true, authorized: false, servername: 'a.example' }
const request = { headers: {}, socket, url: '/' } as unknown as IncomingMessage
const fromRequest = {
  transport: 'wss',
  remoteAddress: '10.1.2.3',
  remotePort: 5,
  servername: 'a.example',
  authorized: false,
  request,
}

test('a request gives its address, by itself, as a field and in the request of a framework', () => {
  const stream = new PassThrough()
  assert.deepEqual(knownOf(stream, request), fromRequest)
  assert.deepEqual(knownOf(stream, { request }), fromRequest)
  assert.deepEqual(knownOf(stream, Object.assign({}, request, { raw: request }) as never), fromRequest)
  const given = { request, transport: 'tunnel', remoteAddress: '192.0.2.1', remotePort: undefined }
  assert.deepEqual(knownOf(stream, given as never), { ...fromRequest, transport: 'tunnel', remoteAddress: '192.0.2.1' })
})

test('a field that is undefined replaces nothing that is known of the stream', () => {
  const stream = Object.assign(new PassThrough(), { remoteAddress: '10.0.0.1', setNoDelay: () => undefined })
  const known = { transport: 'tcp', remoteAddress: '10.0.0.1' }
  for (const given of [undefined, null, {}, { remoteAddress: undefined, transport: undefined }]) {
    assert.deepEqual(knownOf(stream, given as never), known)
  }
  assert.deepEqual(knownOf(stream, undefined), connectionInfo(stream))
})

test('handle refuses what is no stream, and says what to write', (t) => {
  const { broker } = start(t)
  for (const other of [undefined, null, 5, 'x', {}, [], () => undefined, { on() {}, write() {} }]) {
    assert.throws(() => broker.handle(other as never), InvalidOptionError)
  }
  const webSocket = { on() {}, send() {}, terminate() {} }
  assert.throws(() => broker.handle(webSocket as never, request), /createWebSocketStream\(webSocket\), request\)/)
  assert.equal(broker.stats().connections, 0)
})

for (const [name, given, option] of [
  ['a number', 5, 'handle'],
  ['a string', 'tcp', 'handle'],
  ['a function', () => undefined, 'handle'],
  ['an array', [], 'handle'],
  ['a field that there is not', { adress: 'x' }, 'handle.adress'],
  ['an address that is no string', { remoteAddress: 5 }, 'handle.remoteAddress'],
  ['an empty transport', { transport: '' }, 'handle.transport'],
  ['a port that is a string', { remotePort: '5' }, 'handle.remotePort'],
  ['a port above 65,535', { remotePort: 65_536 }, 'handle.remotePort'],
  ['a server name that is no string', { servername: false }, 'handle.servername'],
  ['authorized that is a string', { authorized: 'yes' }, 'handle.authorized'],
  ['a request that is none', { request: {} }, 'handle.request'],
  ['a certificate that is a string', { peerCertificate: '-----BEGIN' }, 'handle.peerCertificate'],
  ['a listener that is no string', { listener: {} }, 'handle.listener'],
] as const) {
  test(`handle with ${name} throws`, (t) => {
    const { broker } = start(t)
    assert.throws(
      () => broker.handle(new PassThrough(), given as never),
      (error: Error) => error instanceof InvalidOptionError && error.message.startsWith(`${option}:`),
    )
    assert.equal(broker.stats().connections, 0)
  })
}

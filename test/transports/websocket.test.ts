import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, get, type Server } from 'node:http'
import { connect as connectTcp } from 'node:net'
import { after, test, type TestContext } from 'node:test'
import WebSocket, { type ClientOptions } from 'ws'
import { ProtocolError } from '../../lib/errors.ts'
import { encode } from '../../lib/packets/encoder.ts'
import { certificateIdentity } from '../../lib/transports/certificate-identity.ts'
import { attachWebSocket } from '../../lib/transports/attached-websocket.ts'
import { listenSecureWebSocket, listenWebSocket } from '../../lib/transports/websocket.ts'
import { WebSocketEndpoint } from '../../lib/transports/websocket-endpoint.ts'
import type { Listener, WebSocketListenOptions } from '../../types/listen.ts'
import { publishPacket } from '../support/client.ts'
import { Accepted, read } from './accepted.ts'
import { CertificateAuthority } from './certificates.ts'

const authority = new CertificateAuthority()
after(() => authority.remove())

async function start(t: TestContext, options: WebSocketListenOptions = {}) {
  const accepted = new Accepted()
  const listener = await listenWebSocket({ port: 0, ...options }, accepted.accept)
  t.after(() => listener.close())
  return { accepted, listener, port: portOf(listener), client: clientsOf(t, listener.url) }
}

function clientsOf(t: TestContext, url: string) {
  return (more: ClientOptions = {}, protocols: string[] = ['mqtt'], path?: string): WebSocket => {
    const socket = new WebSocket(path === undefined ? url : new URL(path, url), protocols, more)
    t.after(() => socket.terminate())
    return socket
  }
}

function portOf({ address }: Pick<Listener, 'address'>): number {
  return typeof address === 'string' ? 0 : address.port
}

async function listening(t: TestContext, server: Server): Promise<Server> {
  server.listen(0, '127.0.0.1')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  await once(server, 'listening')
  return server
}

/** The HTTP status of an upgrade that must be refused. */
function refusal(socket: WebSocket): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    socket.once('unexpected-response', (request, response) => {
      request.destroy()
      resolve(response.statusCode)
    })
    socket.once('open', () => reject(new Error('it was accepted')))
    socket.on('error', () => {})
  })
}

async function closeCode(socket: WebSocket): Promise<unknown> {
  socket.on('error', () => {})
  return (await once(socket, 'close'))[0]
}

/** Sends raw bytes to a port and reads until the other side closes. */
function exchange(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectTcp(port, '127.0.0.1', () => socket.write(bytes))
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1')
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(answer))
  })
}

/** A PUBLISH packet with a payload of this size. */
const packet = (payloadSize: number): Buffer => encode(publishPacket('t', Buffer.alloc(payloadSize)), 4)

test('a WebSocket is handed over as a stream, with its request', async (t) => {
  const { accepted, listener, port, client } = await start(t)
  assert.equal(listener.url, `ws://127.0.0.1:${port}/mqtt`)
  const socket = client()
  await once(socket, 'open')
  assert.equal(socket.protocol, 'mqtt')
  const { stream, info } = await accepted.next()
  assert.equal(info.transport, 'ws')
  assert.equal(info.remoteAddress, '127.0.0.1')
  assert.equal(info.listener, listener.url)
  assert.equal(info.request?.url, '/mqtt')
  socket.send(Buffer.from('c000', 'hex'))
  assert.equal((await read(stream, 2)).toString('hex'), 'c000')
  stream.write(Buffer.from('d000', 'hex'))
  const [data, isBinary] = await once(socket, 'message')
  assert.equal(data.toString('hex'), 'd000')
  assert.equal(isBinary, true)
})

test('a packet may be spread over many frames, and a frame may hold many packets [MQTT-6.0.0-2]', async (t) => {
  const { accepted, client } = await start(t)
  const socket = client()
  await once(socket, 'open')
  const { stream } = await accepted.next()
  for (let byte = 0; byte < 100; byte += 1) socket.send(Buffer.from([byte]))
  socket.send(Buffer.alloc(200, 0xc0))
  for (let part = 0; part < 100; part += 1) socket.send(Buffer.from([part]), { fin: part === 99 })
  const bytes = await read(stream, 400)
  assert.deepEqual(
    [...bytes.subarray(0, 100)],
    Array.from({ length: 100 }, (_, index) => index),
  )
  assert.deepEqual(
    [...bytes.subarray(300)],
    Array.from({ length: 100 }, (_, index) => index),
  )
})

test('each packet is a WebSocket message, and what is written together leaves in one write', async (t) => {
  const { accepted, client } = await start(t)
  const socket = client()
  const messages: Buffer[] = []
  const reads: Buffer[] = []
  socket.on('message', (data: Buffer) => messages.push(data))
  socket.once('upgrade', ({ socket: connection }) => connection.on('data', (chunk: Buffer) => reads.push(chunk)))
  const { stream } = await accepted.next()
  await once(socket, 'open')
  const packets = [0, 1, 200, 20_000, 70_000, 300_000, 2].map(packet)
  stream.cork()
  for (const one of packets.slice(0, 3)) stream.write(one)
  stream.uncork()
  await once(socket, 'message')
  assert.equal(reads.filter((chunk) => chunk[0] === 0x82).length, 1)
  for (const one of packets.slice(3)) stream.write(one)
  while (messages.length < packets.length) await once(socket, 'message')
  assert.deepEqual(messages, packets)
})

test('a Pong and a large packet in parts do not damage one another', async (t) => {
  const { accepted, client } = await start(t)
  const socket = client()
  await once(socket, 'open')
  const { stream } = await accepted.next()
  stream.resume()
  const large = packet(500_000)
  const message = once(socket, 'message')
  stream.write(large.subarray(0, 300_000))
  const pong = once(socket, 'pong')
  socket.ping('between')
  assert.equal(String((await pong)[0]), 'between')
  stream.write(large.subarray(300_000))
  assert.deepEqual((await message)[0], large)
})

test('a text frame closes the WebSocket with 1003 [MQTT-6.0.0-1]', async (t) => {
  const { accepted, client } = await start(t)
  const socket = client()
  const { stream } = await accepted.next()
  const failed = once(stream, 'error')
  socket.once('open', () => {
    socket.send('not binary')
    socket.send(Buffer.from('c000', 'hex'))
  })
  assert.equal(await closeCode(socket), 1003)
  const [error] = await failed
  assert.ok(error instanceof ProtocolError)
  assert.equal(stream.read(), null)
})

test('a message longer than maxPayload closes the WebSocket with 1009', async (t) => {
  const { accepted, client } = await start(t, { maxPayload: 1000 })
  const whole = client()
  whole.once('open', () => whole.send(Buffer.alloc(1001)))
  assert.equal(await closeCode(whole), 1009)
  const parts = client()
  parts.once('open', () => {
    for (let part = 0; part < 11; part += 1) parts.send(Buffer.alloc(100), { fin: false })
  })
  assert.equal(await closeCode(parts), 1009)
  for (const { stream } of accepted.connections) assert.ok(stream.destroyed)
})

test('a message may have a fragment per 128 bytes of maxPayload, or 4,096; more close it with 1008', async (t) => {
  for (const [maxPayload, fragments] of [
    [128 * 5000, 5000],
    [10_000, 4096],
  ] as const) {
    const { accepted, client } = await start(t, { maxPayload })
    const socket = client()
    socket.once('open', () => {
      for (let part = 1; part <= fragments; part += 1) socket.send(Buffer.from([part]), { fin: part === fragments })
      for (let part = 0; part <= fragments; part += 1) socket.send(Buffer.from([part]), { fin: false })
    })
    const { stream } = await accepted.next()
    assert.equal((await read(stream, fragments)).length, fragments)
    assert.equal(await closeCode(socket), 1008)
  }
})

test('a frame that is not masked closes the WebSocket with 1002', async (t) => {
  const { client } = await start(t)
  const socket = client()
  socket.once('open', () => socket.send(Buffer.from('c000', 'hex'), { mask: false }))
  assert.equal(await closeCode(socket), 1002)
})

test('compression is not agreed to', async (t) => {
  const { client } = await start(t)
  const socket = client({ perMessageDeflate: true })
  await once(socket, 'open')
  assert.equal(socket.extensions, '')
})

test('only the sub-protocols mqtt and mqttv3.1 are agreed to [MQTT-6.0.0-3]', async (t) => {
  const { accepted, client } = await start(t)
  const choices: [string[], string][] = [
    [['mqtt'], 'mqtt'],
    [['mqttv3.1'], 'mqttv3.1'],
    [['other', 'mqttv3.1', 'mqtt'], 'mqtt'],
  ]
  for (const [offered, chosen] of choices) {
    const socket = client({}, offered)
    await once(socket, 'open')
    assert.equal(socket.protocol, chosen)
  }
  assert.equal(await refusal(client({}, [])), 400)
  assert.equal(await refusal(client({}, ['MQTT', 'xmpp'])), 400)
  assert.equal(accepted.connections.length, 3)
})

test('a listener of its own answers on its path and on /, and 404 elsewhere', async (t) => {
  const { client } = await start(t)
  for (const path of ['/', '/mqtt?token=1']) await once(client({}, ['mqtt'], path), 'open')
  assert.equal(await refusal(client({}, ['mqtt'], '/other')), 404)
  assert.equal(await refusal(client({}, ['mqtt'], '/mqtt/')), 404)
  const { client: moved } = await start(t, { path: '/broker' })
  await once(moved({}, ['mqtt'], '/broker'), 'open')
  assert.equal(await refusal(moved({}, ['mqtt'], '/mqtt')), 404)
})

test('a web page of another host is refused with 403, one of the same host is not', async (t) => {
  const { port, client } = await start(t)
  const allowed = ['http://127.0.0.1:3000', 'http://localhost', `https://127.0.0.1:${port}`, 'http://[::1]:80']
  for (const origin of allowed) await once(client({ origin }), 'open')
  const refused = [
    'https://evil.example',
    'null',
    'http://127.0.0.1.evil.example',
    'file://',
    `http://${'a'.repeat(7000)}`,
  ]
  for (const origin of refused) assert.equal(await refusal(client({ origin })), 403, origin)
  // The older version of the protocol has a header of its own for it.
  assert.equal(await refusal(client({ headers: { 'Sec-WebSocket-Origin': 'https://evil.example' } })), 403)
})

test('a page that gives its own name the address 127.0.0.1 is refused (DNS rebinding)', async (t) => {
  const { port, client } = await start(t)
  const host = `evil.example:${port}`
  assert.equal(await refusal(client({ origin: `http://${host}`, headers: { host } })), 403)
  // A Client that is not a browser may call this machine what it likes.
  await once(client({ headers: { host } }), 'open')
})

test('with a list of origins exactly those are let in', async (t) => {
  const { client } = await start(t, { origins: ['https://app.example', 'null'] })
  await once(client({ origin: 'https://app.example' }), 'open')
  await once(client({ origin: 'null' }), 'open')
  await once(client(), 'open')
  for (const origin of ['http://app.example', 'https://app.example:444', 'http://localhost']) {
    assert.equal(await refusal(client({ origin })), 403, origin)
  }
  const { client: anyPage } = await start(t, { origins: ['*'] })
  await once(anyPage({ origin: 'https://evil.example' }), 'open')
})

test('garbage instead of an upgrade request is answered or closed, and nothing else happens', async (t) => {
  const { accepted, port, client } = await start(t)
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mqtt\r\n'
  const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n'
  const requests: [string, RegExp][] = [
    ['\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00', /^HTTP\/1.1 400/],
    ['GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n', /^HTTP\/1.1 426/],
    [`GET /mqtt HTTP/1.1\r\n${upgrade}${key}\r\n`, /^HTTP\/1.1 400/],
    [`GET /mqtt HTTP/1.1\r\nHost: x\r\n${upgrade}\r\n`, /^HTTP\/1.1 400/],
    [`GET /mqtt HTTP/1.1\r\nHost: x\r\n${upgrade.replace('websocket', 'h2c')}${key}\r\n`, /^HTTP\/1.1 400/],
    [`POST /mqtt HTTP/1.1\r\nHost: x\r\n${upgrade}${key}\r\n`, /^HTTP\/1.1 405/],
    [`GET /mqtt HTTP/1.1\r\nHost: x\r\n${upgrade}${key.replace('13', '7')}\r\n`, /^HTTP\/1.1 400/],
    [`GET /mqtt HTTP/1.1\r\nHost: x\r\n${upgrade.replace(': mqtt', ': mqtt,,"')}${key}\r\n`, /^HTTP\/1.1 400/],
    [`GET /mqtt HTTP/1.1\r\nHost: x\r\n${'A: b\r\n'.repeat(20_000)}\r\n`, /^(HTTP\/1.1 431|$)/],
    ['CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n', /^$/],
  ]
  for (const [request, answer] of requests) assert.match(await exchange(port, request), answer, request.slice(0, 200))
  assert.equal(accepted.connections.length, 0)
  await once(client(), 'open')
})

test('who connects and asks for nothing is disconnected after handshakeTimeoutMs', async (t) => {
  const { port } = await start(t, { handshakeTimeoutMs: 100 })
  assert.match(await exchange(port, 'GET /mqtt HTTP/1.1\r\n'), /^HTTP\/1.1 408/)
})

test('a Client that sends faster than it is read is made to wait', async (t) => {
  const { accepted, client } = await start(t)
  const socket = client()
  await once(socket, 'open')
  const { stream } = await accepted.next()
  const sent = 300
  for (let frame = 0; frame < sent; frame += 1) socket.send(Buffer.alloc(64 * 1024, frame % 251))
  // 19 MB are more than the buffers of the system hold.
  await once(stream, 'readable')
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(stream.readableLength < 400_000, `${stream.readableLength} bytes wait in the stream`)
  assert.ok(socket.bufferedAmount > 0)
  assert.equal((await read(stream, sent * 64 * 1024)).length, sent * 64 * 1024)
})

test('a Client that does not read makes the stream say "enough", and reading makes it go on', async (t) => {
  const { accepted, client } = await start(t)
  const socket = client()
  await once(socket, 'open')
  let received = 0
  socket.on('message', (data: Buffer) => {
    received += data.length
  })
  socket.pause()
  const { stream } = await accepted.next()
  const chunk = packet(64 * 1024)
  let written = 0
  for (let turn = 0; turn < 2000 && !(stream.writableNeedDrain && turn > 1000); turn += 1) {
    if (!stream.writableNeedDrain) {
      stream.write(chunk)
      written += chunk.length
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(stream.writableNeedDrain)
  assert.ok(stream.writableLength <= 2 * chunk.length, `${stream.writableLength} bytes wait in the stream`)
  const drained = once(stream, 'drain')
  socket.resume()
  await drained
  stream.end()
  assert.equal(await closeCode(socket), 1000)
  assert.equal(received, written)
})

test('ending the stream closes the WebSocket with 1000, after all that was written', async (t) => {
  const { accepted, client } = await start(t)
  const socket = client()
  const messages: string[] = []
  socket.on('message', (data: Buffer) => messages.push(data.toString()))
  const { stream } = await accepted.next()
  const closed = once(stream, 'close')
  stream.resume()
  stream.write('a\0')
  stream.write('b\0')
  stream.end('c\0')
  assert.equal(await closeCode(socket), 1000)
  assert.deepEqual(messages, ['a\0', 'b\0', 'c\0'])
  await closed
})

test('a Client that closes ends the stream after what it sent', async (t) => {
  const { accepted, client } = await start(t)
  for (const leave of ['close', 'terminate'] as const) {
    const socket = client()
    await once(socket, 'open')
    const { stream } = await accepted.next()
    await new Promise((resolve) => socket.send(Buffer.from('e000', 'hex'), resolve))
    socket[leave]()
    const closed = once(stream, 'close')
    assert.equal((await read(stream, 2)).toString('hex'), 'e000')
    stream.resume()
    await closed
    stream.write('nobody is there') // an error of writing after the end is heard, and ends nothing
  }
})

test('destroying the stream ends the WebSocket at once', async (t) => {
  const { accepted, client } = await start(t)
  const socket = client()
  const { stream } = await accepted.next()
  stream.destroy()
  assert.equal(await closeCode(socket), 1006)
})

test('closing a listener ends its WebSockets with 1001, after what is still to be sent', async (t) => {
  const { accepted, listener, client } = await start(t)
  const socket = client()
  await once(socket, 'open')
  const { stream } = await accepted.next()
  const message = once(socket, 'message')
  stream.write(Buffer.from('e0028b00', 'hex'))
  const [code] = await Promise.all([closeCode(socket), listener.close()])
  assert.equal(code, 1001)
  assert.equal((await message)[0].toString('hex'), 'e0028b00')
  await assert.rejects(once(client(), 'open'), { code: 'ECONNREFUSED' })
  await listener.close()
})

test('closing a listener does not wait for ever for a Client that does not answer', async (t) => {
  const { accepted, listener, client } = await start(t)
  const socket = client()
  await once(socket, 'open')
  socket.pause()
  const { stream } = await accepted.next()
  stream.write(packet(30_000_000))
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const closing = listener.close()
  t.mock.timers.tick(2000)
  await closing
  assert.ok(stream.destroyed || stream.writableEnded)
})

test('stopAccepting frees the port and leaves open WebSockets alone', async (t) => {
  const { accepted, listener, port, client } = await start(t)
  const socket = client()
  await once(socket, 'open')
  const { stream } = await accepted.next()
  await listener.stopAccepting()
  await start(t, { port })
  stream.write(Buffer.from('d000', 'hex'))
  assert.equal((await once(socket, 'message'))[0].toString('hex'), 'd000')
})

test('WebSockets on an HTTP server of the application: its own path, and 404 when nobody else would answer', async (t) => {
  const server = createServer((_request, response) => response.end('the application'))
  const accepted = new Accepted()
  const attached = attachWebSocket(server, {}, accepted.accept)
  assert.equal(attached.address, '')
  await listening(t, server)
  const url = `ws://127.0.0.1:${portOf(attached)}`
  assert.equal(attached.url, `${url}/mqtt`)
  const client = clientsOf(t, url)
  const socket = client({}, ['mqtt'], '/mqtt')
  await once(socket, 'open')
  assert.equal((await accepted.next()).info.listener, attached.url)
  assert.equal(await refusal(client({}, ['mqtt'], '/')), 404)
  const [response] = await once(get(`http://127.0.0.1:${portOf(attached)}/`), 'response')
  assert.equal(response.statusCode, 200)
  response.resume()
  const [code] = await Promise.all([closeCode(socket), attached.close()])
  assert.equal(code, 1001)
  assert.equal(server.listening, true)
  assert.equal(server.listenerCount('upgrade'), 0)
})

test('upgrades for other paths are left to whoever else listens for them', async (t) => {
  const server = createServer()
  const attached = attachWebSocket(server, { path: '/mqtt' }, () => {})
  server.on('upgrade', (request, socket) => {
    if (request.url === '/chat') socket.end('HTTP/1.1 402 Payment Required\r\nContent-Length: 0\r\n\r\n')
  })
  await listening(t, server)
  const client = clientsOf(t, attached.url)
  assert.equal(await refusal(client({}, ['mqtt'], '/chat')), 402)
  await once(client(), 'open')
  await attached.close()
})

test('an application may route upgrades itself', async (t) => {
  const accepted = new Accepted()
  const endpoint = new WebSocketEndpoint({}, accepted.accept)
  const server = await listening(t, createServer())
  server.on('upgrade', (request, socket, head) => endpoint.handleUpgrade(request, socket, head))
  const address = server.address()
  const client = clientsOf(t, `ws://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/any/path`)
  const socket = client()
  await once(socket, 'open')
  assert.equal((await accepted.next()).info.request?.url, '/any/path')
  const [code] = await Promise.all([closeCode(socket), endpoint.close()])
  assert.equal(code, 1001)
  assert.equal(await refusal(client()), 503)
})

test('WebSockets over TLS: Client certificates are asked for and verified as on mqtts', async (t) => {
  const accepted = new Accepted()
  const options = { port: 0, ...authority.issue('/CN=localhost', 'DNS:localhost,IP:127.0.0.1') }
  const listener = await listenSecureWebSocket({ ...options, ca: authority.cert, requestCert: true }, accepted.accept)
  t.after(() => listener.close())
  assert.match(listener.url, /^wss:\/\/127\.0\.0\.1:\d+\/mqtt$/)
  const client = clientsOf(t, listener.url)
  await once(client({ ca: authority.cert, ...authority.issue('/CN=device-7') }), 'open')
  const { info } = await accepted.next()
  assert.equal(info.transport, 'wss')
  assert.equal(certificateIdentity(info, 'cn'), 'device-7')
  await assert.rejects(once(client({ ca: authority.cert }), 'open'))
  listener.replaceCertificate?.(authority.issue('/CN=renewed', 'DNS:localhost,IP:127.0.0.1'))
  await assert.rejects(once(client({ ca: authority.cert, ...authority.selfSigned('/CN=device-7') }), 'open'))
  await once(client({ ca: authority.cert, ...authority.issue('/CN=device-8') }), 'open')
  assert.equal(certificateIdentity((await accepted.next()).info, 'cn'), 'device-8')
  assert.equal(accepted.connections.length, 2)
})

test('options of a WebSocket listener that do not exist are refused', async () => {
  await assert.rejects(
    listenWebSocket({ port: 0, orgins: [] } as WebSocketListenOptions, () => {}),
    /listen.ws.orgins: no such option/,
  )
  await assert.rejects(
    listenSecureWebSocket({ port: 0 }, () => {}),
    /expected key and cert/,
  )
})

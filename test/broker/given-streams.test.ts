/** Streams in the states in which an application may give them to `handle`. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { Duplex, PassThrough } from 'node:stream'
import { after, test, type TestContext } from 'node:test'
import { connect as connectTls, createServer as createTlsServer, TLSSocket } from 'node:tls'
import { encode } from '../../lib/packets/encoder.ts'
import { connectPacket, settle, start, TestClient } from '../support/client.ts'
import { CertificateAuthority } from '../transports/certificates.ts'

const authority = new CertificateAuthority()
after(() => authority.remove())
const certificate = authority.issue('/CN=localhost', 'DNS:localhost')
const connectBytes = encode(connectPacket('one'), 5)

async function portOf(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  return (server.address() as { port: number }).port
}

type Give = (socket: Socket, handle: (stream: Duplex) => void) => void

const ways: Record<string, Give> = {
  paused: (socket, handle) => {
    socket.pause()
    handle(socket)
  },
  'paused, after other bytes have arrived': (socket, handle) => {
    socket.once('readable', () => {
      socket.pause()
      setImmediate(() => handle(socket))
    })
  },
  'paused, with sniffed bytes put back': (socket, handle) => {
    socket.once('data', (chunk: Buffer) => {
      socket.pause()
      socket.unshift(chunk)
      setImmediate(() => handle(socket))
    })
  },
  'read by readable, with sniffed bytes put back': (socket, handle) => {
    const sniff = (): void => {
      const first: Buffer | null = socket.read(1)
      if (first === null) return
      socket.off('readable', sniff)
      socket.unshift(first)
      handle(socket)
    }
    socket.on('readable', sniff)
  },
  'flowing, with sniffed bytes put back': (socket, handle) => {
    socket.once('data', (chunk: Buffer) => {
      socket.unshift(chunk)
      handle(socket)
    })
  },
  corked: (socket, handle) => {
    socket.cork()
    socket.cork()
    handle(socket)
  },
}

for (const [way, give] of Object.entries(ways)) {
  for (const transport of ['tcp', 'tls'] as const) {
    for (const pauseOnConnect of [false, true]) {
      const name = `${transport}${pauseOnConnect ? ', pauseOnConnect' : ''}`
      test(`a socket that is ${way} is read (${name})`, async (t) => {
        const { broker } = start(t)
        const onSocket = (socket: Socket): void => {
          socket.on('error', () => undefined)
          // A paused socket does not emit what it does not read.
          if (pauseOnConnect && way.includes('sniffed')) socket.resume()
          if (pauseOnConnect && way.includes('arrived')) give(socket.resume(), broker.handle)
          else give(socket, broker.handle)
        }
        const server =
          transport === 'tcp'
            ? createServer({ pauseOnConnect }, onSocket)
            : createTlsServer({ ...certificate, pauseOnConnect }, onSocket)
        const port = await portOf(t, server)
        const socket =
          transport === 'tcp' ? connect(port) : connectTls({ port, ca: authority.cert, servername: 'localhost' })
        t.after(() => socket.destroy())
        const client = new TestClient(socket)
        assert.equal((await client.connect('one')).reasonCode, 0)
      })
    }
  }
}

test('a listener with pauseOnConnect reads its connections', async (t) => {
  const { broker } = start(t)
  const [listener] = await broker.listen({ tls: { port: 0, ...certificate, pauseOnConnect: true } })
  const port = Number(new URL(listener?.url ?? '').port)
  const socket = connectTls({ port, ca: authority.cert, servername: 'localhost' })
  t.after(() => socket.destroy())
  assert.equal((await new TestClient(socket).connect('one')).reasonCode, 0)
})

test('a TLS socket before its handshake is read after it', async (t) => {
  const { broker } = start(t)
  const server = createServer((socket) => {
    const secure = new TLSSocket(socket, { isServer: true, ...certificate })
    secure.pause()
    broker.handle(secure)
  })
  const socket = connectTls({ port: await portOf(t, server), ca: authority.cert, servername: 'localhost' })
  t.after(() => socket.destroy())
  assert.equal((await new TestClient(socket).connect('one')).reasonCode, 0)
  assert.equal(broker.clients.get('one')?.connection.transport, 'tls')
})

test('a paused stream is not read further while the connect hook decides, and then it is', async (t) => {
  let admit: (() => void) | undefined
  const { broker } = start(t, {
    plugins: [{ name: 'a', connect: () => new Promise<undefined>((resolve) => (admit = () => resolve(undefined))) }],
  })
  const [toBroker, toClient] = [new PassThrough(), new PassThrough()]
  const stream = Duplex.from({ readable: toBroker, writable: toClient })
  stream.pause()
  broker.handle(stream)
  toBroker.write(connectBytes)
  await settle()
  assert.equal(broker.clients.size, 0)
  admit?.()
  await once(toClient, 'data')
  assert.ok(broker.clients.has('one'))
})

const forms: Record<string, (bytes: Buffer) => unknown> = {
  'a Uint8Array': (bytes) => new Uint8Array(bytes),
  'a DataView': (bytes) => new DataView(new Uint8Array(bytes).buffer),
  'an ArrayBuffer': (bytes) => new Uint8Array(bytes).buffer,
  'a part of a larger buffer': (bytes) => new Uint8Array(Buffer.concat([Buffer.alloc(3), bytes])).subarray(3),
}

for (const [form, of] of Object.entries(forms)) {
  test(`a paused stream in object mode that gives ${form} is read`, async (t) => {
    const { broker } = start(t)
    const written: Buffer[] = []
    const stream = new Duplex({
      objectMode: true,
      read() {},
      write(chunk: Buffer, _encoding, callback) {
        written.push(chunk)
        callback()
      },
    })
    stream.push(of(connectBytes))
    stream.pause()
    broker.handle(stream)
    await settle()
    assert.ok(broker.clients.has('one'))
    assert.equal(written[0]?.[0], 0x20)
  })
}

test('bytes and the end that are in the stream before handle count', async (t) => {
  const { broker } = start(t)
  const toBroker = new PassThrough()
  const stream = Duplex.from({ readable: toBroker, writable: new PassThrough() })
  stream.pause()
  toBroker.end(connectBytes)
  await settle()
  const connected = once(broker, 'clientConnected')
  broker.handle(stream)
  await connected
})

test('a stream that gives strings or objects is closed, with an error that names the cause', async (t) => {
  for (const chunk of ['text', { some: 'object' }, 5]) {
    const { broker, errors } = start(t)
    const stream = new Duplex({ objectMode: true, read() {}, write: (_chunk, _encoding, callback) => callback() })
    stream.push(chunk)
    stream.pause()
    broker.handle(stream)
    await settle()
    assert.ok(stream.destroyed || stream.writableEnded)
    assert.equal(errors.length, 1)
    assert.match(errors[0]?.message ?? '', /not bytes; do not call setEncoding/)
  }
})

import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { createServer } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { connect, createServer as createTcpServer } from 'node:net'
import { after, test } from 'node:test'
import { PassThrough } from 'node:stream'
import { createServer as createTlsServer } from 'node:tls'
import { WebSocketServer } from 'ws'
import { Broker } from '../lib/broker.ts'
import { createBroker } from '../lib/create-broker.ts'
import { InvalidOptionError } from '../lib/errors.ts'
import { transports } from '../lib/transports/index.ts'
import { CertificateAuthority } from './transports/certificates.ts'

const authority = new CertificateAuthority()
const certificate = authority.issue('/CN=localhost', 'DNS:localhost,IP:127.0.0.1')

after(() => authority.remove())

test('every transport of the table can listen, in the order of the table', async (t) => {
  const broker = new Broker({ sysInterval: false })
  t.after(() => broker.close())
  const listeners = await broker.listen({
    wss: { port: 0, ...certificate },
    ws: 0,
    tls: { port: 0, ...certificate },
    tcp: 0,
  })
  assert.deepEqual(
    listeners.map(({ protocol }) => protocol),
    ['mqtt', 'mqtts', 'ws', 'wss'],
  )
  assert.deepEqual(Object.keys(transports), ['tcp', 'tls', 'ws', 'wss'])
  assert.deepEqual(broker.openListeners, listeners)
})

test('a listener is forgotten as soon as it is told to close, of whichever kind it is', async (t) => {
  const broker = new Broker({ sysInterval: false })
  const server = createServer()
  t.after(() => server.close())
  t.after(() => broker.close())
  await broker.listen({ tcp: 0, tls: { port: 0, ...certificate }, ws: 0, wss: { port: 0, ...certificate } })
  broker.attach(server)
  let left = broker.openListeners
  assert.equal(left.length, 5)
  for (const listener of left) {
    const closed = listener.close()
    left = left.filter((other) => other !== listener)
    assert.deepEqual(broker.openListeners, left)
    await closed
  }
})

test('listen opens all listeners or none', async (t) => {
  const broker = new Broker({ sysInterval: false })
  const occupied = createServer().listen(0, '127.0.0.1')
  t.after(() => occupied.close())
  t.after(() => broker.close())
  await once(occupied, 'listening')
  const { port } = occupied.address() as { port: number }
  await assert.rejects(broker.listen({ tcp: 0, ws: port }), { code: 'EADDRINUSE' })
  assert.equal(broker.openListeners.length, 0)
  await assert.rejects(broker.listen({ tcp: 0, tls: {} }), InvalidOptionError)
  assert.equal(broker.openListeners.length, 0)
})

test('a signal closes the listeners that were opened with it, and no others', async (t) => {
  const broker = new Broker({ sysInterval: false })
  t.after(() => broker.close())
  const [first] = await broker.listen({ tcp: 0 })
  const abort = new AbortController()
  const [second] = await broker.listen({ tcp: 0 }, { signal: abort.signal })
  assert.ok(first !== undefined && second !== undefined)
  abort.abort()
  assert.deepEqual(broker.openListeners, [first])
  await second.close()
  await assert.rejects(once(connect(portOf(second.address)), 'connect'), { code: 'ECONNREFUSED' })
  const socket = connect(portOf(first.address))
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  await assert.rejects(broker.listen({ tcp: 0 }, { signal: abort.signal }), { name: 'AbortError' })
})

test('listen of a broker that closes meanwhile rejects and leaves no listener open', async () => {
  const broker = new Broker({ sysInterval: false })
  const listening = broker.listen({ tcp: 0 })
  const closed = broker.close()
  await assert.rejects(listening, /the broker is closed/)
  await closed
  assert.equal(broker.openListeners.length, 0)
  await assert.rejects(broker.listen({ tcp: 0 }), /the broker is closed/)
})

function portOf(address: unknown): number {
  return (address as { port: number }).port
}

/** Rejects with an `InvalidOptionError` that begins with the option and says what to write. */
async function refused(act: () => unknown, option: string, ...words: readonly string[]): Promise<void> {
  await assert.rejects(
    async () => act(),
    (error: Error) => {
      assert.ok(error instanceof InvalidOptionError, String(error))
      assert.ok(error.message.startsWith(option), `"${error.message}" does not begin with ${option}`)
      for (const word of words) assert.ok(error.message.includes(word), `"${error.message}" does not say ${word}`)
      return true
    },
  )
}

for (const [name, options, option, ...words] of [
  ['a number', 1883, 'listen:', '{ tcp: 1883 }', '1883'],
  ['nothing', undefined, 'listen:', '{ tcp: 1883 }'],
  ['null', null, 'listen:', '{ tcp: 1883 }'],
  ['a string', '1883', 'listen:', '{ tcp: 1883 }'],
  ['an array', [1883], 'listen:', '{ tcp: 1883 }'],
  ['an empty object', {}, 'listen:', '{ tcp: 1883 }', 'tcp, tls, ws, wss'],
  ['an undefined port', { tcp: undefined, ws: undefined }, 'listen:', 'no value for tcp, ws'],
  ['a transport that there is not', { udp: 1 }, 'listen.udp:', 'tcp, tls, ws, wss'],
  ['a port that is a string', { tcp: '1883' }, 'listen.tcp:', 'a port', '"1883"'],
  ['a port that is a string, ws', { ws: '8083' }, 'listen.ws:', 'a port', '"8083"'],
  ['tls with a port alone', { tls: 8883 }, 'listen.tls:', 'an object', '8883'],
  ['wss with a port alone', { wss: 8884 }, 'listen.wss:', 'an object', '8884'],
  ['null for a transport', { tcp: null }, 'listen.tcp:', 'null'],
  ['true for a transport', { ws: true }, 'listen.ws:', 'true'],
  ['a port that is no number', { tcp: NaN }, 'listen.tcp.port:', '65535', 'NaN'],
  ['a port below 0', { tcp: -1 }, 'listen.tcp.port:', '65535', '-1'],
  ['a port above 65,535', { ws: 65_536 }, 'listen.ws.port:', '65535'],
  ['a port in the options that is a string', { tcp: { port: '1883' } }, 'listen.tcp.port:', '"1883"'],
  ['an option that there is not, tcp', { tcp: { port: 0, hostname: 'x' } }, 'listen.tcp.hostname:', 'host', 'backlog'],
  ['an option that there is not, tls', { tls: { ...certificate, prot: 0 } }, 'listen.tls.prot:', 'port', 'requestCert'],
  ['an option that there is not, ws', { ws: { url: '/mqtt' } }, 'listen.ws.url:', 'path', 'origins'],
  ['an option that there is not, wss', { wss: { ...certificate, url: '' } }, 'listen.wss.url:', 'path', 'sni'],
  ['a host that is no string', { tcp: { port: 0, host: 5 } }, 'listen.tcp.host:', '5'],
  ['a path of a URL without a slash', { ws: { port: 0, path: 'mqtt' } }, 'listen.ws.path:', '"/"'],
  ['origins that are a string', { ws: { port: 0, origins: 'https://a' } }, 'listen.ws.origins:', 'array'],
  ['a backlog that is a string', { tcp: { port: 0, backlog: '5' } }, 'listen.tcp.backlog:', '"5"'],
  ['exclusive that is a string', { tcp: { port: 0, exclusive: 'no' } }, 'listen.tcp.exclusive:', '"no"'],
] as [string, unknown, string, ...string[]][]) {
  test(`listen with ${name} rejects and opens nothing`, async (t) => {
    const broker = new Broker({ sysInterval: false })
    t.after(() => broker.close())
    await refused(() => broker.listen(options as never), option, ...words)
    assert.equal(broker.openListeners.length, 0)
  })
}

test('listen with a signal that is none, or an option that there is not, rejects', async (t) => {
  const broker = new Broker({ sysInterval: false })
  t.after(() => broker.close())
  await refused(() => broker.listen({ tcp: 0 }, { signal: {} as never }), 'listen.signal:', 'AbortSignal')
  await refused(() => broker.listen({ tcp: 0 }, { single: 1 } as never), 'listen.single:', 'signal')
  await refused(() => broker.listen({ tcp: 0 }, 5 as never), 'listen:', 'options')
  await refused(() => createBroker({ listen: {} }), 'listen:')
  await refused(() => createBroker({ listen: 1883 as never }), 'listen:')
})

test('attach of anything but an HTTP server throws and says which server to give', async (t) => {
  const broker = new Broker({ sysInterval: false })
  t.after(() => broker.close())
  // As an application of Express, which is a function with the methods of an EventEmitter and a `listen`.
  const app = Object.assign(() => undefined, EventEmitter.prototype, { listen: () => undefined })
  await refused(() => broker.attach(app as never), 'attach:', 'http.createServer(app)')
  await refused(() => broker.attach(createTcpServer() as never), 'attach:', 'net.createServer(broker.handle)')
  await refused(() => broker.attach(createTlsServer() as never), 'attach:', 'net.createServer(broker.handle)')
  const sockets = new WebSocketServer({ noServer: true })
  for (const other of [undefined, null, 8080, 'http://a', {}, [], new EventEmitter(), sockets, broker]) {
    await refused(() => broker.attach(other as never), 'attach:', 'http.Server')
  }
  const server = createServer()
  await refused(() => broker.attach(server, { url: '/mqtt' } as never), 'attach.url:', 'path, origins, maxPayload')
  await refused(() => broker.attach(server, { path: 'mqtt' }), 'attach.path:', '"/"')
  await refused(() => broker.attach(server, { origins: '*' as never }), 'attach.origins:', 'array')
  await refused(() => broker.attach(server, '/mqtt' as never), 'attach:', 'an object of options')
  assert.equal(server.listenerCount('upgrade'), 0)
  assert.equal(broker.openListeners.length, 0)
  broker.attach(server)
  broker.attach(createSecureServer(certificate))
  assert.equal(broker.openListeners.length, 2)
})

test('handleUpgrade with anything but a request and its socket throws', async (t) => {
  const broker = new Broker({ sysInterval: false })
  t.after(() => broker.close())
  const request = { headers: {}, socket: {} }
  for (const values of [[], [undefined, undefined], [request], [request, {}], [{}, new PassThrough()], ['/mqtt']]) {
    await refused(() => Reflect.apply(broker.handleUpgrade, broker, values), 'handleUpgrade:')
  }
  const socket = new PassThrough()
  await refused(() => Reflect.apply(broker.handleUpgrade, broker, [request, socket, socket, 5]), 'handleUpgrade:')
})

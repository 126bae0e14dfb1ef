import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { after, test } from 'node:test'
import { Broker } from '../lib/broker.ts'
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

import assert from 'node:assert/strict'
import type { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { after, test, type TestContext } from 'node:test'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { InvalidOptionError } from '../../lib/errors.ts'
import { certificateIdentity } from '../../lib/transports/certificate-identity.ts'
import { listenTls } from '../../lib/transports/tls.ts'
import type { TlsListenOptions } from '../../types/listen.ts'
import { Accepted, read } from './accepted.ts'
import { CertificateAuthority } from './certificates.ts'

const authority = new CertificateAuthority()
const stranger = new CertificateAuthority('Another Authority')
after(() => {
  authority.remove()
  stranger.remove()
})
const server = authority.issue('/CN=localhost', 'DNS:localhost,IP:127.0.0.1')
const device = authority.issue('/O=Haltere/CN=device-42', 'DNS:device-42.example,URI:urn:device:42')

async function start(t: TestContext, options: Partial<TlsListenOptions> = {}) {
  const accepted = new Accepted()
  const listener = await listenTls({ port: 0, ...server, ...options }, accepted.accept)
  t.after(() => listener.close())
  const port = typeof listener.address === 'string' ? 0 : listener.address.port
  const client = (more: ConnectionOptions = {}): TLSSocket => {
    const socket = connect({ port, ca: authority.cert, servername: 'localhost', ...more })
    t.after(() => socket.destroy())
    return socket
  }
  return { accepted, listener, port, client }
}

/** The error or the closing of a connection that was refused; with TLS 1.3 it comes after the Client's handshake. */
function refused(socket: TLSSocket): Promise<string> {
  return new Promise((resolve) => {
    socket.resume()
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.once('close', () => resolve('closed'))
  })
}

test('a TLS connection is handed over after its handshake, with the server name', async (t) => {
  const { accepted, listener, port, client } = await start(t)
  assert.equal(listener.url, `mqtts://127.0.0.1:${port}`)
  const socket = client()
  const { stream, info } = await accepted.next()
  assert.equal(info.transport, 'tls')
  assert.equal(info.servername, 'localhost')
  assert.equal(info.authorized, false)
  assert.equal(info.peerCertificate, undefined)
  assert.equal(info.remotePort, socket.localPort)
  socket.write('ping')
  assert.equal((await read(stream, 4)).toString(), 'ping')
})

test('a Client with a certificate of the right authority is authorized, and has an identity', async (t) => {
  const { accepted, client } = await start(t, { ca: authority.cert, requestCert: true })
  client(device)
  const { info } = await accepted.next()
  assert.equal(info.authorized, true)
  assert.match(info.peerCertificate?.subject ?? '', /CN=device-42/)
  assert.equal(certificateIdentity(info, 'cn'), 'device-42')
  assert.equal(certificateIdentity(info, 'san'), 'device-42.example')
})

test('a Client without certificate, or with one of another authority or of its own, is not let in', async (t) => {
  const { accepted, client } = await start(t, { ca: authority.cert, requestCert: true })
  await refused(client())
  await refused(client(stranger.issue('/CN=device-42')))
  await refused(client(authority.selfSigned('/CN=device-42')))
  assert.equal(accepted.connections.length, 0)
})

test('a certificate that was not verified gives no identity', async (t) => {
  const { accepted, client } = await start(t, { ca: authority.cert, requestCert: true, rejectUnauthorized: false })
  client(stranger.issue('/CN=device-42', 'DNS:device-42'))
  const { info } = await accepted.next()
  assert.equal(info.authorized, false)
  assert.ok(info.peerCertificate)
  assert.equal(certificateIdentity(info, 'cn'), undefined)
  assert.equal(certificateIdentity(info, 'san'), undefined)
})

test('a resumed TLS session has the identity of the first one', async (t) => {
  const { accepted, client } = await start(t, { ca: authority.cert, requestCert: true, maxVersion: 'TLSv1.2' })
  const first = client(device)
  const [session] = await once(first, 'session')
  await accepted.next()
  const second = client({ ...device, session })
  await once(second, 'secureConnect')
  const { info } = await accepted.next()
  assert.equal(second.isSessionReused(), true)
  assert.equal(certificateIdentity(info, 'cn'), 'device-42')
})

test('a name that could not be a User Name, or holds a wildcard, is no identity', async (t) => {
  const { accepted, client } = await start(t, { ca: authority.cert, requestCert: true })
  const identities = async (subject: string, san?: string): Promise<(string | undefined)[]> => {
    client(authority.issue(subject, san))
    const { info } = await accepted.next()
    return [certificateIdentity(info, 'cn'), certificateIdentity(info, 'san')]
  }
  assert.deepEqual(await identities('/CN=a\tb'), [undefined, undefined])
  assert.deepEqual(await identities('/CN=#', 'DNS:+'), [undefined, undefined])
  assert.deepEqual(await identities('/CN=one/CN=two', 'email:a@b.example'), [undefined, 'a@b.example'])
  assert.deepEqual(await identities('/O=nobody', 'URI:urn:device:7'), [undefined, 'urn:device:7'])
  assert.deepEqual(await identities('/CN=Pumpe Süd 3'), ['Pumpe Süd 3', undefined])
})

test('a name inside a quoted value of a certificate is not taken for a name of its own', () => {
  const peerCertificate = { subjectAltName: 'URI:"urn:x, DNS:admin.example", email:a@b.example' } as X509Certificate
  const info = { transport: 'tls', authorized: true, peerCertificate }
  assert.equal(certificateIdentity(info, 'san'), 'urn:x, DNS:admin.example')
})

test('the certificate is chosen by server name (SNI), also with a wildcard', async (t) => {
  const one = authority.issue('/CN=one', 'DNS:one.example')
  const any = authority.issue('/CN=any', 'DNS:*.many.example')
  const { client } = await start(t, { sni: { 'one.example': one, '*.many.example': any } })
  const names: Record<string, string> = {
    'one.example': 'one',
    'ONE.example': 'one',
    'a.many.example': 'any',
    localhost: 'localhost',
  }
  for (const [servername, name] of Object.entries(names)) {
    const socket = client({ servername })
    await once(socket, 'secureConnect')
    assert.equal(socket.getPeerCertificate().subject.CN, name)
  }
})

test('a certificate is replaced while the listener runs; open connections stay', async (t) => {
  const { accepted, listener, client } = await start(t, { sni: { 'one.example': server } })
  const before = client()
  const { stream } = await accepted.next()
  listener.replaceCertificate?.(authority.issue('/CN=renewed', 'DNS:localhost'))
  listener.replaceCertificate?.({ servername: 'one.example', ...authority.issue('/CN=one renewed', 'DNS:one.example') })
  for (const [servername, name] of [
    ['localhost', 'renewed'],
    ['one.example', 'one renewed'],
  ] as const) {
    const socket = client({ servername })
    await once(socket, 'secureConnect')
    assert.equal(socket.getPeerCertificate().subject.CN, name)
  }
  stream.write('still here')
  assert.equal((await read(before, 10)).toString(), 'still here')
})

test('after replaceCertificate a Client certificate is still asked for', async (t) => {
  const { accepted, listener, client } = await start(t, { ca: authority.cert, requestCert: true })
  listener.replaceCertificate?.(authority.issue('/CN=renewed', 'DNS:localhost'))
  await refused(client())
  client(device)
  assert.equal(certificateIdentity((await accepted.next()).info, 'cn'), 'device-42')
  assert.equal(accepted.connections.length, 1)
})

test('TLS 1.1 is refused', async (t) => {
  const { accepted, client } = await start(t)
  await refused(client({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }))
  assert.equal(accepted.connections.length, 0)
})

test('what is not TLS ends its connection only', async (t) => {
  const { accepted, port, client } = await start(t)
  const plain = connectTcp(port)
  plain.write(Buffer.from('101000044d5154540402003c000474657374', 'hex'))
  plain.resume()
  await once(plain, 'close')
  const reset = connectTcp(port)
  reset.once('connect', () => reset.resetAndDestroy())
  await new Promise((resolve) => reset.once('close', resolve))
  client()
  await accepted.next()
})

test('a handshake that drips is ended after its time', async (t) => {
  const { accepted, port } = await start(t, { handshakeTimeoutMs: 150 })
  const slow = connectTcp(port)
  slow.write(Buffer.from('1603010200', 'hex')) // a record of 512 bytes is to come
  const drip = setInterval(() => slow.write(Buffer.from([1])), 20)
  t.after(() => clearInterval(drip))
  slow.on('error', () => {})
  slow.resume()
  await new Promise((resolve) => slow.once('close', resolve))
  assert.equal(accepted.connections.length, 0)
})

test('a TLS listener needs a certificate, and knows its options', async () => {
  await assert.rejects(
    listenTls({ port: 0 }, () => {}),
    InvalidOptionError,
  )
  const misspelt = { port: 0, ...server, requsetCert: true } as TlsListenOptions
  await assert.rejects(
    listenTls(misspelt, () => {}),
    /listen.tls.requsetCert: no such option/,
  )
  await assert.rejects(
    listenTls({ port: 0, key: 'no', cert: 'no' }, () => {}),
    Error,
  )
})

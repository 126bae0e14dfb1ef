import assert from 'node:assert/strict'
import { after, test, type TestContext } from 'node:test'
import { connect, type ConnectionOptions } from 'node:tls'
import { inspect } from 'node:util'
import WebSocket from 'ws'
import { InvalidOptionError } from '../../lib/errors.ts'
import { listenTls } from '../../lib/transports/tls.ts'
import { listenSecureWebSocket } from '../../lib/transports/websocket.ts'
import type { ReplacementCertificate, TlsSettings } from '../../types/listen.ts'
import { CertificateAuthority } from './certificates.ts'

const authority = new CertificateAuthority()
const other = new CertificateAuthority('Another Authority')
after(() => {
  authority.remove()
  other.remove()
})
const server = authority.issue('/CN=localhost', 'DNS:localhost')
const renewed = authority.issue('/CN=renewed', 'DNS:localhost')
const one = authority.issue('/CN=one', 'DNS:one.example')
const device = authority.issue('/CN=device')
const otherDevice = other.issue('/CN=device')
const secret = 'correct horse'
const encrypted = { key: authority.encrypted(renewed, secret), cert: renewed.cert }

async function start(t: TestContext, options: TlsSettings, way: 'tls' | 'wss' = 'tls') {
  const listen = way === 'tls' ? listenTls : listenSecureWebSocket
  // A packet says that the connection is accepted: with TLS 1.3 the Client does not know before.
  const listener = await listen({ port: 0, ...options }, (stream) => {
    stream.on('error', () => undefined)
    stream.end('x\0')
  })
  t.after(() => listener.close())
  const port = typeof listener.address === 'string' ? 0 : listener.address.port
  /** Resolves with the name in the certificate of the listener, or with `refused`. */
  const attempt = (more: ConnectionOptions = {}, sessions: Buffer[] = []): Promise<string> =>
    new Promise((resolve) => {
      const options = {
        servername: 'localhost',
        ca: [authority.cert, other.cert],
        checkServerIdentity: () => undefined,
      }
      if (way === 'wss') {
        const socket = new WebSocket(`wss://127.0.0.1:${port}/mqtt`, ['mqtt'], { ...options, ...more })
        socket.on('message', () => resolve('accepted'))
        socket.on('error', () => resolve('refused'))
        socket.on('close', () => resolve('refused'))
        t.after(() => socket.terminate())
        return
      }
      const socket = connect({ port, ...options, ...more })
      t.after(() => socket.destroy())
      socket.on('session', (session) => sessions.push(session))
      let result = 'refused'
      socket.on('data', () => {
        result = String(socket.getPeerCertificate().subject?.CN ?? 'resumed')
      })
      socket.on('error', () => undefined)
      socket.on('close', () => resolve(result))
    })
  const replace = (certificate: ReplacementCertificate): void => listener.replaceCertificate?.(certificate)
  return { attempt, replace }
}

for (const way of ['tls', 'wss'] as const) {
  test(`a replaced ca holds for every server name that inherited it (${way})`, async (t) => {
    const sni = { 'one.example': one, '*.many.example': one, 'own.example': { ...one, ca: authority.cert } }
    const { attempt, replace } = await start(t, { ...server, ca: authority.cert, requestCert: true, sni }, way)
    const inheriting = ['localhost', 'one.example', 'a.many.example']
    for (const servername of [...inheriting, 'own.example']) {
      assert.notEqual(await attempt({ servername, ...device }), 'refused', servername)
      assert.equal(await attempt({ servername, ...otherDevice }), 'refused', servername)
    }
    replace({ ...renewed, ca: other.cert })
    for (const servername of inheriting) {
      assert.equal(await attempt({ servername, ...device }), 'refused', servername)
      assert.notEqual(await attempt({ servername, ...otherDevice }), 'refused', servername)
    }
    assert.notEqual(await attempt({ servername: 'own.example', ...device }), 'refused')
    replace({ servername: 'one.example', ca: [authority.cert, other.cert] })
    assert.notEqual(await attempt({ servername: 'one.example', ...device }), 'refused')
    assert.equal(await attempt({ servername: 'localhost', ...device }), 'refused')
  })
}

test('a Client cannot resume a TLS session of before the replacement', async (t) => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const { attempt, replace } = await start(t, { ...server, ca: authority.cert, requestCert: true, maxVersion })
    const sessions: Buffer[] = []
    assert.equal(await attempt({ ...device }, sessions), 'localhost')
    const session = sessions.at(-1)
    assert.ok(session)
    assert.notEqual(await attempt({ ...device, session }), 'refused')
    replace({ crl: authority.revoked(device) })
    assert.equal(await attempt({ ...device, session }), 'refused')
  }
})

test('a crl is replaced, for the listener and for server names', async (t) => {
  const options = { ...server, ca: authority.cert, crl: authority.revoked(), requestCert: true }
  const { attempt, replace } = await start(t, { ...options, sni: { 'one.example': one } })
  for (const servername of ['localhost', 'one.example']) {
    assert.notEqual(await attempt({ servername, ...device }), 'refused')
  }
  replace({ ...renewed, crl: authority.revoked(device) })
  for (const servername of ['localhost', 'one.example']) {
    assert.equal(await attempt({ servername, ...device }), 'refused')
    assert.notEqual(await attempt({ servername, ...authority.issue('/CN=fresh') }), 'refused')
  }
  replace({ crl: [authority.revoked()] })
  assert.equal(await attempt({ ...device }), 'renewed')
  assert.equal(await attempt({ servername: 'one.example', ...device }), 'one')
  replace({ servername: 'one.example', crl: authority.revoked(device) })
  assert.equal(await attempt({ servername: 'one.example', ...device }), 'refused')
  assert.equal(await attempt({ ...device }), 'renewed')
})

test('pfx and encrypted keys work in the options, in sni and as replacements, each in place of the other', async (t) => {
  const pfx = authority.pfx(renewed, secret)
  const sni = {
    'pfx.example': { pfx, passphrase: secret },
    'key.example': { ...encrypted, passphrase: secret },
  }
  const { attempt, replace } = await start(t, { pfx, passphrase: secret, sni })
  for (const servername of ['localhost', 'pfx.example', 'key.example']) {
    assert.equal(await attempt({ servername }), 'renewed')
  }
  const replacements: [ReplacementCertificate, string][] = [
    [server, 'localhost'],
    [{ ...encrypted, passphrase: secret }, 'renewed'],
    [one, 'one'],
    [{ pfx, passphrase: secret }, 'renewed'],
  ]
  for (const servername of [undefined, 'pfx.example', 'new.example']) {
    for (const [certificate, name] of replacements) {
      replace(servername === undefined ? certificate : { servername, ...certificate })
      assert.equal(await attempt({ servername: servername ?? 'localhost' }), name)
    }
  }
})

test('other options of a secure context are replaced too', async (t) => {
  const { attempt, replace } = await start(t, { ...server, sni: { 'one.example': one } })
  replace({ minVersion: 'TLSv1.3' })
  for (const servername of ['localhost', 'one.example']) {
    assert.equal(await attempt({ servername, maxVersion: 'TLSv1.2' }), 'refused')
    assert.notEqual(await attempt({ servername }), 'refused')
  }
})

test('a server name that no certificate was given for is added, also without the option sni', async (t) => {
  const { attempt, replace } = await start(t, server)
  replace({ servername: 'One.example', ...one })
  assert.equal(await attempt({ servername: 'one.example' }), 'one')
  assert.equal(await attempt(), 'localhost')
})

const wrong: Record<string, unknown> = {
  nothing: {},
  'only undefined': { key: undefined },
  'a key of another certificate': { key: renewed.key },
  'a certificate of another key': { cert: renewed.cert },
  'no key': { key: 'nonsense', cert: renewed.cert },
  'no certificate': { key: renewed.key, cert: 'nonsense' },
  'an empty key': { key: '', cert: renewed.cert },
  'an encrypted key without passphrase': encrypted,
  'an encrypted key with a wrong passphrase': { ...encrypted, passphrase: 'wrong-secret' },
  'a passphrase that is a number': { ...encrypted, passphrase: 4711 },
  'a key that is a number': { key: 4711, cert: renewed.cert },
  'an encrypted key with a number inside': { key: [{ pem: encrypted.key, passphrase: 4711 }], cert: renewed.cert },
  'a pfx with a wrong passphrase': { pfx: authority.pfx(renewed, secret), passphrase: 'wrong-secret' },
  'a pfx that is none': { pfx: Buffer.from('nonsense') },
  'authorities that are none': { ...renewed, ca: 'nonsense' },
  'no authority': { ...renewed, ca: '' },
  'an authority that is an object': { ...renewed, ca: {} },
  'a crl that is none': { ...renewed, crl: 'nonsense' },
  'ciphers that there are not': { ...renewed, ciphers: 'NONSENSE' },
  'a version that there is not': { ...renewed, minVersion: 'TLSv9' },
  'an unknown option': { ...renewed, certs: renewed.cert },
  'an option of the server': { ...renewed, requestCert: true },
}

for (const [what, certificate] of Object.entries(wrong)) {
  test(`${what}: replaceCertificate and sni refuse it, and nothing is changed`, async (t) => {
    const options = { ...server, ca: authority.cert, requestCert: true, sni: { 'one.example': one } }
    const { attempt, replace } = await start(t, options)
    const isRefused = (error: Error): boolean => {
      assert.ok(error instanceof InvalidOptionError, inspect(error))
      assert.doesNotMatch(inspect(error), /4711|wrong-secret|nonsense|BEGIN/)
      return true
    }
    assert.throws(() => replace(certificate as ReplacementCertificate), isRefused)
    assert.throws(() => replace({ servername: 'one.example', ...(certificate as ReplacementCertificate) }), isRefused)
    if (!/of another|undefined|nothing/.test(what)) {
      await assert.rejects(
        start(t, { ...server, sni: { 'new.example': certificate as ReplacementCertificate } }),
        isRefused,
      )
    }
    for (const [servername, name] of [
      ['localhost', 'localhost'],
      ['one.example', 'one'],
    ] as const) {
      assert.equal(await attempt({ servername, ...device }), name)
      assert.equal(await attempt({ servername, ...otherDevice }), 'refused')
    }
  })
}

test('a listener with invalid TLS options is refused, without a secret in the message', async (t) => {
  for (const options of [
    { key: 'nonsense', cert: server.cert },
    encrypted,
    { ...encrypted, passphrase: 'wrong-secret' },
    { ...server, ca: 'nonsense' },
    { ...server, crl: 'nonsense' },
    { ...server, sni: { 'one.example': encrypted } },
    { ...server, sni: { 'one.example': one }, SNICallback: () => undefined },
  ]) {
    for (const way of ['tls', 'wss'] as const) {
      await assert.rejects(start(t, options, way), (error: Error) => {
        assert.ok(error instanceof InvalidOptionError, inspect(error))
        assert.match(error.message, new RegExp(`^listen\\.${way}`))
        assert.doesNotMatch(inspect(error), /wrong-secret|nonsense|BEGIN/)
        return true
      })
    }
  }
})

test('a listener whose SNICallback chooses certificates refuses to replace one of a name', async (t) => {
  const { replace } = await start(t, { ...server, SNICallback: (_name, callback) => callback(null) })
  assert.throws(() => replace({ servername: 'one.example', ...one }), InvalidOptionError)
  replace(renewed)
})

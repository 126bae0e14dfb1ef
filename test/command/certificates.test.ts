import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test, type TestContext } from 'node:test'
import { connect } from 'node:tls'
import { CertificateAuthority } from '../transports/certificates.ts'
import { Command } from './command.ts'

const folder = mkdtempSync(join(tmpdir(), 'haltere-reload-'))
const authority = new CertificateAuthority()
const other = new CertificateAuthority('Another Authority')
after(() => {
  authority.remove()
  other.remove()
  rmSync(folder, { recursive: true, force: true })
})
const first = authority.issue('/CN=first', 'DNS:localhost')
const second = authority.issue('/CN=second', 'DNS:localhost')
const device = authority.issue('/CN=device')
const path = (name: string): string => join(folder, name)
const write = (name: string, content: string): string => {
  writeFileSync(path(name), content)
  return path(name)
}

/** Resolves with the name in the certificate of the listener, or with `refused`. */
function attempt(t: TestContext, port: number, certificate = device): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: authority.cert, ...certificate })
    t.after(() => socket.destroy())
    let name = 'refused'
    socket.once('secureConnect', () => socket.write(Buffer.from('101000044d5154540402003c000474657374', 'hex')))
    socket.once('data', () => {
      name = String(socket.getPeerCertificate().subject.CN)
      socket.destroy()
    })
    socket.on('error', () => undefined)
    socket.once('close', () => resolve(name))
  })
}

test('SIGHUP reads the certificates again; wrong ones leave those in use, and say so', async (t) => {
  const secret = 'correct horse'
  const files = {
    key: authority.encrypted(first, secret),
    cert: first.cert,
    'passphrase-file': `${secret}\n`,
    ca: authority.cert,
    crl: authority.revoked(),
  }
  const args = Object.entries(files).flatMap(([name, content]) => [`--${name}`, write(name, content)])
  args.push('--tls-port', '0', '--wss-port', '0', '--no-tcp', '--no-ws', '--require-client-cert')
  const command = new Command(t, ...args)
  const port = await command.port('mqtts')
  const securePort = await command.port('wss')
  assert.ok(!command.stdout.includes('mqtt://') && !command.stdout.includes('ws://'))
  assert.equal(await attempt(t, port), 'first')
  let count = 0
  const hangUp = async (): Promise<void> => {
    command.child.kill('SIGHUP')
    count += 1
    await command.lineCount(/SIGHUP/, count)
  }

  write('key', second.key)
  write('cert', second.cert)
  await hangUp()
  assert.equal(await attempt(t, port), 'second')
  write('crl', authority.revoked(device))
  await hangUp()
  assert.equal(await attempt(t, port), 'refused')
  assert.equal(await attempt(t, port, authority.issue('/CN=new')), 'second')
  write('ca', other.cert)
  write('crl', other.revoked())
  await hangUp()
  assert.equal(await attempt(t, port, authority.issue('/CN=new')), 'refused')
  assert.equal(await attempt(t, port, other.issue('/CN=new')), 'second')

  for (const [name, content] of [
    ['key', first.key], // The certificate is of another key.
    ['cert', 'nonsense'],
    ['ca', 'nonsense'],
    ['passphrase-file', ''],
  ] as const) {
    const before = { key: second.key, cert: second.cert, ca: other.cert, 'passphrase-file': secret }[name]
    if (name === 'passphrase-file') write('key', authority.encrypted(second, secret))
    write(name, content)
    command.child.kill('SIGHUP')
    await command.errorCount(/SIGHUP: the certificates in use stay: /, (count += 1) - 3)
    assert.equal(await attempt(t, port, other.issue('/CN=new')), 'second')
    write(name, before)
  }
  rmSync(path('ca'))
  command.child.kill('SIGHUP')
  await command.errorCount(/the certificates in use stay: --ca .*no such file/, 1)
  assert.equal(await attempt(t, securePort, authority.issue('/CN=new')), 'refused')
  command.child.kill('SIGTERM')
  assert.deepEqual(await command.exited, [0, null])
})

for (const mode of [[], ['--quiet'], ['--json']]) {
  test(`SIGHUP ends no broker without TLS ${mode.join(' ')}`, async (t) => {
    const command = new Command(t, '--port', '0', '--no-ws', ...mode)
    const client = await command.client(t)
    await client.connect('one')
    for (const count of [1, 2]) {
      command.child.kill('SIGHUP')
      if (!mode.includes('--quiet')) await command.lineCount(/there are no certificates/, count)
    }
    await client.publish('t', 'x', { qos: 1 })
    await client.quiet()
    command.child.kill('SIGTERM')
    assert.deepEqual(await command.exited, [0, null])
  })
}

test('--allow-control-characters accepts them, in the configuration file too', async (t) => {
  const config = write('config.json', JSON.stringify({ 'allow-control-characters': true, 'no-ws': true }))
  for (const words of [
    ['--allow-control-characters', '--no-ws'],
    ['--config', config],
  ]) {
    const command = new Command(t, '--port', '0', '--response-information', 'r/', '--session-owner', 'user', ...words)
    const client = await command.client(t)
    const { properties } = await client.connect('one', { properties: { requestResponseInformation: 1 } })
    assert.equal(properties?.responseInformation, 'r/')
    await client.subscribe('a\u0001b')
    await client.publish('c\u0001d', 'x', { qos: 1 })
  }
})

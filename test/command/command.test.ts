import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { createRequire } from 'node:module'
import mqtt from 'mqtt'
import { Broker } from '../../lib/broker.ts'
import { isLong } from '../support/length.ts'
import { TestClient, will } from '../support/client.ts'
import { CertificateAuthority } from '../transports/certificates.ts'
import { Command } from './command.ts'

const folder = mkdtempSync(join(tmpdir(), 'haltere-command-'))
const authority = new CertificateAuthority()
after(() => {
  authority.remove()
  rmSync(folder, { recursive: true, force: true })
})
const server = authority.issue('/CN=localhost', 'DNS:localhost,IP:127.0.0.1')
const device = authority.issue('/CN=device-1', 'DNS:device-1')
const file = (name: string, content: string): string => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}
const key = file('key.pem', server.key)
const cert = file('cert.pem', server.cert)
const ca = file('ca.pem', authority.cert)
const anyPort = ['--port', '0', '--ws-port', '0']

test('--help says every option there is, --version the version', async (t) => {
  const help = new Command(t, '--help')
  assert.deepEqual(await help.exited, [0, null])
  for (const option of [
    '--port',
    '--host',
    '--ws-port',
    '--ws-path',
    '--ws-origin',
    '--tls-port',
    '--wss-port',
    '--key',
    '--cert',
    '--ca',
    '--crl',
    '--passphrase-file',
    '--require-client-cert',
    '--no-tcp',
    '--no-ws',
    '--session-owner',
    '--response-information',
    '--allow-control-characters',
    '--store',
    '--durability',
    '--redis',
    '--config',
    '--maximum-qos',
    '--copy-per-subscription',
    '--allow-long-client-identifiers',
    '--allow-anonymous',
    '--quiet',
    '--verbose',
    '--json',
    '--version',
    '--help',
  ]) {
    assert.ok(help.stdout.includes(option), option)
  }
  const { version } = createRequire(import.meta.url)('../../../package.json') as { version: string }
  const said = new Command(t, '--version')
  assert.deepEqual(await said.exited, [0, null])
  assert.equal(said.stdout, `${version}\n`)
})

for (const mode of [[], ['--quiet'], ['--verbose'], ['--json'], ['--json', '--quiet']]) {
  test(`it says where it listens ${mode.join(' ') || 'by default'}, with the ports that the system chose`, async (t) => {
    const command = new Command(t, ...anyPort, ...mode)
    const [port, webSocketPort] = [await command.port('mqtt'), await command.port('ws')]
    assert.ok(port > 0 && webSocketPort > 0)
    assert.match(await command.line(/mqtt:/), /mqtt:\/\/127\.0\.0\.1:\d+/)
    const client = await command.client(t)
    await client.connect('one', { will: will('w', 'x') })
    await client.subscribe('t', { qos: 1 })
    await client.publish('t', 'x', { qos: 0, retain: true })
    await client.message()
    await client.quiet()
    command.child.kill('SIGTERM')
    assert.deepEqual(await command.exited, [0, null])
    if (mode.includes('--json')) {
      for (const line of command.lines) {
        const object = JSON.parse(line) as { time: string; event: string }
        assert.ok(!Number.isNaN(Date.parse(object.time)))
        assert.equal(typeof object.event, 'string')
      }
    }
    const beyond = command.lines.filter((line) => !line.includes('listening'))
    assert.equal(beyond.length === 0, mode.includes('--quiet'), command.stdout)
    assert.equal(command.stderr, '')
  })
}

test('the log tells who connects, subscribes, publishes and goes; payloads only with --verbose', async (t) => {
  for (const mode of [[], ['--verbose']]) {
    const command = new Command(t, ...anyPort, ...mode)
    const client = await command.client(t, 4)
    await client.connect('device-7', { level: 4, username: 'ann', password: 's3cr3tpass' })
    await client.subscribe('a/b')
    await client.publish('a/b', 'payl0ad')
    await client.message()
    await client.disconnect()
    await command.line(/disconnected/)
    for (const word of ['connected', 'subscribed', 'published', 'disconnected', 'device-7', 'a/b', 'ann', '3.1.1']) {
      assert.ok(command.stdout.includes(word), word)
    }
    assert.equal(command.stdout.includes('payl0ad'), mode.length > 0)
    assert.ok(!command.stdout.includes('s3cr3tpass'))
  }
})

const wrongOptions = [
  [['--prot', '1'], '--prot'],
  [['extra'], 'extra'],
  [['--port', 'x'], '--port'],
  [['--port', '65536'], '--port'],
  [['--port', '-1'], '--port'],
  [['--port', '1.5'], '--port'],
  [['--port'], '--port'],
  [['--host', ''], '--host'],
  [['--ws-port', 'x'], '--ws-port'],
  [['--ws-path', ''], '--ws-path'],
  [['--tls-port', '0'], '--key'],
  [['--wss-port', '0', '--key', key], '--cert'],
  [['--key', key, '--cert', cert], '--key'],
  [['--tls-port', '0', '--key', '/no/such/file', '--cert', cert], '/no/such/file'],
  [['--tls-port', '0', '--key', cert, '--cert', cert], '--key'],
  [['--tls-port', '0', '--key', key, '--cert', file('nonsense.pem', 'nonsense')], '--cert'],
  [['--tls-port', '0', '--key', key, '--cert', cert, '--require-client-cert'], '--ca'],
  [['--no-tcp', '--no-ws'], 'no other listener'],
  [['--crl', ca], '--tls-port'],
  [['--tls-port', '0', '--key', key, '--cert', cert, '--crl', ca], '--ca'],
  [['--session-owner', 'nobody'], 'sessionOwner'],
  [['--response-information', ''], '--response-information'],
  [['--config', '/no/such/file'], '/no/such/file'],
  [['--config', file('bad.json', '{')], 'bad.json'],
  [['--config', file('list.json', '[]')], 'list.json'],
  [['--config', file('unknown.json', '{"prot": 1}')], 'prot'],
  [['--config', file('type.json', '{"tls-port": "x", "key": 5, "cert": 5}')], 'port'],
  [['--config', file('limit.json', '{"limits": {"maxPacketSize": -1}}')], 'maxPacketSize'],
  [['--config', file('limits.json', '{"limits": {"maxPackets": 1}}')], 'maxPackets'],
  [['--config', file('flag.json', '{"quiet": "yes"}')], 'quiet'],
  [['--config', file('origin.json', '{"ws-origin": 5}')], 'ws-origin'],
  [['--host', '0.0.0.0'], 'allow'],
  [['--quiet=5'], '--quiet'],
  [['--maximum-qos', '3'], '--maximum-qos'],
  [['--config', file('qos.json', '{"maximum-qos": 1.5}')], '--maximum-qos'],
  [['--config', file('retain.json', '{"retain-available": 0}')], 'retain-available'],
] as [string[], string][]

// Each is a process of its own; the long form of this file has all of them.
for (const [args, reason] of wrongOptions.filter((_, index) => isLong || index % 5 === 0)) {
  test(`wrong options end it with exit code 2 and the reason: ${args.map((arg) => arg.replace(folder, '')).join(' ')}`, async (t) => {
    const command = new Command(t, ...(args.includes('--port') ? ['--ws-port', '0'] : anyPort), ...args)
    assert.deepEqual(await command.exited, [2, null], command.stdout + command.stderr)
    assert.ok(command.stderr.includes(reason), command.stderr)
    assert.ok(command.stderr.split('\n').length <= 4, 'no stack')
    assert.equal(command.stdout, '', 'nothing listens')
  })
}

test('options of the protocol come from the command line and from the file', async (t) => {
  const config = file('protocol.json', '{"retain-available": false, "maximum-qos": 0, "copy-per-subscription": true}')
  const command = new Command(
    t,
    ...anyPort,
    '--config',
    config,
    '--maximum-qos',
    '1',
    '--allow-long-client-identifiers',
  )
  const one = await command.client(t)
  const { properties } = await one.connect('one')
  assert.deepEqual([properties?.maximumQoS, properties?.retainAvailable], [1, 0])
  await one.subscribe('#')
  await one.subscribe('t')
  const old = await command.client(t, 3)
  assert.equal((await old.connect('l'.repeat(40), { level: 3 })).reasonCode, 0)
  await old.publish('t', 'x', { qos: 1 })
  assert.deepEqual([await one.message(), await one.message()], ['x', 'x'])
})

test('a port that is taken ends it with exit code 1 and says so', async (t) => {
  const other = createServer()
  other.listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.after(() => other.close())
  const { port } = other.address() as { port: number }
  for (const args of [
    ['--port', `${port}`, '--ws-port', '0'],
    ['--port', '0', '--ws-port', `${port}`],
  ]) {
    const command = new Command(t, ...args)
    assert.deepEqual(await command.exited, [1, null])
    assert.match(command.stderr, new RegExp(`${port}`))
    assert.match(command.stderr, /taken|in use/)
  }
})

test('an address that this machine does not have ends it with exit code 1', async (t) => {
  const command = new Command(t, ...anyPort, '--host', '192.0.2.1', '--allow-anonymous')
  assert.deepEqual(await command.exited, [1, null])
  assert.match(command.stderr, /192\.0\.2\.1/)
})

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} says goodbye to Clients and ends it with exit code 0`, async (t) => {
    const command = new Command(t, ...anyPort)
    const [five, four] = [await command.client(t), await command.client(t, 4)]
    await five.connect('five', { keepAlive: 60 })
    await four.connect('four', { level: 4 })
    const frozen = await command.client(t)
    await frozen.connect('frozen')
    frozen.stream.pause()
    command.child.kill(signal)
    await five.endedWith(0x8b)
    await four.ended()
    assert.deepEqual(await command.exited, [0, null])
  })
}

test('what Clients call themselves cannot write on the terminal nor begin a line', async (t) => {
  for (const mode of [['--verbose'], ['--verbose', '--json']]) {
    const command = new Command(t, ...anyPort, ...mode)
    const client = await command.client(t)
    // U+2028, U+202E and U+009B are not refused everywhere as control characters are.
    const name = 'a\u2028b\u202ec'
    await client.connect(name, { username: 'u\u2029v' })
    await client.publish('t\u202e', 'payload\u001b[31m\nfaked line\r\u009b')
    await client.disconnect()
    await command.line(/"disconnected"|disconnected/)
    const written = mode.includes('--json') ? '' : command.stdout
    for (const dangerous of '\u001b\u009b\r\u2028\u2029\u202e') assert.ok(!written.includes(dangerous), written)
    assert.ok(!command.lines.some((line) => line.startsWith('faked')))
    if (mode.includes('--json')) {
      for (const line of command.lines) JSON.parse(line)
      assert.ok(!command.stdout.includes('\u001b'))
    }
  }
})

test('a fault of a Client is told with --verbose, and the command goes on', async (t) => {
  const command = new Command(t, ...anyPort, '--verbose')
  const bad = await command.client(t)
  bad.write('ff ff ff ff')
  await bad.closed
  await command.line(/fault|refused/)
  const good = await command.client(t)
  await good.connect('good')
  await good.quiet()
})

test('--ws-path and --ws-origin: MQTT.js connects, a foreign page does not', async (t) => {
  const command = new Command(t, ...anyPort, '--ws-path', '/broker', '--ws-origin', 'https://app.example')
  const port = await command.port('ws')
  const client = await mqtt.connectAsync(`ws://127.0.0.1:${port}/broker`, { protocolVersion: 5, reconnectPeriod: 0 })
  await client.endAsync()
  const upgrade = async (path: string, origin: string): Promise<string> => {
    const socket = connect(port, '127.0.0.1')
    t.after(() => socket.destroy())
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n` +
        `Sec-WebSocket-Protocol: mqtt\r\nOrigin: ${origin}\r\n\r\n`,
    )
    const [answer] = (await once(socket, 'data')) as [Buffer]
    return answer.toString().split(' ')[1] ?? ''
  }
  assert.equal(await upgrade('/broker', 'https://app.example'), '101')
  assert.equal(await upgrade('/broker', 'https://evil.example'), '403')
  assert.match(await upgrade('/elsewhere', 'https://app.example'), /^40\d$/)
})

test('--tls-port and --wss-port with certificates of Clients', async (t) => {
  const command = new Command(
    t,
    ...anyPort,
    '--tls-port',
    '0',
    '--wss-port',
    '0',
    '--key',
    key,
    '--cert',
    cert,
    '--ca',
    ca,
    '--require-client-cert',
  )
  const port = await command.port('mqtts')
  const attempt = (certificate: { key: string; cert: string } | undefined): Promise<string> =>
    new Promise((resolve) => {
      const socket = connectTls({
        port,
        host: '127.0.0.1',
        ca: authority.cert,
        servername: 'localhost',
        ...certificate,
      })
      t.after(() => socket.destroy())
      const client = new TestClient(socket, 4)
      client.connect('one', { level: 4 }).then(
        ({ reasonCode }) => resolve(`connack ${reasonCode}`),
        () => resolve('closed'),
      )
    })
  assert.equal(await attempt(device), 'connack 0')
  assert.equal(await attempt(undefined), 'closed')
  const stranger = new CertificateAuthority('Stranger')
  t.after(() => stranger.remove())
  assert.equal(await attempt(stranger.issue('/CN=device-1')), 'closed')
  const client = await mqtt.connectAsync(`wss://localhost:${await command.port('wss')}/mqtt`, {
    ca: authority.cert,
    ...device,
    reconnectPeriod: 0,
  })
  await client.endAsync()
})

test('--config has the same options, and the command line counts more', async (t) => {
  const config = file(
    'good.json',
    JSON.stringify({
      port: 1,
      'ws-port': 0,
      host: '127.0.0.1',
      json: true,
      id: 'mine',
      'sys-interval': 1000,
      limits: { maxPacketSize: 1000, maxKeepAlive: 30 },
    }),
  )
  const command = new Command(t, '--config', config, '--port', '0')
  const client = await command.client(t)
  const connack = await client.connect('one')
  assert.equal(connack.properties?.maximumPacketSize, 1000)
  assert.equal(connack.properties?.serverKeepAlive, 30)
  await command.line(/"connected"/)
  for (const line of command.lines) JSON.parse(line)
})

test('--verbose on the command line counts more than quiet in the file', async (t) => {
  const command = new Command(t, '--config', file('quiet.json', '{"quiet": true}'), ...anyPort, '--verbose')
  const client = await command.client(t)
  await client.connect('one')
  await command.line(/connected +one/)
})

test('--quiet and --verbose together are refused', async (t) => {
  const command = new Command(t, ...anyPort, '--quiet', '--verbose')
  assert.deepEqual(await command.exited, [2, null], command.stdout)
  assert.match(command.stderr, /--quiet: there is --verbose too/)
})

test('--allow-anonymous opens it to other machines', async (t) => {
  const command = new Command(t, ...anyPort, '--host', '0.0.0.0', '--allow-anonymous')
  const client = await command.client(t)
  assert.equal((await client.connect('one')).reasonCode, 0)
})

test("net.createServer(broker.handle) sends small packets at once: Nagle's algorithm is off", async (t) => {
  const broker = new Broker({ sysInterval: false })
  const tcp = createServer()
  const setNoDelay = new Promise<boolean | undefined>((resolve) => {
    tcp.once('connection', (socket) => {
      const { mock } = t.mock.method(socket, 'setNoDelay')
      broker.handle(socket)
      resolve(mock.calls.at(-1)?.arguments[0])
    })
  })
  tcp.listen(0, '127.0.0.1')
  await once(tcp, 'listening')
  t.after(async () => {
    await broker.close()
    tcp.close()
  })
  const { port } = tcp.address() as { port: number }
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, reconnectPeriod: 0 })
  t.after(() => client.endAsync(true))
  assert.equal(await setNoDelay, true)
})

test('--store: what was acknowledged is there after the command was killed', async (t) => {
  const store = join(folder, 'store')
  const first = new Command(t, '--store', store, ...anyPort)
  const sender = await first.client(t)
  await sender.connect('sender', { cleanStart: false, properties: { sessionExpiryInterval: 60 } })
  await sender.subscribe('letters', { qos: 1 })
  await sender.publish('status', 'up', { retain: true, qos: 1 })
  first.child.kill('SIGKILL')
  await first.exited

  const second = new Command(t, '--store', store, '--durability', 'os', ...anyPort)
  const again = await second.client(t)
  const { sessionPresent } = await again.connect('sender', { cleanStart: false })
  assert.equal(sessionPresent, true)
  await again.subscribe('status')
  assert.equal(await again.message(), 'up')
})

test('--store: a directory that another process has is refused by its name and pid', async (t) => {
  const store = join(folder, 'taken')
  const first = new Command(t, '--store', store, ...anyPort)
  await first.port()
  const second = new Command(t, '--store', store, ...anyPort)
  assert.deepEqual(await second.exited, [1, null])
  assert.match(second.stderr, /taken: in use by another process, pid \d+/)
})

for (const [words, why] of [
  [['--store', 'x', '--redis', 'redis://127.0.0.1:1'], /a broker has one store/],
  [['--durability', 'os'], /--durability: needs --store/],
  [['--store', 'x', '--durability', 'maybe'], /expected fsync, os or none, got "maybe"/],
] as const) {
  test(`${words.join(' ')} is a mistake on the command line`, async (t) => {
    const command = new Command(t, ...words, ...anyPort)
    assert.deepEqual(await command.exited, [2, null])
    assert.match(command.stderr, why)
  })
}

test('--store: what is no directory is said in one line, also where none can be made', async (t) => {
  for (const path of [key, '/proc/nope/store']) {
    const command = new Command(t, '--store', path, ...anyPort)
    assert.deepEqual(await command.exited, [1, null])
    assert.match(command.stderr, /cannot use this directory/)
  }
})

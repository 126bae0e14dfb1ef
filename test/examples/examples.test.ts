import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { runInNewContext } from 'node:vm'
import mqtt, { type ErrorWithReasonCode, type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt'
import { noRedis, RedisServer } from '../support/redis.ts'
import { CertificateAuthority } from '../transports/certificates.ts'
import { Program, repository } from './program.ts'

/** A Client that is connected; rejects with its error, or when its connection is closed instead. */
function connect(t: TestContext, url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = mqtt.connect(url, { ...options, reconnectPeriod: 0 })
  t.after(() => client.endAsync(true))
  return new Promise((resolve, reject) => {
    client.once('connect', () => resolve(client))
    client.on('error', reject)
    client.once('close', () => reject(new Error('the connection was closed')))
  })
}

/** The next message that the Client gets. */
function received(client: MqttClient): Promise<string> {
  return new Promise((resolve) => {
    client.once('message', (topic, payload) => resolve(`${topic} ${payload.toString()}`))
  })
}

test('every example has a test here', () => {
  const tests = readFileSync(join(repository, 'test/examples/examples.test.ts'), 'utf8')
  const names = readdirSync(join(repository, 'examples'))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -'.ts'.length))
  assert.deepEqual(
    names.filter((name) => !tests.includes(`new Program(t, '${name}'`)),
    [],
  )
})

test('embed: the program answers a question that a Client publishes', async (t) => {
  const program = new Program(t, 'embed')
  const client = await connect(t, await program.line())
  await client.subscribeAsync('answer')
  client.publish('question', 'why?')
  assert.equal(await received(client), 'answer You asked: why?')
})

test('custom-server: TCP and WebSocket Clients meet on servers of the application', async (t) => {
  const program = new Program(t, 'custom-server', { HTTP_PORT: '0' })
  const urls = [await program.line(), await program.line()].toSorted()
  assert.match(urls.join(' '), /^mqtt:\S+ ws:\S+\/mqtt$/)
  const [tcp, webSocket] = await Promise.all(urls.map((url) => connect(t, url)))
  await webSocket!.subscribeAsync('greeting')
  tcp!.publish('greeting', 'hello')
  assert.equal(await received(webSocket!), 'greeting hello')

  const page = await fetch(urls[1]!.replace('ws:', 'http:').replace('/mqtt', '/'))
  assert.equal(await page.text(), 'The pages of the application\n')

  program.process.kill('SIGTERM')
  assert.deepEqual(await program.rest(), ['closed'])
})

test('authentication: a user has topics of its own, an administrator has all', async (t) => {
  const program = new Program(t, 'authentication')
  const url = await program.line()
  const alice = await connect(t, url, { username: 'alice', password: 'wonderland', protocolVersion: 5 })
  assert.equal(await program.line(), 'alice is here')
  const root = await connect(t, url, { username: 'root', password: 'toor' })
  assert.equal(await program.line(), 'root is here')
  await root.subscribeAsync('#')

  await assert.rejects(alice.subscribeAsync('users/bob/#'), /Not authorized/i)
  await alice.subscribeAsync('users/alice/#')
  await assert.rejects(alice.publishAsync('users/bob/door', 'open', { qos: 1 }), { code: 0x87 })
  const heard = Promise.all([received(alice), received(root)])
  await alice.publishAsync('users/alice/door', 'open', { qos: 1 })
  assert.deepEqual(await heard, ['users/alice/door open', 'users/alice/door open'])
})

test('authentication: a wrong password and an unknown user are refused alike', async (t) => {
  const program = new Program(t, 'authentication')
  const url = await program.line()
  const wrong = { username: 'alice', password: 'looking-glass', protocolVersion: 5 } as const
  await assert.rejects(connect(t, url, wrong), { code: 0x86 })
  assert.equal(await program.line(), 'refused: an authenticate hook refused the Client')
  await assert.rejects(connect(t, url, { ...wrong, username: 'mallory' }), { code: 0x86 })
  await assert.rejects(connect(t, url), { code: 5 })
})

test('client-certificates: the name in the certificate is who the Client is, and certificates can be renewed', async (t) => {
  const authority = new CertificateAuthority()
  const folder = mkdtempSync(join(tmpdir(), 'haltere-example-'))
  t.after(() => {
    authority.remove()
    rmSync(folder, { recursive: true, force: true })
  })
  const renew = (): string => {
    const { key, cert } = authority.issue('/CN=localhost', 'DNS:localhost,IP:127.0.0.1')
    writeFileSync(join(folder, 'server.key'), key)
    writeFileSync(join(folder, 'server.pem'), cert)
    return cert
  }
  renew()
  writeFileSync(join(folder, 'ca.pem'), authority.cert)
  const program = new Program(t, 'client-certificates', { CERTIFICATES: folder })
  const url = await program.line()
  const tls = { ca: authority.cert, protocolVersion: 5 } as const

  const ofPump7 = authority.issue('/CN=pump-7')
  const pump = await connect(t, url, { ...tls, ...ofPump7, clientId: 'pump-7' })
  assert.equal(await program.line(), 'pump-7 is here')
  await assert.rejects(pump.publishAsync('devices/pump-8/state', 'on', { qos: 1 }), { code: 0x87 })
  await pump.publishAsync('devices/pump-7/state', 'on', { qos: 1, retain: true })
  await assert.rejects(connect(t, url, { ...tls, ...ofPump7, clientId: 'pump-8' }), { code: 0x87 })
  await assert.rejects(connect(t, url, tls), 'a Client without a certificate')

  const renewed = renew()
  program.process.kill('SIGHUP')
  assert.equal(await program.line(), 'certificate replaced')
  const port = Number(new URL(url).port)
  const socket = connectTls({ host: '127.0.0.1', port, ca: authority.cert, ...authority.issue('/CN=pump-9') })
  t.after(() => socket.destroy())
  socket.on('error', () => undefined) // the program is ended while it is connected
  await once(socket, 'secureConnect')
  assert.equal(socket.getPeerX509Certificate()?.toString().trim(), renewed.trim())
})

/** Answers the challenge as the example expects it. */
function prover(secret: string): IClientOptions & { answer: (client: MqttClient) => void } {
  const properties = { authenticationMethod: 'HMAC-SHA256' }
  return {
    username: 'sensor-1',
    protocolVersion: 5,
    properties,
    answer: (client) => {
      client.handleAuth = ({ properties: asked }, callback) => {
        const authenticationData = createHmac('sha256', secret)
          .update(asked?.authenticationData ?? '')
          .digest()
        callback(undefined, { cmd: 'auth', reasonCode: 0x18, properties: { ...properties, authenticationData } })
      }
    },
  }
}

test('enhanced-authentication: a Client that knows the secret proves it, and its password never travels', async (t) => {
  const program = new Program(t, 'enhanced-authentication', { SECRET: 'sesame' })
  const url = await program.line()
  const { answer, ...options } = prover('sesame')
  const client = mqtt.connect(url, options)
  t.after(() => client.endAsync(true))
  answer(client)
  await new Promise((resolve) => client.once('connect', resolve))
  assert.equal(await program.line(), 'sensor-1 proved itself')
})

test('enhanced-authentication: a Client that does not know the secret, or another method, is refused', async (t) => {
  const program = new Program(t, 'enhanced-authentication', { SECRET: 'sesame' })
  const url = await program.line()
  const refusal = (options: IClientOptions, answer?: (client: MqttClient) => void): Promise<number> => {
    const client = mqtt.connect(url, { ...options, reconnectPeriod: 0 })
    t.after(() => client.endAsync(true))
    answer?.(client)
    return new Promise((resolve) => client.once('error', (error) => resolve((error as ErrorWithReasonCode).code)))
  }
  const { answer, ...options } = prover('open barley')
  assert.equal(await refusal(options, answer), 0x86)
  assert.equal(await refusal({ protocolVersion: 5, properties: { authenticationMethod: 'SCRAM-SHA-1' } }), 0x8c)
  assert.equal(await refusal({ protocolVersion: 5, username: 'sensor-1', password: 'sesame' }), 0x86)
})

test('unit-test: the test of an application passes with a broker in its own process', async (t) => {
  const program = new Program(t, 'unit-test')
  assert.match((await program.rest()).join('\n'), /pass 1\n(.*\n)*.*fail 0/)
})

test('custom-store: a store of the reader passes the suite for authors of stores', async (t) => {
  const program = new Program(t, 'custom-store')
  assert.match((await program.rest()).join('\n'), /pass [5-9]\d\n(.*\n)*.*fail 0/)
})

test('durable: a message for a Client that is away outlives the broker', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'haltere-example-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const program = new Program(t, 'durable', { STORE: folder })
  assert.deepEqual(await program.rest(), ['kept for a Client that is away', 'after a restart: lamps/1/set on'])
})

test('redis: a Client finds its session and its message at another broker', { skip: noRedis }, async (t) => {
  const redis = await RedisServer.started()
  t.after(() => redis.remove())
  const program = new Program(t, 'redis', { REDIS: `redis://127.0.0.1:${redis.port}` })
  assert.deepEqual(await program.rest(), ['at the other broker: news kept'])
})

test('shared-work: each job is done once and every worker has its share', async (t) => {
  const program = new Program(t, 'shared-work')
  const lines = await program.rest()
  const jobs = lines.map((line) => Number(line.split(' ').at(-1)))
  assert.deepEqual(
    jobs.toSorted((one, other) => one - other),
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
  )
  for (const worker of ['worker-1', 'worker-2', 'worker-3']) {
    assert.equal(lines.filter((line) => line.startsWith(`${worker} `)).length, 3, worker)
  }
})

test('inspect-payload: what is no measurement is answered with 0x99 and a text, and goes nowhere', async (t) => {
  const program = new Program(t, 'inspect-payload')
  const client = await connect(t, await program.line(), { protocolVersion: 5 })
  const answers: string[] = []
  client.on('packetreceive', (packet) => {
    const { cmd, reasonCode, properties } = packet as { cmd: string; reasonCode?: number } & Pick<
      IPublishPacket,
      'properties'
    >
    if (cmd === 'puback') answers.push(`${reasonCode} ${(properties as { reasonString?: string })?.reasonString}`)
  })
  await assert.rejects(client.publishAsync('measurements/attic', 'warm', { qos: 1 }), { code: 0x99 })
  await assert.rejects(client.publishAsync('measurements/attic', '{"celsius":"21"}', { qos: 1 }), { code: 0x99 })
  assert.deepEqual(answers, ['153 a measurement is JSON', '153 celsius must be a number'])
  await client.publishAsync('measurements/attic', '{"celsius":21}', { qos: 1 })
  assert.equal(await program.line(), 'measurements/attic 21')
})

interface Element {
  value: string
  textContent: string
  readonly listeners: Record<string, (event: { preventDefault(): void }) => void>
}

/** As much of a browser as the page of the chat uses. */
async function openPage(
  t: TestContext,
  origin: string,
): Promise<{ say(text: string): void; heard(): Promise<string> }> {
  const html = await (await fetch(`${origin}/`)).text()
  const script = /<script>([^]*?)<\/script>/.exec(html)?.[1] ?? ''
  const elements = new Map<string, Element>()
  const waiting: ((text: string) => void)[] = []
  const element = (): Element & {
    append(line: Element): void
    addEventListener(name: string, on: () => void): void
  } => {
    const listeners: Element['listeners'] = {}
    return {
      value: '',
      textContent: '',
      listeners,
      append: (line) => waiting.shift()?.(line.textContent),
      addEventListener: (name, on) => (listeners[name] = on),
    }
  }
  const document = {
    getElementById(id: string) {
      assert.match(html, new RegExp(`id="${id}"`))
      const known = elements.get(id) ?? element()
      elements.set(id, known)
      return known
    },
    createElement: element,
  }
  let client: MqttClient | undefined
  const browserMqtt = {
    connect(url: string) {
      client = mqtt.connect(url, { wsOptions: { headers: { Origin: origin } }, reconnectPeriod: 0 })
      return client
    },
  }
  runInNewContext(script, { mqtt: browserMqtt, document, location: new URL(origin) })
  if (client === undefined) throw new Error('the page did not connect')
  const page: MqttClient = client
  t.after(() => page.endAsync(true))
  const subscribed = new Promise<void>((resolve) => {
    page.on('packetreceive', ({ cmd }) => cmd === 'suback' && resolve())
  })
  await subscribed
  return {
    say(text) {
      elements.get('text')!.value = text
      elements.get('form')?.listeners.submit?.({ preventDefault() {} })
    },
    heard: () => new Promise((resolve) => waiting.push(resolve)),
  }
}

test('chat: two pages of one HTTP server talk to each other, and a page from elsewhere is refused', async (t) => {
  const program = new Program(t, 'chat')
  const origin = await program.line()
  assert.equal((await fetch(`${origin}/mqtt.js`)).status, 200)
  const [ann, ben] = await Promise.all([openPage(t, origin), openPage(t, origin)])
  const both = Promise.all([ann.heard(), ben.heard()])
  ann.say('hello <b>')
  assert.deepEqual(await both, ['hello <b>', 'hello <b>'])

  const foreign = { wsOptions: { headers: { Origin: 'http://elsewhere.example' } } }
  await assert.rejects(connect(t, origin.replace('http:', 'ws:').concat('/mqtt'), foreign), /closed/)
})

import assert from 'node:assert/strict'
import { after, suite, test, type TestContext } from 'node:test'
import { connect, type IClientOptions, type IConnackPacket, MqttClient } from 'mqtt'
import { CertificateAuthority } from '../transports/certificates.ts'
import { type RunningBroker, startBroker } from './brokers.ts'

const authority = new CertificateAuthority()
after(() => authority.remove())

const trust = { ca: authority.cert }
const transports: Record<string, (broker: RunningBroker, options: IClientOptions) => MqttClient> = {
  tcp: ({ port }, options) => connect(`mqtt://127.0.0.1:${port}`, options),
  tls: ({ tlsPort }, options) => connect(`mqtts://localhost:${tlsPort}`, { ...trust, ...options }),
  ws: ({ wsUrl }, options) => connect(wsUrl, options),
  wss: ({ wssUrl }, options) => connect(wssUrl, { wsOptions: trust, ...options }),
  memory: (broker, options) => new MqttClient(() => broker.connect(), options),
}

async function connected(t: TestContext, client: MqttClient): Promise<MqttClient> {
  t.after(() => client.end(true))
  client.on('error', (error) => t.diagnostic(String(error)))
  await connack(client)
  return client
}

function connack(client: MqttClient): Promise<IConnackPacket> {
  return new Promise((resolve) => client.once('connect', resolve))
}

interface Received {
  readonly topic: string
  readonly payload: string
  readonly qos: number
  readonly retain: boolean
  readonly properties: Record<string, unknown> | undefined
}

/** Collects what a Client receives. */
class Inbox {
  readonly messages: Received[] = []
  #changed: () => void = () => {}

  constructor(client: MqttClient) {
    client.on('message', (topic, payload, { qos, retain, properties }) => {
      this.messages.push({
        topic,
        payload: payload.toString(),
        qos,
        retain,
        properties: properties && { ...properties },
      })
      this.#changed()
    })
  }

  async first(count: number): Promise<Received[]> {
    while (this.messages.length < count) await new Promise<void>((resolve) => (this.#changed = resolve))
    return this.messages.slice(0, count)
  }
}

for (const [transport, open] of Object.entries(transports)) {
  for (const protocolVersion of [4, 5] as const) {
    suite(`MQTT.js, protocol version ${protocolVersion}, over ${transport}`, () => {
      test('publishes and receives at QoS 0, 1 and 2', async (t) => {
        const broker = await startBroker(t, authority)
        const client = await connected(t, open(broker, { protocolVersion }))
        const inbox = new Inbox(client)
        const granted = await client.subscribeAsync('sensor/#', { qos: 2 })
        assert.deepEqual(
          granted.map(({ qos }) => qos),
          [2],
        )
        for (const qos of [0, 1, 2] as const) await client.publishAsync(`sensor/${qos}`, `value ${qos}`, { qos })
        assert.deepEqual(
          (await inbox.first(3)).map(({ topic, payload, qos, retain }) => [topic, payload, qos, retain]),
          [0, 1, 2].map((qos) => [`sensor/${qos}`, `value ${qos}`, qos, false]),
        )
        await client.endAsync()
      })

      test('receives a thousand messages in order', async (t) => {
        const broker = await startBroker(t, authority)
        const client = await connected(t, open(broker, { protocolVersion }))
        const inbox = new Inbox(client)
        await client.subscribeAsync('counter', { qos: 1 })
        const payload = 'x'.repeat(1000)
        const published = Array.from({ length: 1000 }, (_, index) =>
          client.publishAsync('counter', `${index} ${payload}`, { qos: 1 }),
        )
        await Promise.all(published)
        const received = (await inbox.first(1000)).map((message) => Number.parseInt(message.payload, 10))
        assert.deepEqual(
          received,
          Array.from({ length: 1000 }, (_, index) => index),
        )
        await client.endAsync()
      })
    })
  }
}

for (const protocolVersion of [4, 5] as const) {
  suite(`MQTT.js, protocol version ${protocolVersion}`, () => {
    test('resumes its session, and receives what came while it was away', async (t) => {
      const broker = await startBroker(t)
      const session: IClientOptions = {
        protocolVersion,
        clientId: 'sleeper',
        clean: false,
        ...(protocolVersion === 5 && { properties: { sessionExpiryInterval: 600 } }),
      }
      const url = `mqtt://127.0.0.1:${broker.port}`
      const before = await connected(t, connect(url, session))
      await before.subscribeAsync('news/#', { qos: 1 })
      await before.endAsync()
      const publisher = await connected(t, connect(url, { protocolVersion }))
      for (const item of ['1', '2', '3']) await publisher.publishAsync('news/local', item, { qos: 1 })
      const again = connect(url, session)
      const inbox = new Inbox(again)
      const [{ sessionPresent }] = await Promise.all([connack(again), connected(t, again)])
      assert.equal(sessionPresent, true)
      assert.deepEqual(
        (await inbox.first(3)).map(({ payload }) => payload),
        ['1', '2', '3'],
      )
      await Promise.all([again.endAsync(), publisher.endAsync()])
    })

    test('leaves a Will Message when its connection breaks', async (t) => {
      const broker = await startBroker(t)
      const url = `mqtt://127.0.0.1:${broker.port}`
      const watcher = await connected(t, connect(url, { protocolVersion }))
      const inbox = new Inbox(watcher)
      await watcher.subscribeAsync('status/#', { qos: 1 })
      const will = { topic: 'status/1', payload: Buffer.from('gone'), qos: 1 as const, retain: true }
      const device = await connected(t, connect(url, { protocolVersion, will, reconnectPeriod: 0 }))
      device.stream.destroy()
      const [message] = await inbox.first(1)
      assert.deepEqual([message?.topic, message?.payload, message?.qos], ['status/1', 'gone', 1])
      await watcher.endAsync()
    })
  })
}

test('MQTT.js: the Properties of a message arrive as they were sent', async (t) => {
  const broker = await startBroker(t)
  const client = await connected(t, connect(`mqtt://127.0.0.1:${broker.port}`, { protocolVersion: 5 }))
  const inbox = new Inbox(client)
  await client.subscribeAsync('request', { qos: 1, properties: { subscriptionIdentifier: 7 } })
  await client.publishAsync('request', '{}', {
    qos: 1,
    properties: {
      payloadFormatIndicator: true,
      contentType: 'application/json',
      responseTopic: 'response/1',
      correlationData: Buffer.from([1, 2, 3]),
      messageExpiryInterval: 600,
      userProperties: { trace: ['a', 'b'], unit: '°C' },
    },
  })
  const [message] = await inbox.first(1)
  const properties = message?.properties ?? {}
  assert.equal(properties['payloadFormatIndicator'], true)
  assert.equal(properties['contentType'], 'application/json')
  assert.equal(properties['responseTopic'], 'response/1')
  assert.deepEqual(properties['correlationData'], Buffer.from([1, 2, 3]))
  assert.ok(Number(properties['messageExpiryInterval']) <= 600)
  assert.deepEqual({ ...(properties['userProperties'] as object) }, { trace: ['a', 'b'], unit: '°C' })
  assert.equal(properties['subscriptionIdentifier'], 7)
  await client.endAsync()
})

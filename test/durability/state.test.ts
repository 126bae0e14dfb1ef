/** Every kind of state that outlives a connection outlives the broker too, with its times. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { ConnackPacket, ProtocolLevel, PublishPacket } from '../../types/packets.ts'
import { ack, type ConnectOptions, filter, levels, publishPacket, TestClient, will } from '../support/client.ts'
import { type BrokerKind, BrokerProcess } from './broker-process.ts'
import { RedisServer } from '../support/redis.ts'

// Other stores by `STATE_STORE=level` or `redis`, as state-adapters.long.test.ts does.
const kind = (process.env['STATE_STORE'] ?? 'log') as BrokerKind

/** Packet Identifiers that were seen before the kill. */
const sent = new Map<string, number[]>()

type Resume = (clientId: string, options?: ConnectOptions) => Promise<{ client: TestClient; connack: ConnackPacket }>

class Setting {
  readonly #redis = kind === 'redis' ? new RedisServer() : undefined
  #broker: BrokerProcess | undefined
  readonly #clients: TestClient[] = []

  get broker(): BrokerProcess {
    this.#broker ??= new BrokerProcess({ kind, ...(this.#redis !== undefined && { redisUrl: this.#redis.url }) })
    return this.#broker
  }

  async start(): Promise<void> {
    await this.#redis?.start()
    await this.broker.start()
  }

  /** A Client with a session that stays, connected. */
  readonly resume: Resume = async (clientId, options = {}) => {
    const level = options.level ?? 5
    const client = new TestClient(await this.broker.open(), level)
    this.#clients.push(client)
    const keep = level === 5 && { properties: { sessionExpiryInterval: 100_000 } }
    const connack = await client.connect(clientId, { cleanStart: false, ...keep, ...options })
    assert.equal(connack.reasonCode, 0)
    return { client, connack }
  }

  async kill(ahead: number): Promise<void> {
    await this.broker.kill()
    for (const client of this.#clients.splice(0)) client.stream.destroy()
    await this.broker.start(ahead)
  }

  async end(): Promise<void> {
    for (const client of this.#clients) client.stream.destroy()
    await this.broker.remove()
    await this.#redis?.remove()
    assert.deepEqual(this.broker.crashes, [])
  }
}

interface Case {
  readonly name: string
  /** Before the broker is killed; `my` makes a name that no other case has. */
  readonly prepare: (resume: Resume, my: string) => Promise<void>
  /** After it was started again. */
  readonly check: (resume: Resume, my: string) => Promise<void>
}

/** All cases share one broker, which is killed once and started again `ahead` seconds later. */
function remembers(name: string, ahead: number, cases: readonly Case[]): void {
  suite(name, () => {
    const setting = new Setting()
    before(async () => {
      await setting.start()
      for (const [index, { prepare }] of cases.entries()) await prepare(setting.resume, `${index}`)
      await setting.kill(ahead)
    })
    after(() => setting.end())
    for (const [index, { name, check }] of cases.entries()) test(name, () => check(setting.resume, `${index}`))
  })
}

async function publishes(
  resume: Resume,
  topic: string,
  payload: string,
  qos: 1 | 2 = 1,
  retain = false,
): Promise<void> {
  const { client } = await resume(`sender to ${topic}`)
  assert.ok((await client.publish(topic, payload, { qos, retain, packetId: 1 })) < 0x80)
  await client.disconnect(0, 0)
}

/** The next PUBLISH, which is not acknowledged. */
function publish(client: TestClient): Promise<PublishPacket> {
  return client.receives('publish')
}

/** The retained messages that a filter matches. */
async function retained(resume: Resume, topicFilter: string): Promise<PublishPacket[]> {
  const { client } = await resume(`reader of ${topicFilter}`)
  await client.subscribe(topicFilter)
  client.send({ type: 'pingreq' })
  const found: PublishPacket[] = []
  for (;;) {
    const packet = await client.receivesAny()
    if (packet.type === 'pingresp') break
    if (packet.type === 'publish') found.push(packet)
  }
  await client.disconnect(0, 0)
  return found
}

const properties = {
  payloadFormatIndicator: 1,
  contentType: 'text/plain',
  responseTopic: 'answers',
  correlationData: Buffer.from([0, 255, 128]),
  userProperties: [
    ['b', '1'],
    ['a', '2'],
    ['b', '3'],
  ],
} as const

function sessionCase(level: ProtocolLevel): Case {
  return {
    name: `a session of protocol level ${level} with its subscription and QoS [MQTT-3.1.2-5] [MQTT-3.2.2-3]`,
    async prepare(resume, my) {
      const { client, connack } = await resume(my, { level })
      assert.equal(connack.sessionPresent, false)
      assert.deepEqual(await client.subscribe(`${my}/+`, { qos: 1 }), [1])
    },
    async check(resume, my) {
      const { client, connack } = await resume(my, { level })
      // MQTT 3.1 has no Session Present.
      if (level !== 3) assert.equal(connack.sessionPresent, true)
      await publishes(resume, `${my}/a`, 'x', 2)
      const { qos, topic } = await publish(client)
      assert.deepEqual([qos, topic], [1, `${my}/a`])
    },
  }
}

remembers('a broker that was killed remembers', 0, [
  ...levels.map(sessionCase),
  {
    name: 'the options and the identifier of a subscription [MQTT-3.3.4-3] [MQTT-3.8.3-3]',
    async prepare(resume, my) {
      const { client } = await resume(my)
      await client.subscribe(`${my}/a`, { qos: 2, retainAsPublished: true }, { subscriptionIdentifier: 7 })
      await client.subscribe(`${my}/b`, { qos: 1, noLocal: true }, { subscriptionIdentifier: 268_435_455 })
    },
    async check(resume, my) {
      const { client } = await resume(my)
      await client.publish(`${my}/b`, 'own', { qos: 1 }) // No Local: not for itself.
      await publishes(resume, `${my}/a`, 'other', 2, true)
      const { topic, qos, retain, properties } = await publish(client)
      assert.deepEqual([topic, qos, retain, properties?.subscriptionIdentifiers], [`${my}/a`, 2, true, [7]])
      await publishes(resume, `${my}/b`, 'other')
      assert.deepEqual((await publish(client)).properties?.subscriptionIdentifiers, [268_435_455])
    },
  },
  {
    name: 'an UNSUBSCRIBE [MQTT-3.10.4-2]',
    async prepare(resume, my) {
      const { client } = await resume(my)
      await client.subscribe([filter(`${my}/a`, { qos: 1 }), filter(`${my}/b`, { qos: 1 })])
      assert.deepEqual(await client.unsubscribe(`${my}/a`), [0])
    },
    async check(resume, my) {
      await publishes(resume, `${my}/a`, 'not wanted')
      await publishes(resume, `${my}/b`, 'wanted')
      const { client } = await resume(my)
      assert.equal(await client.message(), 'wanted')
      await client.quiet()
    },
  },
  {
    name: 'that a subscription was replaced [MQTT-3.8.4-3]',
    async prepare(resume, my) {
      const { client } = await resume(my)
      await client.subscribe(my, { qos: 2 }, { subscriptionIdentifier: 1 })
      await client.subscribe(my, { qos: 1 }, { subscriptionIdentifier: 2 })
    },
    async check(resume, my) {
      const { client } = await resume(my)
      await publishes(resume, my, 'x', 2)
      const { qos, properties } = await publish(client)
      assert.deepEqual([qos, properties?.subscriptionIdentifiers], [1, [2]])
    },
  },
  {
    name: 'retained messages with their properties, the last of each topic, and which were removed [MQTT-3.3.1-5]',
    async prepare(resume, my) {
      const { client } = await resume(my)
      await client.publish(`${my}/a`, 'old', { qos: 1, retain: true })
      await client.publish(`${my}/a`, 'new', { qos: 2, retain: true, properties })
      await client.publish(`${my}/b`, 'removed', { qos: 1, retain: true })
      await client.publish(`${my}/b`, '', { qos: 1, retain: true })
    },
    async check(resume, my) {
      const found = await retained(resume, `${my}/#`)
      assert.deepEqual(
        found.map(({ topic, payload, properties }) => [topic, payload.toString(), properties]),
        [[`${my}/a`, 'new', properties]],
      )
    },
  },
  {
    name: 'that Clean Start ended a session [MQTT-3.1.2-4]',
    async prepare(resume, my) {
      const { client } = await resume(my)
      await client.subscribe(my, { qos: 1 })
      await client.disconnect()
      await resume(my, { cleanStart: true })
    },
    async check(resume, my) {
      await publishes(resume, my, 'x')
      const { client, connack } = await resume(my)
      assert.equal(connack.sessionPresent, true)
      await client.quiet()
    },
  },
  {
    name: 'that DISCONNECT ended a session, or that it ended with its connection',
    async prepare(resume, my) {
      const { client } = await resume(`${my} five`)
      await client.subscribe(my, { qos: 1 })
      await client.disconnect(0, 0)
      const { client: clean } = await resume(`${my} four`, { level: 4, cleanStart: true })
      await clean.subscribe(my, { qos: 1 })
    },
    async check(resume, my) {
      await publishes(resume, my, 'x')
      for (const [clientId, level] of [[`${my} five`, 5] as const, [`${my} four`, 4] as const]) {
        const { client, connack } = await resume(clientId, { level })
        assert.equal(connack.sessionPresent, false)
        await client.quiet()
      }
    },
  },
  {
    name: 'what waits for a Client that is away, in order and with its properties [MQTT-4.6.0-6] [MQTT-3.3.2-17]',
    async prepare(resume, my) {
      const { client } = await resume(my)
      await client.subscribe(my, { qos: 2 })
      await client.disconnect()
      const { client: sender } = await resume(`${my} sender`)
      for (let number = 1; number <= 20; number += 1) {
        const qos = number % 2 === 0 ? 2 : 1
        await sender.publish(my, String(number), { qos, ...(number === 20 && { properties }) })
      }
    },
    async check(resume, my) {
      const { client } = await resume(my, {
        properties: { sessionExpiryInterval: 1000, receiveMaximum: 1 },
      })
      for (let number = 1; number <= 20; number += 1) {
        const packet = await publish(client)
        assert.deepEqual([packet.payload.toString(), packet.dup], [String(number), false])
        assert.equal(packet.qos, number % 2 === 0 ? 2 : 1)
        if (number === 20) assert.deepEqual(packet.properties, properties)
        await client.acknowledge(packet)
      }
      await client.quiet()
    },
  },
  {
    name: 'which QoS 2 messages came, so that they are not published twice [MQTT-4.3.3-10]',
    async prepare(resume, my) {
      const { client: receiver } = await resume(`${my} receiver`)
      await receiver.subscribe(my, { qos: 2 })
      await receiver.disconnect()
      const { client } = await resume(my)
      client.send(publishPacket(my, 'once', { qos: 2, packetId: 5 }))
      await client.receives('pubrec')
    },
    async check(resume, my) {
      const { client } = await resume(my)
      client.send(publishPacket(my, 'once', { qos: 2, packetId: 5, dup: true }))
      assert.ok((await client.receives('pubrec')).reasonCode < 0x80)
      client.send(ack('pubrel', 5))
      assert.equal((await client.receives('pubcomp')).reasonCode, 0)
      const { client: receiver } = await resume(`${my} receiver`)
      assert.equal(await receiver.message(), 'once')
      await receiver.quiet()
    },
  },
  {
    name: 'which QoS 2 messages are complete, so that their identifiers are free [MQTT-4.3.3-12]',
    async prepare(resume, my) {
      const { client: receiver } = await resume(`${my} receiver`)
      await receiver.subscribe(my, { qos: 2 })
      await receiver.disconnect()
      const { client } = await resume(my)
      await client.publish(my, 'first', { qos: 2, packetId: 5 })
    },
    async check(resume, my) {
      const { client } = await resume(my)
      await client.publish(my, 'second', { qos: 2, packetId: 5 })
      const oneAtATime = { sessionExpiryInterval: 1000, receiveMaximum: 1 }
      const { client: receiver } = await resume(`${my} receiver`, { properties: oneAtATime })
      assert.equal(await receiver.message(), 'first')
      assert.equal(await receiver.message(), 'second')
      await receiver.quiet()
    },
  },
  {
    name: 'what it sent and was not answered: it goes again in order, with DUP and its identifier [MQTT-4.4.0-1]',
    async prepare(resume, my) {
      const { client } = await resume(my, { properties: { sessionExpiryInterval: 1000, receiveMaximum: 3 } })
      await client.subscribe(my, { qos: 2 })
      for (const number of [1, 2, 3, 4, 5]) await publishes(resume, my, String(number), number === 2 ? 2 : 1)
      const ids = [(await publish(client)).packetId, (await publish(client)).packetId, (await publish(client)).packetId]
      sent.set(my, ids)
    },
    async check(resume, my) {
      const { client } = await resume(my)
      const packets: PublishPacket[] = []
      for (let left = 5; left > 0; left -= 1) packets.push(await publish(client))
      assert.deepEqual(
        packets.map(({ payload, dup }) => [payload.toString(), dup]),
        [
          ['1', true],
          ['2', true],
          ['3', true],
          ['4', false],
          ['5', false],
        ],
      )
      assert.deepEqual(
        packets.slice(0, 3).map(({ packetId }) => packetId),
        sent.get(my),
      )
      assert.equal(new Set(packets.map(({ packetId }) => packetId)).size, 5)
    },
  },
  {
    name: 'which of its QoS 2 messages were received: PUBREL goes again, not PUBLISH [MQTT-4.3.3-7] [MQTT-4.4.0-1]',
    async prepare(resume, my) {
      const { client } = await resume(my)
      await client.subscribe(my, { qos: 2 })
      await publishes(resume, my, 'x', 2)
      const { packetId } = await publish(client)
      client.send(ack('pubrec', packetId))
      await client.receives('pubrel')
      sent.set(my, [packetId])
    },
    async check(resume, my) {
      const { client } = await resume(my)
      const { packetId } = await client.receives('pubrel')
      assert.deepEqual([packetId], sent.get(my))
      client.send(ack('pubcomp', packetId))
      await client.quiet()
    },
  },
  {
    name: 'a shared subscription and what was chosen for it',
    async prepare(resume, my) {
      const { client } = await resume(my)
      await client.subscribe(`$share/group/${my}`, { qos: 1 })
      await publishes(resume, my, 'before')
      await publish(client)
    },
    async check(resume, my) {
      const { client } = await resume(my)
      assert.equal(await client.message(), 'before')
      await publishes(resume, my, 'after')
      assert.equal(await client.message(), 'after')
    },
  },
])

/** A Client that is away and for which a message waits that expires. */
async function waits(resume: Resume, my: string): Promise<void> {
  const { client } = await resume(my)
  await client.subscribe(my, { qos: 1 })
  await client.disconnect()
  const { client: sender } = await resume(`${my} sender`)
  await sender.publish(my, 'soon', { qos: 1, properties: { messageExpiryInterval: 100 } })
  await sender.publish(my, 'later', { qos: 1, properties: { messageExpiryInterval: 1000 } })
  await sender.publish(`${my}/kept`, 'soon', { qos: 1, retain: true, properties: { messageExpiryInterval: 100 } })
}

async function endsAfter(resume: Resume, my: string, sessionExpiryInterval: number): Promise<void> {
  const { client } = await resume(my, { properties: { sessionExpiryInterval } })
  await client.subscribe(my, { qos: 1 })
  await client.disconnect()
}

function left(packet: PublishPacket): number {
  return packet.properties?.messageExpiryInterval ?? Number.NaN
}

remembers('a minute later a broker that was killed', 60, [
  {
    name: 'sends what has not expired, with the time that is left [MQTT-3.3.2-6]',
    prepare: waits,
    async check(resume, my) {
      const { client } = await resume(my)
      const [soon, later] = [await publish(client), await publish(client)]
      assert.ok(left(soon) > 20 && left(soon) <= 41, `${left(soon)} seconds are left of 100`)
      assert.ok(left(later) > 920 && left(later) <= 941, `${left(later)} seconds are left of 1000`)
      const [kept] = await retained(resume, `${my}/kept`)
      assert.ok(kept !== undefined && left(kept) > 20 && left(kept) <= 41)
    },
  },
  {
    name: 'has the sessions that have not expired',
    prepare: (resume, my) => endsAfter(resume, my, 100),
    async check(resume, my) {
      assert.equal((await resume(my)).connack.sessionPresent, true)
    },
  },
])

remembers('three minutes later a broker that was killed', 180, [
  {
    name: 'does not send what has expired [MQTT-3.3.2-5]',
    prepare: waits,
    async check(resume, my) {
      const { client } = await resume(my)
      assert.equal(await client.message(), 'later')
      await client.quiet()
      assert.deepEqual(await retained(resume, `${my}/kept`), [])
    },
  },
  {
    name: 'has no session that has expired [MQTT-4.1.0-2]',
    prepare: (resume, my) => endsAfter(resume, my, 100),
    async check(resume, my) {
      await publishes(resume, my, 'x')
      const { client, connack } = await resume(my)
      assert.equal(connack.sessionPresent, false)
      await client.quiet()
    },
  },
  {
    name: 'has the sessions that never expire',
    async prepare(resume, my) {
      await endsAfter(resume, my, 0xffff_ffff)
      const { client } = await resume(`${my} four`, { level: 4 })
      await client.disconnect()
    },
    async check(resume, my) {
      assert.equal((await resume(my)).connack.sessionPresent, true)
      assert.equal((await resume(`${my} four`, { level: 4 })).connack.sessionPresent, true)
    },
  },
  {
    name: 'counts the time of a session from the last DISCONNECT, which may change it',
    async prepare(resume, my) {
      const { client } = await resume(my, { properties: { sessionExpiryInterval: 1000 } })
      await client.disconnect(0, 100)
      const { client: other } = await resume(`${my} longer`, { properties: { sessionExpiryInterval: 100 } })
      await other.disconnect(0, 1000)
    },
    async check(resume, my) {
      assert.equal((await resume(my)).connack.sessionPresent, false)
      assert.equal((await resume(`${my} longer`)).connack.sessionPresent, true)
    },
  },
])

suite('the Will of a Client', () => {
  test('is sent once, also when its time or the end of its session came while the broker was dead [MQTT-3.1.2-8]', async () => {
    const setting = new Setting()
    const { resume } = setting
    /** Connects with a Will that says the Client Identifier. */
    const connects = async (
      clientId: string,
      willDelayInterval: number,
      sessionExpiryInterval = 100_000,
    ): Promise<TestClient> => {
      const properties = { willDelayInterval }
      const { client } = await resume(clientId, {
        properties: { sessionExpiryInterval },
        will: will('wills', clientId, { qos: 2, properties }),
      })
      return client
    }
    const receives = async (client: TestClient, count: number): Promise<string[]> => {
      const found: string[] = []
      while (found.length < count) found.push(await client.message())
      await client.quiet()
      return found.toSorted()
    }
    try {
      await setting.start()
      const { client: receiver } = await resume('receiver')
      await receiver.subscribe('wills', { qos: 2 })
      await receiver.disconnect()
      await (await connects('said goodbye', 10)).disconnect()
      await (await connects('asked for it', 10)).disconnect(4)
      await (await connects('fell off', 10)).drop()
      await (await connects('came back', 10)).drop()
      await (await resume('came back')).client.drop()
      await (await connects('ends before its Will', 10_000, 20)).drop()
      await (await connects('waits', 3000)).drop()
      await connects('was there at the kill', 0)
      await resume('was there at the kill, MQTT 3.1.1', {
        level: 4,
        will: will('wills', 'was there at the kill, MQTT 3.1.1', { qos: 2 }),
      })
      await connects('comes back after the kill', 1000)
      // The broker knows that they are gone when it answers those that came after them.
      await (await resume('last')).client.quiet()
      await setting.kill(60)
      const oneAtATime = { properties: { sessionExpiryInterval: 100_000, receiveMaximum: 1 } }
      const { client: again } = await resume('receiver', oneAtATime)
      assert.deepEqual(await receives(again, 5), [
        'asked for it',
        'ends before its Will',
        'fell off',
        'was there at the kill',
        'was there at the kill, MQTT 3.1.1',
      ])
      await again.disconnect()
      const { client: back } = await resume('comes back after the kill')
      await back.disconnect() // [MQTT-3.1.3-9] [MQTT-3.14.4-3]
      await setting.kill(4000)
      const { client: later } = await resume('receiver')
      assert.deepEqual(await receives(later, 1), ['waits'])
    } finally {
      await setting.end()
    }
  })
})

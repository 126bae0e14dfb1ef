import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MqttError } from '../../lib/errors.ts'
import type { Plugin } from '../../types/hooks.ts'
import type { Message } from '../../types/message.ts'
import type { QoS } from '../../types/packets.ts'
import { ack, deferred, levels, publishPacket, settle, start, unhandled, will } from '../support/client.ts'

type AuthorizePublish = NonNullable<Plugin['authorizePublish']>

/** This result for messages to `asked`, true for all others. */
function plugin(answer: () => unknown): Plugin {
  return {
    name: 'test',
    authorizePublish: ((message) => (message.topic === 'asked' ? answer() : true)) as AuthorizePublish,
  }
}

function raise(error: unknown): never {
  throw error
}

interface Case {
  readonly name: string
  readonly answer: () => unknown
  /** The Reason Code of PUBACK and PUBREC in MQTT 5.0. */
  readonly code: number
  readonly faults?: number
}

const cases: Case[] = [
  { name: 'true', answer: () => true, code: 0 },
  { name: 'false', answer: () => false, code: 0x87 },
  { name: 'undefined', answer: () => undefined, code: 0x87 },
  { name: 'MqttError quota-exceeded', answer: () => raise(new MqttError('quota-exceeded')), code: 0x97 },
  {
    name: 'MqttError payload-format-invalid',
    answer: () => raise(new MqttError('payload-format-invalid')),
    code: 0x99,
  },
  { name: 'an Error', answer: () => raise(new Error('broken')), code: 0x80, faults: 1 },
  { name: '"true"', answer: () => 'true', code: 0x80, faults: 1 },
  { name: '1', answer: () => 1, code: 0x80, faults: 1 },
  { name: '{}', answer: () => ({}), code: 0x80, faults: 1 },
  { name: 'null', answer: () => null, code: 0x80, faults: 1 },
]

for (const { name, answer, code, faults = 0 } of cases) {
  for (const way of ['at once', 'later'] as const) {
    test(`authorizePublish returns ${name} ${way}: PUBACK and PUBREC in MQTT 5.0, silence in MQTT 3`, async (t) => {
      const rejections = unhandled(t)
      const { client, errors } = start(t, {
        plugins: [
          plugin(
            way === 'at once'
              ? answer
              : async () => {
                  await settle()
                  return answer()
                },
          ),
        ],
      })
      const watcher = await client('watcher')
      await watcher.subscribe('#', { qos: 2 })
      for (const level of levels) {
        errors.length = 0
        const publisher = await client('publisher', { level })
        for (const qos of [0, 1, 2] as QoS[]) {
          const reasonCode = await publisher.publish('asked', `${level} ${qos}`, { qos })
          if (qos > 0) assert.equal(reasonCode, level === 5 ? code : 0, `QoS ${qos} at level ${level}`)
          if (code === 0) assert.equal(await watcher.message(), `${level} ${qos}`)
        }
        // The connection goes on, with the same Packet Identifier too.
        await publisher.publish('other', 'after', { qos: 2, packetId: publisher.packetId })
        assert.equal(await watcher.message(), 'after')
        assert.equal(errors.length, 3 * faults)
      }
      await watcher.quiet()
      assert.deepEqual(rejections, [])
    })
  }
}

test('authorizePublish whose promise never settles refuses after the time limit; meanwhile others publish', async (t) => {
  const { client, clock, errors } = start(t, {
    plugins: [plugin(() => new Promise(() => undefined))],
    limits: { hookTimeoutMs: 2000 },
  })
  const [slow, other] = [await client('slow'), await client('other')]
  await other.subscribe('#')
  slow.send(publishPacket('asked', 'x', { qos: 1, packetId: 1 }), publishPacket('next', 'y', { qos: 1, packetId: 2 }))
  await other.publish('mine', 'z')
  assert.equal(await other.message(), 'z')
  clock.advance(1999)
  await other.quiet()
  assert.equal(slow.received.length, 0)
  clock.advance(1)
  assert.deepEqual(await slow.receives('puback'), ack('puback', 1, 0x80))
  assert.equal((await slow.receives('puback')).packetId, 2)
  assert.equal(await other.message(), 'y')
  assert.equal(errors.length, 1)
})

test('the result of a hook after its time limit has no effect', async (t) => {
  const rejections = unhandled(t)
  for (const late of ['resolve', 'reject'] as const) {
    const answer = deferred<unknown>()
    const { client, clock, errors } = start(t, { plugins: [plugin(() => answer.promise)] })
    const [slow, watcher] = [await client('slow'), await client('watcher')]
    await watcher.subscribe('#')
    slow.send(publishPacket('asked', 'x', { qos: 1, packetId: 1 }))
    await settle()
    clock.advance(10_000)
    assert.equal((await slow.receives('puback')).reasonCode, 0x80)
    if (late === 'resolve') answer.resolve(true)
    else answer.reject(new Error('late'))
    await settle()
    await watcher.quiet()
    await slow.quiet()
    assert.equal(errors.length, 1)
  }
  assert.deepEqual(rejections, [])
})

test('a publisher that disconnects while a hook decides affects no other Client', async (t) => {
  const rejections = unhandled(t)
  for (const outcome of [true, false, new Error('broken')]) {
    const answer = deferred<unknown>()
    const { client, broker } = start(t, { plugins: [plugin(() => answer.promise)] })
    const [publisher, watcher] = [await client('publisher'), await client('watcher')]
    publisher.send(publishPacket('asked', 'x', { qos: 2, packetId: 1 }))
    await settle()
    await publisher.drop()
    if (outcome instanceof Error) answer.reject(outcome)
    else answer.resolve(outcome)
    await settle()
    await watcher.quiet()
    assert.equal(broker.stats().sessions, 1)
    assert.equal(broker.clients.size, 1)
  }
  assert.deepEqual(rejections, [])
})

test('the refusal of a message has a Reason String in MQTT 5.0, unless the Client wants none [MQTT-3.1.2-29]', async (t) => {
  const refusal = new MqttError('quota-exceeded', 'come back tomorrow', { userProperties: [['a', 'b']] })
  const { client } = start(t, { plugins: [plugin(() => raise(refusal))] })
  const wanting = await client('wanting')
  wanting.send(publishPacket('asked', '', { qos: 1, packetId: 1 }))
  assert.deepEqual((await wanting.receives('puback')).properties, {
    reasonString: 'come back tomorrow',
    userProperties: [['a', 'b']],
  })
  const without = await client('without', { properties: { requestProblemInformation: 0 } })
  without.send(publishPacket('asked', '', { qos: 1, packetId: 1 }))
  assert.equal((await without.receives('puback')).properties?.reasonString, undefined)
})

test('a message that the hook returns replaces the original', async (t) => {
  const rewritten: Message = {
    topic: 'other/topic',
    payload: Buffer.from('rewritten'),
    qos: 1,
    retain: true,
    properties: { contentType: 'text/plain', userProperties: [['by', 'hook']] },
  }
  const { client, broker } = start(t, { plugins: [plugin(() => rewritten)] })
  const watcher = await client('watcher')
  await watcher.subscribe('#', { qos: 2 })
  const publisher = await client('publisher')
  assert.equal(await publisher.publish('asked', 'original', { qos: 2 }), 0, 'the answer fits what was sent')
  const packet = await watcher.receives('publish')
  assert.deepEqual([packet.topic, packet.payload.toString(), packet.qos], ['other/topic', 'rewritten', 1])
  assert.equal(packet.properties?.contentType, 'text/plain')
  assert.deepEqual(packet.properties?.userProperties, [['by', 'hook']])
  await watcher.acknowledge(packet)
  const retained = []
  for await (const message of broker.retained()) retained.push(message.topic)
  assert.deepEqual(retained, ['other/topic'])
})

test('a rewritten message of a Client is still its own: No Local holds', async (t) => {
  const { client } = start(t, {
    plugins: [{ name: 'a', authorizePublish: (message) => ({ ...message, topic: 'b' }) }],
  })
  const one = await client('one')
  await one.subscribe('b', { noLocal: true })
  await one.publish('a', 'x')
  await one.quiet()
})

for (const [name, topic, code] of [
  ['a wildcard', 'a/#', 0x90],
  ['a plus', '+', 0x90],
  ['nothing', '', 0x90],
  ['a NUL', 'a\0b', 0x90],
  ['$SYS', '$SYS/broker/version', 0x87],
  ['$share', '$share/g/t', 0x90],
  ['too many levels', '/'.repeat(200), 0x90],
  ['too many bytes', 'x'.repeat(70_000), 0x90],
] as const) {
  test(`a rewritten topic is looked at as closely as one from a Client: ${name}`, async (t) => {
    const rewrite = (message: Message): Message => ({ ...message, topic })
    const { client, errors } = start(t, {
      plugins: [{ name: 'a', authorizePublish: (message) => (message.topic === 'asked' ? rewrite(message) : true) }],
    })
    const watcher = await client('watcher')
    await watcher.subscribe([
      { topicFilter: '#', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
      { topicFilter: '$SYS/#', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
    ])
    const publisher = await client('publisher')
    const reasonCode = await publisher.publish('asked', 'x', { qos: 1 })
    assert.ok(reasonCode >= 0x80, `PUBACK ${reasonCode}`)
    assert.equal(reasonCode, code)
    await watcher.quiet()
    await publisher.quiet()
    assert.ok(errors.length <= 1)
  })
}

for (const [name, change] of [
  ['qos 3', { qos: 3 }],
  ['a payload that is a string', { payload: 'text' }],
  ['a contentType that is a number', { properties: { contentType: 5 } }],
  ['a responseTopic with a wildcard', { properties: { responseTopic: 'a/#' } }],
  ['userProperties that are an object', { properties: { userProperties: { a: 'b' } } }],
  ['an expiry below 0', { properties: { messageExpiryInterval: -1 } }],
] as const) {
  test(`a rewritten message with ${name} is refused and reaches no subscriber`, async (t) => {
    const { client, errors } = start(t, {
      plugins: [plugin(() => ({ topic: 'b', payload: Buffer.from('x'), qos: 0, retain: false, ...change }))],
    })
    const [watcher, publisher] = [await client('watcher'), await client('publisher')]
    await watcher.subscribe('#')
    assert.equal(await publisher.publish('asked', 'x', { qos: 1 }), 0x80)
    await watcher.quiet()
    await publisher.quiet()
    assert.equal(errors.length, 1)
  })
}

test('inspect refuses by throwing, sees what authorizePublish made, and every plugin looks', async (t) => {
  const seen: string[] = []
  const looks = (name: string): Plugin => ({
    name,
    inspect: async (message) => {
      await settle()
      seen.push(`${name} ${message.topic}`)
      if (message.topic === 'bad') throw new MqttError('payload-format-invalid')
    },
  })
  const { client, errors } = start(t, {
    plugins: [
      looks('first'),
      { name: 'rewrites', authorizePublish: (message) => ({ ...message, topic: message.topic.slice(1) }) },
      looks('second'),
    ],
  })
  const one = await client('one')
  assert.equal(await one.publish('xgood', '', { qos: 1 }), 0x10)
  assert.deepEqual(seen, ['first good', 'second good'])
  assert.equal(await one.publish('xbad', '', { qos: 2 }), 0x99)
  assert.deepEqual(seen.slice(2), ['first bad'])
  assert.equal(errors.length, 0)
})

test('inspect alone lets everything through that it does not refuse', async (t) => {
  const { client } = start(t, { plugins: [{ name: 'looks', inspect: () => undefined }] })
  const one = await client('one')
  await one.subscribe('a')
  await one.publish('a', 'x')
  assert.equal(await one.message(), 'x')
})

test('a Will that may not be published refuses its CONNECT', async (t) => {
  for (const [answer, mqtt3, mqtt5] of [
    [(): unknown => false, 5, 0x87],
    [(): unknown => raise(new MqttError('quota-exceeded')), 3, 0x97],
    [(): unknown => raise(new Error('broken')), 3, 0x80],
    [(): unknown => Promise.resolve(undefined), 5, 0x87],
    [(): unknown => 'true', 3, 0x80],
  ] as const) {
    const { client, open, broker } = start(t, { plugins: [plugin(answer)] })
    const watcher = await client('watcher')
    await watcher.subscribe('#')
    for (const level of levels) {
      const one = open(level)
      const connack = await one.connect('one', { will: will('asked', 'w') })
      assert.equal(connack.reasonCode, level === 5 ? mqtt5 : mqtt3)
      await one.ended()
    }
    await watcher.quiet()
    assert.equal(broker.stats().sessions, 1)
  }
})

test('a Will is asked for again when it is sent', async (t) => {
  let allowed = true
  const asked: string[] = []
  const { client } = start(t, {
    plugins: [
      {
        name: 'a',
        authorizePublish: async (message, { id }) => {
          asked.push(`${id} ${message.topic}`)
          return allowed
        },
      },
    ],
  })
  const watcher = await client('watcher')
  await watcher.subscribe('#')
  const one = await client('one', { will: will('w', 'first') })
  await one.drop()
  assert.equal(await watcher.message(), 'first')
  const two = await client('two', { will: will('w', 'second') })
  allowed = false
  await two.drop()
  await watcher.quiet()
  assert.deepEqual(asked, ['one w', 'one w', 'two w', 'two w'])
})

for (const [name, topic] of [
  ['a wildcard', 'a/#'],
  ['$SYS', '$SYS/x'],
  ['nothing', ''],
] as const) {
  test(`a Will that a hook rewrites to ${name} is not sent, whenever the hook does it`, async (t) => {
    let rewrites = false
    const { client, open } = start(t, {
      plugins: [{ name: 'a', authorizePublish: (message) => (rewrites ? { ...message, topic } : true) }],
    })
    const watcher = await client('watcher')
    await watcher.subscribe([
      { topicFilter: '#', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
      { topicFilter: '$SYS/#', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
    ])
    const early = await client('early', { will: will('w', 'x') })
    rewrites = true
    await early.drop()
    await watcher.quiet()
    const late = open()
    assert.ok((await late.connect('late', { will: will('w', 'x') })).reasonCode >= 0x80)
    await late.ended()
    await watcher.quiet()
  })
}

test('the publication of a Will to $SYS or $share is refused whatever the hooks say', async (t) => {
  const { open } = start(t, { plugins: [{ name: 'a', authorizePublish: () => true }] })
  assert.equal((await open().connect('a', { will: will('$SYS/x', '') })).reasonCode, 0x87)
  assert.equal((await open().connect('a', { will: will('$share/g/x', '') })).reasonCode, 0x90)
})

test('messages of the application are not passed to hooks', async (t) => {
  let asked = 0
  const { broker, client } = start(t, { plugins: [{ name: 'a', authorizePublish: () => (asked += 1) < 0 }] })
  const watcher = await client('watcher')
  await watcher.subscribe('#')
  await broker.publish({ topic: 'a', payload: 'x' })
  assert.equal(await watcher.message(), 'x')
  assert.equal(asked, 0)
})

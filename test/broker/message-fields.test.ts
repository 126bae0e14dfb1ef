import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InvalidOptionError, MqttError } from '../../lib/errors.ts'
import type { Plugin } from '../../types/hooks.ts'
import type { Message, MessageInit } from '../../types/message.ts'
import { settle, start, will } from '../support/client.ts'

const tooLarge = { code: 'ERR_MQTT_PACKET_TOO_LARGE' }
/** The largest payload of a message with the topic `a` at QoS 1, in MQTT 5.0. */
const LARGEST_PAYLOAD = 268_435_455 - 2 - 1 - 2 - 1
// Never read, so the system gives it no memory.
const large = Buffer.alloc(LARGEST_PAYLOAD + 1)

for (const [name, field, init] of [
  ['retained', 'message.retained', { retained: true }],
  ['dup', 'message.dup', { dup: true }],
  ['cmd', 'message.cmd', { cmd: 'publish' }],
  ['a retain that is a string', 'message.retain', { retain: 'false' }],
  ['a retain that is a number', 'message.retain', { retain: 1 }],
  ['a retain that is null', 'message.retain', { retain: null }],
  ['QoS 3', 'message.qos', { qos: 3 }],
  ['a Property that there is not', 'message.properties', { properties: { contenttype: 'x' } }],
] as [string, string, object][]) {
  test(`publish with ${name} rejects and says what was expected, for all Clients and for one`, async (t) => {
    const { broker, client } = start(t)
    const one = await client('one')
    await one.subscribe('#')
    const message = { topic: 'a', payload: 'x', ...init } as MessageInit
    const isRight = (error: Error): boolean => {
      assert.ok(error instanceof InvalidOptionError, String(error))
      assert.ok(error.message.startsWith(field), error.message)
      return true
    }
    await assert.rejects(broker.publish(message), isRight)
    await assert.rejects(broker.publish(Object.freeze(Object.assign(Object.create(null), message))), isRight)
    await assert.rejects(async () => broker.clients.get('one')?.publish(message), isRight)
    await one.quiet()
    assert.equal(broker.stats().retainedMessages, 0)
  })
}

test('publish takes a message that a listener was given, and fields that are undefined', async (t) => {
  const { broker } = start(t)
  const again: Message[] = []
  broker.subscribe('b', (message) => void again.push(message))
  broker.subscribe('a', (message) => broker.publish({ ...message, topic: 'b' }))
  await broker.publish({ topic: 'a', payload: 'x', qos: undefined, retain: undefined, properties: undefined } as never)
  await settle()
  await broker.publish(again[0] as Message)
  await settle()
  assert.equal(again.length, 2)
})

test('publish with an option that there is not, or a signal that is none, rejects', async (t) => {
  const { broker } = start(t)
  for (const options of [{ qos: 1 }, { signal: {} }, null, 5]) {
    await assert.rejects(broker.publish({ topic: 'a' }, options as never), InvalidOptionError)
  }
})

test('publish rejects a message that is too large for any packet, and takes the largest', async (t) => {
  const { broker, client } = start(t)
  await client('one')
  await assert.rejects(broker.publish({ topic: 'a', payload: large }), tooLarge)
  await assert.rejects(broker.publish({ topic: 'a', payload: large, retain: true }), tooLarge)
  await assert.rejects(async () => broker.clients.get('one')?.publish({ topic: 'a', payload: large }), tooLarge)
  const payload = large.subarray(0, LARGEST_PAYLOAD)
  await broker.publish({ topic: 'a', payload })
  await assert.rejects(broker.publish({ topic: 'aa', payload }), tooLarge)
  await assert.rejects(broker.publish({ topic: 'é', payload }), tooLarge)
  await assert.rejects(broker.publish({ topic: 'a', payload, properties: { contentType: '' } }), tooLarge)
  const userProperties = Array.from({ length: 4100 }, () => ['x', 'y'.repeat(65_535)] as const)
  await assert.rejects(broker.publish({ topic: 'a', payload: '', properties: { userProperties } }), tooLarge)
  assert.equal(broker.stats().retainedMessages, 0)
})

test('a message that is too large with the Subscription Identifier of its delivery is dropped', async (t) => {
  const { broker, client } = start(t)
  const drops: unknown[] = []
  broker.on('dropped', (_message, clientId, why) => drops.push([clientId, why]))
  const one = await client('one')
  await one.subscribe('a', { qos: 1 }, { subscriptionIdentifier: 300 })
  for (const qos of [0, 1] as const) {
    await broker.publish({ topic: 'a', payload: large.subarray(0, LARGEST_PAYLOAD), qos })
  }
  assert.deepEqual(drops, [
    ['one', 'too-large'],
    ['one', 'too-large'],
  ])
  await broker.publish({ topic: 'a', payload: 'x' })
  assert.equal(await one.message(), 'x')
})

const enlarge = (message: Message): Message => ({ ...message, payload: large })

for (const [name, plugin] of [
  ['too large', { name: 'a', authorizePublish: enlarge }],
  ['with a retain that is a string', { name: 'a', authorizePublish: (m) => ({ ...m, retain: 'no' }) as never }],
] as [string, Plugin][]) {
  test(`a message that authorizePublish made ${name} is refused, also as a Will`, async (t) => {
    const { client, errors, broker } = start(t, { plugins: [plugin] })
    const got: unknown[] = []
    broker.subscribe('#', (message) => void got.push(message))
    const one = await client('one')
    one.send({
      type: 'publish',
      topic: 'a',
      payload: Buffer.from('x'),
      qos: 1,
      retain: true,
      dup: false,
      packetId: 1,
      properties: undefined,
    })
    assert.ok((await one.receives('puback')).reasonCode >= 0x80)
    const connack = await client('two', { will: will('a', 'x') }).catch((error: Error) => error)
    assert.ok(connack instanceof Error)
    await settle()
    assert.deepEqual(got, [])
    assert.ok(errors.length >= 1 && errors.every((error) => !(error instanceof MqttError)))
    assert.equal(broker.stats().retainedMessages, 0)
  })
}

test('a message that authorizeDeliver made too large is not delivered, and the connection stays', async (t) => {
  const { broker, client, errors } = start(t, {
    plugins: [
      { name: 'a', authorizeDeliver: (message) => (message.payload.toString() === 'grow' ? enlarge(message) : true) },
    ],
  })
  const one = await client('one')
  await one.subscribe('a', { qos: 1 })
  await broker.publish({ topic: 'a', payload: 'grow' })
  await broker.publish({ topic: 'a', payload: 'grow', qos: 1 })
  await broker.publish({ topic: 'a', payload: 'x' })
  assert.equal(await one.message(), 'x')
  assert.equal(errors.length, 2)
})

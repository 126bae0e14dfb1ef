import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MqttError } from '../../lib/errors.ts'
import type { Plugin } from '../../types/hooks.ts'
import { ack, start, unhandled } from '../support/client.ts'

type AuthorizeDeliver = NonNullable<Plugin['authorizeDeliver']>

function plugin(answer: () => unknown): Plugin {
  return {
    name: 'test',
    authorizeDeliver: ((message) => (message.topic === 'asked' ? answer() : true)) as AuthorizeDeliver,
  }
}

function raise(error: unknown): never {
  throw error
}

for (const [name, answer, delivered, faults] of [
  ['true', () => true, true, 0],
  ['false', () => false, false, 0],
  ['undefined', () => undefined, false, 0],
  ['an MqttError', () => raise(new MqttError('banned')), false, 0],
  ['an Error', () => raise(new Error('broken')), false, 1],
  ['a promise', () => Promise.resolve(true), false, 1],
  ['a promise that rejects', () => Promise.reject(new Error('broken')), false, 1],
  ['"true"', () => 'true', false, 1],
  ['1', () => 1, false, 1],
  ['{}', () => ({}), false, 1],
  ['null', () => null, false, 1],
] as [string, () => unknown, boolean, number][]) {
  test(`authorizeDeliver returns ${name}: ${delivered ? 'the' : 'no'} Client receives the message, live and retained, at every QoS`, async (t) => {
    const rejections = unhandled(t)
    const { client, errors, broker } = start(t, { plugins: [plugin(answer)] })
    const dropped: string[] = []
    broker.on('dropped', (message, clientId, why) => dropped.push(`${message.topic} ${clientId} ${why}`))
    const [one, publisher] = [await client('one'), await client('publisher')]
    await one.subscribe('asked', { qos: 2 })
    for (const qos of [0, 1, 2] as const) {
      errors.length = 0
      dropped.length = 0
      await publisher.publish('asked', 'x', { qos, retain: true })
      if (delivered) assert.equal(await one.message(), 'x')
      await one.quiet()
      await one.subscribe('asked', { qos: 2 })
      if (delivered) assert.equal(await one.message(), 'x')
      await one.quiet()
      assert.equal(errors.length, 2 * faults)
      assert.equal(dropped.length, delivered ? 0 : 2)
      assert.ok(dropped.every((line) => line === 'asked one not-authorized'))
    }
    assert.deepEqual(rejections, [])
  })
}

test('a copy that waited for a Client is asked about when it is sent', async (t) => {
  let allowed = true
  const { client, broker } = start(t, { plugins: [plugin(() => allowed)] })
  const one = await client('one', { properties: { sessionExpiryInterval: 100 } })
  await one.subscribe('#', { qos: 1 })
  await one.disconnect()
  const publisher = await client('publisher')
  await publisher.publish('asked', 'secret', { qos: 1 })
  await publisher.publish('other', 'open', { qos: 1 })
  allowed = false
  const again = await client('one', { cleanStart: false, properties: { sessionExpiryInterval: 100 } })
  assert.equal(await again.message(), 'open')
  await again.quiet()
  assert.equal(broker.stats().queuedMessages, 0)
})

test('a copy that is sent again is authorized again, and its identifier is free when the hook refuses', async (t) => {
  let allowed = true
  const { client } = start(t, { plugins: [plugin(() => allowed)] })
  const properties = { sessionExpiryInterval: 100, receiveMaximum: 1 }
  const one = await client('one', { properties })
  await one.subscribe('#', { qos: 2 })
  const publisher = await client('publisher')
  await publisher.publish('asked', 'secret', { qos: 2 })
  await one.receives('publish')
  await publisher.publish('other', 'open', { qos: 2 })
  await one.drop()
  allowed = false
  const again = await client('one', { cleanStart: false, properties })
  const packet = await again.receives('publish')
  assert.equal(packet.payload.toString(), 'open', 'the quota of 1 is not used up by what may not be sent')
  await again.acknowledge(packet)
  await again.quiet()
})

test('a PUBREL is sent again whatever the hook says of its message', async (t) => {
  let allowed = true
  const { client } = start(t, { plugins: [plugin(() => allowed)] })
  const properties = { sessionExpiryInterval: 100 }
  const one = await client('one', { properties })
  await one.subscribe('#', { qos: 2 })
  const publisher = await client('publisher')
  await publisher.publish('asked', 'x', { qos: 2 })
  const { packetId } = await one.receives('publish')
  one.send(ack('pubrec', packetId))
  await one.receives('pubrel')
  await one.drop()
  allowed = false
  const again = await client('one', { cleanStart: false, properties })
  assert.equal((await again.receives('pubrel')).packetId, packetId)
})

test('the first plugin with an opinion decides on the delivery of a message', async (t) => {
  const asked: string[] = []
  const one = (name: string, answer: boolean | undefined): Plugin => ({
    name,
    authorizeDeliver: () => {
      asked.push(name)
      return answer
    },
  })
  const { client } = start(t, { plugins: [one('a', undefined), one('b', true), one('c', false)] })
  const receiver = await client('receiver')
  await receiver.subscribe('x')
  await receiver.publish('x', 'y')
  assert.equal(await receiver.message(), 'y')
  assert.deepEqual(asked, ['a', 'b'])
})

test('each receiver is asked about for itself, and a rewritten copy is its alone', async (t) => {
  const { client } = start(t, {
    plugins: [
      {
        name: 'a',
        authorizeDeliver: (message, { id }) =>
          id === 'plain' ? true : { ...message, payload: Buffer.from(`for ${id}`), properties: { contentType: 'x' } },
      },
    ],
  })
  const [plain, one, two] = [await client('plain'), await client('one'), await client('two', { level: 4 })]
  for (const receiver of [plain, one, two]) await receiver.subscribe('t', { qos: 1 })
  const publisher = await client('publisher')
  await publisher.publish('t', 'original', { qos: 1 })
  assert.equal(await plain.message(), 'original')
  assert.equal(await one.message(), 'for one')
  assert.equal(await two.message(), 'for two')
})

for (const [name, change] of [
  ['a topic with a wildcard', { topic: 'a/#' }],
  ['an empty topic', { topic: '' }],
  ['a topic that is too long', { topic: 'x'.repeat(70_000) }],
  ['a contentType that is a number', { properties: { contentType: 5 } }],
  ['userProperties that are an object', { properties: { userProperties: { a: 'b' } } }],
] as const) {
  test(`a copy that the hook rewrites to ${name} is not sent, and its publisher and its receiver live on`, async (t) => {
    const { client, errors } = start(t, {
      plugins: [plugin(() => ({ topic: 'asked', payload: Buffer.from('x'), qos: 1, retain: false, ...change }))],
    })
    const [one, publisher] = [await client('one'), await client('publisher')]
    await one.subscribe('#', { qos: 1 })
    assert.equal(await publisher.publish('asked', 'x', { qos: 1 }), 0)
    await publisher.quiet()
    await one.quiet()
    assert.equal(errors.length, 1)
    await publisher.publish('other', 'still here', { qos: 1 })
    assert.equal(await one.message(), 'still here')
  })
}

test('subscriptions of the application are not passed to hooks', async (t) => {
  const { broker } = start(t, { plugins: [plugin(() => false)] })
  const got: string[] = []
  broker.subscribe('asked', (message) => void got.push(message.topic))
  await broker.publish({ topic: 'asked' })
  assert.deepEqual(got, ['asked'])
})

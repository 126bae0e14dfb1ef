import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type { BrokerOptions } from '../../types/options.ts'
import { filter, levels, publishPacket, start, will } from '../support/client.ts'

const nothing: BrokerOptions = {
  maximumQoS: 0,
  retainAvailable: false,
  wildcardSubscriptionAvailable: false,
  subscriptionIdentifiersAvailable: false,
  sharedSubscriptionAvailable: false,
}

test('CONNACK says what is not available, and nothing of what is [MQTT-3.2.2-9]', async (t) => {
  const { connack } = await start(t, nothing).resume('one')
  assert.deepEqual(
    { ...connack.properties, maximumPacketSize: undefined, receiveMaximum: undefined, topicAliasMaximum: undefined },
    {
      maximumPacketSize: undefined,
      receiveMaximum: undefined,
      topicAliasMaximum: undefined,
      maximumQoS: 0,
      retainAvailable: 0,
      wildcardSubscriptionAvailable: 0,
      subscriptionIdentifiersAvailable: 0,
      sharedSubscriptionAvailable: 0,
    },
  )
  const all = await start(t, { maximumQoS: 2, retainAvailable: true }).resume('one')
  for (const name of Object.keys(nothing)) assert.ok(!(name in (all.connack.properties ?? {})), name)
  assert.equal((await start(t, { maximumQoS: 1 }).resume('one')).connack.properties?.maximumQoS, 1)
})

test('maximumQoS: a PUBLISH above it ends the connection with 0x9B [MQTT-3.2.2-11]', async (t) => {
  for (const maximumQoS of [0, 1] as const) {
    const { client, broker } = start(t, { maximumQoS })
    const watcher = await client('watcher')
    await watcher.subscribe('t')
    for (const level of levels) {
      for (const qos of [0, 1, 2] as const) {
        const one = await client('one', { level })
        if (qos <= maximumQoS) {
          assert.equal(await one.publish('t', `${qos}`, { qos }), 0)
          assert.equal(await watcher.message(), `${qos}`)
          continue
        }
        one.send(publishPacket('t', 'x', { qos, packetId: 1 }))
        await one.endedWith(0x9b)
      }
    }
    await watcher.quiet()
    assert.ok(broker.stats().publishReceived > 0)
  }
})

test('maximumQoS: a Will above it is refused with 0x9B [MQTT-3.2.2-12]', async (t) => {
  const { open, client } = start(t, { maximumQoS: 1 })
  for (const level of levels) {
    const one = open(level)
    assert.equal((await one.connect('one', { will: will('t', 'x', { qos: 2 }) })).reasonCode, level === 5 ? 0x9b : 5)
    await one.ended()
    await (await client('two', { level, will: will('t', 'x', { qos: 1 }) })).disconnect()
  }
})

test('maximumQoS: every QoS can be requested, and the maximum is granted [MQTT-3.2.2-10]', async (t) => {
  const asked: number[] = []
  const guard = { name: 'guard', authorizeSubscribe: ({ qos }: { qos: number }) => asked.push(qos) > 0 }
  const { client, broker } = start(t, { maximumQoS: 1, plugins: [guard] })
  for (const level of levels) {
    const one = await client('one', { level })
    const filters = ([0, 1, 2] as const).map((qos) => filter(`t${qos}`, { qos }))
    assert.deepEqual(await one.subscribe(filters), [0, 1, 1])
    await broker.publish({ topic: 't2', payload: 'x', qos: 2 })
    const packet = await one.receives('publish')
    assert.equal(packet.qos, 1)
    await one.acknowledge(packet)
  }
  assert.deepEqual(asked, [0, 1, 2, 0, 1, 2, 0, 1, 2], 'hooks are asked as the Client requested')
})

test('retainAvailable: RETAIN in a PUBLISH ends the connection with 0x9A, in a Will it is refused [MQTT-3.2.2-13]', async (t) => {
  const { client, open, broker } = start(t, { retainAvailable: false })
  for (const level of levels) {
    for (const payload of ['x', '']) {
      for (const qos of [0, 1, 2] as const) {
        const one = await client('one', { level })
        one.send(publishPacket('t', payload, { qos, retain: true, packetId: qos === 0 ? 0 : 1 }))
        await one.endedWith(0x9a)
      }
    }
    const one = open(level)
    assert.equal(
      (await one.connect('one', { will: will('t', 'x', { retain: true }) })).reasonCode,
      level === 5 ? 0x9a : 5,
    )
    await one.ended()
    const two = await client('two', { level, will: will('t', 'x') })
    await two.publish('t', 'x', { qos: 1 })
    await two.disconnect()
  }
  assert.equal(broker.stats().retainedMessages, 0)
  await broker.publish({ topic: 't', payload: 'of the application', retain: true })
  const late = await client('late')
  await late.subscribe('t')
  assert.equal(await late.message(), 'of the application')
})

const unavailable = [
  ['wildcardSubscriptionAvailable', 'a/+', undefined, 0xa2],
  ['wildcardSubscriptionAvailable', '#', undefined, 0xa2],
  ['wildcardSubscriptionAvailable', '$share/g/a/#', undefined, 0xa2],
  ['sharedSubscriptionAvailable', '$share/g/a', undefined, 0x9e],
  ['subscriptionIdentifiersAvailable', 'a', 5, 0xa1],
] as const

for (const [option, topicFilter, subscriptionIdentifier, code] of unavailable) {
  test(`${option}: false: ${topicFilter} ${subscriptionIdentifier ?? ''} ends a connection of MQTT 5.0 with 0x${code.toString(16)}`, async (t) => {
    const { client, broker } = start(t, { [option]: false })
    const one = await client('one')
    one.send({
      type: 'subscribe',
      packetId: 1,
      subscriptions: [filter('good'), filter(topicFilter)],
      properties: subscriptionIdentifier === undefined ? undefined : { subscriptionIdentifier },
    })
    await one.endedWith(code)
    assert.equal(broker.stats().subscriptions, 0)
    if (subscriptionIdentifier !== undefined) return
    const four = await client('four', { level: 4 })
    assert.deepEqual(await four.subscribe([filter('good'), filter(topicFilter)]), [0, 0x80])
    const three = await client('three', { level: 3 })
    three.send({ type: 'subscribe', packetId: 1, subscriptions: [filter(topicFilter)], properties: undefined })
    await three.ended()
    assert.deepEqual([...(broker.clients.get('four')?.subscriptions.keys() ?? [])], ['good'])
  })
}

for (const withHook of [false, true]) {
  test(`stored subscriptions lose what is not available any more, and get it back: hook ${withHook}`, async (t) => {
    const persistence = new MemoryPersistence()
    const plugins = withHook ? [{ name: 'guard', authorizeSubscribe: async () => true }] : []
    const options = { cleanStart: false, properties: { sessionExpiryInterval: 1000 } }
    const first = start(t, { persistence, plugins })
    const one = await first.client('one', options)
    const filters = ['a', 'b/+', '$share/g/c'].map((name) => filter(name, { qos: 2 }))
    await one.subscribe(filters, {}, { subscriptionIdentifier: 7 })
    await first.broker.close({ graceMs: 0 })

    const second = start(t, { ...nothing, maximumQoS: 1, persistence, plugins })
    await second.broker.publish({ topic: 'a', payload: 'away', qos: 2 })
    const two = await second.client('one', options)
    const away = await two.receives('publish')
    assert.deepEqual([away.payload.toString(), away.qos], ['away', 1])
    await two.acknowledge(away)
    for (const topic of ['a', 'b/x', 'c']) await second.broker.publish({ topic, payload: topic, qos: 2 })
    const packet = await two.receives('publish')
    assert.deepEqual([packet.topic, packet.qos, packet.properties?.subscriptionIdentifiers], ['a', 1, undefined])
    await two.acknowledge(packet)
    await two.quiet()
    assert.equal(second.broker.stats().subscriptions, 1)
  })
}

test('the application may do what its Clients may not', async (t) => {
  const { broker, client } = start(t, nothing)
  const heard: string[] = []
  broker.subscribe('#', ({ topic, qos }) => void heard.push(`${topic} ${qos}`))
  await broker.publish({ topic: 't', payload: 'x', qos: 2, retain: true })
  assert.deepEqual(heard, ['t 2'])
  const one = await client('one')
  assert.deepEqual(await one.subscribe('t', { qos: 2 }), [0])
  assert.equal(await one.message(), 'x')
})

test('small devices can be tested: a Maximum Packet Size of 16', async (t) => {
  const { resume } = start(t, { limits: { maxPacketSize: 16 } })
  const { client: one, connack } = await resume('one')
  assert.equal(connack.properties?.maximumPacketSize, 16)
  await one.publish('t', '1234567890', { qos: 0 })
  await one.quiet()
  one.send(publishPacket('t', '123456789012'))
  await one.endedWith(0x95)
})

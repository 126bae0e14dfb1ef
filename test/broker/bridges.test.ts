import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type { ConnectPacket } from '../../types/packets.ts'
import { connectPacket, levels, publishPacket, start, will } from '../support/client.ts'

const state = (name: string): string => `$SYS/broker/connection/${name}/state`

function bridge(clientId: string, level: 3 | 4): ConnectPacket {
  return {
    ...connectPacket(clientId, { level, will: will(state(clientId), '0', { qos: 1, retain: true }) }),
    bridgeMode: true,
  }
}

test('a Client may publish the state of its own bridge, with a PUBLISH and with its Will', async (t) => {
  for (const persistence of [undefined, new MemoryPersistence()]) {
    const { client, broker } = start(t, persistence && { persistence })
    const watcher = await client('watcher')
    await watcher.subscribe(state('+'))
    for (const level of levels) {
      const one = await client('site.main', { level, will: will(state('site.main'), '0', { qos: 1, retain: true }) })
      await one.publish(state('site.main'), '1', { qos: 1, retain: true })
      assert.equal(await watcher.message(), '1')
      await one.drop()
      assert.equal(await watcher.message(), '0')
      assert.equal(broker.stats().retainedMessages, 1)
    }
    const late = await client('late')
    await late.subscribe('$SYS/#')
    assert.equal(await late.message(), '0')
  }
})

test('no Client may publish the state of another one, nor anything else below $SYS', async (t) => {
  const { client, open } = start(t)
  const others = [
    state('other'),
    '$SYS/broker/connection/one',
    '$SYS/broker/connection/one/state/x',
    '$SYS/broker/version',
  ]
  for (const topic of others) {
    for (const level of levels) {
      const refused = open(level)
      assert.equal((await refused.connect('one', { will: will(topic, '0') })).reasonCode, level === 5 ? 0x87 : 5)
      const one = await client('one', { level })
      assert.equal(await one.publish(topic, '1', { qos: 1 }), level === 5 ? 0x87 : 0)
      await one.disconnect()
    }
  }
})

test('hooks are asked about the state of a bridge like about any other topic', async (t) => {
  const { open } = start(t, { plugins: [{ name: 'guard', authorizePublish: ({ topic }) => !topic.startsWith('$') }] })
  const one = open(4)
  assert.equal((await one.connect('one', { will: will(state('one'), '0') })).reasonCode, 5)
})

test('the retained state of a bridge outlives the broker with a store', async (t) => {
  const persistence = new MemoryPersistence()
  const first = start(t, { persistence })
  const one = await first.client('one', { level: 4 })
  await one.publish(state('one'), '1', { qos: 1, retain: true })
  await first.broker.close({ graceMs: 0 })
  const { client } = start(t, { persistence })
  const two = await client('two')
  await two.subscribe(state('one'))
  assert.equal(await two.message(), '1')
})

test('a bridge of mosquitto is known by its Protocol Level: nothing comes back to it, and RETAIN stays', async (t) => {
  const { open, client } = start(t)
  for (const level of [3, 4] as const) {
    const one = open(level)
    one.send(bridge('one', level))
    assert.equal((await one.receives('connack')).reasonCode, 0)
    await one.subscribe('t', { qos: 1 })
    await one.publish('t', 'own', { qos: 1, retain: true })
    await one.quiet()
    const other = await client('other')
    await other.publish('t', 'retained', { retain: true })
    await other.publish('t', 'live')
    assert.deepEqual([(await one.receives('publish')).retain, (await one.receives('publish')).retain], [true, false])
    one.send(publishPacket('t', '', { retain: true }))
    await one.quiet()
    await one.drop()
  }
})

test('there is no such Protocol Level in MQTT 5.0', async (t) => {
  const { open } = start(t)
  const one = open(4)
  one.write(Buffer.from('100f00044d515454850200000000026f6e65', 'hex').subarray(0, 17))
  assert.equal((await one.receives('connack')).reasonCode, 1)
  await one.ended()
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filter, levels, publishPacket, start } from '../support/client.ts'

test('a filter that begins with a wildcard does not match topics that begin with $ [MQTT-4.7.2-1]', async (t) => {
  const { client, broker } = start(t, { sysInterval: 1000 })
  const one = await client('one')
  await one.subscribe(
    ['#', '+/#', '+/broker/version', '+/+/+', '$share/g/#', '$share/g/+/#'].map((name) => filter(name)),
  )
  await broker.publish({ topic: '$internal/x/y', payload: 'x' })
  await one.quiet()
  await one.subscribe([filter('$internal/#')])
  await broker.publish({ topic: '$internal/x/y', payload: 'x' })
  assert.equal(await one.message(), 'x')
})

test('$SYS is the broker’s: Clients may read it and not write it', async (t) => {
  const { client, clock } = start(t, { sysInterval: 1000 })
  const one = await client('one')
  await one.subscribe('$SYS/broker/clients/connected')
  assert.equal(await one.message(), '0')
  clock.advance(1000)
  assert.equal(await one.message(), '1')
  for (const level of levels) {
    const two = await client('two', { level })
    const code = await two.publish('$SYS/broker/clients/connected', '99', { qos: 1, retain: true })
    assert.equal(code, level === 5 ? 0x87 : 0)
    await two.disconnect()
  }
  await one.quiet()
  await one.subscribe('$SYS/broker/clients/connected')
  assert.equal(await one.message(), '1')
})

test('no filter of shared subscriptions is a Topic Name [MQTT-4.8.2-1]', async (t) => {
  const { client } = start(t)
  const one = await client('one')
  assert.equal(await one.publish('$share/g/t', 'x', { qos: 1 }), 0x90)
  one.send(publishPacket('$share/g/t', 'x'))
  await one.endedWith(0x90)
})

test('without sysInterval there is no $SYS', async (t) => {
  const { client, clock, broker } = start(t)
  const one = await client('one')
  await one.subscribe('$SYS/#')
  clock.advance(100_000)
  await one.quiet()
  assert.equal(broker.stats().retainedMessages, 0)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filter, levels, publishPacket, start, will } from '../support/client.ts'

const tooDeep = 'a/b/c'

test('a PUBLISH at QoS 0 with too many levels ends a connection of MQTT 5.0 with 0x90', async (t) => {
  const { client, broker } = start(t, { limits: { maxTopicLevels: 2 } })
  for (const topic of [tooDeep, '$share/a']) {
    const one = await client('one')
    one.send(publishPacket(topic, 'x'))
    await one.endedWith(0x90)
  }
  const alias = await client('alias')
  alias.send(publishPacket(tooDeep, 'x', { properties: { topicAlias: 1 } }))
  await alias.endedWith(0x90)
  assert.equal(broker.stats().publishRefused, 0)
})

test('a PUBLISH with too many levels is acknowledged in MQTT 3, not published, and counted', async (t) => {
  const { client, broker } = start(t, { limits: { maxTopicLevels: 2 } })
  const watcher = await client('watcher')
  await watcher.subscribe('#')
  for (const level of [3, 4] as const) {
    const one = await client('one', { level })
    const before = broker.stats().publishRefused
    for (const qos of [0, 1, 2] as const) await one.publish(tooDeep, 'x', { qos, retain: true })
    await one.quiet()
    assert.equal(broker.stats().publishRefused, before + 3)
  }
  await watcher.quiet()
  assert.equal(broker.stats().retainedMessages, 0)
})

test('a message that a hook refuses is counted at each QoS, and does not end the connection', async (t) => {
  const { client, broker } = start(t, {
    plugins: [{ name: 'guard', authorizePublish: ({ topic }) => topic !== 'secret' }],
  })
  let refused = 0
  for (const level of levels) {
    const one = await client('one', { level })
    for (const qos of [0, 1, 2] as const) {
      const code = await one.publish('secret', 'x', { qos })
      assert.equal(code, level === 5 && qos > 0 ? 0x87 : 0)
      await one.quiet()
      refused += 1
      assert.equal(broker.stats().publishRefused, refused)
    }
  }
})

test('a Will that a hook refuses at its publication is counted', async (t) => {
  let isAllowed = true
  const { client, broker } = start(t, { plugins: [{ name: 'guard', authorizePublish: () => isAllowed }] })
  const one = await client('one', { will: will('t', 'x') })
  isAllowed = false
  await one.drop()
  assert.equal(broker.stats().publishRefused, 1)
})

test('a Will with too many levels is refused at CONNECT in all versions', async (t) => {
  const { open } = start(t, { limits: { maxTopicLevels: 2 } })
  for (const level of levels) {
    const one = open(level)
    assert.equal((await one.connect('one', { will: will(tooDeep, 'x') })).reasonCode, level === 5 ? 0x90 : 5)
    await one.ended()
  }
})

test('a message beside a refused one is published', async (t) => {
  const { client } = start(t, { limits: { maxTopicLevels: 2 } })
  const watcher = await client('watcher')
  await watcher.subscribe([filter('#')])
  const one = await client('one')
  one.send(publishPacket('first', '1'), publishPacket(tooDeep, '2'), publishPacket('last', '3'))
  await one.endedWith(0x90)
  assert.equal(await watcher.message(), '1')
  await watcher.quiet()
})

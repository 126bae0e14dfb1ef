import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encode } from '../../lib/packets/encoder.ts'
import type { Packet } from '../../types/packets.ts'
import { filter, levels, start } from '../support/client.ts'

const malformed = ['', 'ab/+e', 'a#', '#/a', 'a/#/b', '##', '+a', 'a/++', '$share/g/a+', '$share/a#b/t', '$share/#/t']
// A Topic Filter like any other in MQTT 3, which knows no shared subscriptions.
const malformedInFive = ['$share/', '$share/g', '$share/g/', '$share//x', '$share/+/t', '$share/#']

function subscribe(...filters: string[]): Packet {
  return {
    type: 'subscribe',
    packetId: 1234,
    subscriptions: filters.map((name) => filter(name)),
    properties: undefined,
  }
}

function unsubscribe(...topicFilters: string[]): Packet {
  return { type: 'unsubscribe', packetId: 1234, topicFilters, properties: undefined }
}

for (const level of levels) {
  test(`MQTT level ${level}: a malformed Topic Filter in SUBSCRIBE or UNSUBSCRIBE ends the connection`, async (t) => {
    const { client, broker } = start(t)
    for (const wrong of [...malformed, ...(level === 5 ? malformedInFive : [])]) {
      for (const packet of [subscribe(wrong), subscribe('good', wrong), unsubscribe(wrong), unsubscribe('x', wrong)]) {
        const one = await client('one', { level })
        one.send(packet)
        await one.endedWith(0x81)
      }
    }
    assert.equal(broker.stats().subscriptions, 0)
  })
}

test('no hook is asked about the Topic Filters beside a malformed one, and none of them is removed', async (t) => {
  const asked: string[] = []
  const guard = {
    name: 'guard',
    authorizeSubscribe: ({ topicFilter }: { topicFilter: string }) => asked.push(topicFilter) > 0,
  }
  const { client, resume, broker } = start(t, { plugins: [guard] })
  const kept = { cleanStart: false, properties: { sessionExpiryInterval: 60 } }
  const one = await client('one', kept)
  await one.subscribe('good')
  asked.length = 0
  one.send(subscribe('other', 'a#'))
  await one.endedWith(0x81)
  assert.deepEqual(asked, [])
  const { client: again, connack } = await resume('one', kept)
  assert.equal(connack.sessionPresent, true)
  again.send(unsubscribe('good', ''))
  await again.endedWith(0x81)
  assert.equal(broker.stats().subscriptions, 1)
})

test('a Topic Filter that is well-formed and not accepted is refused, and the connection stays', async (t) => {
  const { client } = start(t, { limits: { maxTopicLevels: 3 } })
  const filters = ['a/b/c/d', '+/+/+/+', '$share/g/a/b/c/d', '$share']
  const five = await client('five')
  assert.deepEqual(await five.subscribe(filters.map((name) => filter(name))), [0x8f, 0x8f, 0x8f, 0x8f])
  assert.deepEqual(await five.unsubscribe(...filters), [0x8f, 0x8f, 0x8f, 0x8f])
  const four = await client('four', { level: 4 })
  for (const name of [...filters, ...malformedInFive]) assert.deepEqual(await four.subscribe(name), [0x80], name)
  await four.unsubscribe(...filters, ...malformedInFive)
  await four.quiet()
})

test('U+0000 in a Topic Filter ends the connection', async (t) => {
  const { client } = start(t)
  for (const level of levels) {
    for (const packet of [subscribe('a/b'), unsubscribe('a/b')]) {
      const one = await client('one', { level })
      const bytes = encode(packet, level)
      bytes[bytes.indexOf('/')] = 0
      one.write(bytes)
      await one.endedWith(0x81)
    }
  }
})

test('No Local on a shared subscription ends the connection with 0x82 [MQTT-3.8.3-4]', async (t) => {
  const { client, broker } = start(t)
  const one = await client('one')
  one.send({
    type: 'subscribe',
    packetId: 1,
    subscriptions: [filter('good'), filter('$share/g/x', { noLocal: true })],
    properties: undefined,
  })
  await one.endedWith(0x82)
  assert.equal(broker.stats().subscriptions, 0)
})

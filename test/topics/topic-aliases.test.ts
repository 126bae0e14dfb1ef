import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { InboundTopicAliases, OutboundTopicAliases } from '../../lib/topics/topic-aliases.ts'

suite('topic aliases', () => {
  test('an alias stands for the topic that was last sent with it', () => {
    const aliases = new InboundTopicAliases(2)
    assert.equal(aliases.get(1), undefined)
    aliases.set(1, 'a')
    aliases.set(2, 'b')
    aliases.set(1, 'c')
    assert.deepEqual([aliases.get(1), aliases.get(2), aliases.get(3)], ['c', 'b', undefined])
  })

  test('alias 0 and an alias above the maximum end the connection [MQTT-3.3.2-8], [MQTT-3.3.2-9]', () => {
    for (const [maximum, alias] of [
      [2, 0],
      [2, 3],
      [0, 1],
    ] as const) {
      const aliases = new InboundTopicAliases(maximum)
      assert.throws(() => aliases.set(alias, 'a'), { name: 'ProtocolError', reasonCode: 0x94 })
    }
  })

  test('a Client that takes no aliases gets none [MQTT-3.1.2-27]', () => {
    assert.equal(new OutboundTopicAliases(0).assign('a'), 0)
  })

  test('a topic goes with its alias once, then the alias is enough', () => {
    const aliases = new OutboundTopicAliases(2)
    assert.deepEqual(
      ['a', 'a', 'b', 'a', 'b', '__proto__', '__proto__'].map((topic) => aliases.assign(topic)),
      [-1, 1, -2, 1, 2, 0, -1],
    )
  })

  test('when all are in use, a topic that is sent often keeps its alias, and rare ones have none', () => {
    const aliases = new OutboundTopicAliases(3)
    for (const topic of ['often', 'x', 'y']) aliases.assign(topic)
    for (let index = 0; index < 500; index += 1) {
      assert.equal(aliases.assign('often'), 1)
      assert.equal(aliases.assign(`rare ${index}`), 0)
    }
  })

  test('topics that are sent in turn, more than there are aliases, do not take them from each other', () => {
    for (const maximum of [1, 2, 3, 16]) {
      for (const count of [maximum + 1, maximum + 2, 2 * maximum, 2 * maximum + 1, 5 * maximum, 200]) {
        if (count <= maximum) continue
        const aliases = new OutboundTopicAliases(maximum)
        let assigned = 0
        for (let round = 0; round < 100; round += 1) {
          for (let topic = 0; topic < count; topic += 1) {
            const alias = aliases.assign(`topic ${topic}`)
            if (alias < 0) assigned += 1
            else assert.equal(alias, topic < maximum ? topic + 1 : 0)
          }
        }
        assert.equal(assigned, maximum, `${count} topics, ${maximum} aliases`)
      }
    }
  })

  test('topics that are sent now take the aliases of topics that are not sent any more', () => {
    for (const [maximum, count] of [
      [1, 1],
      [4, 4],
      [4, 40],
      [16, 12],
      [16, 300],
    ] as const) {
      const aliases = new OutboundTopicAliases(maximum)
      for (let topic = 0; topic < 50; topic += 1) for (let time = 0; time < 3; time += 1) aliases.assign(`old ${topic}`)
      let shortened = 0
      for (let round = 0; round < 60; round += 1) {
        shortened = 0
        for (let topic = 0; topic < count; topic += 1) if (aliases.assign(`new ${topic}`) > 0) shortened += 1
      }
      assert.equal(shortened, Math.min(maximum, count), `${count} topics, ${maximum} aliases`)
    }
  })

  test('topics in turn cost no more bytes with aliases than without, but for 3 of each alias', () => {
    for (const maximum of [1, 2, 16]) {
      for (const count of [2, 3, 17, 18, 33, 100]) {
        const aliases = new OutboundTopicAliases(maximum)
        let bytes = 0
        for (let number = 0; number < 100 * count; number += 1) {
          const topic = `site/sensor/${number % count}`
          const alias = aliases.assign(topic)
          bytes += (alias === 0 ? 0 : 3) - (alias > 0 ? topic.length : 0)
        }
        assert.ok(bytes <= 3 * maximum)
      }
    }
  })

  test('whatever is sent, the Client can tell the topic, and no alias is above its maximum [MQTT-3.1.2-26]', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.nat(9), { maxLength: 60, size: 'max' }),
        (maximum, sent) => {
          const server = new OutboundTopicAliases(maximum)
          const client = new InboundTopicAliases(maximum)
          for (const topic of sent.map(String)) {
            const alias = server.assign(topic)
            if (alias < 0) client.set(-alias, topic)
            else if (alias > 0) assert.equal(client.get(alias), topic)
          }
        },
      ),
    )
  })
})

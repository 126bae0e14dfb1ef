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
      ['a', 'a', 'b', 'a', 'b', '__proto__'].map((topic) => aliases.assign(topic)),
      [-1, 1, -2, 1, 2, -1],
    )
  })

  test('when all are in use, a topic that is sent often keeps its alias', () => {
    const aliases = new OutboundTopicAliases(3)
    aliases.assign('often')
    for (let index = 0; index < 50; index += 1) {
      assert.equal(aliases.assign('often'), 1)
      assert.ok(aliases.assign(`rare ${index}`) < -1)
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
            else assert.equal(client.get(alias), topic)
          }
        },
      ),
    )
  })
})

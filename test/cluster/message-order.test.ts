/** The order of one publisher's messages on one topic, while brokers learn of subscriptions and sessions move. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { QoS } from '../../types/packets.ts'
import { publishPacket, type TestClient } from '../support/client.ts'
import { gated } from './gated.ts'
import { lasting, type Member, Taker, until } from './together.ts'

async function publishAll(publisher: TestClient, qos: QoS, payloads: readonly string[]): Promise<void> {
  for (const payload of payloads) await publisher.publish('t', payload, { qos })
}

/** Connects and subscribes; one broker does not hear of the subscription, until it looks for what it has lost. */
async function subscribeUnnoticed(owner: Member, other: Member, receiveMaximum: number, qos: QoS): Promise<TestClient> {
  const properties = { ...lasting.properties, receiveMaximum }
  const client = await owner.client('s', { ...lasting, properties })
  other.emitter.loses = ({ topic }) => topic === '$haltere/notice'
  await client.subscribe('t', { qos })
  return client
}

suite('order of the messages of one publisher', () => {
  for (const qos of [1, 2] as const) {
    for (const [what, receiveMaximum] of [
      ['in flight', 65_535],
      ['queued', 1],
    ] as const) {
      for (const [from, to] of [
        [0, 1],
        [1, 0],
      ] as const) {
        test(`QoS ${qos}, ${what}: messages from before and after broker ${from} knew of the subscription at broker ${to} keep their order when the session moves [MQTT-4.6.0-6]`, async (t) => {
          const { ground, members, gates } = await gated(t, 3)
          const [publishing, owner, next] = [members[from]!, members[to]!, members[2]!]
          const client = await subscribeUnnoticed(owner, publishing, receiveMaximum, qos)
          const publisher = await publishing.client('p')
          gates[to]!.isOpen = false
          await publishAll(publisher, qos, ['1', '2', '3'])
          await until(() => gates[to]!.hasWaiting, 'the store of the owner')
          publishing.emitter.loses = () => false
          await ground.clock.leap(4000) // A heartbeat tells of the loss, which is then repaired.
          await publishAll(publisher, qos, ['4', '5', '6'])
          gates[to]!.open()
          await client.receives('publish')
          const back = await next.client('s', lasting)
          await client.closed
          const taker = new Taker(back)
          assert.deepEqual(await taker.has(6), ['1', '2', '3', '4', '5', '6'])
          await publishAll(publisher, qos, ['7'])
          assert.deepEqual((await taker.has(7)).slice(6), ['7'])
        })
      }
    }

    test(`QoS ${qos}: a message that is not stored does not overtake one whose commit is under way [MQTT-4.6.0-6]`, async (t) => {
      const { members, gates } = await gated(t, 2)
      const [a, b] = members as [Member, Member]
      const live = await b.client('live')
      await live.subscribe('t', { qos })
      const stored = await a.client('s', lasting)
      await stored.subscribe('t', { qos })
      const publisher = await a.client('p')
      gates[0]!.isOpen = false
      publisher.send(publishPacket('t', '1', { qos, packetId: 1 }))
      await until(() => gates[0]!.hasWaiting, 'the store')
      stored.send({ type: 'unsubscribe', packetId: 9, topicFilters: ['t'], properties: undefined })
      await stored.quiet()
      publisher.send(publishPacket('t', '2', { qos, packetId: 2 }))
      publisher.send(publishPacket('t', 'live', { qos: 0 }))
      assert.equal(await live.message(), 'live')
      gates[0]!.open()
      const taker = new Taker(live)
      assert.deepEqual(await taker.has(2), ['1', '2'])
    })
  }

  test('while the store fails, a message that is not stored goes on without the one before it', async (t) => {
    const { members, gates, ground } = await gated(t, 2)
    const [a, b] = members as [Member, Member]
    const live = await b.client('live')
    await live.subscribe('t', { qos: 1 })
    const stored = await a.client('s', lasting)
    await stored.subscribe('t', { qos: 1 })
    const publisher = await a.client('p')
    gates[0]!.isOpen = false
    publisher.send(publishPacket('t', '1', { qos: 1, packetId: 1 }))
    await until(() => gates[0]!.hasWaiting, 'the store')
    stored.send({ type: 'unsubscribe', packetId: 9, topicFilters: ['t'], properties: undefined })
    await stored.quiet()
    publisher.send(publishPacket('t', '2', { qos: 1, packetId: 2 }))
    await publisher.quiet()
    await ground.clock.leap(30_000)
    const taker = new Taker(live)
    assert.deepEqual(await taker.has(1), ['2'])
    gates[0]!.open()
  })
})

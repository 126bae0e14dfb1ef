/** A session that one broker releases to another while the store is slow. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ack, publishPacket, settle, type TestClient } from '../support/client.ts'
import { gated } from './gated.ts'
import { lasting, type Member, Taker, until } from './together.ts'

/** So many that each broker is the next one for some of them. */
const CLIENTS = 12

suite('a session that is being released', () => {
  test('counts as its broker’s until the store has all of it: no other broker adopts it meanwhile', async (t) => {
    const { members, gates, ground } = await gated(t, 3)
    const [a, b, c] = members as [Member, Member, Member]
    const ids = Array.from({ length: CLIENTS }, (_, index) => `s${index}`)
    const clients: TestClient[] = []
    for (const id of ids) {
      const client = await a.client(id, lasting)
      await client.subscribe('t', { qos: 1 })
      clients.push(client)
    }
    const publisher = await a.client('p')
    await until(() => b.broker.stats().subscriptions === CLIENTS, 'the subscriptions at b')
    gates[0]!.isOpen = false
    publisher.send(publishPacket('t', 'm', { qos: 1, packetId: 1 }))
    await until(() => gates[0]!.hasWaiting, 'the store')

    const refused = ids.map(async (id) => {
      const connack = await b.open().connect(id, lasting)
      return connack.reasonCode
    })
    await Promise.all(clients.map(({ closed }) => closed))
    // Messages that come while one commit is under way are in the next, which is slow, too.
    for (const [index, payload] of ['n', 'o'].entries()) {
      publisher.send(publishPacket('t', payload, { qos: 1, packetId: 2 + index }))
      await publisher.quiet()
      gates[0]!.open()
      gates[0]!.isOpen = false
      await publisher.receives('puback')
      await until(() => gates[0]!.hasWaiting, 'the store')
    }
    // b and c find a gap, so they compare what they know with what the others have.
    for (const member of [b, c]) member.emitter.loses = ({ topic }) => topic === 'lost'
    publisher.send(publishPacket('lost', ''))
    await ground.clock.leap(3500)
    assert.deepEqual(new Set(await Promise.all(refused)), new Set([0x89]))
    assert.deepEqual(
      [b, c].map(({ broker }) => broker.stats().sessions),
      [0, 0],
    )

    gates[0]!.open()
    await publisher.receives('puback')
    for (const id of ids) {
      const { client, connack } = await b.resume(id, lasting)
      assert.equal(connack.sessionPresent, true)
      assert.deepEqual(await new Taker(client).has(3), ['m', 'n', 'o'])
    }
  })
})

suite('a message at QoS 2 from a Client whose session is being released', () => {
  for (const [what, method] of [
    ['what the store knows of it is read', 'incomingGetPacket'],
    ['it is stored', 'incomingStorePacket'],
  ] as const) {
    test(`is published once when the Client comes to another broker while ${what} [MQTT-4.3.3-12]`, async (t) => {
      const { members, gates } = await gated(t, 3)
      const [a, b, c] = members as [Member, Member, Member]
      const receiver = await c.client('receiver')
      await receiver.subscribe('t', { qos: 2 })
      const taker = new Taker(receiver)
      const first = await c.client('p', lasting)
      await first.drop()
      const second = await a.client('p', lasting)
      gates[0]!.method = method
      gates[0]!.isOpen = false
      second.send(publishPacket('t', 'm', { qos: 2, packetId: 7 }))
      await until(() => gates[0]!.hasWaiting, 'the store')
      const third = b.open()
      const connected = third.connect('p', lasting)
      await second.closed
      if (method === 'incomingStorePacket') gates[0]!.open() // b does not go on before a has stored it.
      assert.equal((await connected).reasonCode, 0)
      third.send(publishPacket('t', 'm', { qos: 2, packetId: 7, dup: true }))
      await third.receives('pubrec')
      third.send(ack('pubrel', 7))
      await third.receives('pubcomp')
      gates[0]!.open()
      await settle()
      await third.publish('t', 'next', { qos: 2 })
      assert.deepEqual(await taker.has(2), ['m', 'next'])
    })
  }
})

suite('a message for a shared subscription', () => {
  test('whose member the publishing broker did not choose goes to one member at each broker that has one', async (t) => {
    const { members } = await gated(t, 3)
    const [a, b, c] = members as [Member, Member, Member]
    const publisher = await c.client('p')
    c.emitter.loses = ({ topic }) => topic.startsWith('$haltere/') // It never hears of the members.
    const takers: Taker[] = []
    for (const member of [a, b]) {
      const client = await member.client(`at ${member === a ? 'a' : 'b'}`)
      await client.subscribe('$share/g/t', { qos: 1 })
      takers.push(new Taker(client))
    }
    for (const { broker } of [a, b]) {
      await until(() => broker.stats().sharedSubscriptions === 2, 'both members')
    }
    const expected = ['1', '2', '3', '4']
    for (const payload of expected) await publisher.publish('t', payload, { qos: 1 })
    for (const taker of takers) assert.deepEqual(await taker.has(expected.length), expected)
  })
})

/** Brokers with one store and one emitter: a Client may use any of them. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { BrokerOptions } from '../../types/options.ts'
import type { QoS } from '../../types/packets.ts'
import { ack, publishPacket, type TestClient, will } from '../support/client.ts'
import { noRedis } from '../support/redis.ts'
import { type Ground, lasting, type Member, memoryGround, redisGround, Taker, Together, until } from './together.ts'

let names = 0
/** A name that no other test uses. */
function name(what: string): string {
  names += 1
  return `${what}-${names}`
}

/** Connects again for as long as the broker that has the session is too slow to release it within two seconds. */
async function connectWhenReleased(member: Member, clientId: string): Promise<TestClient> {
  for (;;) {
    const client = member.open()
    const { reasonCode } = await client.connect(clientId, lasting)
    if (reasonCode === 0) return client
    assert.equal(reasonCode, 0x89)
  }
}

function grounds(title: string, make: () => Ground | Promise<Ground>, skip: string | false): void {
  suite(title, { skip }, () => {
    let together: Together
    let a: Member
    let b: Member
    let c: Member
    before(async () => {
      together = await Together.start(await make(), 3)
      ;[a, b, c] = together.members as [Member, Member, Member]
    })
    after(async () => {
      await together.end()
      assert.deepEqual(
        together.members.flatMap(({ errors }) => errors.map(({ message }) => message)),
        [],
      )
    })

    for (const qos of [0, 1, 2] as const satisfies QoS[]) {
      test(`a message at QoS ${qos} reaches Clients of the other brokers, with and without a stored session`, async () => {
        const topic = name('t')
        const receivers = [
          await a.client(name('s')),
          await b.client(name('s')),
          await c.client(name('s'), lasting),
          await a.client(name('s'), lasting),
        ]
        for (const receiver of receivers) await receiver.subscribe(topic, { qos: 2 })
        const publisher = await b.client(name('p'))
        for (const payload of ['1', '2', '3']) {
          await publisher.publish(topic, payload, { qos })
          for (const receiver of receivers) {
            const packet = await receiver.receives('publish')
            assert.equal(packet.qos, qos)
            assert.equal(packet.payload.toString(), payload)
            await receiver.acknowledge(packet)
          }
        }
        for (const receiver of receivers) await receiver.disconnect()
      })
    }

    test('a retained message is there on the other brokers, and gone when it is removed', async () => {
      const topic = name('t')
      const publisher = await a.client(name('p'))
      await publisher.publish(topic, 'kept', { qos: 1, retain: true })
      const isThere = async (member: Member): Promise<boolean> => {
        for await (const message of member.broker.retained(topic)) return message.payload.toString() === 'kept'
        return false
      }
      await until(() => isThere(b), 'the retained message')
      const reader = await c.client(name('s'))
      await until(() => isThere(c), 'the retained message')
      await reader.subscribe(topic)
      const packet = await reader.receives('publish')
      assert.deepEqual([packet.payload.toString(), packet.retain], ['kept', true])
      const late = await together.add()
      const lateReader = await late.client(name('s'))
      await lateReader.subscribe(topic)
      assert.equal(await lateReader.message(), 'kept')
      await publisher.publish(topic, '', { qos: 1, retain: true })
      assert.equal(await lateReader.message(), '')
      for (const member of [b, c, late]) await until(async () => !(await isThere(member)), 'the end of it')
      await late.broker.close({ graceMs: 0 })
    })

    for (const [where, back] of [
      ['the same broker', () => a],
      ['another broker', () => b],
    ] as const) {
      test(`what is published elsewhere waits for a Client that comes back to ${where}`, async () => {
        const [topic, id] = [name('t'), name('s')]
        const first = await a.client(id, lasting)
        await first.subscribe(topic, { qos: 2 })
        await first.disconnect()
        const publisher = await c.client(name('p'))
        const expected: string[] = []
        for (let index = 0; index < 20; index += 1) {
          expected.push(`${index}`)
          assert.equal(await publisher.publish(topic, `${index}`, { qos: (1 + (index % 2)) as QoS }), 0)
        }
        const { client, connack } = await back().resume(id, lasting)
        assert.equal(connack.sessionPresent, true)
        const taker = new Taker(client)
        assert.deepEqual(await taker.has(expected.length), expected)
        await client.disconnect()
        assert.equal(taker.got.length, expected.length)
      })
    }

    test('a session goes on with another broker at each step of QoS 2, and none of it is doubled', async () => {
      const [topic, id] = [name('t'), name('s')]
      let client = await a.client(id, lasting)
      await client.subscribe(topic, { qos: 2 })
      const publisher = await c.client(name('p'))
      await publisher.publish(topic, 'm', { qos: 2 })
      const first = await client.receives('publish')
      await client.drop()

      client = await b.client(id, lasting)
      const again = await client.receives('publish')
      assert.deepEqual([again.packetId, again.dup, again.payload.toString()], [first.packetId, true, 'm'])
      client.send(ack('pubrec', again.packetId))
      assert.equal((await client.receives('pubrel')).packetId, first.packetId)
      await client.drop()

      client = await c.client(id, lasting)
      assert.equal((await client.receives('pubrel')).packetId, first.packetId)
      client.send(ack('pubcomp', first.packetId))
      await client.quiet()
      await client.drop()

      client = await a.client(id, lasting)
      await client.quiet()
      await publisher.publish(topic, 'next', { qos: 2 })
      assert.equal(await client.message(), 'next')
      await client.disconnect()
    })

    test('a publisher goes on with another broker at each step of QoS 2, and nothing is doubled', async () => {
      const [topic, id] = [name('t'), name('p')]
      const receiver = await c.client(name('s'), lasting)
      await receiver.subscribe(topic, { qos: 2 })
      const taker = new Taker(receiver)
      let publisher = await a.client(id, lasting)
      publisher.send(publishPacket(topic, 'm', { qos: 2, packetId: 7 }))
      await publisher.receives('pubrec')
      await publisher.drop()

      publisher = await b.client(id, lasting)
      publisher.send(publishPacket(topic, 'm', { qos: 2, packetId: 7, dup: true }))
      await publisher.receives('pubrec')
      publisher.send(ack('pubrel', 7))
      await publisher.receives('pubcomp')
      await publisher.drop()

      publisher = await c.client(id, lasting)
      publisher.send(ack('pubrel', 7))
      await publisher.receives('pubcomp')
      publisher.send(publishPacket(topic, 'next', { qos: 2, packetId: 7 }))
      await publisher.receives('pubrec')
      await taker.has(2)
      await receiver.disconnect()
      assert.deepEqual(taker.got, ['m', 'next'])
    })

    test('a session is taken over under load: 0x8E to the old connection, nothing lost, doubled or out of order [MQTT-3.1.4-3]', async () => {
      const [topic, id] = [name('t'), name('s')]
      const publisher = await c.client(name('p'))
      const got: string[] = []
      let client = await a.client(id, lasting)
      await client.subscribe(topic, { qos: 2 })
      let taker = new Taker(client, 4)
      const sent: string[] = []
      let published = Promise.resolve(0)
      for (let round = 0; round < 8; round += 1) {
        for (let index = 0; index < 10; index += 1) {
          const payload = `${round}.${index}`
          sent.push(payload)
          published = published.then(() => publisher.publish(topic, payload, { qos: 2 }))
        }
        await taker.has(4) // What it does not take is sent again.
        const old = taker
        client = await connectWhenReleased([b, c, a][round % 3]!, id)
        taker = new Taker(client, round < 7 ? 4 : Infinity)
        await old.client.closed
        assert.equal(old.reasonCode, 0x8e)
        got.push(...old.got)
      }
      await published
      got.push(...(await taker.has(sent.length - got.length)))
      assert.deepEqual(got, sent)
      await client.disconnect()
      assert.equal(got.length, sent.length)
    })

    test('of 200 connections of one Client Identifier to three brokers one is left', async () => {
      const [topic, id] = [name('t'), name('s')]
      const first = await a.client(id, lasting)
      await first.subscribe(topic, { qos: 1 })
      const clients = Array.from({ length: 200 }, (_, index) => {
        const client = [a, b, c][index % 3]!.open()
        void client.connect(id, lasting).catch(() => undefined)
        return client
      })
      const owners = (): number => together.members.filter(({ broker }) => broker.clients.has(id)).length
      const left = (): number => clients.filter(({ isClosed }) => !isClosed).length
      await until(() => left() === 1 && owners() === 1, 'the last one')
      const last = clients.find(({ isClosed }) => !isClosed)!
      const publisher = await b.client(name('p'))
      await publisher.publish(topic, 'm', { qos: 1 })
      await until(() => last.received.length > 0, 'the message')
      const payloads = last.received.flatMap((packet) => (packet.type === 'publish' ? [packet.payload.toString()] : []))
      assert.deepEqual(payloads, ['m'])
    })

    test('two connections of one Client Identifier that come to two brokers at once: one has the session', async () => {
      for (let round = 0; round < 10; round += 1) {
        const id = name('s')
        const pair = [a.open(), b.open()]
        for (const client of pair) void client.connect(id, lasting).catch(() => undefined)
        await until(() => pair.filter(({ isClosed }) => isClosed).length === 1, 'the end of one of them')
        await until(() => [a, b].some(({ broker }) => broker.clients.has(id)), 'the other one')
        const left = pair.find(({ isClosed }) => !isClosed)!
        await left.subscribe(name('t'), { qos: 1 })
        assert.equal([a, b].filter(({ broker }) => broker.clients.has(id)).length, 1)
      }
    })

    test('a shared subscription with members at all brokers: one of them gets each message', async () => {
      const topic = name('t')
      const members: TestClient[] = []
      for (const [index, at] of [a, b, c, a, b, c].entries()) {
        const member = await at.client(name('s'), index < 3 ? lasting : {})
        await member.subscribe(`$share/g/${topic}`, { qos: 2 })
        members.push(member)
      }
      const publisher = await a.client(name('p'))
      const others = await b.client(name('p'))
      const takers = members.map((member) => new Taker(member))
      const expected: string[] = []
      for (let index = 0; index < 60; index += 1) {
        expected.push(`${index}`)
        await (index % 2 === 0 ? publisher : others).publish(topic, `${index}`, { qos: (index % 3) as QoS })
      }
      const all = (): string[] => takers.flatMap(({ got }) => got)
      await until(() => all().length >= expected.length, 'all messages')
      for (const member of members) await member.disconnect(0, 0)
      assert.deepEqual(
        all()
          .map(Number)
          .toSorted((one, other) => one - other),
        expected.map(Number),
      )
      assert.ok(takers.every(({ got }) => got.length > 0))
    })

    test('a member elsewhere that cannot take a message of a shared subscription leaves it to another one there', async () => {
      const topic = name('t')
      const small = await b.client(name('s'), { properties: { sessionExpiryInterval: 100, maximumPacketSize: 100 } })
      await small.subscribe(`$share/g/${topic}`, { qos: 1 })
      const large = await b.client(name('s'), lasting)
      await large.subscribe(`$share/g/${topic}`, { qos: 1 })
      const publisher = await a.client(name('p'))
      await until(
        async () => (await publisher.publish(topic, '', { qos: 1 })) === 0,
        'the subscription at the publisher',
      )
      const taker = new Taker(large)
      const expected = ['1', '2', '3', '4'].map((payload) => payload.padEnd(200, '.'))
      for (const payload of expected) assert.equal(await publisher.publish(topic, payload, { qos: 1 }), 0)
      await until(() => taker.got.filter((payload) => payload !== '').length >= expected.length, 'all messages')
      // A message that another member refused after its commit may come behind the next one.
      assert.deepEqual(taker.got.filter((payload) => payload !== '').toSorted(), expected)
      for (const member of [small, large]) await member.disconnect(0, 0)
    })

    test('a subscription is known to the other brokers soon after its SUBACK', async (t) => {
      const waits: number[] = []
      const publisher = await b.client(name('p'))
      for (let round = 0; round < 10; round += 1) {
        const [topic, id] = [name('t'), name('s')]
        const client = await a.client(id, lasting)
        await client.subscribe(topic, { qos: 1 })
        const isKnown = async (): Promise<boolean> => (await publisher.publish(topic, 'm', { qos: 1 })) === 0
        waits.push(await until(isKnown, 'the subscription'))
        await client.disconnect()
      }
      t.diagnostic(`milliseconds: ${waits.map((wait) => wait.toFixed(1)).join(' ')}`)
    })

    test('broker.clients has the Clients of this broker only', async () => {
      const id = name('s')
      const client = await a.client(id)
      assert.equal(a.broker.clients.has(id), true)
      assert.equal(b.broker.clients.has(id), false)
      await client.disconnect()
    })

    test('a broker that is closed hands its sessions over', async () => {
      const leaving = await together.add()
      const [topic, id] = [name('t'), name('s')]
      const client = await leaving.client(id, lasting)
      await client.subscribe(topic, { qos: 1 })
      const publisher = await b.client(name('p'))
      await publisher.publish(topic, '1', { qos: 1 })
      await client.receives('publish') // Not acknowledged.
      await leaving.broker.close({ graceMs: 0 })
      await publisher.publish(topic, '2', { qos: 1 })
      const { client: back, connack } = await a.resume(id, lasting)
      assert.equal(connack.sessionPresent, true)
      assert.equal(await back.message(), '1')
      assert.equal(await back.message(), '2')
      await back.quiet()
      await publisher.publish(topic, '3', { qos: 1 })
      assert.equal(await back.message(), '3')
    })

    test('a broker that starts later has the sessions and subscriptions of those that are there', async () => {
      const [topic, id] = [name('t'), name('s')]
      const client = await a.client(id, lasting)
      await client.subscribe(topic, { qos: 1 })
      await client.disconnect()
      const late = await together.add()
      const publisher = await late.client(name('p'))
      assert.equal(await publisher.publish(topic, 'm', { qos: 1 }), 0)
      const back = await b.client(id, lasting)
      assert.equal(await back.message(), 'm')
      await late.broker.close({ graceMs: 0 })
    })

    test('notices that get lost between brokers: persistent sessions have everything soon, once and in order', async (t) => {
      const [topic, id] = [name('t'), name('s')]
      const client = await a.client(id, lasting)
      await client.subscribe(topic, { qos: 2 })
      const taker = new Taker(client)
      const publisher = await b.client(name('p'))
      await publisher.publish(topic, '0', { qos: 2 })
      await taker.has(1)
      let left = 3
      a.emitter.loses = ({ cmd }) => cmd === 'publish' && (left -= 1) >= 0
      const started = performance.now()
      for (const payload of ['1', '2', '3', '4', '5']) await publisher.publish(topic, payload, { qos: 2 })
      await taker.has(6)
      t.diagnostic(`repaired after ${(performance.now() - started).toFixed(0)} ms`)
      a.emitter.loses = () => false
      await publisher.publish(topic, '6', { qos: 2 })
      assert.deepEqual(await taker.has(7), ['0', '1', '2', '3', '4', '5', '6'])
      await client.disconnect()
      assert.equal(taker.got.length, 7)
    })

    test('a Will that another broker cancels is not sent', async () => {
      const [topic, id] = [name('t'), name('s')]
      const watcher = await c.client(name('s'))
      await watcher.subscribe(topic, { qos: 1 })
      const properties = { sessionExpiryInterval: 3600 }
      const client = await a.client(id, {
        cleanStart: false,
        properties,
        will: will(topic, 'dead', { qos: 1, properties: { willDelayInterval: 2 } }),
      })
      await client.drop()
      const back = await b.client(id, lasting)
      await together.ground.clock.leap(3000)
      await watcher.quiet()
      await back.disconnect()
    })
  })
}

grounds('brokers with one store and one emitter in the process', memoryGround, false)
grounds('brokers with one Redis', redisGround, noRedis)

suite('brokers with one store whose time leaps', () => {
  /** Three brokers, for a test in which one of them falls or much time passes. */
  async function three(
    t: { after(end: () => Promise<void>): void },
    options: BrokerOptions = {},
  ): Promise<[Together, Member, Member, Member]> {
    const together = await Together.start(memoryGround(), 3, options)
    t.after(() => together.end())
    const [a, b, c] = together.members as [Member, Member, Member]
    return [together, a, b, c]
  }

  test('the Will of a Client whose broker fell is sent once, after its delay', async (t) => {
    const [{ ground }, a, b, c] = await three(t)
    const takers: Taker[] = []
    for (const member of [b, c]) {
      const watcher = await member.client(name('s'))
      await watcher.subscribe('will/#', { qos: 2 })
      takers.push(new Taker(watcher))
    }
    for (let index = 0; index < 6; index += 1) {
      const properties = { willDelayInterval: index % 2 === 0 ? 0 : 20 }
      await a.client(`${index}`, { ...lasting, will: will(`will/${index}`, `${index}`, { qos: 2, properties }) })
    }
    a.fall()
    await ground.clock.leap(8_000)
    for (const taker of takers) await taker.has(3)
    for (const taker of takers) assert.deepEqual(taker.got.toSorted(), ['0', '2', '4'])
    const back = await c.client('1', lasting)
    await ground.clock.leap(30_000)
    for (const taker of takers) await taker.has(5)
    for (const taker of takers) assert.deepEqual(taker.got.toSorted(), ['0', '2', '3', '4', '5'])
    await back.disconnect()
  })

  test('a session that ended at its broker has ended at the others [MQTT-3.1.2-23]', async (t) => {
    const [{ ground }, a, b, c] = await three(t)
    const client = await a.client('s', { cleanStart: false, properties: { sessionExpiryInterval: 5 } })
    await client.subscribe('t', { qos: 1 })
    await client.disconnect()
    const publisher = await c.client('p')
    assert.equal(await publisher.publish('t', 'm', { qos: 1 }), 0)
    await ground.clock.leap(6_000)
    await until(async () => (await publisher.publish('t', 'm', { qos: 1 })) === 0x10, 'the end of the subscription')
    assert.equal((await b.resume('s', lasting)).connack.sessionPresent, false)
  })

  test('a message that expired at one broker is not sent by another [MQTT-3.3.2-5]', async (t) => {
    const [{ ground }, a, b, c] = await three(t)
    const client = await a.client('s', lasting)
    await client.subscribe('t', { qos: 1 })
    await client.disconnect()
    const publisher = await c.client('p')
    await publisher.publish('t', 'short', { qos: 1, properties: { messageExpiryInterval: 5 } })
    await publisher.publish('t', 'long', { qos: 1, properties: { messageExpiryInterval: 500 } })
    await ground.clock.leap(10_000)
    const back = await b.client('s', lasting)
    const packet = await back.receives('publish')
    assert.equal(packet.payload.toString(), 'long')
    assert.ok((packet.properties?.messageExpiryInterval ?? 0) <= 490)
  })

  test('the session of one user is not given to another one by another broker', async (t) => {
    const plugin = { name: 'users', authenticate: () => ({}) }
    const [, a, b] = await three(t, { plugins: [plugin] })
    const client = await a.client('s', { ...lasting, username: 'ann' })
    await assert.rejects(b.resume('s', { ...lasting, username: 'bob' }), /CONNACK 135/)
    await client.quiet()
    await client.disconnect()
    await assert.rejects(b.resume('s', { ...lasting, username: 'bob' }), /CONNACK 135/)
    assert.equal((await b.resume('s', { ...lasting, username: 'ann' })).connack.sessionPresent, true)
  })

  test('the sessions of a broker that fell are there, with what is published meanwhile', async (t) => {
    const [{ ground }, a, b, c] = await three(t)
    const client = await a.client('s', lasting)
    await client.subscribe('t', { qos: 2 })
    a.fall()
    const publisher = await b.client('p')
    for (const payload of ['1', '2', '3']) await publisher.publish('t', payload, { qos: 2 })
    await ground.clock.leap(8_000)
    for (const payload of ['4', '5']) await publisher.publish('t', payload, { qos: 2 })
    const { client: back, connack } = await c.resume('s', lasting)
    assert.equal(connack.sessionPresent, true)
    assert.deepEqual(await new Taker(back).has(5), ['1', '2', '3', '4', '5'])
  })
})

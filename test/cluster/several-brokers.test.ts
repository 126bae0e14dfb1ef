/** Brokers with one store and one emitter: a Client may use any of them. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { QoS } from '../../types/packets.ts'
import { ack, publishPacket, type TestClient, will } from '../broker/client.ts'
import { noRedis } from '../support/redis.ts'
import { type Ground, lasting, type Member, memoryGround, redisGround, Taker, Together, until } from './together.ts'

let names = 0
/** A name that no other test uses. */
function name(what: string): string {
  names += 1
  return `${what}-${names}`
}

function grounds(title: string, make: () => Ground | Promise<Ground>, skip: string | false): void {
  suite(title, { skip, timeout: 120_000 }, () => {
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
        client = await [b, c, a][round % 3]!.client(id, lasting)
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
      await until(() => left() === 1 && owners() === 1, 'the last one', 30_000)
      const last = clients.find(({ isClosed }) => !isClosed)!
      const publisher = await b.client(name('p'))
      await publisher.publish(topic, 'm', { qos: 1 })
      await until(() => last.received.length > 0, 'the message')
      const payloads = last.received.flatMap((packet) => (packet.type === 'publish' ? [`${packet.payload}`] : []))
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

/** Brokers with one store and one emitter: the application of any of them lists and changes all sessions. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import mqemitter from 'mqemitter'
import { Broker } from '../../lib/index.ts'
import type { Emitter } from '../../types/emitter.ts'
import type { ClientSession } from '../../types/session.ts'
import { TestClient, will } from '../support/client.ts'
import { noRedis } from '../support/redis.ts'
import { type Ground, lasting, type Member, memoryGround, redisGround, Together, until } from './together.ts'

let names = 0
/** A name that no other test uses. */
function name(what: string): string {
  names += 1
  return `${what}-${names}`
}

async function listOf(broker: Broker, prefix: string): Promise<ClientSession[]> {
  const found: ClientSession[] = []
  for await (const session of broker.sessions()) if (session.clientId.startsWith(prefix)) found.push(session)
  return found.toSorted((a, b) => (a.clientId < b.clientId ? -1 : 1))
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

    /** Waits until a broker knows a session. */
    const knows = (member: Member, clientId: string): Promise<number> =>
      until(async () => (await member.broker.session(clientId)) !== undefined, `the session ${clientId}`)

    test('each broker lists the sessions of all, with what only their owner knows', async () => {
      const prefix = name('list')
      const topic = name('t')
      const here = await a.client(`${prefix}-1`, lasting)
      await here.subscribe(topic, { qos: 1 })
      const away = await b.client(`${prefix}-2`, lasting)
      await away.subscribe(topic, { qos: 1 })
      await away.drop()
      await a.broker.publish({ topic, payload: 'x', qos: 1 })
      for (const member of [a, b, c]) {
        await knows(member, `${prefix}-1`)
        await until(
          async () => (await member.broker.session(`${prefix}-2`))?.queuedMessages === 1,
          'the queued message at the owner',
        )
        const [first, second, ...others] = await listOf(member.broker, prefix)
        assert.deepEqual(others, [])
        assert.deepEqual([first?.connected, first?.broker, first?.inflightMessages], [true, a.broker.id, 1])
        assert.deepEqual([second?.connected, second?.broker, second?.stored], [false, b.broker.id, true])
        assert.ok(second?.expiresAt !== undefined)
        assert.deepEqual(
          second.subscriptions.map(({ topicFilter, qos }) => [topicFilter, qos]),
          [[topic, 1]],
        )
      }
    })

    test('deleteSession ends a session at another broker, connected or away, and its Will is published once', async () => {
      const topic = name('w')
      const watcher = await c.client(name('watcher'))
      await watcher.subscribe(topic, { qos: 1 })
      for (const isConnected of [true, false]) {
        const clientId = name('s')
        const properties = { willDelayInterval: 1000 }
        const one = await a.client(clientId, { ...lasting, will: will(topic, clientId, { qos: 1, properties }) })
        await one.subscribe(topic, { qos: 1 })
        await knows(b, clientId)
        if (!isConnected) await one.drop()
        assert.equal(await b.broker.deleteSession(clientId), true)
        if (isConnected) await one.endedWith(0x98)
        assert.equal(await watcher.message(), clientId)
        for (const member of [a, b, c]) {
          await until(async () => (await member.broker.session(clientId)) === undefined, 'the end of the session')
        }
        const { client, connack } = await c.resume(clientId, lasting)
        assert.equal(connack.sessionPresent, false)
        await client.quiet()
        await watcher.quiet()
        await client.disconnect()
      }
      assert.equal(await b.broker.deleteSession(name('nobody')), false)
    })

    test('subscribe, unsubscribe and publish reach a Client at another broker', async () => {
      const [clientId, topic] = [name('s'), name('t')]
      await a.broker.publish({ topic, payload: 'kept', qos: 1, retain: true })
      const one = await a.client(clientId, lasting)
      await knows(b, clientId)
      const session = await b.broker.session(clientId)
      assert.ok(session)
      await session.publish({ topic: 'direct', payload: 'x', qos: 2 })
      assert.equal(await one.message(), 'x')
      await session.subscribe(topic, { qos: 1 })
      assert.equal(await one.message(), 'kept')
      assert.equal(await session.unsubscribe([topic, 'none']), 1)
      await assert.rejects(session.subscribe('a/#/b'), { code: 'ERR_MQTT_TOPIC_FILTER_INVALID' })
      await a.broker.publish({ topic, payload: 'y' })
      await one.quiet()
    })

    test('what is changed for a Client that is away is there at the broker that it connects to', async () => {
      const [clientId, topic] = [name('s'), name('t')]
      await b.broker.publish({ topic, payload: 'kept', qos: 1, retain: true })
      await (await a.client(clientId, lasting)).drop()
      await knows(b, clientId)
      await until(async () => (await b.broker.session(clientId))?.connected === false, 'the end of its connection')
      const session = await b.broker.session(clientId)
      await session?.subscribe(topic, { qos: 1 })
      await session?.publish({ topic: 'direct', payload: 'waits', qos: 1 })
      const { client, connack } = await c.resume(clientId, lasting)
      assert.equal(connack.sessionPresent, true)
      assert.deepEqual([await client.message(), await client.message()], ['kept', 'waits'])
      await a.broker.publish({ topic, payload: 'live', qos: 1 })
      assert.equal(await client.message(), 'live')
      await client.disconnect()
    })

    test('clearRetained removes the retained messages of all brokers', async () => {
      const prefix = name('r')
      for (const [index, member] of [a, b, c].entries()) {
        await member.broker.publish({ topic: `${prefix}/${index}`, payload: 'x', qos: 1, retain: true })
      }
      const count = async ({ broker }: Member): Promise<number> => {
        let found = 0
        for await (const _ of broker.retained(`${prefix}/#`)) found += 1
        return found
      }
      for (const member of [a, b, c]) await until(async () => (await count(member)) === 3, 'the retained messages')
      assert.equal(await b.broker.clearRetained(`${prefix}/+`), 3)
      for (const member of [a, b, c]) await until(async () => (await count(member)) === 0, 'their removal')
    })

    test('the sessions of a broker that left are listed and changed at those that adopted them', async () => {
      const [clientId, topic] = [name('s'), name('t')]
      const fourth = together.add()
      await together.ground.clock.leap(3000)
      const d = await fourth
      const one = await d.client(clientId, lasting)
      await one.subscribe(topic, { qos: 1 })
      await knows(b, clientId)
      await d.broker.close({ graceMs: 0 })
      await until(async () => {
        await together.ground.clock.leap(1000)
        return (await b.broker.session(clientId))?.broker !== undefined
      }, 'a new owner of the session')
      assert.equal(await b.broker.deleteSession(clientId), true)
      await until(async () => (await c.broker.session(clientId)) === undefined, 'the end of the session')
    })
  })
}

grounds('administration of brokers with one store in memory', memoryGround, false)
grounds('administration of brokers with one Redis', redisGround, noRedis)

test('without a store in common, sessions of other brokers are found by their Client Identifier', async (t) => {
  const emitter = mqemitter({ matchEmptyLevels: true }) as unknown as Emitter
  const [a, b] = [0, 1].map(() => new Broker({ sysInterval: false, emitter })) as [Broker, Broker]
  t.after(() => Promise.all([a.close({ graceMs: 0 }), b.close({ graceMs: 0 })]))
  const one = new TestClient(a.connect())
  await one.connect('one', lasting)
  await until(async () => (await b.session('one')) !== undefined, 'the session')
  const session = await b.session('one')
  assert.equal(session?.broker, a.id)
  await session.publish({ topic: 't', payload: 'x' })
  assert.equal(await one.message(), 'x')
  assert.equal(await b.deleteSession('one'), true)
  await one.endedWith(0x98)
  assert.equal(await b.deleteSession('one'), false)
})

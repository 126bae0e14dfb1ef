/** The order of what the connections of one Client Identifier send, when they are connections to different brokers. */
import assert from 'node:assert/strict'
import { suite, test, type TestContext } from 'node:test'
import type { Plugin } from '../../types/hooks.ts'
import type { QoS } from '../../types/packets.ts'
import {
  type ConnectOptions,
  connectPacket,
  deferred,
  publishPacket,
  settle,
  type TestClient,
  will,
} from '../support/client.ts'
import { Gate } from './gated.ts'
import { type Member, memoryGround, Together, until } from './together.ts'

const HOOK_MS = 60_000

/** Permits publications of one broker, by hand for the payloads that are held. */
class Permission {
  readonly #held = new Set<string>()
  readonly #answers = new Map<string, ReturnType<typeof deferred<boolean>>>()

  readonly plugin: Plugin = {
    name: 'by hand',
    authorizePublish: ({ payload }) => {
      const name = payload.toString()
      if (!this.#held.has(name)) return true
      const answer = deferred<boolean>()
      this.#answers.set(name, answer)
      return answer.promise
    },
  }

  hold(...payloads: string[]): void {
    for (const payload of payloads) this.#held.add(payload)
  }

  /** A hook has been asked about this payload. */
  isAsked(payload: string): boolean {
    return this.#answers.has(payload)
  }

  answerAll(): void {
    this.#held.clear()
    for (const answer of this.#answers.values()) answer.resolve(true)
  }

  answer(payload: string): void {
    const answer = this.#answers.get(payload)
    assert.ok(answer !== undefined, `nothing was asked about ${payload}`)
    answer.resolve(true)
  }
}

/** A Client of one broker that sees what is published there, in its order. */
interface Watcher {
  readonly client: TestClient
  readonly seen: string[]
}

interface Scene {
  readonly together: Together
  readonly members: readonly [Member, Member, Member]
  readonly permissions: readonly [Permission, Permission, Permission]
  /** One at each broker. */
  readonly watchers: readonly Watcher[]
}

async function startThree(t: TestContext, gate?: Gate): Promise<Scene> {
  const ground = memoryGround()
  const together = new Together(ground)
  const permissions = [new Permission(), new Permission(), new Permission()] as const
  t.after(async () => {
    for (const permission of permissions) permission.answerAll() // So that no broker waits for its hooks.
    await together.end()
  })
  const options = { limits: { hookTimeoutMs: HOOK_MS } }
  const adding = permissions.map(({ plugin }, index) =>
    together.add({
      ...options,
      plugins: [plugin],
      ...(index === 0 && gate !== undefined && { persistence: gate.around(ground.persistence()) }),
    }),
  )
  await ground.clock.leap(3000) // No other broker responds to the first.
  const members = (await Promise.all(adding)) as [Member, Member, Member]
  const watchers: Watcher[] = []
  for (const [index, member] of members.entries()) {
    const client = await member.client(`watcher ${index}`)
    await client.subscribe('t/#', { qos: 0 })
    const seen: string[] = []
    watchers.push({ client, seen })
    void watch(client, seen)
  }
  return { together, members, permissions, watchers }
}

async function watch(client: TestClient, seen: string[]): Promise<void> {
  while (!client.isClosed) {
    const packet = await client.receivesAny().catch(() => undefined)
    if (packet === undefined) return
    if (packet.type === 'publish') seen.push(packet.payload.toString())
  }
}

/** Every watcher has seen this and nothing else. */
async function allSaw({ watchers }: Scene, ...expected: string[]): Promise<void> {
  for (const { seen } of watchers) await until(() => seen.length >= expected.length, expected.join(', '))
  await settle()
  for (const { seen } of watchers) assert.deepEqual(seen, expected)
}

/** Retained messages as a new Client of each broker gets them. */
async function retainedOf({ members }: Scene, topic: string): Promise<string[]> {
  const payloads: string[] = []
  for (const { broker } of members)
    for await (const { payload } of broker.retained(topic)) payloads.push(payload.toString())
  return payloads
}

const kept: ConnectOptions = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } }
const unkept: ConnectOptions = { cleanStart: true, properties: { sessionExpiryInterval: 0 } }

for (const [name, options] of [
  ['a session that is kept', kept],
  ['a session that ends with its connection', unkept],
] as const) {
  for (const isTakenOver of [true, false]) {
    const what = `${name}, ${isTakenOver ? 'taken over' : 'its connection ended by itself'}`

    suite(`what a broker has to decide on comes before the next connection at another broker: ${what}`, () => {
      for (const qos of [0, 1, 2] as const satisfies readonly QoS[]) {
        test(`PUBLISH at QoS ${qos} and a Will [MQTT-4.6.0-6]`, async (t) => {
          const s = await startThree(t)
          const [a, b] = s.members
          const [atA] = s.permissions
          const message = will('t/state', 'offline', { qos, retain: true })
          const one = await a.client('x', { ...options, will: message })
          atA.hold('one', 'offline')
          one.send(publishPacket('t/1', 'one', { qos, packetId: qos === 0 ? 0 : 1 }))
          await until(() => atA.isAsked('one'), 'the question')
          if (!isTakenOver) await one.drop()
          const two = await b.client('x', options) // The CONNACK does not wait.
          two.send(publishPacket('t/state', 'online', { qos, retain: true, packetId: qos === 0 ? 0 : 2 }))
          await settle()
          await allSaw(s)
          atA.answer('one')
          await until(() => atA.isAsked('offline'), 'the question about the Will')
          // The Client sends it again when its session goes on.
          const first = options === kept && qos > 0 ? [] : ['one']
          await allSaw(s, ...first)
          atA.answer('offline')
          await allSaw(s, ...first, 'offline', 'online')
          if (qos === 1) assert.equal((await two.receives('puback')).reasonCode, 0)
          if (qos === 2) assert.equal((await two.receives('pubrec')).reasonCode, 0)
          assert.deepEqual(await retainedOf(s, 't/state'), ['online', 'online', 'online'])
          for (const { errors } of s.members) assert.deepEqual(errors, [])
        })
      }

      test('a hook that never returns delays it by one time limit, and has no effect after it', async (t) => {
        const s = await startThree(t)
        const [a, b] = s.members
        const [atA] = s.permissions
        const one = await a.client('x', { ...options, will: will('t/w', 'will') })
        atA.hold('one', 'will')
        one.send(publishPacket('t/1', 'one'))
        await until(() => atA.isAsked('one'), 'the question')
        if (!isTakenOver) await one.drop()
        await s.together.ground.clock.leap(HOOK_MS / 2)
        const two = await b.client('x', options)
        two.send(publishPacket('t/2', 'two'))
        await s.together.ground.clock.leap(HOOK_MS / 2)
        await allSaw(s)
        await s.together.ground.clock.leap(HOOK_MS / 2)
        await allSaw(s, 'two')
        atA.answer('one')
        await settle()
        assert.equal(atA.isAsked('will'), false)
        await allSaw(s, 'two')
        assert.equal(a.errors.length, 1)
        assert.ok(b.errors.length <= 1) // Its own time limit ends at the same time, perhaps before the notice comes.
      })
    })
  }
}

suite('the next connection at another broker', () => {
  test('goes on when the broker with the undecided PUBLISH is gone', async (t) => {
    const s = await startThree(t)
    const [a, b] = s.members
    const [atA] = s.permissions
    const one = await a.client('x', kept)
    atA.hold('one')
    one.send(publishPacket('t/1', 'one'))
    await until(() => atA.isAsked('one'), 'the question')
    const two = await b.client('x', kept)
    two.send(publishPacket('t/2', 'two'))
    await settle()
    assert.deepEqual(s.watchers[1]?.seen, [])
    a.fall()
    await s.together.ground.clock.leap(HOOK_MS / 2)
    await until(() => s.watchers[1]?.seen.length === 1, 'two')
    assert.deepEqual(b.errors, [])
  })

  test('goes on after one time limit when the notice is lost', async (t) => {
    const s = await startThree(t)
    const [a, b] = s.members
    const [atA] = s.permissions
    const one = await a.client('x', kept)
    atA.hold('one')
    one.send(publishPacket('t/1', 'one'))
    await until(() => atA.isAsked('one'), 'the question')
    const two = await b.client('x', kept)
    two.send(publishPacket('t/2', 'two'))
    b.emitter.loses = ({ topic }) => topic === '$haltere/notice'
    atA.answer('one')
    await allSaw(s, 'one')
    await s.together.ground.clock.leap(HOOK_MS)
    await allSaw(s, 'one', 'two')
    assert.equal(b.errors.length, 1)
  })

  test('goes on at once when the decision comes before a third broker has responded', async (t) => {
    const s = await startThree(t)
    const [a, b, c] = s.members
    const [atA] = s.permissions
    const one = await a.client('x', unkept)
    atA.hold('one')
    one.send(publishPacket('t/1', 'one'))
    await until(() => atA.isAsked('one'), 'the question')
    c.emitter.loses = ({ topic }) => topic === '$haltere/question'
    const two = b.open()
    const connected = two.connect('x', unkept)
    await one.closed
    await settle()
    atA.answer('one')
    await allSaw(s, 'one')
    await s.together.ground.clock.leap(2000)
    assert.equal((await connected).reasonCode, 0)
    two.send(publishPacket('t/2', 'two'))
    await allSaw(s, 'one', 'two')
    assert.deepEqual(b.errors, [])
  })

  test('comes after the commit of what its former broker has decided', async (t) => {
    const gate = new Gate()
    gate.method = 'storeRetained'
    const s = await startThree(t, gate)
    const [a, b] = s.members
    const [atA] = s.permissions
    await a.client('x', { ...unkept, will: will('t/state', 'offline', { retain: true }) })
    atA.hold('offline')
    const two = await b.client('x', unkept)
    two.send(publishPacket('t/state', 'online', { retain: true }))
    await until(() => atA.isAsked('offline'), 'the question about the Will')
    gate.isOpen = false
    atA.answer('offline')
    await until(() => gate.hasWaiting, 'the store')
    await settle()
    assert.deepEqual(s.watchers[1]?.seen, [])
    gate.open()
    await allSaw(s, 'offline', 'online')
    assert.deepEqual(await retainedOf(s, 't/state'), ['online', 'online', 'online'])
  })

  for (const willDelayInterval of [0, 10]) {
    test(`has the Will once before it when it begins a new session: delay ${willDelayInterval} s`, async (t) => {
      const s = await startThree(t)
      const [a, b] = s.members
      const [atA] = s.permissions
      await a.client('x', { ...kept, will: will('t/w', 'will', { properties: { willDelayInterval } }) })
      atA.hold('will')
      const two = await b.client('x', { ...kept, cleanStart: true })
      two.send(publishPacket('t/2', 'two'))
      // The other broker reads a Will that is not due, and has no Client to ask a hook about.
      if (willDelayInterval === 0) {
        await until(() => atA.isAsked('will'), 'the question about the Will')
        await allSaw(s)
        atA.answer('will')
      }
      await allSaw(s, 'will', 'two')
    })
  }

  test('at the same broker has the undecided Will of a session that has ended once before it', async (t) => {
    const s = await startThree(t)
    const [a] = s.members
    const [atA] = s.permissions
    const one = await a.client('x', { ...unkept, will: will('t/w', 'will') })
    atA.hold('will')
    await one.drop()
    const two = await a.client('x', unkept)
    two.send(publishPacket('t/2', 'two'))
    await until(() => atA.isAsked('will'), 'the question about the Will')
    atA.answer('will')
    await allSaw(s, 'will', 'two')
  })

  test('waits for the last of several notices of one broker', async (t) => {
    const s = await startThree(t)
    const [a, b] = s.members
    const [atA] = s.permissions
    atA.hold('one', 'three')
    const one = await a.client('x', unkept)
    one.send(publishPacket('t/1', 'one'))
    await until(() => atA.isAsked('one'), 'the first question')
    const two = await b.client('x', unkept)
    two.send(publishPacket('t/2', 'two'))
    await two.quiet()
    const three = await a.client('x', unkept)
    three.send(publishPacket('t/3', 'three'))
    await three.quiet()
    const four = await b.client('x', unkept)
    four.send(publishPacket('t/4', 'four'))
    await four.quiet()
    atA.answer('one')
    await until(() => atA.isAsked('three'), 'the second question')
    await allSaw(s, 'one', 'two')
    atA.answer('three')
    await allSaw(s, 'one', 'two', 'three', 'four')
  })

  test('waits although a connection that was not let in came before it', async (t) => {
    const s = await startThree(t)
    const [a, b] = s.members
    const [atA] = s.permissions
    const one = await a.client('x', unkept)
    atA.hold('one')
    one.send(publishPacket('t/1', 'one'))
    await until(() => atA.isAsked('one'), 'the question')
    const gone = b.open()
    gone.send(connectPacket('x', unkept))
    await one.closed
    gone.stream.destroy()
    const two = await b.client('x', unkept)
    two.send(publishPacket('t/2', 'two'))
    await settle()
    await allSaw(s)
    atA.answer('one')
    await allSaw(s, 'one', 'two')
    assert.deepEqual(b.errors, [])
  })

  for (const [name, third] of [
    ['from the first broker to the second and the third', 2],
    ['from the first broker to the second and back', 0],
  ] as const) {
    for (const decides of ['all', 'the second only'] as const) {
      test(`keeps the order ${name}, when ${decides} decide`, async (t) => {
        const s = await startThree(t)
        const [a, b] = s.members
        const [atA, atB] = s.permissions
        const one = await a.client('x', { ...unkept, will: will('t/w', 'will of one') })
        atA.hold('one', 'will of one')
        one.send(publishPacket('t/1', 'one'))
        await until(() => atA.isAsked('one'), 'the question')
        const two = await b.client('x', { ...unkept, will: will('t/w', 'will of two') })
        atB.hold('two', 'will of two')
        two.send(publishPacket('t/2', 'two'))
        await settle()
        const three = await s.members[third].client('x', unkept)
        await two.closed
        three.send(publishPacket('t/3', 'three'))
        await settle()
        await allSaw(s)
        if (decides === 'all') {
          atA.answer('one')
          await until(() => atA.isAsked('will of one'), 'the question about the Will')
          atA.answer('will of one')
          await until(() => atB.isAsked('two'), 'the question at the second broker')
          await allSaw(s, 'one', 'will of one')
          atB.answer('two')
          await until(() => atB.isAsked('will of two'), 'the question about the second Will')
          atB.answer('will of two')
          await allSaw(s, 'one', 'will of one', 'two', 'will of two', 'three')
          for (const { errors } of s.members) assert.deepEqual(errors, [])
        } else {
          await s.together.ground.clock.leap(2 * HOOK_MS)
          await allSaw(s, 'three')
        }
      })
    }
  }
})

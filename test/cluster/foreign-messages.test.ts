/** Messages that a program without a broker, or a broker of aedes, puts on the emitter of brokers. */
import assert from 'node:assert/strict'
import { after, before, suite, test, type TestContext } from 'node:test'
import { runInNewContext } from 'node:vm'
import mqemitter from 'mqemitter'
import { Broker, MemoryPersistence } from '../../lib/index.ts'
import type { Emitter } from '../../types/emitter.ts'
import type { BrokerOptions } from '../../types/options.ts'
import { settle, TestClient } from '../support/client.ts'
import { ManualClock } from '../support/clock.ts'
import { noRedis } from '../support/redis.ts'
import { type Ground, lasting, type Member, memoryGround, redisGround, Together, until } from './together.ts'

/** One broker with an emitter, and what another program puts on it. */
async function scene(t: TestContext, options: BrokerOptions = {}) {
  const emitter = mqemitter({ matchEmptyLevels: true }) as unknown as Emitter
  const clock = new ManualClock()
  const broker = new Broker({ sysInterval: false, clock, emitter, ...options })
  const errors: string[] = []
  broker.on('error', ({ message }) => errors.push(message))
  t.after(async () => {
    const closed = broker.close({ graceMs: 0 })
    await settle()
    clock.advance(10_000)
    await closed
  })
  await settle()
  clock.advance(5000) // No other broker responds.
  await settle()
  const emit = async (message: unknown): Promise<void> => {
    emitter.emit(message as { topic: string })
    await settle()
  }
  const client = async (clientId: string, connectOptions = {}): Promise<TestClient> => {
    const one = new TestClient(broker.connect())
    await one.connect(clientId, connectOptions)
    return one
  }
  return { broker, clock, errors, emit, client, emitter }
}

test('a message of another program is delivered with what it has: bytes or a string, QoS, Properties', async (t) => {
  const { emit, client, errors } = await scene(t)
  const one = await client('one')
  await one.subscribe('a/#', { qos: 2 })
  const got: unknown[] = []
  for (const message of [
    { topic: 'a/1', payload: 'text' },
    { topic: 'a/2', payload: Buffer.from('bytes'), qos: 1 },
    { cmd: 'publish', topic: 'a/3', payload: new Uint8Array([0x78]), qos: 2, retain: false, dup: false },
    { topic: 'a/4' },
    { topic: 'a/5', payload: 'p', properties: { contentType: 'x/y' } },
    { cmd: 'publish', topic: 'a/6', payload: 'aedes', qos: 1, brokerId: 'aedes-1', brokerCounter: 3, clientId: 'c' },
  ]) {
    await emit(message)
    const packet = await one.receives('publish')
    got.push([packet.topic, packet.payload.toString(), packet.qos, packet.properties?.contentType])
    await one.acknowledge(packet)
  }
  assert.deepEqual(got, [
    ['a/1', 'text', 0, undefined],
    ['a/2', 'bytes', 1, undefined],
    ['a/3', 'x', 2, undefined],
    ['a/4', '', 0, undefined],
    ['a/5', 'p', 0, 'x/y'],
    ['a/6', 'aedes', 1, undefined],
  ])
  assert.deepEqual(errors, [])
})

test('every kind of bytes of another program is delivered as bytes, as payload and Correlation Data', async (t) => {
  const { emit, client, errors } = await scene(t)
  const one = await client('one')
  await one.subscribe('a')
  const { buffer } = new Uint8Array([0x68, 0x69])
  const shared = new SharedArrayBuffer(2)
  new Uint8Array(shared).set([0x68, 0x69])
  const ofAnotherRealm: unknown = runInNewContext('new Uint8Array([0x68, 0x69])')
  for (const bytes of [buffer, new DataView(buffer), new Uint16Array(buffer), shared, ofAnotherRealm]) {
    await emit({ topic: 'a', payload: bytes, properties: { correlationData: bytes } })
    const { payload, properties } = await one.receives('publish')
    assert.deepEqual([payload, properties?.correlationData].map(String), ['hi', 'hi'])
  }
  assert.deepEqual(errors, [])
  await emit({ topic: 'a', payload: new Map() })
  await one.quiet()
  assert.match(errors.join(), /payload: expected bytes or a string/)
})

test('a message of another program is not put on the emitter again', async (t) => {
  const { emit, client, emitter } = await scene(t)
  const one = await client('one')
  await one.subscribe('a', { qos: 1 })
  const heard: unknown[] = []
  await new Promise<void>((resolve) =>
    emitter.on(
      'a',
      (message, done) => {
        heard.push(message)
        done()
      },
      resolve,
    ),
  )
  await emit({ topic: 'a', payload: 'x', qos: 1 })
  assert.equal(await one.message(), 'x')
  await one.quiet()
  assert.equal(heard.length, 1)
})

for (const [what, message] of [
  ['a wildcard in the topic', { topic: 'a/#', payload: 'x' }],
  ['an empty topic', { topic: '', payload: 'x' }],
  ['a NUL in the topic', { topic: 'a\0', payload: 'x' }],
  ['too many levels', { topic: 'a/'.repeat(80), payload: 'x' }],
  ['$share', { topic: '$share/g/a', payload: 'x' }],
  ['a payload that is a number', { topic: 'a', payload: 5 }],
  ['a payload that is an object', { topic: 'a', payload: { a: 1 } }],
  ['QoS 3', { topic: 'a', payload: 'x', qos: 3 }],
  ['QoS "1"', { topic: 'a', payload: 'x', qos: '1' }],
  ['retain "yes"', { topic: 'a', payload: 'x', retain: 'yes' }],
  ['unknown Properties', { topic: 'a', payload: 'x', properties: { other: 1 } }],
  ['a Topic Alias', { topic: 'a', payload: 'x', properties: { topicAlias: 1 } }],
  ['more bytes than the Maximum Packet Size', { topic: 'a', payload: 'x'.repeat(2000) }],
] as [string, object][]) {
  test(`a message of another program with ${what} is dropped and reported`, async (t) => {
    const { emit, client, errors } = await scene(t, { limits: { maxPacketSize: 1000, maxTopicLevels: 60 } })
    const one = await client('one')
    await one.subscribe('#', { qos: 2 })
    await emit(message)
    await one.quiet()
    assert.equal(errors.length, 1)
    assert.match(errors[0] ?? '', /a message of another program on ".*" is dropped/)
  })
}

test('what is no message, and what brokers say to themselves, is ignored without a report', async (t) => {
  const { emit, client, errors } = await scene(t)
  const one = await client('one')
  await one.subscribe([
    { topicFilter: '#', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
    { topicFilter: '$SYS/#', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 },
  ])
  for (const message of [
    { topic: '$SYS/aedes/heartbeat', payload: 'id' },
    { topic: '$SYS/sub/add', payload: Buffer.from('x') },
    { topic: '$haltere/leave', last: 0 },
    { topic: 'a', cmd: 'subscribe' },
    { topic: 'a', cmd: 'publish', brokerId: 5 },
    { topic: 'a', cmd: 'publish', sequence: 1 },
  ]) {
    await emit(message)
  }
  await one.quiet()
  assert.deepEqual(errors, [])
})

test('a flood of messages that are not valid is reported once a minute', async (t) => {
  const { emit, clock, errors } = await scene(t)
  for (let number = 0; number < 50; number += 1) await emit({ topic: 'a', payload: number })
  assert.equal(errors.length, 1)
  clock.advance(60_000)
  await settle()
  await emit({ topic: 'b', payload: 5 })
  assert.equal(errors.length, 2)
  assert.match(errors[1] ?? '', /and 49 other messages/)
})

test('limits of queues and of retained messages hold for messages of another program', async (t) => {
  const { emit, client, broker } = await scene(t, { limits: { maxRetained: 1, maxQueuedMessages: 2 } })
  const dropped: string[] = []
  broker.on('dropped', (message, _clientId, why) => dropped.push(`${message.payload.toString()} ${why}`))
  const one = await client('one', lasting)
  await one.subscribe('a', { qos: 1 })
  await one.drop()
  for (const payload of ['1', '2', '3']) await emit({ topic: 'a', payload, qos: 1 })
  assert.deepEqual(dropped, ['3 queue-full'])
  await emit({ topic: 'r/1', payload: 'x', retain: true })
  await emit({ topic: 'r/2', payload: 'x', retain: true })
  assert.equal(broker.stats().retainedMessages, 1)
})

test('a message of another program is stored for a session, and as a retained message, before a restart', async (t) => {
  const persistence = new MemoryPersistence()
  const first = await scene(t, { persistence })
  const one = await first.client('one', lasting)
  await one.subscribe('a', { qos: 1 })
  await one.drop()
  await first.emit({ topic: 'a', payload: 'waits', qos: 1, retain: true })
  const closed = first.broker.close({ graceMs: 0 })
  await settle()
  first.clock.advance(10_000)
  await closed
  const second = await scene(t, { persistence })
  const again = new TestClient(second.broker.connect())
  assert.equal((await again.connect('one', lasting)).sessionPresent, true)
  assert.equal(await again.message(), 'waits')
  const kept: string[] = []
  for await (const { payload } of second.broker.retained('a')) kept.push(payload.toString())
  assert.deepEqual(kept, ['waits'])
})

function grounds(title: string, make: () => Ground | Promise<Ground>, skip: string | false): void {
  suite(title, { skip }, () => {
    let together: Together
    let emitter: Emitter
    let members: readonly Member[] = []
    before(async () => {
      together = await Together.start(await make(), 3)
      members = together.members
      emitter = together.ground.emitter() // Of a program without a broker.
    })
    after(async () => {
      together.ground.release(emitter)
      await together.end()
    })

    test('each Client gets it once, whichever broker it uses; a shared subscription once in all', async () => {
      const clients: TestClient[] = []
      for (const [index, member] of members.entries()) {
        const own = await member.client(`own-${index}`, index === 1 ? lasting : {})
        await own.subscribe('foreign/t', { qos: 1 })
        const worker = await member.client(`worker-${index}`, lasting)
        await worker.subscribe('$share/g/foreign/t', { qos: 1 })
        clients.push(own, worker)
      }
      const workers = clients.filter((_, index) => index % 2 === 1)
      for (const { broker } of members) {
        await until(async () => {
          let known = 0
          for await (const { clientId, subscriptions } of broker.sessions()) {
            if (clientId.startsWith('worker-') && subscriptions.length === 1) known += 1
          }
          return known === 3
        }, 'the subscriptions of all brokers')
      }
      for (let number = 0; number < 12; number += 1)
        emitter.emit({ topic: 'foreign/t', payload: `${number}`, qos: 1 } as never)
      const expected = Array.from({ length: 12 }, (_, number) => `${number}`)
      for (const own of clients.filter((_, index) => index % 2 === 0)) {
        for (const payload of expected) assert.equal(await own.message(), payload)
      }
      const came = (): number => workers.reduce((sum, { received }) => sum + received.length, 0)
      await until(() => came() >= 12, 'the messages of the shared subscription')
      for (const one of clients.filter((_, index) => index % 2 === 0)) await one.quiet()
      assert.equal(came(), 12)
      const payloads = workers.flatMap(({ received }) =>
        received.map((packet) => (packet.type === 'publish' ? packet.payload.toString() : packet.type)),
      )
      assert.deepEqual(new Set(payloads), new Set(expected))
    })

    test('it is retained at all brokers, and by a broker that starts later', async () => {
      emitter.emit({ topic: 'foreign/r', payload: 'kept', retain: true } as never)
      const has = async ({ broker }: Member): Promise<boolean> => {
        for await (const { payload } of broker.retained('foreign/r')) return payload.toString() === 'kept'
        return false
      }
      for (const member of members) await until(() => has(member), 'the retained message')
      const late = together.add()
      await together.ground.clock.leap(3000)
      const started = await late
      await until(() => has(started), 'the retained message from the store')
    })
  })
}

grounds('messages of another program, for brokers with one store in memory', memoryGround, false)
grounds('messages of another program, for brokers with one Redis', redisGround, noRedis)

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Redis, type RedisOptions } from 'ioredis'
import mqemitterRedis from 'mqemitter-redis'
import type { Emitter } from '../../types/emitter.ts'
import type { Clock } from '../../types/options.ts'
import { message, TestBroker } from './brokers.ts'
import { patienceMs } from '../support/patience.ts'
import { noRedis, RedisServer } from '../support/redis.ts'

const clock: Clock = {
  now: () => performance.now(),
  setTimeout,
  clearTimeout: (handle: NodeJS.Timeout) => clearTimeout(handle),
}

interface Setting {
  readonly server: RedisServer
  /** A broker with an emitter of its own. */
  broker(id: string, options?: RedisOptions): TestBroker
  readonly emitters: Emitter[]
}

/** @param deadAfterMs - Short only where a broker is to be taken for dead: one that is slow is not. */
async function setting(t: TestContext, deadAfterMs: number = patienceMs): Promise<Setting> {
  const server = new RedisServer()
  await server.start()
  const all: { readonly broker: TestBroker; readonly emitter: Emitter }[] = []
  const emitters: Emitter[] = []
  t.after(async () => {
    for (const { broker, emitter } of all) {
      await broker.cluster.stop()
      for (const connection of connections(emitter)) connection.disconnect() // To close it would wait for Redis.
    }
    await server.remove()
  })
  return {
    server,
    emitters,
    broker(id, redisOptions = {}) {
      const emitter = mqemitterRedis({ port: server.port, ...redisOptions }) as unknown as Emitter
      const broker = new TestBroker(emitter, id, clock, { heartbeatMs: 200, deadAfterMs })
      all.push({ broker, emitter })
      emitters.push(emitter)
      return broker
    },
  }
}

function connections(emitter: Emitter): Redis[] {
  const { subConn, pubConn } = emitter as unknown as { subConn: Redis; pubConn: Redis }
  return [subConn, pubConn]
}

async function joined(...all: TestBroker[]): Promise<void> {
  await Promise.all(all.map((one) => one.cluster.start()))
  const others = all.flatMap((one) =>
    all.filter((other) => other !== one).map((other) => one.heard(`${other.id} joined`)),
  )
  await Promise.all(others)
  for (const one of all) one.log()
}

const options = { skip: noRedis }

test('through Redis: messages, notices and questions arrive as they were given', options, async (t) => {
  const { broker } = await setting(t)
  const a = broker('a')
  const b = broker('b')
  await joined(a, b)
  b.answer = (_, body) => ({ body, bytes: Buffer.from('answer') })
  const deep = Array(128).fill('x').join('/')
  const given = { ...message('t', 'payload'), properties: { correlationData: Buffer.from('c') }, clientId: undefined }
  a.cluster.publish([given])
  a.cluster.publish([message(deep)])
  a.cluster.publish([message('__sentinel__:hello')])
  a.cluster.broadcast('k', { bytes: Buffer.from('b'), nothing: undefined, number: 2 ** 40, list: [null, undefined] })
  const { responses, timedOut } = await a.cluster.request('q', [1, Buffer.from('x')], { timeoutMs: patienceMs })
  assert.deepEqual(timedOut, [])
  assert.deepEqual(responses.get('b'), { body: [1, Buffer.from('x')], bytes: Buffer.from('answer') })
  assert.deepEqual(b.log(), [
    'a published t',
    `a published ${deep}`,
    'a published __sentinel__:hello',
    'a told k',
    'a asked q',
  ])
  const { topic, payload, qos, retain, properties, cmd, brokerId, sequence, ...rest } = b.messages[0] ?? { topic: '' }
  assert.deepEqual(
    { topic, payload, qos, retain, properties, cmd, brokerId, sequence, rest: Object.keys(rest) },
    {
      ...message('t', 'payload'),
      properties: { correlationData: Buffer.from('c') },
      cmd: 'publish',
      brokerId: 'a',
      sequence: 1,
      rest: ['version', '_stringId'],
    },
  )
  assert.deepEqual(b.bodies, [{ bytes: Buffer.from('b'), number: 2 ** 40, list: [null, null] }])
  const left = a.heard('b left: leave')
  await b.cluster.stop()
  await left
  assert.deepEqual([...a.errors, ...b.errors], [])
})

test('through Redis: what is lost while connections are cut is noticed when they are back', options, async (t) => {
  const { broker, server } = await setting(t)
  const a = broker('a')
  const b = broker('b')
  await joined(a, b)
  const control = new Redis({ port: server.port })
  t.after(() => control.disconnect())
  for (let round = 1; round <= 3; round += 1) {
    a.log()
    b.log()
    assert.equal(await control.client('KILL', 'TYPE', 'pubsub'), 2)
    a.cluster.publish([message(`lost ${round}`)])
    await b.heard('missed a')
    a.cluster.publish([message(`after ${round}`)])
    await b.heard(`a published after ${round}`)
    b.cluster.publish([message(`back ${round}`)])
    await a.heard(`b published back ${round}`)
    assert.deepEqual(b.log(), ['interrupted', 'missed a', `a published after ${round}`])
  }
})

test('through Redis: brokers find each other again when Redis is back', options, async (t) => {
  const { broker, server } = await setting(t, 3000)
  const a = broker('a')
  const b = broker('b')
  await joined(a, b)
  await server.kill()
  await Promise.all([a.heard('b left: silence'), b.heard('a left: silence')])
  a.log()
  b.log()
  assert.equal(a.errors.length, 1)
  await server.start()
  await Promise.all([a.heard('b joined'), b.heard('a joined')])
  a.cluster.publish([message('after')])
  await b.heard('a published after')
  assert.equal(a.errors.length, 1)
})

test(
  'through Redis: a broker starts and stops without Redis, and its emitter then does not end the process',
  options,
  async (t) => {
    const { broker, server } = await setting(t)
    await server.kill()
    const a = broker('a')
    const b = broker('b')
    await Promise.all([a.cluster.start(), b.cluster.start()])
    assert.deepEqual(a.members, [])
    await server.start()
    await Promise.all([a.heard('b joined'), b.heard('a joined')])
    await server.kill()
    await Promise.all([a.cluster.stop(), b.cluster.stop()])
    assert.equal(a.timers.size, 0)
  },
)

test(
  'through Redis: a broker that could not subscribe for too long does so when Redis is there',
  options,
  async (t) => {
    const { broker, server, emitters } = await setting(t)
    await server.kill()
    const a = broker('a', { maxRetriesPerRequest: 1 })
    const b = broker('b', { maxRetriesPerRequest: 1 })
    await Promise.all([a.cluster.start(), b.cluster.start()])
    for (const emitter of emitters) {
      const [subscriber] = connections(emitter)
      for (let retry = 0; retry < 3; retry += 1) {
        await new Promise((resolve) => subscriber?.once('reconnecting', resolve))
      }
    }
    await server.start()
    await Promise.all([a.heard('b joined'), b.heard('a joined')])
    a.cluster.publish([message('after')])
    await b.heard('a published after')
    assert.equal(b.log().filter((line) => line === 'a published after').length, 1)
  },
)

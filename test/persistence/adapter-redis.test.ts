import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'
import { Redis } from 'ioredis'
import mqemitter from 'mqemitter'
import { AdapterRun, type AdapterStore } from '../support/adapter-run.ts'
import { isLong } from '../support/length.ts'
import { noRedis, RedisServer } from '../support/redis.ts'
import { adapterConformance } from './adapter-conformance.ts'

const redisPersistence: (options: object) => unknown = createRequire(import.meta.url)('aedes-persistence-redis')

if (noRedis !== false) {
  test('aedes-persistence-redis', { skip: noRedis }, () => undefined)
} else {
  let server: RedisServer
  before(async () => {
    server = await RedisServer.started()
  })
  after(() => server.remove())

  const empty = async (): Promise<AdapterStore> => {
    const redis = new Redis({ port: server.port })
    await redis.flushall()
    await redis.quit()
    return { persistence: () => redisPersistence({ port: server.port }), end: async () => undefined }
  }

  adapterConformance('aedes-persistence-redis', empty, isLong ? 5000 : 1200)

  const target = { clientId: 'c', qos: 2, retain: false } as const

  test('Redis holds nothing more of what is complete, discarded or of a session that has ended', async () => {
    const store = await empty()
    const redis = new Redis({ port: server.port })
    const run = await AdapterRun.start(store)
    assert.deepEqual(await redis.keys('*'), [], 'nor of the look at what it can do')
    await run.sessions('c', 'd')
    const before = (await redis.keys('*')).toSorted()
    for (let message = 1; message <= 6; message += 1) {
      const incoming = { clientId: 'd', messageId: message }
      const packet = run.message({ qos: 2 })
      const targets = [message < 5 ? { ...target, messageId: message } : target, { ...target, clientId: 'd' }]
      await run.backend.commit([
        { kind: 'publish', packet, targets, retain: false, incoming },
        { kind: 'incoming done', ...incoming },
      ])
    }
    await run.backend.commit([
      { kind: 'release', clientId: 'c', messageId: 1 },
      { kind: 'release', clientId: 'c', messageId: 2 },
      { kind: 'complete', clientId: 'c', messageId: 1 },
      { kind: 'complete', clientId: 'c', messageId: 3 },
    ])
    await run.restart()
    await run.read()
    const name = { brokerId: [...(await run.queue('c'))].at(-1)!.packet.brokerId!, brokerCounter: 6 }
    await run.backend.commit([
      { kind: 'complete', clientId: 'c', messageId: 2 },
      { kind: 'release', clientId: 'c', messageId: 4 },
      { kind: 'complete', clientId: 'c', messageId: 4 },
      { kind: 'discard', clientIds: ['c', 'd'], ...name },
      { kind: 'discard', clientIds: ['c', 'd'], ...name, brokerCounter: 5 },
      { kind: 'discard', clientIds: ['c', 'd'], ...name, brokerCounter: 1 },
      { kind: 'will', clientId: 'c', will: { topic: 'w', payload: 'x', qos: 1, retain: false } },
      { kind: 'will', clientId: 'c', will: undefined },
    ])
    await run.backend.commit([{ kind: 'end session', clientId: 'd' }])
    await run.sessions('d')
    assert.deepEqual((await redis.keys('*')).toSorted(), before)
    await redis.quit()
    await run.end()
  })

  test('what was committed is there after a fall of Redis', async () => {
    const run = await AdapterRun.start(await empty())
    await run.sessions('c')
    for (let message = 1; message <= 20; message += 1) await run.publish({ qos: 2 }, target)
    await run.backend.close()
    await server.kill()
    await server.start()
    await run.open()
    assert.equal((await run.read()).queues.get('c')?.length, 20)
    await run.end()
  })

  test('a SUBSCRIBE whose broadcast got lost is stored, and nobody waits for it', async () => {
    const run = await AdapterRun.start(await empty(), { callTimeout: 3000 })
    await run.backend.close()
    const mq = mqemitter()
    const emit = mq.emit.bind(mq)
    mq.emit = (message, callback) => (message.topic === '$SYS/sub/add' ? mq : emit(message, callback))
    await run.open(mq)
    await run.sessions('c')
    await run.backend.commit([{ kind: 'subscribe', clientId: 'c', subscriptions: [{ topic: 'a', qos: 1 }] }])
    await run.restart()
    const { sessions } = await run.read()
    assert.deepEqual(
      sessions.get('c')?.subscriptions.map(({ topic }) => topic),
      ['a'],
    )
    await run.end()
  })

  test('a queue of which much has expired in Redis is read to its end', async () => {
    const run = await AdapterRun.start(await empty())
    const redis = new Redis({ port: server.port })
    await run.sessions('c')
    const packets = Array.from({ length: 1500 }, () => run.message())
    await run.backend.commit(packets.map((packet) => ({ kind: 'publish', packet, targets: [target], retain: false })))
    const expired = (await redis.lrange('outgoing:c', 0, 1399)).filter((key) => key.startsWith('packet:'))
    await redis.del(expired)
    await run.restart()
    assert.equal((await run.read()).queues.get('c')?.length, 100)
    await redis.quit()
    await run.end()
  })
}

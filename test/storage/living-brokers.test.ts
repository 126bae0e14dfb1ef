/** Brokers that use one store without an emitter would publish the Wills of each other's living Clients. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { ClassicLevel } from 'classic-level'
import { Redis } from 'ioredis'
import mqemitter from 'mqemitter'
import { Broker, log, MemoryPersistence } from '../../lib/index.ts'
import { LIVING_BROKERS } from '../../lib/storage/living-brokers.ts'
import type { Emitter } from '../../types/emitter.ts'
import type { BrokerOptions } from '../../types/options.ts'
import type { Persistence, PersistenceOperation } from '../../types/persistence.ts'
import type { Storage } from '../../types/storage.ts'
import { settle, TestClient, will } from '../support/client.ts'
import { ManualClock } from '../support/clock.ts'
import { noRedis, RedisServer } from '../support/redis.ts'

const require = createRequire(import.meta.url)
const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } }

/** One store that several brokers can open, each through an object of its own. */
class SharedStore {
  readonly disk = new MemoryPersistence()
  #opened: Promise<void> | undefined

  storage(): Storage {
    const { disk } = this
    return {
      open: (broker) => (this.#opened ??= disk.open(broker)),
      readAll: () => disk.readAll(),
      readSession: (clientId) => disk.readSession(clientId),
      commit: (operations) => disk.commit(operations),
      close: async () => undefined,
      shared: {
        async *readSessions() {
          for await (const state of disk.readAll()) if (state.kind === 'session') yield state
        },
        async *readRetained() {
          for await (const state of disk.readAll()) if (state.kind === 'retained') yield state.packet
        },
      },
    }
  }

  /** The record of a broker on another machine. */
  async write(topic: string, beat: number, isRunning = true): Promise<void> {
    const subscription = { topic, qos: 1, rh: 0, rap: isRunning, nl: false, subscriptionIdentifier: beat } as const
    const operations: PersistenceOperation[] = [
      { kind: 'session', clientId: LIVING_BROKERS, session: { expiryInterval: 0xffff_ffff, expiresAt: null } },
      { kind: 'subscribe', clientId: LIVING_BROKERS, subscriptions: [subscription] },
    ]
    await this.disk.commit(operations)
  }

  async records(): Promise<string[]> {
    return (await this.disk.readSession(LIVING_BROKERS))?.subscriptions.map(({ topic }) => topic) ?? []
  }
}

function brokerWith(t: TestContext, options: BrokerOptions): { broker: Broker; errors: string[]; clock: ManualClock } {
  const clock = new ManualClock()
  const broker = new Broker({ sysInterval: false, clock, ...options })
  const errors: string[] = []
  broker.on('error', ({ message }) => errors.push(message))
  t.after(async () => {
    const closed = broker.close({ graceMs: 0 })
    await settle()
    clock.advance(10_000)
    await closed
  })
  return { broker, errors, clock }
}

const refusal = /another broker uses this store: process \d+ on .+ give an emitter in common/

test('a second broker with one store and no emitter does not start, and publishes no Will of a living Client', async (t) => {
  const store = new SharedStore()
  const first = brokerWith(t, { persistence: store.storage() })
  await first.broker.listen({ tcp: 0 })
  const watcher = new TestClient(first.broker.connect())
  await watcher.connect('watcher', lasting)
  await watcher.subscribe('w', { qos: 1 })
  const one = new TestClient(first.broker.connect())
  await one.connect('one', { ...lasting, will: will('w', 'gone', { qos: 1 }) })

  const second = brokerWith(t, { persistence: store.storage() })
  const published: string[] = []
  second.broker.on('published', ({ topic }) => published.push(topic))
  await assert.rejects(second.broker.listen({ tcp: 0 }), refusal)
  await second.broker.close()
  assert.match(second.errors[0] ?? '', refusal)
  assert.deepEqual(published, [])
  await watcher.quiet()
  await one.quiet()

  await first.broker.close({ graceMs: 0 })
  assert.deepEqual(await store.records(), [])
  const third = brokerWith(t, { persistence: store.storage() })
  await third.broker.listen({ tcp: 0 })
  assert.equal(third.broker.stats().sessions, 2, 'the record of brokers is no session')
})

test('a broker with an emitter and one without do not share a store', async (t) => {
  for (const isFirstAlone of [true, false]) {
    const store = new SharedStore()
    const options = (isAlone: boolean): BrokerOptions => {
      const emitter = mqemitter({ matchEmptyLevels: true }) as unknown as Emitter
      return { persistence: store.storage(), ...(!isAlone && { emitter }) }
    }
    const first = brokerWith(t, options(isFirstAlone))
    const opened = first.broker.listen({ tcp: 0 })
    for (let step = 0; step < 5; step += 1) {
      await settle()
      first.clock.advance(1000)
    }
    await opened
    const second = brokerWith(t, options(!isFirstAlone))
    const refused = assert.rejects(second.broker.listen({ tcp: 0 }), refusal)
    for (let step = 0; step < 5; step += 1) {
      await settle()
      second.clock.advance(1000)
    }
    await refused
  }
})

test('the record of a broker on another machine that lives keeps a broker from starting; one that was killed does not', async (t) => {
  for (const isAlive of [true, false]) {
    const store = new SharedStore()
    await store.write('0-earlier/elsewhere/7/alone', 1)
    const { broker, clock } = brokerWith(t, { persistence: store.storage() })
    const opened = broker.listen({ tcp: 0 }).then(
      () => 'started',
      ({ message }: Error) => message,
    )
    await settle()
    if (isAlive) await store.write('0-earlier/elsewhere/7/alone', 2)
    clock.advance(5000)
    const result = await opened
    if (isAlive) assert.match(result, /process 7 on elsewhere/)
    else {
      assert.equal(result, 'started')
      await settle()
      assert.equal((await store.records()).length, 1, 'its record is removed')
    }
  }
})

test('a broker whose process was killed on this machine delays no start', async (t) => {
  const store = new SharedStore()
  const host = encodeURIComponent(hostname())
  await store.write(`0-earlier/${host}/${process.pid}/alone`, 1) // The same number, as in a container.
  await store.write(`0-earlier/${host}/4194304/alone`, 1) // Above the largest number of a process.
  const { broker } = brokerWith(t, { persistence: store.storage() })
  await broker.listen({ tcp: 0 })
})

test('of two brokers that start at once, the earlier one does', async (t) => {
  const store = new SharedStore()
  await store.write('zzz-later/elsewhere/7/alone', 1, false)
  const { broker } = brokerWith(t, { persistence: store.storage() })
  await broker.listen({ tcp: 0 })
})

test('a broker that is closed while it watches another one ends, and restores nothing', async (t) => {
  const store = new SharedStore()
  await store.write('0-earlier/elsewhere/7/alone', 1)
  const { broker } = brokerWith(t, { persistence: store.storage() })
  await settle()
  await broker.close({ graceMs: 0 })
  assert.deepEqual(await store.records(), ['0-earlier/elsewhere/7/alone'])
})

test('a broker writes its record again and again while it runs', async (t) => {
  const store = new SharedStore()
  const { broker, clock } = brokerWith(t, { persistence: store.storage() })
  await broker.listen({ tcp: 0 })
  const beats = new Set<number | undefined>()
  for (let step = 0; step < 4; step += 1) {
    await settle()
    beats.add((await store.disk.readSession(LIVING_BROKERS))?.subscriptions[0]?.subscriptionIdentifier)
    clock.advance(2000)
  }
  assert.equal(beats.size, 4)
})

test('one store object is not given to two brokers of a program', async (t) => {
  const Memory = require('aedes-persistence') as () => Persistence
  for (const persistence of [new MemoryPersistence(), Memory()]) {
    const first = brokerWith(t, { persistence })
    await first.broker.listen({ tcp: 0 })
    const second = brokerWith(t, { persistence })
    await assert.rejects(second.broker.listen({ tcp: 0 }), /another broker of this program uses this store object/)
    await second.broker.close()
    await first.broker.close({ graceMs: 0 })
  }
})

test('a closed broker leaves its store object to the next one', async (t) => {
  const persistence = new MemoryPersistence()
  for (let number = 0; number < 2; number += 1) {
    const { broker } = brokerWith(t, { persistence })
    await broker.listen({ tcp: 0 })
    await broker.close({ graceMs: 0 })
  }
})

for (const [name, make] of [
  ['the log', (dir: string) => log({ dir })],
  [
    'level',
    (dir: string) => (require('aedes-persistence-level') as (db: unknown) => Persistence)(new ClassicLevel(dir)),
  ],
] as [string, (dir: string) => Persistence | Storage][]) {
  test(`two brokers do not open one directory with ${name}`, async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'haltere-living-'))
    t.after(() => rm(dir, { recursive: true }))
    const first = new Broker({ sysInterval: false, persistence: make(dir) })
    await first.listen({ tcp: 0 })
    const second = new Broker({ sysInterval: false, persistence: make(dir) })
    second.on('error', () => undefined)
    await assert.rejects(second.listen({ tcp: 0 }))
    await second.close()
    await first.close({ graceMs: 0 })
  })
}

test('two brokers with one Redis and no emitter: the second one does not start', { skip: noRedis }, async (t) => {
  const server = await RedisServer.started()
  t.after(() => server.remove())
  const make = require('aedes-persistence-redis') as (options: object) => Persistence
  const persistence = (): Persistence => make({ conn: new Redis({ port: server.port }) })
  const first = new Broker({ sysInterval: false, persistence: persistence() })
  await first.listen({ tcp: 0 })
  const watcher = new TestClient(first.connect())
  await watcher.connect('watcher', lasting)
  await watcher.subscribe('w', { qos: 1 })
  const one = new TestClient(first.connect())
  await one.connect('one', { ...lasting, will: will('w', 'gone', { qos: 1 }) })
  const second = new Broker({ sysInterval: false, persistence: persistence() })
  second.on('error', () => undefined)
  await assert.rejects(second.listen({ tcp: 0 }), refusal)
  await second.close()
  await watcher.quiet()
  await one.drop()
  assert.equal(await watcher.message(), 'gone')
  await first.close({ graceMs: 0 })
  const third = new Broker({ sysInterval: false, persistence: persistence() })
  await third.listen({ tcp: 0 })
  assert.equal(third.stats().sessions, 2)
  await third.close({ graceMs: 0 })
})

/** A store of one's own: the port `Storage` as an author of a store sees it. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { test, type TestContext } from 'node:test'
import mqemitter from 'mqemitter'
import { Broker, InvalidOptionError, MemoryPersistence } from '../../lib/index.ts'
import type { BrokerOptions, Persistence, PersistenceBroker, Storage, StorageBroker } from '../../lib/index.ts'
import { TestClient } from '../support/client.ts'

/** A `Storage` and nothing else, over what outlives it, that writes down how it is called. */
function storageOver(disk: MemoryPersistence, calls: string[] = []): Storage & { broker?: StorageBroker } {
  return {
    async open(broker) {
      calls.push('open')
      this.broker = broker
    },
    readAll: () => disk.readAll(),
    readSession: (clientId) => disk.readSession(clientId),
    commit: (operations) => disk.commit(operations),
    async close() {
      calls.push('close')
    },
  }
}

function brokerWith(t: TestContext, options: BrokerOptions): Broker {
  const broker = new Broker({ sysInterval: false, ...options })
  t.after(() => broker.close({ graceMs: 0 }))
  return broker
}

async function connect(broker: Broker, clientId: string): Promise<{ client: TestClient; sessionPresent: boolean }> {
  const client = new TestClient(broker.connect(), 5)
  const properties = { sessionExpiryInterval: 0xffff_ffff }
  const { sessionPresent } = await client.connect(clientId, { cleanStart: false, properties })
  return { client, sessionPresent }
}

test('a class that extends MemoryPersistence is set up with the broker before it is read, and destroyed at the end', async (t) => {
  const calls: string[] = []
  class Journal extends MemoryPersistence {
    override async setup(broker: PersistenceBroker): Promise<void> {
      await super.setup(broker)
      calls.push('setup')
    }
    override readAll(): ReturnType<MemoryPersistence['readAll']> {
      calls.push(`readAll of ${typeof this.broker.id}`)
      return super.readAll()
    }
    override async destroy(): Promise<void> {
      calls.push('destroy')
      await super.destroy()
    }
  }
  const broker = brokerWith(t, { persistence: new Journal() })
  await connect(broker, 'c')
  await broker.close({ graceMs: 0 })
  assert.deepEqual(calls, ['setup', 'readAll of string', 'destroy'])
})

test('a broker opens a Storage with what it may use, stores in it, reads it again and closes it', async (t) => {
  const disk = new MemoryPersistence()
  const calls: string[] = []
  const storage = storageOver(disk, calls)
  const first = brokerWith(t, { persistence: storage })
  const { client } = await connect(first, 'c')
  await client.subscribe('a', { qos: 1 })
  await client.drop()
  await first.publish({ topic: 'a', payload: 'x', qos: 1 })
  assert.match(storage.broker!.id, /^[^:]+$/)
  assert.ok(Math.abs(storage.broker!.now() - Date.now()) < 3_600_000)
  assert.equal(typeof storage.broker!.emitter.on, 'function')
  await first.close({ graceMs: 0 })
  assert.deepEqual(calls, ['open', 'close'])

  const second = brokerWith(t, { persistence: storageOver(disk) })
  const back = await connect(second, 'c')
  assert.equal(back.sessionPresent, true)
  assert.equal((await back.client.receives('publish')).topic, 'a')
})

test('brokers with an emitter share the sessions of any Storage that has `shared`', async (t) => {
  const disk = new MemoryPersistence()
  const emitter = mqemitter()
  const shared: Storage['shared'] = {
    async *readSessions() {
      for await (const state of disk.readAll()) if (state.kind === 'session') yield state
    },
    async *readRetained() {
      for await (const state of disk.readAll()) if (state.kind === 'retained') yield state.packet
    },
  }
  const [one, other] = ['one', 'other'].map((id) =>
    brokerWith(t, { id, emitter, persistence: Object.assign(storageOver(disk), { shared }) }),
  ) as [Broker, Broker]
  const { client } = await connect(one, 'c')
  await client.subscribe('a', { qos: 1 })
  await client.drop()
  await one.publish({ topic: 'a', payload: 'x', qos: 1 })
  const back = await connect(other, 'c')
  assert.equal(back.sessionPresent, true)
  assert.equal((await back.client.receives('publish')).payload.toString(), 'x')
})

test('a persistence of 0.1.0 that has commit and readAll beside the methods of aedes still runs', async (t) => {
  const disk = new MemoryPersistence()
  const calls: string[] = []
  const persistence = new Proxy(disk, {
    get(target, name) {
      if (name === 'open' || name === 'close' || name === 'readSession') return undefined
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      return (...values: unknown[]): unknown => {
        calls.push(String(name))
        return Reflect.apply(value, target, values)
      }
    },
    has: (target, name) => !['open', 'close', 'readSession'].includes(String(name)) && name in target,
  }) as Persistence
  const broker = brokerWith(t, { persistence })
  const { client } = await connect(broker, 'c')
  await client.subscribe('a', { qos: 1 })
  await broker.close({ graceMs: 0 })
  assert.deepEqual(new Set(calls), new Set(['setup', 'readAll', 'commit', 'destroy']))
  assert.equal((await disk.readSession('c'))?.subscriptions.length, 1)
})

test('anything else is refused before the start, with what to write', () => {
  const message =
    /^persistence: expected log\(\{ dir \}\), a Storage with the methods open, readAll, readSession, commit and close, or a persistence made for aedes, got /
  const { readSession: _, ...incomplete } = storageOver(new MemoryPersistence())
  for (const given of [{}, 'redis', [], { commit() {}, readAll() {} }, incomplete]) {
    assert.throws(
      () => new Broker({ persistence: given as unknown as Storage }),
      (error: unknown) => error instanceof InvalidOptionError && message.test(error.message),
    )
  }
})

test('a broker without a store loads neither the log nor the adapter', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'haltere-loaded-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const module = pathToFileURL(join(import.meta.dirname, '..', '..', 'lib', 'broker.js')).href
  const script = `const { Broker } = await import('${module}'); await new Broker().close()`
  // The report about coverage names every script that was loaded.
  const env = { ...process.env, NODE_V8_COVERAGE: folder }
  execFileSync(process.execPath, ['--input-type=module', '-e', script], { env })
  const loaded = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'))
  assert.match(loaded.join(''), /lib\/storage\/commit-queue\.js/)
  assert.doesNotMatch(loaded.join(''), /lib\/(storage\/log|storage\/memory|adapters)\//)
})

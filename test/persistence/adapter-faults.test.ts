/** A store that throws, rejects, never answers, or is of another shape. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, before, mock, suite, test } from 'node:test'
import mqemitter from 'mqemitter'
import type { AdapterOptions } from '../../lib/adapters/aedes/aedes-storage.ts'
import { CommitPersistence } from '../../lib/adapters/aedes/commit-persistence.ts'
import { storageOf } from '../../lib/adapters/aedes/storage-of.ts'
import { StoreError } from '../../lib/adapters/aedes/calls.ts'
import { KeyedQueue } from '../../lib/adapters/aedes/keyed-queue.ts'
import type { PersistedTarget, PersistenceOperation } from '../../types/persistence.ts'
import type { StorageBroker } from '../../types/storage.ts'
import { AdapterRun, withMethods } from '../support/adapter-run.ts'
import { adapterConformance } from './adapter-conformance.ts'

const memory: (options?: object) => object = createRequire(import.meta.url)('aedes-persistence')

/** Of a clock that moves only when a call never answers. */
const TIMEOUT = 50
const options: AdapterOptions = { callTimeout: TIMEOUT, setupTimeout: TIMEOUT }

type Fault = 'none' | 'throws' | 'rejects' | 'never answers'

/** The package's own memory, one method of which can be broken. */
class Breakable {
  readonly persistence: unknown
  readonly calls = new Map<string, number>()
  method = ''
  fault: Fault = 'none'
  /** So many calls fail, then it is as it was. */
  times = Number.POSITIVE_INFINITY

  constructor(hidden: readonly string[] = [], real: object = memory()) {
    const methods: Record<string, (real: (...values: unknown[]) => unknown, ...values: unknown[]) => unknown> = {}
    for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(real))) {
      methods[name] = (method, ...values) => {
        this.calls.set(name, (this.calls.get(name) ?? 0) + 1)
        if (name !== this.method || this.times <= 0) return method(...values)
        this.times -= 1
        return this.#fail(name) ?? method(...values)
      }
    }
    methods.destroy ??= () => Promise.resolve()
    const broken = withMethods(real, methods) as object
    this.persistence = new Proxy(broken, {
      get: (target, key) => (hidden.includes(key as string) ? undefined : Reflect.get(target, key)),
    })
  }

  break(method: string, fault: Fault, times = Number.POSITIVE_INFINITY): void {
    this.method = method
    this.fault = fault
    this.times = times
    this.calls.clear()
  }

  #fail(name: string): unknown {
    const isStream = /Stream|streamWill|getClientList/.test(name)
    switch (this.fault) {
      case 'none':
        return undefined
      case 'throws':
        throw new Error('broken')
      case 'rejects':
        return isStream ? failing(() => Promise.reject(new Error('broken'))) : Promise.reject(new Error('broken'))
      case 'never answers':
        setImmediate(() => mock.timers.tick(TIMEOUT))
        return isStream ? failing(() => new Promise(() => undefined)) : new Promise(() => undefined)
    }
  }

  run(): Promise<AdapterRun> {
    return AdapterRun.start({ persistence: () => this.persistence, end: async () => undefined }, options)
  }
}

function failing(next: () => Promise<never>): AsyncIterable<unknown> {
  return { [Symbol.asyncIterator]: () => ({ next }) }
}

const target: PersistedTarget = { clientId: 'c', qos: 2, retain: false }
const will = { topic: 'w', payload: 'x', qos: 1, retain: false } as const

/** For each method: what leads to a call of it, after a message of which `name` is the name is in flight as 1. */
const leadTo: Record<string, (run: AdapterRun, name: { brokerId: string; brokerCounter: number }) => Promise<unknown>> =
  {
    storeRetained: (run) => publish(run, { retain: true, targets: [] }),
    outgoingEnqueue: (run) => publish(run, {}),
    outgoingUpdate: (run, name) => commit(run, { kind: 'send', clientId: 'c', ...name, messageId: 2 }),
    outgoingClearMessageId: (run) => commit(run, { kind: 'complete', clientId: 'c', messageId: 1 }),
    incomingStorePacket: (run) => publish(run, { incoming: { clientId: 's', messageId: 1 } }),
    incomingDelPacket: (run) => commit(run, { kind: 'incoming done', clientId: 's', messageId: 5 }),
    incomingGetPacket: (run) => run.backend.findIncoming('s', 5),
    addSubscriptions: (run) =>
      commit(run, { kind: 'subscribe', clientId: 'c', subscriptions: [{ topic: 'a', qos: 1 }] }),
    removeSubscriptions: (run) => commit(run, { kind: 'unsubscribe', clientId: 'c', topicFilters: ['a'] }),
    cleanSubscriptions: (run) => commit(run, { kind: 'end session', clientId: 'c' }),
    cleanIncoming: (run) => commit(run, { kind: 'end session', clientId: 'c' }),
    putWill: (run) => commit(run, { kind: 'will', clientId: 'c', will }),
    delWill: (run) => commit(run, { kind: 'will', clientId: 'c', will: undefined }),
    getWill: (run) => run.backend.readSession('c'),
    outgoingStream: (run) => run.backend.readSession('c'),
    subscriptionsByClient: (run) => run.backend.readSession('c'),
    getClientList: (run) => run.read(),
    createRetainedStream: (run) => run.read(),
    streamWill: (run) => run.read(),
    countOffline: (run) => run.read(),
  }

function commit(run: AdapterRun, ...operations: readonly PersistenceOperation[]): Promise<unknown> {
  return run.backend.commit(operations)
}

function publish(run: AdapterRun, fields: object): Promise<unknown> {
  const operation = { kind: 'publish', packet: run.message({ qos: 2 }), targets: [target], retain: false, ...fields }
  return commit(run, operation as PersistenceOperation)
}

suite('a broken store', () => {
  before(() => mock.timers.enable({ apis: ['setTimeout'] }))
  after(() => mock.timers.reset())

  for (const [method, lead] of Object.entries(leadTo)) {
    test(`what leads to ${method} fails and says so, whatever way it breaks, and works again later`, async () => {
      const store = new Breakable()
      const run = await store.run()
      await run.sessions('c')
      const packet = await run.publish({ qos: 2 }, { ...target, messageId: 1 })
      await publish(run, { incoming: { clientId: 's', messageId: 5 }, targets: [] })
      const name = { brokerId: packet.brokerId ?? '', brokerCounter: packet.brokerCounter ?? 0 }
      for (const fault of ['throws', 'rejects', 'never answers'] as const) {
        store.break(method, fault)
        const said = fault === 'never answers' ? 'did not respond within 50 ms' : 'failed: broken'
        await assert.rejects(lead(run, name), (error) => {
          assert(error instanceof StoreError)
          assert.equal(error.message, `MemoryPersistence: ${method} ${said}`)
          return true
        })
      }
      store.break(method, 'none')
      await lead(run, name)
      await run.end()
    })
  }

  for (const fault of ['throws', 'rejects', 'never answers'] as const) {
    test(`a queue whose reading ${fault} goes on as it was: its messages can be sent and completed`, async () => {
      const store = new Breakable()
      const run = await store.run()
      await run.sessions('c')
      const queued = await run.publish({}, { ...target, qos: 1 })
      const inFlight = await run.publish({}, { ...target, qos: 1, messageId: 1 })
      await run.publish({}, { ...target, qos: 1 })
      store.break('outgoingStream', fault)
      await assert.rejects(run.backend.readSession('c'), StoreError)
      store.break('outgoingStream', 'none')
      const { brokerId = '', brokerCounter = 0 } = queued
      await commit(run, { kind: 'send', clientId: 'c', brokerId, brokerCounter, messageId: 2 })
      for (const messageId of [1, 2]) await commit(run, { kind: 'complete', clientId: 'c', messageId })
      const left = await run.queue('c')
      assert.deepEqual(
        left.map(({ packet }) => packet.brokerCounter),
        [(inFlight.brokerCounter ?? 0) + 1],
      )
      await run.end()
    })
  }

  for (const [what, goOn] of [
    ['is tried again', (run, discard) => commit(run, discard)],
    ['is not tried again', async () => undefined],
  ] as [string, (run: AdapterRun, discard: PersistenceOperation) => Promise<unknown>][]) {
    test(`a message whose removal fails half way and ${what} does not come back`, async () => {
      const store = new Breakable()
      const run = await store.run()
      await run.sessions('c')
      const packet = await run.publish({}, { ...target, qos: 1 })
      const kept = await run.publish({}, { ...target, qos: 1 })
      const { brokerId = '', brokerCounter = 0 } = packet
      const discard = { kind: 'discard', clientIds: ['c'], brokerId, brokerCounter } as const
      store.break('outgoingClearMessageId', 'rejects')
      await assert.rejects(commit(run, discard), StoreError)
      store.break('outgoingClearMessageId', 'none')
      await goOn(run, discard)
      const left = await run.queue('c')
      assert.deepEqual(
        left.map(({ packet: { brokerCounter: counter }, target: to }) => [counter, to?.messageId]),
        [[kept.brokerCounter, undefined]],
      )
      const state = await run.backend.readSession('c')
      assert.equal([...(state?.queue ?? [])].length, 1)
      await run.end()
    })
  }

  test('what may be done twice gets a second try, what may not is tried once', async () => {
    const store = new Breakable()
    const run = await store.run()
    await run.sessions('c')
    for (const fault of ['throws', 'rejects', 'never answers'] as const) {
      store.break('addSubscriptions', fault, 1)
      await leadTo.addSubscriptions!(run, { brokerId: '', brokerCounter: 0 })
      assert.equal(store.calls.get('addSubscriptions'), 2)
      store.break('outgoingEnqueue', fault, 1)
      await assert.rejects(publish(run, {}), StoreError)
      assert.equal(store.calls.get('outgoingEnqueue'), 1)
    }
    await run.end()
  })

  test('what fails for one Client is done for the others, and all of it has ended when it rejects', async () => {
    const run = await AdapterRun.start(
      {
        persistence: () =>
          withMethods(memory(), {
            outgoingEnqueue: (real, receiver, packet) => {
              if ((receiver as PersistedTarget).clientId === 'd') throw new Error('broken')
              return real(receiver, packet)
            },
          }),
        end: async () => undefined,
      },
      options,
    )
    await run.sessions('c', 'd', 'e')
    const targets = ['c', 'd', 'e'].map((clientId) => ({ ...target, clientId }))
    await assert.rejects(publish(run, { targets }), /outgoingEnqueue failed: broken/)
    assert.deepEqual(
      [await run.queue('c'), await run.queue('d'), await run.queue('e')].map(({ length }) => length),
      [1, 0, 1],
    )
    await run.end()
  })

  test('it cannot be opened when setup or the look at what it can do fails', async () => {
    for (const method of [
      'setup',
      'addSubscriptions',
      'outgoingEnqueueCombi',
      'incomingStorePacket',
      'storeRetained',
    ]) {
      for (const fault of ['throws', 'rejects', 'never answers'] as const) {
        const store = new Breakable()
        store.break(method, fault)
        await assert.rejects(store.run(), (error) => error instanceof StoreError && error.message.includes(method))
      }
    }
  })

  test('it is closed also when destroy fails, which is said', async () => {
    for (const fault of ['throws', 'rejects', 'never answers'] as const) {
      const store = new Breakable()
      const run = await store.run()
      store.break('destroy', fault)
      await run.backend.close()
      assert.equal(run.warnings.length, 1)
      assert.match(run.warnings[0]!, /destroy/)
    }
  })

  test('it is told of its subscriptions again when the first time got lost on the emitter', async () => {
    const mq = mqemitter()
    const emit = mq.emit.bind(mq)
    let lost = 0
    mq.emit = (message, callback) => {
      if (lost > 0 || message.topic !== '$SYS/sub/add') return emit(message, callback)
      lost += 1
      callback?.()
      return mq
    }
    lost = 1 // Not while it is opened.
    const persistence = withMethods(memory({ broadcastSubscriptions: true }), { destroy: () => Promise.resolve() })
    const run = await AdapterRun.start({ persistence: () => persistence, end: async () => undefined }, options)
    await run.backend.close()
    await run.open(mq)
    await run.sessions('c')
    lost = 0
    await leadTo.addSubscriptions!(run, { brokerId: '', brokerCounter: 0 })
    assert.equal(lost, 1)
    assert.equal((await run.backend.readSession('c'))?.subscriptions.length, 1)
    await run.end()
  })
})

suite('a store of another shape', () => {
  const broker: StorageBroker = {
    id: 'one-1',
    emitter: mqemitter(),
    warn: () => undefined,
    now: () => 0,
  }

  test('what is no persistence is refused, with what it lacks', () => {
    assert.throws(() => storageOf('redis'), {
      name: 'InvalidOptionError',
      message: /expected an object, got redis/,
    })
    assert.throws(() => storageOf({}), { name: 'InvalidOptionError', message: /missing storeRetained, / })
  })

  test('one that has commit and readAll is given everything as it is', async () => {
    const given: unknown[] = []
    const states = ['a', 'b'].map((clientId) => ({ kind: 'session', clientId }))
    const persistence = {
      setup: async ({ id }: { id: string }) => given.push(id),
      commit: async (operations: unknown) => given.push(operations),
      destroy: async () => given.push('destroy'),
      async *readAll() {
        yield { kind: 'retained' }
        yield* states
      },
    }
    const backend = storageOf(persistence)
    assert(backend instanceof CommitPersistence)
    await backend.open(broker)
    const operations = [{ kind: 'end session', clientId: 'c' }] as const
    await backend.commit(operations)
    assert.equal(await backend.readSession('b'), states[1])
    assert.equal(await backend.readSession('c'), undefined)
    await backend.close()
    assert.deepEqual(given, ['one-1', operations, 'destroy'])
  })

  test('one without cleanIncoming says once what it cannot promise, and forgets what it knows', async () => {
    const store = new Breakable(['cleanIncoming'])
    const run = await store.run()
    assert.equal(run.warnings.length, 1)
    assert.match(run.warnings[0]!, /^MemoryPersistence: does not keep a session free of the QoS 2 exchanges/)
    await publish(run, { incoming: { clientId: 'c', messageId: 3 }, targets: [] })
    await commit(run, { kind: 'end session', clientId: 'c' })
    assert.equal(await run.backend.findIncoming('c', 3), 'unknown')
    await run.end()
  })

  test('the lane of a Client is gone when nothing is left to do', async () => {
    const lanes = new KeyedQueue()
    const done: string[] = []
    const one = lanes.run('c', async () => void done.push('c 1'))
    const two = lanes.run('c', () => Promise.reject(new Error('broken')))
    const three = lanes.run('d', async () => void done.push('d'))
    await assert.rejects(two, /broken/)
    await Promise.all([one, three])
    await lanes.idle()
    assert.deepEqual(done, ['c 1', 'd'])
    assert.equal(lanes.size, 0)
  })
})

adapterConformance('a persistence that knows only callbacks', async () => {
  const real = withMethods(memory(), { destroy: (_real, callback) => (callback as () => void)() }) as object
  const onlyCallbacks = new Proxy(real, {
    get: (target, key) => (key === 'setup' ? undefined : Reflect.get(target, key)),
  })
  return { persistence: () => onlyCallbacks, end: async () => undefined }
})

/** What `commit` does, in memory and in the log store. */
import assert from 'node:assert/strict'
import { after, suite, test } from 'node:test'
import { LogPersistence } from '../../lib/storage/log/log-persistence.ts'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type {
  PersistedPublish,
  PersistedQueueItem,
  PersistedSessionState,
  PersistenceOperation,
} from '../../types/persistence.ts'
import type { Storage } from '../../types/storage.ts'
import { directories } from './log-directories.ts'
import { broker } from './log-operations.ts'

const { make, removeAll } = directories()
after(removeAll)

const brokerId = broker.id

function message(brokerCounter: number, fields: Partial<PersistedPublish> = {}): PersistedPublish {
  const payload = Buffer.from('x')
  return { cmd: 'publish', topic: 'a', payload, qos: 2, retain: false, brokerId, brokerCounter, ...fields }
}

const session = { owner: 'me', expiryInterval: 60, expiresAt: null } as const

function to(clientId: string, brokerCounter: number, messageId?: number): PersistenceOperation {
  const target = { clientId, qos: 1, retain: true, messageId } as const
  return { kind: 'publish', packet: message(brokerCounter), targets: [target], retain: false }
}

async function stateOf(store: Storage, clientId: string): Promise<PersistedSessionState | undefined> {
  for await (const state of store.readAll()) if (state.kind === 'session' && state.clientId === clientId) return state
  return undefined
}

async function queueOf(store: Storage, clientId: string): Promise<PersistedQueueItem[]> {
  return [...((await stateOf(store, clientId))?.queue ?? [])]
}

const stores = [
  ['memory', () => new MemoryPersistence()],
  ['log', () => new LogPersistence({ dir: make(), durability: 'os' })],
] as const

for (const [name, create] of stores) {
  const open = async (): Promise<Storage> => {
    const store = create()
    await store.open()
    await store.commit([{ kind: 'session', clientId: 'c', session }])
    return store
  }

  suite(`${name}: commit`, () => {
    test('each queue has its own QoS, RETAIN and Subscription Identifiers beside one message', async () => {
      const store = await open()
      await store.commit([{ kind: 'session', clientId: 'd', session }])
      const packet = message(1, { properties: { contentType: 'text/plain' } })
      const targets = [
        { clientId: 'c', qos: 1, retain: true, subscriptionIdentifiers: [7, 8], sharedFilter: '$share/g/a' },
        { clientId: 'd', qos: 0, retain: false, messageId: 5 },
      ] as const
      await store.commit([{ kind: 'publish', packet, targets, retain: false }])
      const [c] = await queueOf(store, 'c')
      const [d] = await queueOf(store, 'd')
      assert.equal(c?.packet, packet, 'not a copy')
      assert.equal(d?.packet, packet, 'not a copy')
      assert.deepEqual(c.target, targets[0])
      assert.deepEqual(d.target, targets[1])
      if (store instanceof MemoryPersistence) {
        const [read] = [...store.outgoingStream({ id: 'c' })] as [PersistedPublish]
        assert.deepEqual([read.qos, read.retain], [1, true])
        assert.deepEqual(read.properties, { contentType: 'text/plain', subscriptionIdentifiers: [7, 8] })
      }
      assert.deepEqual(packet.properties, { contentType: 'text/plain' })
      await store.close()
    })

    test('PUBREC leaves a PUBREL in the place of the message, and PUBCOMP nothing', async () => {
      const store = await open()
      await store.commit([to('c', 1, 1), to('c', 2, 2), to('c', 3)])
      await store.commit([{ kind: 'release', clientId: 'c', messageId: 1 }])
      const [first, second] = await queueOf(store, 'c')
      const pubrel = { cmd: 'pubrel', messageId: 1, brokerId, brokerCounter: 1 }
      assert.deepEqual(first, { packet: pubrel, target: undefined })
      assert.equal(second?.packet.brokerCounter, 2)
      await store.commit([{ kind: 'complete', clientId: 'c', messageId: 1 }])
      assert.deepEqual(
        (await queueOf(store, 'c')).map(({ packet }) => packet.brokerCounter),
        [2, 3],
      )
      await store.close()
    })

    test('what was sent comes before what waits', async () => {
      const store = await open()
      await store.commit([to('c', 1), to('c', 2), to('c', 3)])
      const send = { kind: 'send', clientId: 'c', brokerId } as const
      await store.commit([{ ...send, brokerCounter: 3, messageId: 9 }])
      await store.commit([{ ...send, brokerCounter: 77, messageId: 10 }])
      assert.deepEqual(
        (await queueOf(store, 'c')).map(({ packet }) => packet.brokerCounter),
        [3, 1, 2],
      )
      await store.close()
    })

    test('a message is discarded where it was not sent, and from these queues only', async () => {
      const store = await open()
      await store.commit([{ kind: 'session', clientId: 'd', session }])
      await store.commit([to('c', 1, 1), to('c', 2), to('c', 3), to('d', 2)])
      for (const brokerCounter of [1, 2]) {
        await store.commit([{ kind: 'discard', clientIds: ['c', 'nobody'], brokerId, brokerCounter }])
      }
      assert.deepEqual(
        (await queueOf(store, 'c')).map(({ packet }) => packet.brokerCounter),
        [1, 3],
      )
      assert.equal((await queueOf(store, 'd')).length, 1)
      await store.close()
    })

    test('the end of a session takes all that is its own, and a new one begins with nothing', async () => {
      const store = await open()
      const will = { topic: 'w', payload: '', qos: 0, retain: false } as const
      const subscription = { topic: 'a', qos: 0, grantedTopic: 'b', requestedQos: 2 } as const
      await store.commit([
        { kind: 'subscribe', clientId: 'c', subscriptions: [subscription] },
        {
          ...(to('c', 1, 1) as Extract<PersistenceOperation, { kind: 'publish' }>),
          incoming: { clientId: 'c', messageId: 3 },
        },
        { kind: 'will', clientId: 'c', will },
      ])
      const before = await stateOf(store, 'c')
      assert.deepEqual([before?.session, before?.incoming, before?.will], [session, [3], will])
      assert.equal(before?.subscriptions[0]?.grantedTopic, 'b')
      assert.equal(before.subscriptions[0].requestedQos, 2)
      await store.commit([{ kind: 'end session', clientId: 'c' }])
      assert.equal(await stateOf(store, 'c'), undefined)
      await store.commit([{ kind: 'session', clientId: 'c', session }])
      const after = await stateOf(store, 'c')
      assert.deepEqual([after?.subscriptions, [...after!.queue], after?.incoming, after?.will], [[], [], [], undefined])
      await store.close()
    })

    test('all retained messages are read, also those of $ topics', async () => {
      const store = await open()
      for (const [counter, topic] of ['$SYS/x', 'a', 'b'].entries()) {
        await store.commit([{ kind: 'publish', packet: message(counter, { topic }), targets: [], retain: true }])
      }
      const packet = message(9, { topic: 'b', payload: Buffer.alloc(0) })
      await store.commit([{ kind: 'publish', packet, targets: [], retain: true }])
      const topics: string[] = []
      for await (const state of store.readAll()) if (state.kind === 'retained') topics.push(state.packet.topic)
      assert.deepEqual(topics, ['$SYS/x', 'a'])
      await store.close()
    })
  })
}

test('log: what cannot be written down is refused as a whole, and what follows is stored', async () => {
  const store = new LogPersistence({ dir: make(), durability: 'os' })
  await store.open()
  const tooLong = 'x'.repeat(70_000)
  await assert.rejects(store.commit([to('c', 1), { kind: 'end session', clientId: tooLong }]), RangeError)
  await store.commit([{ kind: 'session', clientId: 'c', session }, to('c', 2)])
  assert.deepEqual(
    (await queueOf(store, 'c')).map(({ packet }) => packet.brokerCounter),
    [2],
  )
  await store.close()
  await assert.rejects(store.commit([to('c', 3)]), /closed/)
})

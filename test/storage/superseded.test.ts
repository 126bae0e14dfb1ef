import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { dropSuperseded } from '../../lib/storage/superseded.ts'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type { PersistedState, PersistenceOperation } from '../../types/persistence.ts'

const session = (clientId: string, expiryInterval = 60): PersistenceOperation => ({
  kind: 'session',
  clientId,
  session: { expiryInterval, expiresAt: null },
})
const subscribe = (clientId: string, topic: string): PersistenceOperation => ({
  kind: 'subscribe',
  clientId,
  subscriptions: [{ topic, qos: 1 }],
})
const end = (clientId: string): PersistenceOperation => ({ kind: 'end session', clientId })
const will = (clientId: string, topic: string): PersistenceOperation => ({
  kind: 'will',
  clientId,
  will: { topic, payload: 'x', qos: 0, retain: false },
})

function superseded(operations: readonly PersistenceOperation[]): PersistenceOperation[] {
  return dropSuperseded(operations.map((operation) => ({ operation, publication: undefined }))).map(
    ({ operation }) => operation,
  )
}

async function left(operations: readonly PersistenceOperation[]): Promise<PersistedState[]> {
  const store = new MemoryPersistence()
  await store.commit([session('a'), subscribe('a', 'before')])
  await store.commit(operations)
  const states: PersistedState[] = []
  for await (const state of store.readAll()) {
    states.push(state.kind === 'session' ? { ...state, queue: [...state.queue] } : state)
  }
  return states
}

test('what is left of a store is the same without what is pointless', async () => {
  const client = fc.constantFrom('a', 'b')
  const operation = fc.oneof(
    fc.tuple(client, fc.nat({ max: 3 })).map(([clientId, interval]) => session(clientId, interval)),
    fc.tuple(client, fc.constantFrom('x', 'y')).map(([clientId, topic]) => subscribe(clientId, topic)),
    fc.tuple(client, fc.constantFrom('x', 'y')).map(([clientId, topic]) => will(clientId, topic)),
    client.map(end),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(operation), async (operations) => {
      // As the broker tells it: a session is there before anything of it.
      const there = new Set(['a'])
      const told = operations.filter((each) => {
        if (!('clientId' in each)) return true
        if (each.kind === 'session') there.add(each.clientId)
        if (each.kind === 'end session') return there.delete(each.clientId)
        return there.has(each.clientId)
      })
      assert.deepEqual(await left(superseded(told)), await left(told))
    }),
    { seed: 1 },
  )
})

test('a Client that comes and goes while the store fails leaves a few operations, however often', () => {
  const once = [session('a', 0), will('a', 'x'), subscribe('a', 'y'), end('a')]
  let all: PersistenceOperation[] = []
  for (let round = 0; round < 1000; round += 1) all = superseded([...all, ...once])
  assert.deepEqual(all, [end('a')])

  let stays: PersistenceOperation[] = []
  for (let round = 0; round < 1000; round += 1) stays = superseded([...stays, session('b', round)])
  assert.deepEqual(stays, [session('b', 0), session('b', 999)])
})

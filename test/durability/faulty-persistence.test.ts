import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { type FaultKind, Faults, faulty, StoreError } from './faulty-persistence.ts'
import { aedesMemory } from './stores.ts'

const client = { id: 'c' }
const subscription = { topic: 'a', qos: 1 as const }

/** A persistence whose second call has this fault, and what it holds in the end. */
async function second(
  kind: FaultKind,
  act: (outcome: () => unknown, faults: Faults) => Promise<void>,
): Promise<unknown> {
  const store = aedesMemory()
  const faults = new Faults()
  const bad = faulty(store, faults)
  faults.arm(kind, 2)
  await bad.cleanSubscriptions(client)
  assert.equal(faults.isReached, false)
  await act(() => bad.addSubscriptions(client, [subscription]), faults)
  assert.equal(faults.isReached, true)
  assert.deepEqual(faults.calls.slice(0, 2), ['cleanSubscriptions', 'addSubscriptions'])
  return (await bad.subscriptionsByClient(client)).length
}

suite('a persistence with faults', () => {
  test('rejects and stores nothing', async () => {
    const count = await second('reject', async (outcome) => assert.rejects(async () => outcome(), StoreError))
    assert.equal(count, 0)
  })

  test('throws and stores nothing', async () => {
    const count = await second('throw', async (outcome) => {
      assert.throws(outcome, StoreError)
    })
    assert.equal(count, 0)
  })

  test('rejects what it stored', async () => {
    const count = await second('reject after', async (outcome) => assert.rejects(async () => outcome(), StoreError))
    assert.equal(count, 1)
  })

  test('waits until it is released', async () => {
    const count = await second('wait', async (outcome, faults) => {
      let isDone = false
      const done = Promise.resolve(outcome()).then(() => (isDone = true))
      await new Promise((resolve) => setImmediate(resolve))
      assert.equal(isDone, false)
      faults.disarm()
      await done
    })
    assert.equal(count, 1)
  })

  test('fails in what is read piece by piece', async () => {
    const faults = new Faults()
    const bad = faulty(aedesMemory(), faults)
    faults.arm('reject', 1)
    await assert.rejects(async () => {
      for await (const _ of bad.outgoingStream(client)) assert.fail('nothing is in this queue')
    }, StoreError)
    for await (const _ of bad.outgoingStream(client)) assert.fail('nothing is in this queue')
  })
})

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import { StoredQueue } from '../../lib/storage/memory/stored-queue.ts'
import { testPersistence } from '../../lib/testing/index.ts'
import type { PersistedPublish } from '../../types/persistence.ts'
import { patienceMs } from '../support/patience.ts'

testPersistence({ name: 'memory', open: () => new MemoryPersistence(), timeLimit: patienceMs / 1000 })

function publish(fields: Partial<PersistedPublish> = {}): PersistedPublish {
  return {
    cmd: 'publish',
    topic: 'a',
    payload: Buffer.from('x'),
    qos: 1,
    retain: false,
    dup: false,
    brokerId: 'broker-1',
    brokerCounter: 1,
    ...fields,
  }
}

suite('memory: the queue of a Client', () => {
  test('behaves like a list, whatever is queued, identified and acknowledged', () => {
    const steps = fc.array(fc.tuple(fc.constantFrom('push', 'push', 'identify', 'next', 'remove'), fc.nat(99)), {
      maxLength: 400,
      size: 'max',
    })
    fc.assert(
      fc.property(steps, (changes) => {
        const queue = new StoredQueue()
        let model: { counter: number; messageId: number | undefined }[] = []
        let counter = 0
        let messageId = 0
        for (const [kind, pick] of changes) {
          if (kind === 'push') {
            counter += 1
            queue.push(publish({ brokerCounter: counter }))
            model.push({ counter, messageId: undefined })
            continue
          }
          const waiting = model.find((entry) => entry.messageId === undefined)
          const chosen = kind === 'next' ? waiting : model[pick % Math.max(1, model.length)]
          if (chosen === undefined) continue
          if (kind !== 'remove') {
            messageId += 1
            chosen.messageId = messageId
            assert.ok(queue.update(publish({ brokerCounter: chosen.counter, messageId })))
          } else if (chosen.messageId !== undefined) {
            assert.equal(queue.remove(chosen.messageId)?.brokerCounter, chosen.counter)
            assert.equal(queue.remove(chosen.messageId), undefined)
            model = model.filter((entry) => entry !== chosen)
          }
          assert.equal(queue.length, model.length)
        }
        assert.deepEqual(
          Array.from(queue.packets(), (packet) => [packet.brokerCounter, packet.messageId]),
          model.map((entry) => [entry.counter, entry.messageId]),
        )
      }),
    )
  })

  test('is read without what is acknowledged meanwhile', () => {
    const queue = new StoredQueue()
    for (const brokerCounter of [1, 2, 3]) {
      queue.push(publish({ brokerCounter }))
      queue.update(publish({ brokerCounter, messageId: brokerCounter }))
    }
    const read: number[] = []
    for (const { messageId } of queue.packets()) {
      read.push(messageId!)
      queue.remove(2)
    }
    assert.deepEqual(read, [1, 3])
  })
})

test('memory: Clients that come and go leave no queue behind', async () => {
  const persistence = new MemoryPersistence()
  for (let index = 0; index < 20_000; index += 1) {
    const id = `client ${index}`
    await persistence.outgoingEnqueue({ clientId: id }, publish())
    await persistence.outgoingUpdate({ id }, publish({ messageId: 1 }))
    await persistence.outgoingClearMessageId({ id }, { messageId: 1 })
    if (index % 3 === 0) await persistence.cleanOutgoing({ id })
    assert.ok(persistence.queueCount <= 1001, `${persistence.queueCount} queues`)
  }
})

test('memory: what is changed on a message that was read does not change the queue', async () => {
  const persistence = new MemoryPersistence()
  await persistence.outgoingEnqueue({ clientId: 'c' }, publish())
  for await (const read of persistence.outgoingStream({ id: 'c' })) Object.assign(read, { topic: 'changed' })
  const [queued] = persistence.outgoingStream({ id: 'c' })
  assert.equal(queued?.cmd === 'publish' && queued.topic, 'a')
})

test('memory: a retained message that several filters match is given once', async () => {
  const persistence = new MemoryPersistence()
  await persistence.storeRetained(publish({ retain: true }))
  assert.equal([...persistence.createRetainedStreamCombi(['a', '#', '+'])].length, 1)
})

test('memory: it is destroyed once', async () => {
  const persistence = new MemoryPersistence()
  await persistence.destroy()
  await assert.rejects(persistence.destroy())
})

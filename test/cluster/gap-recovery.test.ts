import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GapRecovery } from '../../lib/cluster/gap-recovery.ts'
import type { MessageId } from '../../lib/messages/message-id.ts'
import { Message } from '../../lib/messages/message.ts'
import { QueuedMessage } from '../../lib/messages/queued-message.ts'
import { Delivery } from '../../lib/sessions/delivery.ts'

const nobody = (): boolean => false

function delivery(brokerCounter: number, packetId = 0): Delivery {
  const fields = { topic: 't', payload: Buffer.alloc(0), qos: 1, retain: false, properties: undefined } as const
  const content = new QueuedMessage(new Message(fields, undefined, Infinity))
  content.stored = { cmd: 'publish', ...fields, brokerId: 'peer', brokerCounter }
  const one = new Delivery(content, 1, false, { identifiers: undefined, sharedFilter: undefined, parts: undefined })
  one.packetId = packetId
  return one
}

function counters(deliveries: Iterable<Delivery>): (number | undefined)[] {
  return Array.from(deliveries, ({ content }) => content.stored?.brokerCounter)
}

test('a delivery from before the reading is read, one that comes meanwhile follows what was read', () => {
  const recovery = new GapRecovery()
  recovery.markStale()
  assert.equal(recovery.isStale, true)
  recovery.defer(delivery(1))
  recovery.startReading()
  recovery.defer(delivery(4))
  assert.deepEqual(counters(recovery.unseen([delivery(1), delivery(2), delivery(3)], nobody)), [1, 2, 3, 4])
  assert.equal(recovery.isStale, false)
})

test('a message that the session has, has sent or has finished is not delivered again', () => {
  const recovery = new GapRecovery()
  recovery.startReading()
  recovery.finished(delivery(1).content.stored)
  const has = (id: MessageId | undefined): boolean => id?.brokerCounter === 2
  recovery.defer(delivery(1))
  recovery.defer(delivery(2))
  const stored = [delivery(1), delivery(2), delivery(3, 7), delivery(4)]
  assert.deepEqual(counters(recovery.unseen(stored, has)), [4])
})

test('messages from the storage are known when their broker sends them later', () => {
  const recovery = new GapRecovery()
  recovery.startReading()
  assert.deepEqual(counters(recovery.unseen([delivery(1)], nobody)), [1])
  assert.equal(recovery.recoveredIds.has({ brokerId: 'peer', brokerCounter: 1 }), true)
  assert.equal(recovery.recoveredIds.has({ brokerId: 'peer', brokerCounter: 2 }), false)
})

test('after a second loss during the reading, what came meanwhile waits for the next reading', () => {
  const recovery = new GapRecovery()
  recovery.startReading()
  recovery.defer(delivery(1))
  recovery.markStale()
  recovery.defer(delivery(4))
  assert.deepEqual(counters(recovery.unseen([delivery(1), delivery(2)], nobody)), [1, 2])
  assert.equal(recovery.isStale, true)
  recovery.startReading()
  recovery.defer(delivery(5))
  const has = (id: MessageId | undefined): boolean => (id?.brokerCounter ?? 0) <= 2
  assert.deepEqual(
    counters(
      recovery.unseen(
        [1, 2, 3, 4].map((counter) => delivery(counter)),
        has,
      ),
    ),
    [3, 4, 5],
  )
  assert.equal(recovery.isStale, false)
})

test('after a reading that failed, what came meanwhile is read by the next one', () => {
  const recovery = new GapRecovery()
  recovery.startReading()
  recovery.defer(delivery(2))
  recovery.failed()
  assert.equal(recovery.isStale, true)
  recovery.defer(delivery(3))
  recovery.startReading()
  assert.deepEqual(counters(recovery.unseen([delivery(1), delivery(2), delivery(3)], nobody)), [1, 2, 3])
})

test('two readings that begin one after the other: the second one counts', () => {
  const recovery = new GapRecovery()
  recovery.startReading()
  recovery.defer(delivery(1))
  recovery.finished(delivery(2).content.stored)
  recovery.startReading()
  assert.deepEqual(counters(recovery.unseen([delivery(1), delivery(2)], nobody)), [1, 2])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { QueuedMessage } from '../../lib/messages/queued-message.ts'
import { Delivery } from '../../lib/sessions/delivery.ts'
import { OutboundQueue, QueueTotals } from '../../lib/sessions/outbound-queue.ts'
import { type Home, SharedQueues } from '../../lib/sessions/shared-queues.ts'
import type { Limits } from '../../types/options.ts'
import { defaultLimits } from '../broker/limits.ts'
import { direct, messageOf, shared } from './scene.ts'

const SIZE = contentOf(100).message.size

/** All of them with the same size. */
function contentOf(bytes: number): QueuedMessage {
  return new QueuedMessage(messageOf(Buffer.alloc(bytes)))
}

const home: Home = { clientId: 'c', giveUp: () => undefined, forget: () => 0, relieve: () => undefined }

function make(limits: Partial<Limits> = {}, queueTotals = new QueueTotals()): OutboundQueue {
  const settings = { limits: { ...defaultLimits, ...limits } }
  return new OutboundQueue({ settings, queueTotals, shared: new SharedQueues() }, home)
}

/** As a session does it: counts the message, then lets it wait. */
function add(queue: OutboundQueue, content = contentOf(100), sharedFilter?: string): Delivery {
  const delivery = new Delivery(content, 1, false, sharedFilter === undefined ? direct : shared(sharedFilter))
  queue.addSize(content)
  queue.push(delivery)
  return delivery
}

test('no more messages wait than the limit, but one that is sent at once does not wait', () => {
  const queue = make({ maxQueuedMessages: 2 })
  for (let count = 0; count < 2; count += 1) {
    assert.ok(queue.hasRoomFor(contentOf(100), false))
    add(queue)
  }
  assert.equal(queue.hasRoomFor(contentOf(100), false), false)
  assert.equal(queue.hasRoomFor(contentOf(100), true), true)
  queue.shift()
  assert.equal(queue.hasRoomFor(contentOf(100), false), true)
})

test('the bytes of a queue are limited, in flight ones included, and a single message may be larger', () => {
  const queue = make({ maxQueuedBytes: 2 * SIZE })
  assert.ok(queue.hasRoomFor(contentOf(100 * SIZE), false), 'a single message')
  const first = add(queue)
  assert.ok(queue.hasRoomFor(contentOf(100), true))
  assert.equal(queue.hasRoomFor(contentOf(101), true), false)
  queue.shift() // It is in flight now.
  assert.equal(queue.hasRoomFor(contentOf(101), true), false)
  queue.removeSize(first.content)
  assert.ok(queue.hasRoomFor(contentOf(100 * SIZE), false))
})

test('the bytes of all queues are limited together, which keeps no message from being sent at once', () => {
  const totals = new QueueTotals()
  const limits = { maxTotalQueuedBytes: 3 * SIZE }
  const [one, other] = [make(limits, totals), make(limits, totals)]
  add(one)
  add(one)
  assert.ok(other.hasRoomFor(contentOf(100 * SIZE), false), 'a single message')
  add(other)
  assert.equal(totals.bytes, 3 * SIZE)
  for (const queue of [one, other]) {
    assert.equal(queue.hasRoomFor(contentOf(0), false), false)
    assert.equal(queue.hasRoomFor(contentOf(0), true), true)
  }
})

test('a message that several queues have counts once in the total', () => {
  const totals = new QueueTotals()
  const limits = { maxTotalQueuedBytes: 2 * SIZE }
  const [one, other] = [make(limits, totals), make(limits, totals)]
  const content = contentOf(100)
  add(one, content)
  add(other)
  assert.equal(totals.bytes, 2 * SIZE)
  assert.ok(other.hasRoomFor(content, false), 'the total has it already')
  assert.equal(other.hasRoomFor(contentOf(100), false), false)
  add(other, content)
  assert.deepEqual([totals.bytes, totals.messages, content.holders], [2 * SIZE, 3, 2])
  one.removeSize(content)
  assert.equal(totals.bytes, 2 * SIZE, 'the other queue still has it')
  other.removeSize(content)
  assert.deepEqual([totals.bytes, content.holders], [SIZE, 0])
})

test('publishers are paused above half of either limit and resumed below a quarter of both', () => {
  const byCount = make({ maxQueuedMessages: 8 })
  const count = (messages: number): boolean[] => {
    while (byCount.length < messages) add(byCount)
    while (byCount.length > messages) byCount.removeSize((byCount.shift() as Delivery).content)
    return [byCount.isBelowLowWaterMark, byCount.isAboveHighWaterMark]
  }
  assert.deepEqual(
    [count(4), count(5)],
    [
      [false, false],
      [false, true],
    ],
  )
  assert.deepEqual(
    [count(3), count(2)],
    [
      [false, false],
      [true, false],
    ],
  )

  const byBytes = make({ maxQueuedBytes: 8 * SIZE })
  const contents = Array.from({ length: 5 }, () => contentOf(100))
  const states = contents.map((content) => {
    byBytes.addSize(content)
    return [byBytes.isBelowLowWaterMark, byBytes.isAboveHighWaterMark]
  })
  assert.deepEqual(states, [
    [true, false],
    [true, false],
    [false, false],
    [false, false],
    [false, true],
  ])
})

test('the messages of a shared subscription are taken out, and the others keep their order', () => {
  const filters = [undefined, '$share/g/a', '$share/g/b'] as const
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...filters)), fc.nat(20), (plan, taken) => {
      const totals = new QueueTotals()
      const queue = make({}, totals)
      let model = plan.map((filter) => add(queue, contentOf(1), filter))
      for (let count = 0; count < taken; count += 1) assert.equal(queue.shift(), model.shift())
      for (const filter of filters) {
        if (filter === undefined) continue
        assert.deepEqual(
          queue.removeGroup(filter),
          model.filter(({ via }) => via.sharedFilter === filter),
        )
        model = model.filter(({ via }) => via.sharedFilter !== filter)
        assert.deepEqual([...queue], model)
        assert.deepEqual([queue.length, totals.messages], [model.length, model.length])
        assert.deepEqual(queue.removeGroup(filter), [])
      }
    }),
  )
})

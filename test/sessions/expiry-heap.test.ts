import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { QueuedMessage } from '../../lib/messages/queued-message.ts'
import { Delivery } from '../../lib/sessions/delivery.ts'
import { ExpiryHeap } from '../../lib/sessions/expiry-heap.ts'
import { direct, messageOf } from './scene.ts'

function queuedUntil(expiresAt: number): Delivery {
  const delivery = new Delivery(new QueuedMessage(messageOf('', 1, expiresAt)), 1, false, direct)
  delivery.phase = 'queued'
  return delivery
}

test('messages expire in the order of their times, and of their arrival; those that left the queue never', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('add' as const), value: fc.nat(20) }),
    fc.record({ kind: fc.constantFrom('leave' as const, 'expire' as const), value: fc.nat(100) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const heap = new ExpiryHeap()
      let model: { delivery: Delivery; time: number }[] = []
      const leave = (delivery: Delivery): void => {
        delivery.phase = 'removed'
        heap.left(delivery)
        delivery.releaseContent()
        model = model.filter((each) => each.delivery !== delivery)
      }
      for (const { kind, value } of steps) {
        if (kind === 'add') {
          const delivery = queuedUntil(value)
          heap.add(delivery)
          model.push({ delivery, time: value })
        } else if (kind === 'leave') {
          const chosen = model[value % model.length]
          if (chosen !== undefined) leave(chosen.delivery)
        } else {
          const first = model.toSorted((one, other) => one.time - other.time)[0]
          const expected = first !== undefined && first.time <= value ? first.delivery : undefined
          assert.equal(heap.expired(value), expected)
          if (expected !== undefined) leave(expected)
        }
        assert.equal(heap.next, Math.min(...model.map(({ time }) => time)))
      }
    }),
  )
})

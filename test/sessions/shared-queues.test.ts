import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { QueuedMessage } from '../../lib/messages/queued-message.ts'
import { Delivery } from '../../lib/sessions/delivery.ts'
import { type Home, SharedQueues } from '../../lib/sessions/shared-queues.ts'
import { messageOf, shared } from './scene.ts'

const filter = '$share/g/t'

function home(clientId: string): Home {
  return { clientId, giveUp: () => undefined, forget: () => 0, relieve: () => undefined }
}

function queued(payload: string): Delivery {
  const delivery = new Delivery(new QueuedMessage(messageOf(payload)), 1, false, shared(filter))
  delivery.phase = 'queued'
  return delivery
}

function leave(queues: SharedQueues, delivery: Delivery): void {
  delivery.phase = 'removed'
  queues.left(filter, delivery)
}

const payloadOf = ({ message }: Delivery): string => message.payload.toString()

test('the first message is the one that waits longest, whatever left before it; one with a place comes at its place', () => {
  const step = fc.record({ kind: fc.constantFrom('add', 'first', 'any', 'move'), value: fc.nat(50) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const queues = new SharedQueues()
      const homes = [home('a'), home('b')]
      const model: Delivery[] = []
      for (const [index, { kind, value }] of steps.entries()) {
        if (kind === 'add') {
          const delivery = queued(`${index}`)
          queues.add(filter, delivery, homes[value % 2]!)
          model.push(delivery)
          continue
        }
        const position = kind === 'first' ? 0 : value % Math.max(model.length, 1)
        const delivery = model[position]
        if (delivery === undefined) continue
        if (kind === 'first') assert.equal(queues.first(filter)?.delivery, delivery)
        const place = delivery.sendSequence
        leave(queues, delivery)
        model.splice(position, 1)
        if (kind !== 'move') continue
        const copy = queued(payloadOf(delivery))
        queues.keepPlace(copy.content, place)
        queues.add(filter, copy, homes[1]!)
        model.splice(position, 0, copy)
      }
      const left: string[] = []
      for (let first = queues.first(filter); first !== undefined; first = queues.first(filter)) {
        left.push(payloadOf(first.delivery))
        leave(queues, first.delivery)
      }
      assert.deepEqual(left, model.map(payloadOf))
      assert.equal(queues.isEmpty, true)
    }),
  )
})

test('a message that one member could not take, and a fixed delivery, wait for their home only', () => {
  const queues = new SharedQueues()
  const [refused, fixed, other] = [queued('refused'), queued('fixed'), queued('other')]
  queues.refuse(refused.content, new Set(['a']))
  queues.fix(fixed)
  for (const delivery of [refused, fixed, other]) queues.add(filter, delivery, home('b'))
  assert.equal(queues.first(filter)?.delivery, other)
  assert.deepEqual([queues.isFixed(refused), queues.isFixed(fixed), queues.isFixed(other)], [true, true, false])
  for (const delivery of [refused, fixed]) leave(queues, delivery)
  assert.equal(queues.first(filter)?.delivery, other)
  leave(queues, other)
  assert.equal(queues.isEmpty, true)
})

test('after a restart messages are in the order of their ids', () => {
  const queues = new SharedQueues()
  const ids = [
    ['1', 5],
    ['0', 9],
    ['1', 2],
  ] as const
  for (const [brokerId, brokerCounter] of ids) {
    const delivery = queued(`${brokerId} ${brokerCounter}`)
    delivery.content.stored = {
      cmd: 'publish',
      topic: 't',
      payload: '',
      qos: 1,
      retain: false,
      brokerId,
      brokerCounter,
    }
    queues.add(filter, delivery, home('a'))
  }
  queues.restoreOrder()
  const later = queued('later')
  queues.add(filter, later, home('a'))
  const order: string[] = []
  for (let first = queues.first(filter); first !== undefined; first = queues.first(filter)) {
    order.push(payloadOf(first.delivery))
    leave(queues, first.delivery)
  }
  assert.deepEqual(order, ['0 9', '1 2', '1 5', 'later'])
})

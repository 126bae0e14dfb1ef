import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RingQueue } from '../../lib/sessions/ring-queue.ts'

test('a queue is an array from which the first is taken', () => {
  const command = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('push' as const), count: fc.integer({ min: 1, max: 40 }) }) },
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant('shift' as const), count: fc.integer({ min: 1, max: 45 }) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const), count: fc.constant(1) }) },
  )
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const queue = new RingQueue<number>()
      const model: number[] = []
      let next = 0
      for (const { kind, count } of commands) {
        for (let step = 0; step < count; step += 1) {
          if (kind === 'push') {
            queue.push(next)
            model.push(next)
            next += 1
          } else if (kind === 'shift') assert.equal(queue.shift(), model.shift())
          else {
            queue.clear()
            model.length = 0
          }
          assert.equal(queue.length, model.length)
          assert.equal(queue.peek(), model[0])
        }
        assert.deepEqual([...queue], model)
      }
    }),
    { numRuns: 300 },
  )
})

test('a queue of 100,000 takes its time in proportion and lets go of what was taken', () => {
  const queue = new RingQueue<object>()
  for (let number = 0; number < 100_000; number += 1) queue.push({ number })
  for (let number = 0; number < 100_000; number += 1) assert.equal((queue.shift() as { number: number }).number, number)
  assert.equal(queue.shift(), undefined)
  assert.equal(queue.length, 0)
  assert.deepEqual([...queue], [])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ManualClock } from '../support/clock.ts'
import { message, TestBroker } from './brokers.ts'
import { type Fault, FaultyBus } from './faulty-bus.ts'

test('on a bus that loses, doubles and reorders: in order, never twice, and no loss that is not told', async () => {
  const fault = fc.constantFrom<Fault>('arrive', 'arrive', 'lose', 'twice', 'hold')
  const step = fc.record({ release: fc.boolean(), asNotice: fc.boolean(), fault })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
      const bus = new FaultyBus()
      const clock = new ManualClock()
      const a = new TestBroker(bus.emitter(), 'a', clock)
      const b = new TestBroker(bus.emitter(), 'b', clock)
      const started = [a.cluster.start(), b.cluster.start()]
      clock.advance(2_000)
      await Promise.all(started)
      b.log()
      for (const [index, one] of steps.entries()) {
        bus.fault = () => one.fault
        if (one.asNotice) a.cluster.broadcast(String(index), undefined)
        else a.cluster.publish([message(String(index))])
        if (one.release) bus.release()
      }
      bus.fault = () => 'arrive'
      bus.release()
      clock.advance(1_000)
      let next = 0
      let isTold = false
      for (const line of b.log()) {
        if (line === 'missed a') {
          isTold = true
          continue
        }
        const index = Number(line.split(' ')[2])
        assert.ok(index >= next, `${line} after ${next - 1}`)
        assert.equal(isTold, index > next, `${line}: ${isTold ? 'nothing was' : 'something was'} lost`)
        isTold = false
        next = index + 1
      }
      assert.equal(isTold, next < steps.length)
    }),
    { numRuns: 300 },
  )
})

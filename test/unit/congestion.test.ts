import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Congestion } from '../../lib/sessions/congestion.ts'
import { Timers } from '../../lib/timers.ts'
import { ManualClock } from '../broker/clock.ts'

class Publisher {
  holds = 0
  holdBack(): void {
    this.holds += 1
  }
  letGo(): void {
    this.holds -= 1
    assert.ok(this.holds >= 0)
  }
}

function make(graceMs: number): { clock: ManualClock; timers: Timers; congestion: Congestion } {
  const clock = new ManualClock()
  const timers = new Timers(clock, assert.ifError)
  return { clock, timers, congestion: new Congestion(timers, graceMs) }
}

test('a receiver that fills up holds publishers back until it has drained', () => {
  const { congestion, timers } = make(500)
  const [one, two] = [new Publisher(), new Publisher()]
  assert.equal(congestion.holds, false)
  congestion.fillsUp()
  congestion.fillsUp()
  assert.equal(congestion.holds, true)
  congestion.hold(one)
  congestion.hold(one)
  congestion.hold(two)
  assert.deepEqual([one.holds, two.holds], [1, 1])
  congestion.drained()
  congestion.drained()
  assert.deepEqual([one.holds, two.holds, congestion.holds, timers.size], [0, 0, false, 0])
})

test('one that does not drain in time holds nobody back any more, until it has drained and fills up anew', () => {
  const { congestion, clock, timers } = make(500)
  const one = new Publisher()
  congestion.fillsUp()
  congestion.hold(one)
  clock.advance(499)
  assert.equal(one.holds, 1)
  clock.advance(1)
  assert.deepEqual([one.holds, congestion.holds], [0, false])
  congestion.fillsUp()
  assert.equal(congestion.holds, false)
  congestion.drained()
  congestion.fillsUp()
  assert.equal(congestion.holds, true)
  congestion.drained()
  assert.equal(timers.size, 0)
})

test('without an end to its patience it holds back for as long as it takes', () => {
  const { congestion, clock } = make(Infinity)
  const one = new Publisher()
  congestion.fillsUp()
  congestion.hold(one)
  clock.advance(2 ** 45)
  assert.equal(one.holds, 1)
  congestion.drained()
  assert.equal(one.holds, 0)
})

test('a publisher that is let go may at once be held again', () => {
  const { congestion } = make(500)
  let rounds = 0
  const one = {
    holdBack: () => undefined,
    letGo: () => {
      rounds += 1
      if (rounds < 3) {
        congestion.fillsUp()
        congestion.hold(one)
      }
    },
  }
  congestion.fillsUp()
  congestion.hold(one)
  for (let round = 1; round <= 3; round += 1) {
    congestion.drained()
    assert.equal(rounds, round)
  }
})

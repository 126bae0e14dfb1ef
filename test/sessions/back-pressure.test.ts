import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BackPressure } from '../../lib/sessions/back-pressure.ts'
import { Timers } from '../../lib/timers.ts'
import { ManualClock } from '../support/clock.ts'

class Publisher {
  holds = 0
  pause(): void {
    this.holds += 1
  }
  resume(): void {
    this.holds -= 1
    assert.ok(this.holds >= 0)
  }
}

function make(graceMs: number): { clock: ManualClock; timers: Timers; congestion: BackPressure } {
  const clock = new ManualClock()
  const timers = new Timers(clock, assert.ifError)
  return { clock, timers, congestion: new BackPressure(timers, graceMs) }
}

test('a congested subscriber pauses publishers until it has drained', () => {
  const { congestion, timers } = make(500)
  const [one, two] = [new Publisher(), new Publisher()]
  assert.equal(congestion.isCongested, false)
  congestion.congest()
  congestion.congest()
  assert.equal(congestion.isCongested, true)
  congestion.pausePublisher(one)
  congestion.pausePublisher(one)
  congestion.pausePublisher(two)
  assert.deepEqual([one.holds, two.holds], [1, 1])
  congestion.relieve()
  congestion.relieve()
  assert.deepEqual([one.holds, two.holds, congestion.isCongested, timers.size], [0, 0, false, 0])
})

test('a slow subscriber pauses no publisher, until it has drained and is congested again', () => {
  const { congestion, clock, timers } = make(500)
  const one = new Publisher()
  congestion.congest()
  congestion.pausePublisher(one)
  clock.advance(499)
  assert.equal(one.holds, 1)
  clock.advance(1)
  assert.deepEqual([one.holds, congestion.isCongested], [0, false])
  congestion.congest()
  assert.equal(congestion.isCongested, false)
  congestion.relieve()
  congestion.congest()
  assert.equal(congestion.isCongested, true)
  congestion.relieve()
  assert.equal(timers.size, 0)
})

test('without a grace time publishers are paused until the subscriber has drained', () => {
  const { congestion, clock } = make(Infinity)
  const one = new Publisher()
  congestion.congest()
  congestion.pausePublisher(one)
  clock.advance(2 ** 45)
  assert.equal(one.holds, 1)
  congestion.relieve()
  assert.equal(one.holds, 0)
})

test('a publisher that is resumed may be paused again at once', () => {
  const { congestion } = make(500)
  let rounds = 0
  const one = {
    pause: () => undefined,
    resume: () => {
      rounds += 1
      if (rounds < 3) {
        congestion.congest()
        congestion.pausePublisher(one)
      }
    },
  }
  congestion.congest()
  congestion.pausePublisher(one)
  for (let round = 1; round <= 3; round += 1) {
    congestion.relieve()
    assert.equal(rounds, round)
  }
})

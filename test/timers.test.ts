import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Timer, Timers } from '../lib/timers.ts'
import { ManualClock } from './support/clock.ts'

function make(): { clock: ManualClock; timers: Timers; errors: Error[] } {
  const clock = new ManualClock()
  const errors: Error[] = []
  return { clock, timers: new Timers(clock, (error) => errors.push(error)), errors }
}

test('timers run when they are due, in the order of their times, as a list that is searched would', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('after' as const), ms: fc.integer({ min: 0, max: 500 }) }),
    fc.record({ kind: fc.constant('cancel' as const), which: fc.nat(100) }),
    // From 1: as in Node, what is due at once takes the shortest wait there is.
    fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 200 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const { clock, timers } = make()
      const ran: string[] = []
      const expected: string[] = []
      let model: { id: number; due: number }[] = []
      const all: Timer[] = []
      for (const one of steps) {
        if (one.kind === 'after') {
          const id = all.length
          all.push(timers.after(one.ms, () => ran.push(`${id} at ${clock.now()}`)))
          model.push({ id, due: clock.now() + one.ms })
        } else if (one.kind === 'cancel') {
          const id = one.which % Math.max(all.length, 1)
          timers.cancel(all[id])
          model = model.filter((timer) => timer.id !== id)
        } else {
          const now = clock.now()
          clock.advance(one.ms)
          for (const { id, due } of model
            .filter((timer) => timer.due <= now + one.ms)
            .toSorted((a, b) => a.due - b.due)) {
            // What is due at once takes the shortest wait there is.
            expected.push(`${id} at ${due}`)
          }
          model = model.filter((timer) => timer.due > now + one.ms)
        }
        assert.equal(timers.size, model.length)
      }
      assert.equal(ran.length, expected.length)
      const byTime = (text: string): number => Number(text.split(' at ')[1])
      assert.deepEqual(
        new Set(ran.map((text) => text.split(' ')[0])),
        new Set(expected.map((text) => text.split(' ')[0])),
      )
      for (let index = 1; index < ran.length; index += 1)
        assert.ok(byTime(ran[index] ?? '') >= byTime(ran[index - 1] ?? ''))
      for (const text of ran) {
        const due = Number(expected.find((other) => other.split(' ')[0] === text.split(' ')[0])?.split(' at ')[1])
        assert.ok(byTime(text) >= due && byTime(text) <= due + 1, `${text}, due at ${due}`)
      }
    }),
    { numRuns: 300 },
  )
})

for (const ms of [2 ** 31 - 1, 2 ** 31, 2 ** 32 * 1000, 2 ** 50]) {
  test(`a timer of ${ms} ms runs then, although node can wait for 2^31 - 1 ms only`, () => {
    const { clock, timers } = make()
    let ran = 0
    timers.after(ms, () => (ran += 1))
    for (let piece = 1; piece < 4; piece += 1) clock.advance(Math.floor(ms / 4))
    clock.advance(ms - 3 * Math.floor(ms / 4) - 1)
    assert.equal(ran, 0)
    clock.advance(1)
    assert.equal(ran, 1)
    assert.equal(timers.size, 0)
    assert.equal(clock.size, 0)
  })
}

test('a timer that never ends keeps no timer of the system', () => {
  const { clock, timers } = make()
  timers.after(Infinity, () => assert.fail('now is not never'))
  clock.advance(2 ** 45)
  assert.equal(timers.size, 1)
  assert.equal(clock.size, 0)
})

test('a callback that throws is told of and keeps no other from running', () => {
  const { clock, timers, errors } = make()
  const ran: number[] = []
  timers.after(10, () => ran.push(1))
  timers.after(10, () => {
    throw new Error('bad')
  })
  timers.after(10, () => ran.push(2))
  timers.after(20, () => ran.push(3))
  clock.advance(20)
  assert.deepEqual(new Set(ran), new Set([1, 2, 3]))
  assert.equal(ran.length, 3)
  assert.deepEqual(
    errors.map(({ message }) => message),
    ['bad'],
  )
})

test('a callback may set, cancel and clear timers', () => {
  const { clock, timers } = make()
  const ran: string[] = []
  const victim = timers.after(10, () => ran.push('victim'))
  timers.at(clock.now() + 5, () => {
    ran.push('first')
    timers.cancel(victim)
    timers.after(0, () => ran.push('second'))
    timers.after(3, () => {
      ran.push('third')
      timers.clear()
    })
  })
  timers.after(100, () => ran.push('never'))
  clock.advance(1000)
  assert.deepEqual(ran, ['first', 'second', 'third'])
  assert.equal(timers.size, 0)
})

test('an earlier timer is not kept waiting by a later one, and 10,000 have one timer of the system', () => {
  const { clock, timers } = make()
  const ran: number[] = []
  for (let ms = 10_000; ms > 0; ms -= 1) timers.after(ms, () => ran.push(ms))
  assert.equal(clock.size, 1)
  clock.advance(3)
  assert.deepEqual(ran, [1, 2, 3])
  timers.clear()
  assert.equal(clock.size, 0)
})

test('cancelling twice, after the run, or nothing at all, is no matter', () => {
  const { clock, timers } = make()
  let ran = 0
  const one = timers.after(1, () => (ran += 1))
  const two = timers.after(5, () => (ran += 1))
  clock.advance(1)
  timers.cancel(one)
  timers.cancel(undefined)
  timers.cancel(two)
  timers.cancel(two)
  clock.advance(10)
  assert.equal(ran, 1)
  const three = timers.after(1, () => (ran += 1))
  timers.clear()
  timers.cancel(three)
  timers.after(1, () => (ran += 10))
  clock.advance(1)
  assert.equal(ran, 11)
})

test('a program that sleeps runs everything that became due, once', () => {
  const { clock, timers } = make()
  let now = 0
  const late = new Timers(
    {
      now: () => now,
      setTimeout: (callback, ms) => clock.setTimeout(callback, ms),
      clearTimeout: (handle: never) => clock.clearTimeout(handle),
    },
    () => undefined,
  )
  const ran: number[] = []
  for (const ms of [10, 20, 30]) late.after(ms, () => ran.push(ms))
  now = 1000
  clock.advance(10)
  assert.deepEqual(ran, [10, 20, 30])
  assert.equal(timers.size, 0)
})

test('whichever of many timers are cancelled, the others run in the order of their times', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 1000 }), fc.boolean()), { minLength: 20, maxLength: 60 }),
      (plan) => {
        const { clock, timers } = make()
        const ran: number[] = []
        const all = plan.map(([ms]) => timers.after(ms, () => ran.push(ms)))
        for (const [index, [, isCancelled]] of plan.entries()) if (isCancelled) timers.cancel(all[index])
        clock.advance(1000)
        const expected = plan.filter(([, isCancelled]) => !isCancelled).map(([ms]) => ms)
        assert.deepEqual(
          ran,
          expected.toSorted((one, other) => one - other),
        )
      },
    ),
    { numRuns: 500 },
  )
})

test('timers of equal due time run in the order in which they were made, also after others were cancelled', () => {
  const { clock, timers } = make()
  const ran: number[] = []
  const early = Array.from({ length: 7 }, () => timers.after(5, () => ran.push(-1)))
  const numbers = Array.from({ length: 50 }, (_, number) => number)
  for (const number of numbers) timers.after(10, () => ran.push(number))
  for (const timer of early) timers.cancel(timer)
  clock.advance(10)
  assert.deepEqual(ran, numbers)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FlushScheduler } from '../lib/flush-scheduler.ts'

function passed(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

test('those who wait have their turn in order, and not all in one turn of the event loop', async () => {
  const turn = new FlushScheduler(assert.fail)
  const done: number[] = []
  for (let index = 0; index < 1000; index += 1) turn.schedule({ flush: () => done.push(index) })
  await passed()
  assert.ok(done.length > 0 && done.length < 1000, `${done.length} in one turn`)
  turn.schedule({ flush: () => done.push(1000) })
  while (done.length < 1001) await passed()
  assert.deepEqual(
    done,
    Array.from({ length: 1001 }, (_, index) => index),
  )
})

test('one who waits again from its own turn has another one', async () => {
  const turn = new FlushScheduler(assert.fail)
  let count = 0
  const waiting = {
    flush: (): void => {
      count += 1
      if (count < 3) turn.schedule(waiting)
    },
  }
  turn.schedule(waiting)
  await passed()
  const afterOne = count
  for (let turns = 0; turns < 5; turns += 1) await passed()
  assert.deepEqual([afterOne, count], [1, 3])
})

test('one that fails is reported and stops nobody', async () => {
  const errors: Error[] = []
  const turn = new FlushScheduler((error) => errors.push(error))
  let reached = false
  turn.schedule({
    flush: () => {
      throw new Error('broken')
    },
  })
  turn.schedule({
    flush: () => {
      reached = true
    },
  })
  await passed()
  assert.equal(reached, true)
  assert.deepEqual(
    errors.map(({ message }) => message),
    ['broken'],
  )
})

test('a turn is full when it has done much, and empty again after it', async () => {
  const turn = new FlushScheduler(assert.fail)
  turn.used = 1_000_000
  assert.equal(turn.isExhausted, true)
  turn.schedule({ flush: () => undefined })
  await passed()
  assert.equal(turn.isExhausted, false)
})

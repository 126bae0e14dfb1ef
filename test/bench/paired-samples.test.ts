import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compare, intervalOfMedian, isNoisy, isSame } from './paired-samples.ts'

type Pair = readonly [number, number]

test('a build that is twice as fast is twice as fast, however fast the machine is meanwhile', () => {
  const speed = fc.double({ min: 0.1, max: 100, noNaN: true })
  fc.assert(
    fc.property(fc.array(speed, { minLength: 1 }), (speeds) => {
      const { ratio, spread, pairs } = compare(speeds.map((value): Pair => [2 * value, value]))
      assert.deepEqual([ratio, spread, pairs], [2, 0, speeds.length])
    }),
  )
})

test('one pair of which one was disturbed moves neither the ratio nor, among many, the spread', () => {
  const pairs: Pair[] = Array.from({ length: 12 }, () => [100, 100])
  assert.deepEqual(compare([...pairs, [10, 100], [100, 10]]), { ratio: 1, spread: 0, pairs: 14 })
})

test('the spread goes to the farther end of where the median may be', () => {
  const ratios = [0.97, 0.99, 1, 1, 1.01, 1.1]
  const { ratio, spread } = compare(ratios.map((value): Pair => [value, 1]))
  assert.equal(ratio, 1)
  assert.ok(Math.abs(spread - 0.1) < 1e-9)
})

test('the interval of the median is that of the sign test at 95 %', () => {
  const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)
  // From tables of the sign test: the number of values that are left out at each end.
  for (const [count, outside] of [
    [1, 0],
    [5, 0],
    [6, 0],
    [8, 0],
    [9, 1],
    [11, 1],
    [12, 2],
    [15, 3],
    [20, 5],
    [25, 7],
  ] as const) {
    assert.deepEqual(intervalOfMedian(upTo(count).toReversed()), [1 + outside, count - outside], `${count} values`)
  }
})

test('a work is noisy above 2 %, and with fewer pairs than say anything', () => {
  const noisy = (...ratios: number[]): boolean => isNoisy(compare(ratios.map((ratio): Pair => [ratio, 1])))
  assert.equal(noisy(), true)
  assert.equal(noisy(1, 1, 1, 1, 1), true)
  assert.equal(noisy(1, 1, 1, 1, 1, 1), false)
  assert.equal(noisy(0.99, 1, 1, 1, 1, 1.019), false)
  assert.equal(noisy(0.99, 1, 1, 1, 1, 1.021), true)
})

test('one build against itself is the same within 2 %', () => {
  const at = (ratio: number): boolean => isSame(compare([[ratio, 1]]))
  assert.deepEqual([0.975, 0.985, 1, 1.015, 1.025].map(at), [false, true, true, true, false])
  assert.equal(isSame(compare([])), false)
})

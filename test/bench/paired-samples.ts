/** What two builds did beside each other, again and again, and what that says. */
import { median } from './statistics.ts'

/** A difference of so much is one that can be seen. */
export const VISIBLE = 0.02

export interface Comparison {
  /** The median of the ratios of all pairs, ours to theirs. */
  readonly ratio: number
  /** How far, as a share of it, the true median may be from that: with a probability of 95 % from six pairs on. */
  readonly spread: number
  readonly pairs: number
}

/**
 * The ratio of each pair alone, because what else the machine does changes from minute to minute and strikes both of a
 * pair. Medians, because now and then it strikes one of them.
 */
export function compare(pairs: readonly (readonly [ours: number, theirs: number])[]): Comparison {
  const ratios = pairs.map(([ours, theirs]) => ours / theirs)
  const ratio = median(ratios)
  const [low, high] = intervalOfMedian(ratios)
  return { ratio, spread: Math.max(high - ratio, ratio - low) / ratio, pairs: pairs.length }
}

/** Between which two of the values the median of what they come from is, with a probability of 95 % (sign test). */
export function intervalOfMedian(values: readonly number[]): readonly [low: number, high: number] {
  if (values.length === 0) return [Number.NaN, Number.NaN]
  const sorted = Float64Array.from(values).toSorted()
  const outside = outsideOf(sorted.length)
  return [sorted[outside]!, sorted[sorted.length - 1 - outside]!]
}

/** How many values at each end are left out: that the median is among them has a probability below 2.5 %. */
function outsideOf(count: number): number {
  // Of `count` throws of a coin, `heads` or fewer are heads.
  let probability = 0.5 ** count
  let sum = probability
  let heads = 0
  while (sum <= 0.025) {
    heads += 1
    probability *= (count - heads + 1) / heads
    sum += probability
  }
  return Math.max(0, heads - 1)
}

/** With fewer of them the median may well be outside of all. */
export const LEAST_PAIRS = 6

export function isNoisy({ spread, pairs }: Comparison): boolean {
  return pairs < LEAST_PAIRS || spread > VISIBLE
}

/** Whether two runs of one build came out as one build. */
export function isSame({ ratio }: Comparison): boolean {
  return Math.abs(ratio - 1) <= VISIBLE
}

/** Statistics of repeated paired runs of two builds. */
import { median } from './statistics.ts'

/** The smallest relative difference that counts as a difference. */
export const MIN_VISIBLE_RATIO = 0.02

export interface Comparison {
  /** The median of the ratios of all pairs, ours to theirs. */
  readonly ratio: number
  /** Half width of the confidence interval of the ratio, relative to it: 95 % from six pairs on. */
  readonly spread: number
  readonly pairs: number
}

/**
 * Uses the ratio of each pair, because other load of the machine changes from minute to minute but affects both of a
 * pair; and medians, because sometimes it affects only one of them.
 */
export function compare(pairs: readonly (readonly [ours: number, theirs: number])[]): Comparison {
  const ratios = pairs.map(([ours, theirs]) => ours / theirs)
  const ratio = median(ratios)
  const [low, high] = intervalOfMedian(ratios)
  return { ratio, spread: Math.max(high - ratio, ratio - low) / ratio, pairs: pairs.length }
}

/** The two values between which the true median is with a probability of 95 % (sign test). */
export function intervalOfMedian(values: readonly number[]): readonly [low: number, high: number] {
  if (values.length === 0) return [Number.NaN, Number.NaN]
  const sorted = Float64Array.from(values).toSorted()
  const outside = outsideOf(sorted.length)
  return [sorted[outside]!, sorted[sorted.length - 1 - outside]!]
}

/** Number of values left out at each end; the median is among them with a probability below 2.5 %. */
function outsideOf(count: number): number {
  // The probability that `count` throws of a coin show at most `heads` heads.
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

/** With fewer pairs the true median may be outside all values. */
export const MIN_PAIRS = 6

export function isNoisy({ spread, pairs }: Comparison): boolean {
  return pairs < MIN_PAIRS || spread > MIN_VISIBLE_RATIO
}

/** Whether two runs of the same build show no difference. */
export function isSame({ ratio }: Comparison): boolean {
  return Math.abs(ratio - 1) <= MIN_VISIBLE_RATIO
}

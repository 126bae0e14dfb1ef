/** `npm run bench -- --against <folder>`: runs the same works on two builds in pairs. See docs/performance.md. */
import { realpathSync } from 'node:fs'
import type { Report } from './load/load.ts'
import type { Options } from './options.ts'
import { type Comparison, compare, isNoisy, isSame } from './paired-samples.ts'
import { root } from './peers/peers.ts'
import { runPair } from './run-pair.ts'
import { median } from './statistics.ts'
import { formatNumber, table } from './table.ts'
import type { Figure, Work } from './works/work.ts'

type Pair = readonly [ours: number, theirs: number]
type Figures = Readonly<Record<string, number>>

/** A work and its results so far. */
class ComparedWork {
  readonly work: Work
  readonly figures: readonly (readonly [key: string, figure: Figure])[]
  readonly remarks = new Set<string>()
  readonly #pairs = new Map<string, Pair[]>()

  constructor(work: Work) {
    this.work = work
    this.figures = Object.entries(work.figures).filter(([, { isCompared }]) => isCompared === true)
  }

  add(ours: Figures, theirs: Figures): void {
    for (const [key] of this.figures) {
      const pair: Pair = [ours[key]!, theirs[key]!]
      if (pair.every((value) => value > 0)) this.#pairs.set(key, [...this.pairs(key), pair])
    }
  }

  pairs(key: string): readonly Pair[] {
    return this.#pairs.get(key) ?? []
  }

  compared(key: string): Comparison {
    return compare(this.pairs(key))
  }

  get hasAll(): boolean {
    return this.figures.every(([key]) => this.pairs(key).length > 0)
  }

  get needsMore(): boolean {
    return this.figures.some(([key]) => isNoisy(this.compared(key)))
  }
}

function figuresOf(compared: ComparedWork, report: Report): Figures | undefined {
  const { name } = compared.work
  if ('error' in report) {
    compared.remarks.add(`${name}: ${report.error}`)
    return undefined
  }
  const { figures, faults, note } = report.outcome
  if (note !== undefined) compared.remarks.add(`${name}: ${note}`)
  for (const [kind, count] of Object.entries(faults ?? {})) {
    if (count > 0) compared.remarks.add(`${name}: ${count} ${kind === 'jumps' ? 'out of order' : kind}`)
  }
  return figures
}

/** Each build is the first of every other pair, so that an effect of the order affects both equally. */
async function round(compared: ComparedWork, { scale }: Options, against: string, isOursFirst: boolean): Promise<void> {
  const builds = isOursFirst ? ([root, against] as const) : ([against, root] as const)
  const [first, second] = (await runPair(compared.work, builds, scale)).map((report) => figuresOf(compared, report))
  if (first === undefined || second === undefined) return
  if (isOursFirst) compared.add(first, second)
  else compared.add(second, first)
}

function rowsOf(compared: ComparedWork): string[][] {
  return compared.figures.map(([key, { title, better }], index) => {
    const pairs = compared.pairs(key)
    const comparison = compared.compared(key)
    return [
      index === 0 ? compared.work.name : '',
      better === 'less' ? `${title} (less is better)` : title,
      formatNumber(median(pairs.map(([ours]) => ours))),
      formatNumber(median(pairs.map(([, theirs]) => theirs))),
      comparison.ratio.toFixed(3),
      `±${(comparison.spread * 100).toFixed(1)} %`,
      String(comparison.pairs),
      isNoisy(comparison) ? 'noisy' : '',
    ]
  })
}

/** `isSound` is false if a build compared with itself shows a difference, or if a work failed. */
export async function compareBuilds(
  options: Options,
  against: string,
  say: (text: string) => void,
): Promise<{ readonly text: string; readonly isSound: boolean }> {
  const all = options.works.map((work) => new ComparedWork(work))
  const deadline = performance.now() + options.budget * 1000
  let isOver = false
  for (let number = 1; number <= Math.max(options.rounds, options.maxRounds) && !isOver; number += 1) {
    for (const compared of all) {
      if (number > options.rounds && !compared.needsMore) continue
      isOver = performance.now() > deadline
      if (isOver) break
      await round(compared, options, against, number % 2 === 1)
      const [key] = compared.figures[0]!
      const { ratio, spread } = compared.compared(key)
      say(`${number}  ${compared.work.name.padEnd(16)} ${ratio.toFixed(3)} ±${(spread * 100).toFixed(1)} %`)
    }
  }
  const head = ['work', 'figure', 'this', 'other', 'this / other', 'spread', 'pairs', '']
  const remarks = all.flatMap((compared) => [...compared.remarks])
  if (isOver) remarks.push('the time was over before all rounds were done')
  const isOneBuild = realpathSync(root) === against
  const differing = all.filter((compared) => !compared.figures.every(([key]) => isSame(compared.compared(key))))
  if (isOneBuild) {
    const names = differing.map(({ work }) => work.name)
    remarks.push(
      names.length === 0
        ? 'One build against itself: all within 2 %.'
        : `One build against itself, and yet not within 2 %: ${names.join(', ')}. Do not believe these works today.`,
    )
  }
  return {
    text: [
      `this: ${root}; other: ${against}`,
      'Medians of the ratios of pairs that took turns, and how far the true one may be from them.',
      '',
      table(head, all.flatMap(rowsOf), 2),
      ...(remarks.length > 0 ? ['', ...remarks] : []),
    ].join('\n'),
    isSound: (!isOneBuild || differing.length === 0) && all.every((compared) => compared.hasAll),
  }
}

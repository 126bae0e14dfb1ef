/** The command line of the benchmark. */
import { existsSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MIN_PAIRS } from './paired-samples.ts'
import { type PeerName, peerNames } from './peers/peers.ts'
import type { Scale, Work } from './works/work.ts'
import { allWorks, judges, works } from './works/works.ts'

export interface Options {
  readonly brokers: readonly PeerName[]
  readonly works: readonly Work[]
  readonly rounds: number
  readonly quick: boolean
  readonly scale: Scale
  /** Seconds after which no further work is started. */
  readonly budget: number
  readonly json: boolean
  readonly writeDocs: boolean
  /** The folder of another build of haltere, which replaces the other brokers. */
  readonly against: string | undefined
  /** Maximum number of runs of a noisy work; only with `against`. */
  readonly maxRounds: number
}

export const usage: string = `npm run bench -- [options]

  --brokers=a,b     of ${peerNames.join(', ')} (default: all that can run here)
  --only=a,b        works, or the start of their names; --list shows them
  --quick           one short round of everything within three minutes, with a tenth of the counts
  --rounds=N        how often each work is done by each broker (default 3, with --against 6)
  --seconds=N       how long each work is measured (default 2; with --against 1.5, of CPU)
  --budget=N        seconds after which no further work is begun (default 3600)
  --json            print JSON instead of the table
  --write-docs      write the table and the plot into docs/
  --against=FOLDER  two builds of haltere instead of the brokers: this one, and FOLDER/dist
  --max-rounds=N    with --against: how often a noisy work is done (default 20)
  --list            print the works
`

function positive(name: string, value: string | undefined, otherwise: number): number {
  if (value === undefined) return otherwise
  const number = Number(value)
  if (!(number > 0)) throw new Error(`--${name}: expected a number above 0, got ${value}`)
  return number
}

function brokersOf(text: string | undefined): readonly PeerName[] {
  if (text === undefined) return peerNames
  return text.split(',').map((name) => {
    const known = peerNames.find((peer) => peer === name)
    if (known === undefined) throw new Error(`--brokers: expected some of ${peerNames.join(', ')}, got ${name}`)
    return known
  })
}

function worksOf(text: string | undefined, against: string | undefined): readonly Work[] {
  if (text === undefined) return against === undefined ? works : judges
  const starts = text.split(',')
  const known = against === undefined ? works : allWorks.filter(isComparable)
  for (const start of starts) {
    if (!known.some(({ name }) => name.startsWith(start))) throw new Error(`--only: no work named ${start}; see --list`)
  }
  return known.filter(({ name }) => starts.some((start) => name.startsWith(start)))
}

function isComparable({ figures }: Work): boolean {
  return Object.values(figures).some(({ isCompared }) => isCompared === true)
}

function buildIn(folder: string): string {
  const file = join(folder, 'dist/lib/cli.js')
  if (!existsSync(file)) throw new Error(`--against: expected the folder of a build, but there is no ${file}`)
  return realpathSync(folder)
}

/** Returns undefined after `--help`, which prints the help. */
export function readOptions(args: string[]): Options | undefined {
  const { values } = parseArgs({
    args,
    options: {
      brokers: { type: 'string' },
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      budget: { type: 'string' },
      json: { type: 'boolean', default: false },
      against: { type: 'string' },
      'max-rounds': { type: 'string' },
      'write-docs': { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help || values.list) {
    console.log(values.help ? usage : allWorks.map(({ name, title }) => `${name.padEnd(14)} ${title}`).join('\n'))
    return undefined
  }
  const { quick, against } = values
  return {
    brokers: brokersOf(values.brokers),
    works: worksOf(values.only, against),
    rounds: Math.round(positive('rounds', values.rounds, quick ? 1 : against === undefined ? 3 : MIN_PAIRS)),
    quick,
    scale: {
      warmUp: quick ? 0.2 : 1,
      seconds: positive('seconds', values.seconds, quick ? 0.6 : against === undefined ? 2 : 1.5),
      size: quick ? 0.1 : 1,
      limit: quick ? 4 : 20,
      ...(against !== undefined && { isCpuTime: true }),
    },
    budget: positive('budget', values.budget, quick ? 165 : 3600),
    json: values.json,
    writeDocs: values['write-docs'],
    against: against === undefined ? undefined : buildIn(against),
    maxRounds: Math.round(positive('max-rounds', values['max-rounds'], 20)),
  }
}

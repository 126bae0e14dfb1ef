/** The command line of the benchmark. */
import { parseArgs } from 'node:util'
import { type PeerName, peerNames } from './peers/peers.ts'
import type { Scale, Work } from './works/work.ts'
import { works } from './works/works.ts'

export interface Options {
  readonly brokers: readonly PeerName[]
  readonly works: readonly Work[]
  readonly rounds: number
  readonly quick: boolean
  readonly scale: Scale
  /** Seconds after which no further work is begun. */
  readonly budget: number
  readonly json: boolean
  readonly writeDocs: boolean
}

export const usage: string = `npm run bench -- [options]

  --brokers=a,b     of ${peerNames.join(', ')} (default: all that can run here)
  --only=a,b        works, or the start of their names; --list shows them
  --quick           one short round of everything within three minutes, with a tenth of the counts
  --rounds=N        how often each work is done by each broker (default 3)
  --seconds=N       how long each work is measured (default 2)
  --budget=N        seconds after which no further work is begun (default 3600)
  --json            print JSON instead of the table
  --write-docs      write the table and the plot into docs/
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

function worksOf(text: string | undefined): readonly Work[] {
  if (text === undefined) return works
  const starts = text.split(',')
  for (const start of starts) {
    if (!works.some(({ name }) => name.startsWith(start))) throw new Error(`--only: no work named ${start}; see --list`)
  }
  return works.filter(({ name }) => starts.some((start) => name.startsWith(start)))
}

/** Undefined where only help was asked for, which is then printed. */
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
      'write-docs': { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help || values.list) {
    console.log(values.help ? usage : works.map(({ name, title }) => `${name.padEnd(14)} ${title}`).join('\n'))
    return undefined
  }
  const { quick } = values
  return {
    brokers: brokersOf(values.brokers),
    works: worksOf(values.only),
    rounds: Math.round(positive('rounds', values.rounds, quick ? 1 : 3)),
    quick,
    scale: {
      warmUp: quick ? 0.2 : 1,
      seconds: positive('seconds', values.seconds, quick ? 0.6 : 2),
      size: quick ? 0.1 : 1,
      limit: quick ? 4 : 20,
    },
    budget: positive('budget', values.budget, quick ? 165 : 3600),
    json: values.json,
    writeDocs: values['write-docs'],
  }
}

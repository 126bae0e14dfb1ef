/** `npm run bench`: runs the same works on several brokers in turn and compares them. See docs/performance.md. */
import { availableParallelism, cpus } from 'node:os'
import { compareBuilds } from './compare-builds.ts'
import { writeDocs } from './docs.ts'
import { type Options, readOptions, usage } from './options.ts'
import { absence, install, type PeerName, versionOf } from './peers/peers.ts'
import { Collection, type Results } from './results.ts'
import { runWork } from './run-work.ts'
import { formatNumber, textTable } from './table.ts'
import type { Work } from './works/work.ts'

// The table is written to stdout, the progress to stderr.
const say = (text: string): void => void process.stderr.write(`${text}\n`)

function findBrokers(wanted: readonly PeerName[]): PeerName[] {
  return wanted.filter((name) => {
    const reason = absence(name)
    try {
      if (reason !== undefined) throw new Error(reason)
      install(name)
      return true
    } catch (error) {
      say(`without ${name}: ${(error as Error).message}`)
      return false
    }
  })
}

function takesPart(broker: PeerName, work: Work, { quick }: Options): boolean {
  if (quick && work.takesLong === true && broker !== 'haltere') return false
  return work.without?.includes(broker) !== true
}

async function measureAll(options: Options, brokers: readonly PeerName[]): Promise<Collection> {
  const collection = new Collection()
  const deadline = performance.now() + options.budget * 1_000
  for (let round = 1; round <= options.rounds; round += 1) {
    for (const work of options.works) {
      // All brokers in turn within each work, so that other load of the machine affects all equally.
      for (const broker of brokers.filter((name) => takesPart(name, work, options))) {
        if (performance.now() > deadline) {
          collection.remark(work, broker, `the time was over in round ${round}`)
          continue
        }
        const report = await runWork(work, broker, options.scale)
        collection.add(work, broker, report)
        const [key, figure] = Object.entries(work.figures)[0]!
        const said = 'error' in report ? report.error : `${formatNumber(report.outcome.figures[key]!)} ${figure.unit}`
        say(`${round}/${options.rounds}  ${work.name.padEnd(14)} ${broker.padEnd(10)} ${said}`)
      }
    }
  }
  return collection
}

function resultsOf(options: Options, brokers: readonly PeerName[], collection: Collection): Results {
  return {
    machine: `${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${availableParallelism()} cores, Node.js ${process.versions.node}`,
    date: new Date().toISOString().slice(0, 10),
    rounds: options.rounds,
    brokers: Object.fromEntries(brokers.map((name) => [name, versionOf(name)])),
    rows: collection.rows(options.works, brokers),
    remarks: collection.remarks,
  }
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2))
  if (options === undefined) return
  if (options.against !== undefined) {
    const { text, isSound } = await compareBuilds(options, options.against, say)
    console.log(text)
    if (!isSound) process.exitCode = 1
    return
  }
  const brokers = findBrokers(options.brokers)
  const collection = await measureAll(options, brokers)
  const results = resultsOf(options, brokers, collection)
  console.log(options.json ? JSON.stringify(results, undefined, 2) : textTable(results))
  if (options.writeDocs) writeDocs(results)
}

// `exit` also ends the brokers, see peers/peers.ts.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

try {
  await main()
} catch (error) {
  say(`${(error as Error).message}\n\n${usage}`)
  process.exitCode = 2
}

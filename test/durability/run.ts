/**
 * Kills brokers under load until the ledger does not balance:
 * `npm run kill -- [--store=log|level|redis|none|mosquitto] [--rounds=N] [--seed=S]`.
 */
import { parseArgs } from 'node:util'
import type { BrokerKind } from './broker-process.ts'
import { summary } from './ledger.ts'
import { killRounds } from './rounds.ts'

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'log' },
    rounds: { type: 'string', default: '50' },
    seed: { type: 'string', default: process.env['KILL_SEED'] ?? String(Date.now() % 2 ** 32) },
  },
})
const seed = Number(values.seed)
const kind = values.store as BrokerKind
console.log(`${kind}, seed ${seed}`)
const { faults, figures, milliseconds } = await killRounds({
  kind,
  seed,
  rounds: Number(values.rounds),
  progress: (round, ledger) => {
    if (process.stdout.isTTY) process.stdout.write(`\rround ${round}: ${JSON.stringify(ledger.figures)} `)
  },
})
console.log(`${values.rounds} kills in ${milliseconds} ms: ${JSON.stringify(figures)}`)
if (faults.length > 0) {
  console.log(`seed ${seed}: ${summary(faults)}`)
  process.exitCode = 1
}

/** `npm run chaos -- [--seconds=N] [--seed=S] [--events=broker,redis]` */
import { parseArgs } from 'node:util'
import { summary } from '../durability/ledger.ts'
import { chaos, type ChaosEvent, chaosEvents } from './chaos.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 32) },
    events: { type: 'string', default: chaosEvents.join(',') },
  },
})
const seed = Number(values.seed)
const events = values.events.split(',') as ChaosEvent[]
const { faults, figures, happened, milliseconds } = await chaos({ seed, seconds: Number(values.seconds), events })
console.log(`seed ${seed}, ${values.seconds} s (${milliseconds} ms): ${JSON.stringify({ ...happened, ...figures })}`)
if (faults.length > 0) {
  console.log(summary(faults))
  process.exitCode = 1
}

/** Feeds brokers with damaged conversations: `node dist/test/fuzz/run.js [--seconds=N] [--seed=S]`. */
import { parseArgs } from 'node:util'
import { fuzz } from './fuzz.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 32) },
  },
})
const seed = Number(values.seed)
const seconds = Number(values.seconds)
console.log(`seed ${seed}`)

const started = performance.now()
const outcome = await fuzz(seed, { seconds }, (inputs) => {
  if (process.stdout.isTTY)
    process.stdout.write(`\r${inputs} inputs, ${Math.round((inputs * 1000) / (performance.now() - started))} a second `)
})
const rate = Math.round((outcome.inputs * 1000) / outcome.milliseconds)
console.log(`${outcome.inputs} inputs, ${rate} a second, heap ${Math.round(outcome.heapGrowth / 1024)} KiB more`)
if (outcome.failure !== undefined) {
  const { what, configuration, inputs } = outcome.failure
  console.log(`seed ${seed}, broker ${configuration}: ${what}`)
  console.log(`the least that does it, one Client a line:\n${inputs.join('\n')}`)
  process.exitCode = 1
}

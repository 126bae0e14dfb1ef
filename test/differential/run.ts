/** Compares with Mosquitto: `node dist/test/differential/run.js --runs=200 --seed=1`. */
import { parseArgs } from 'node:util'
import { check } from './check.ts'

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '100' }, seed: { type: 'string' }, path: { type: 'string' } },
})
const seed = Number(values.seed ?? Date.now() & 0x7fff_ffff)
console.log(`seed ${seed}`)
try {
  const { commands, milliseconds, explained } = await check(Number(values.runs), seed, values.path)
  console.log(`${commands} commands, ${Math.round((commands / milliseconds) * 1000)} a second`)
  for (const [name, count] of explained) console.log(`  ${count} × ${name}`)
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}

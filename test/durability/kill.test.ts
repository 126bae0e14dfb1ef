/** kill -9 at any moment. What was acknowledged arrives, QoS 2 once, in order; `npm run kill` does more rounds. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { available, needs } from '../interop/programs.ts'
import { isLong } from '../support/length.ts'
import { summary } from './ledger.ts'
import { killRounds } from './rounds.ts'

const seed = Number(process.env['KILL_SEED'] ?? 1)
const rounds = isLong ? { log: 12, level: 4, redis: 4 } : { log: 1, level: 1, redis: 1 }

/** The figures are printed, so that a test that did nothing is seen. */
async function survives(kind: keyof typeof rounds, print: (line: string) => void): Promise<void> {
  const { faults, figures, milliseconds } = await killRounds({ kind, rounds: rounds[kind], seed })
  print(`${kind}: ${rounds[kind]} kills in ${milliseconds} ms, seed ${seed}: ${JSON.stringify(figures)}`)
  assert.equal(faults.length, 0, `KILL_SEED=${seed}: ${summary(faults)}`)
  assert.ok(figures.acknowledged > rounds[kind] * 10, 'there was hardly any load')
}

suite('a broker that is killed', () => {
  test('loses sessions and messages when it has no store, and the ledger says so', async () => {
    const { faults } = await killRounds({ kind: 'none', rounds: 4, seed, deliveryMs: 500 })
    const kinds = new Set(faults.map(({ kind }) => kind))
    for (const kind of ['lost', 'session', 'retained'] as const) assert.ok(kinds.has(kind), `nothing was ${kind}`)
  })

  test('needs no store while it lives, and then the ledger balances', async () => {
    const { faults } = await killRounds({ kind: 'none', rounds: isLong ? 2 : 1, seed, spare: true })
    assert.equal(faults.length, 0, summary(faults))
  })

  test('keeps what it acknowledged in its log [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.4.0-1]', async (t) => {
    await survives('log', (line) => t.diagnostic(line))
  })

  if (!isLong) return // The stores of aedes take longer.

  test('keeps what it acknowledged in a level store', async (t) => {
    await survives('level', (line) => t.diagnostic(line))
  })

  const isThere = available('redis-server', ['--version'])
  test('keeps what it acknowledged in Redis, also when that is killed', needs('redis-server', isThere), async (t) => {
    await survives('redis', (line) => t.diagnostic(line))
  })
})

/** Brokers, Redis and its connections that end at random; `npm run chaos` does it for longer. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { summary } from '../durability/ledger.ts'
import { noRedis } from '../support/redis.ts'
import { chaos } from './chaos.ts'

test('brokers and Redis that end at random lose and double nothing, and keep the order [MQTT-4.6.0-6]', {
  skip: noRedis,
}, async (t) => {
  const seed = Number(process.env['CHAOS_SEED'] ?? 1)
  const { faults, figures, happened, milliseconds } = await chaos({ seed, seconds: 15 })
  t.diagnostic(`seed ${seed}, ${milliseconds} ms: ${JSON.stringify({ ...happened, ...figures })}`)
  assert.equal(faults.length, 0, `CHAOS_SEED=${seed}: ${summary(faults)}`)
  assert.ok(figures.acknowledged > 100, 'there was hardly any load')
})

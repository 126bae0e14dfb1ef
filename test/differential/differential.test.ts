import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLong } from '../support/length.ts'
import { check } from './check.ts'
import { explained } from './explained.ts'
import { mosquittoIsThere } from './servers.ts'

// In continuous integration a Mosquitto that is missing must not look like a test that passed.
const skip = mosquittoIsThere || process.env['CI'] === 'true' ? false : '/usr/sbin/mosquitto is not installed'
// The same conversations in every run, so that a change is what makes it fail; another seed looks at others.
const seed = Number(process.env['DIFFERENTIAL_SEED'] ?? 1)

test('Clients of all versions see from Haltere what they see from Mosquitto, but for what is explained', {
  skip,
}, async (t) => {
  t.diagnostic(`seed ${seed}`)
  const { commands, milliseconds, explained: seen } = await check(isLong ? 250 : 25, seed)
  t.diagnostic(`${commands} commands, ${Math.round((commands / milliseconds) * 1000)} a second`)
  for (const { name, right, statement } of explained) {
    t.diagnostic(`${seen.get(name) ?? 0} × ${name} [${statement}] (right: ${right})`)
  }
  assert.ok(commands > 100, `expected conversations, got ${commands} commands`)
})

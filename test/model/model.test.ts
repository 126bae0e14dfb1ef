import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLong } from '../support/length.ts'
import { check } from './check.ts'

// The same conversations in every run, so that a change is what makes it fail; another seed looks at others.
const seed = Number(process.env['MODEL_SEED'] ?? 1)

test(`${isLong ? '10,000' : '2,500'} random things that Clients of all versions do have the outcome that the standard says`, async (t) => {
  t.diagnostic(`seed ${seed}`)
  const { commands, milliseconds } = await check(isLong ? 300 : 75, seed)
  t.diagnostic(`${commands} commands, ${Math.round((commands / milliseconds) * 1000)} a second`)
  assert.ok(commands > 1000, `expected conversations, got ${commands} commands`)
})

/** The same state, kept by stores that were made for aedes. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { available, needs } from '../interop/programs.ts'

const program = fileURLToPath(new URL('state.test.js', import.meta.url))

function remembersWith(store: string): void {
  // A test run inside a test run would report to the outer one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const run = spawnSync(process.execPath, [program], { env: { ...env, STATE_STORE: store }, encoding: 'utf8' })
  assert.equal(run.status, 0, run.stdout)
  assert.match(run.stdout, /^# pass 2\d$/m)
}

test('a broker that was killed remembers everything with a level store', () => remembersWith('level'))

test(
  'a broker that was killed remembers everything with Redis',
  needs('redis-server', available('redis-server', ['--version'])),
  () => remembersWith('redis'),
)

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, sep } from 'node:path'
import { test } from 'node:test'
import { isLong } from '../support/length.ts'

// Every broker that is started with `start` of test/support/client.ts has a store then.
const environment: NodeJS.ProcessEnv = { ...process.env, TEST_STORE: 'memory' }
delete environment['NODE_TEST_CONTEXT'] // Or the other runner would run nothing, as it were inside this one.

// Without the long form: what has most to do with what is stored.
const parts = isLong ? [''] : ['order', 'sessions']
const LEAST = isLong ? 500 : 20

test(`${isLong ? 'all that the' : 'what'} tests of the broker say holds with a store too`, async (t) => {
  if (process.env['TEST_STORE'] !== undefined) return t.skip('they are run with one')
  const runner = spawn(
    process.execPath,
    [join(import.meta.dirname, '..', 'run.js'), ...parts.map((part) => join('broker', sep, part))],
    {
      env: environment,
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  t.after(() => runner.kill())
  let output = ''
  runner.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  const [code] = (await once(runner, 'close')) as [number | null]
  const passed = Number(/^(\d+) passed, 0 failed/m.exec(output)?.[1] ?? 0)
  const failing = output.indexOf('failing tests:')
  assert.ok(code === 0 && passed >= LEAST, failing === -1 ? output.slice(-2000) : output.slice(failing))
  t.diagnostic(`${passed} passed`)
})

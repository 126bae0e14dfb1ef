/** The command gives a store 30 seconds to begin. */
import './command.test.ts'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { Command } from './command.ts'

test('--redis without a Redis: the command says so and ends', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  const command = new Command(t, '--redis', `redis://127.0.0.1:${port}`, '--port', '0', '--ws-port', '0')
  const [code] = await command.exited
  assert.equal(code, 1)
  assert.match(command.stderr, /^haltere: /m)
  assert.doesNotMatch(command.stderr, /Unhandled/)
})

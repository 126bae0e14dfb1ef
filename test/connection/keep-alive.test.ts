import assert from 'node:assert/strict'
import { test } from 'node:test'
import { levels, settle, start } from '../support/client.ts'

test('a Client that is silent for one and a half times its Keep Alive is disconnected [MQTT-3.1.2-22]', async (t) => {
  for (const level of levels) {
    const { clock, client } = start(t)
    const one = await client('one', { level, keepAlive: 10 })
    clock.advance(14_999)
    await one.quiet()
    clock.advance(14_999)
    await settle()
    assert.equal(one.isClosed, false)
    clock.advance(1)
    await one.endedWith(0x8d)
  }
})

test('a process that was busy for too long does not take its Clients for silent, because their packets may be unread', async (t) => {
  const { clock, client } = start(t)
  const lively = await client('lively', { keepAlive: 10 })
  const silent = await client('silent', { keepAlive: 10 })
  clock.standStill(60_000)
  await settle()
  assert.deepEqual([lively.isClosed, silent.isClosed], [false, false])
  await lively.quiet()
  clock.advance(499)
  await settle()
  assert.equal(silent.isClosed, false)
  clock.advance(1)
  await silent.endedWith(0x8d)
  clock.advance(14_000)
  await lively.quiet()
})

test('a little delay is no excuse', async (t) => {
  const { clock, client } = start(t)
  const one = await client('one', { keepAlive: 10 })
  clock.standStill(15_500)
  await one.endedWith(0x8d)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startMachine } from '../broker/machine.ts'
import { connectPacket, settle, will } from '../support/client.ts'

for (const cleanStart of [false, true]) {
  test(`the Will of a refused Client is not published, when the next one connects with Clean Start ${cleanStart ? 1 : 0}`, async (t) => {
    const machine = startMachine(t)
    const watcher = await machine.client('watcher')
    await watcher.subscribe('will')
    machine.hold()
    const first = machine.open()
    const properties = { sessionExpiryInterval: 3600 }
    first.send(connectPacket('one', { will: will('will', 'never let in'), properties }))
    const commit = await machine.commit() // Its CONNACK waits for this one.
    const second = machine.open()
    second.send(connectPacket('one', { cleanStart, properties }))
    await settle()
    await commit.resolve()
    await machine.letGo()
    assert.equal((await second.receives('connack')).reasonCode, 0)
    await first.closed
    await watcher.quiet()
    await second.disconnect()
    machine.clock.advance(3_600_000)
    await watcher.quiet()
  })
}

test('the Will of a connected Client is published when the next one connects with Clean Start', async (t) => {
  const machine = startMachine(t)
  const watcher = await machine.client('watcher')
  await watcher.subscribe('will')
  await machine.client('one', { will: will('will', 'taken over', { properties: { willDelayInterval: 60 } }) })
  await machine.client('one', { cleanStart: true })
  assert.equal(await watcher.message(), 'taken over')
})

import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { log } from '../../lib/index.ts'
import { IncomingQos2 } from '../../lib/sessions/incoming-qos2.ts'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import { ack, publishPacket, start } from '../support/client.ts'
import { quickFolder } from '../support/quick-folder.ts'

const MAX = 65_535

test('an MQTT 3 Client may have all 65,535 QoS 2 messages open, without a store', async (t) => {
  const { client, broker } = start(t)
  const watcher = await client('watcher')
  await watcher.subscribe('last')
  const level = 4
  const one = await client('one', { level, cleanStart: false })
  for (let packetId = 1; packetId < MAX; packetId += 1) one.send(publishPacket('t', '', { qos: 2, packetId }))
  for (let packetId = 1; packetId < MAX; packetId += 1) assert.equal((await one.receives('pubrec')).packetId, packetId)
  assert.equal(broker.stats().queuedBytes, 8192, 'a bit for each Packet Identifier')
  await one.publish('last', 'x', { qos: 2, packetId: MAX })
  assert.equal(await watcher.message(), 'x')
  // A duplicate is recognised, also on the next connection.
  await one.drop()
  const again = await client('one', { level, cleanStart: false })
  again.send(publishPacket('last', 'x', { qos: 2, packetId: 7, dup: true }))
  await again.receives('pubrec')
  await watcher.quiet()
  for (let packetId = 1; packetId < MAX; packetId += 1) again.send(ack('pubrel', packetId))
  for (let packetId = 1; packetId < MAX; packetId += 1) await again.receives('pubcomp')
  assert.equal(broker.stats().queuedBytes, 0)
  await again.publish('last', 'y', { qos: 2, packetId: 7 })
  assert.equal(await watcher.message(), 'y')
})

test('the end of a session frees the memory of its open QoS 2 messages', async (t) => {
  const { client, broker } = start(t)
  const one = await client('one', { level: 4 })
  for (let packetId = 1; packetId <= 3000; packetId += 1) one.send(publishPacket('t', '', { qos: 2, packetId }))
  for (let packetId = 1; packetId <= 3000; packetId += 1) await one.receives('pubrec')
  assert.equal(broker.stats().queuedBytes, 8192)
  await one.drop()
  assert.equal(broker.stats().sessions, 0)
  assert.equal(broker.stats().queuedBytes, 0)
})

for (const store of ['memory', 'log'] as const) {
  test(`an MQTT 3 Client may have 3,000 QoS 2 messages open with a store, over a restart: ${store}`, async (t) => {
    const folder = mkdtempSync(join(quickFolder, 'haltere-qos2-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const memory = new MemoryPersistence()
    const persistence = () => (store === 'memory' ? memory : log({ dir: folder, durability: 'none' }))
    const first = start(t, { persistence: persistence() })
    const one = await first.client('one', { level: 4, cleanStart: false })
    for (let packetId = 1; packetId <= 3000; packetId += 1) one.send(publishPacket('t', '', { qos: 2, packetId }))
    for (let packetId = 1; packetId <= 3000; packetId += 1)
      assert.equal((await one.receives('pubrec')).packetId, packetId)
    await first.broker.close({ graceMs: 0 })
    const second = start(t, { persistence: persistence() })
    const watcher = await second.client('watcher')
    await watcher.subscribe('t')
    const again = await second.client('one', { level: 4, cleanStart: false })
    again.send(publishPacket('t', '', { qos: 2, packetId: 3000, dup: true }))
    await again.receives('pubrec')
    await watcher.quiet()
    for (let packetId = 1; packetId <= 3000; packetId += 1) again.send(ack('pubrel', packetId))
    for (let packetId = 1; packetId <= 3000; packetId += 1) await again.receives('pubcomp')
  })
}

test('the Receive Maximum of MQTT 5.0 stays: one message more ends the connection with 0x93', async (t) => {
  const { client } = start(t, { limits: { receiveMaximum: 3 } })
  const one = await client('one')
  for (let packetId = 1; packetId <= 3; packetId += 1) {
    one.send(publishPacket('t', '', { qos: 2, packetId }))
    await one.receives('pubrec')
  }
  one.send(publishPacket('t', '', { qos: 2, packetId: 4 }))
  await one.endedWith(0x93)
})

test('Packet Identifiers are the same in the Set and in the bitmap', () => {
  const totals = { bytes: 0 }
  const incoming = new IncomingQos2(totals)
  const expected = new Set<number>()
  for (let packetId = 1; packetId <= MAX; packetId += 127) {
    incoming.reserve(packetId)
    incoming.reserve(packetId)
    expected.add(packetId)
  }
  assert.equal(incoming.size, expected.size)
  assert.equal(totals.bytes, 8192)
  for (let packetId = 1; packetId <= MAX; packetId += 1) assert.equal(incoming.has(packetId), expected.has(packetId))
  for (let packetId = 1; packetId <= MAX; packetId += 1)
    assert.equal(incoming.release(packetId), expected.has(packetId))
  assert.equal(incoming.size, 0)
  assert.equal(totals.bytes, 0)
  const outcome = Promise.resolve(0)
  incoming.reserve(5, outcome)
  assert.equal(incoming.outcome(5), outcome)
  incoming.settled(5, outcome)
  assert.equal(incoming.outcome(5), undefined)
  assert.ok(incoming.has(5))
})

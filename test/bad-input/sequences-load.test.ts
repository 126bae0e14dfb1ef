/** Abuse that takes more than one packet (S01 to S50): more than the broker should carry. */
import { strict as assert } from 'node:assert'
import { after, test } from 'node:test'
import { Broker } from '../../lib/index.ts'
import type { BrokerOptions } from '../../types/options.ts'
import { bytes } from '../support/wire.ts'
import { Faults } from './faults.ts'
import { memoryClient, turns } from './raw-client.ts'

const faults = new Faults()
const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close({ graceMs: 10 })
  faults.stop()
})

function open(options: BrokerOptions = {}): Broker {
  const broker = new Broker({ sysInterval: false, ...options })
  brokers.push(broker)
  faults.watch(broker)
  return broker
}

test('S33 messages at QoS 0 for a Client that does not read are dropped, and others have them all', async () => {
  const broker = open({ limits: { maxOutboundBytes: 64 * 1024, holdBackMs: 0 } })
  const deaf = broker.connect()
  deaf.write(bytes('10 <NAME 02 0000 NONE "deaf"> 82 <0001 NONE "t" 00>'))
  const reader = memoryClient(broker)
  await reader.connects('reader')
  await reader.sends('82 <0001 NONE "t" 00>').receives('suback 00')
  const payload = 'x'.repeat(1000)
  for (let count = 0; count < 2000; count += 1) {
    await broker.publish({ topic: 't', payload })
    await reader.receives(`publish 0 t ${payload}`)
  }
  const { publishDropped, queuedBytes } = broker.stats()
  assert.ok(publishDropped > 1500, `${publishDropped} dropped`)
  assert.equal(queuedBytes, 0)
  deaf.destroy()
})

test('S34 the queue of a Client that never acknowledges has an end in messages and in bytes', async () => {
  for (const [limits, most] of [
    [{ maxQueuedMessages: 50 }, 50],
    [{ maxQueuedBytes: 5000 }, 5],
  ] as const) {
    const broker = open({ limits: { ...limits, holdBackMs: 0 } })
    const client = memoryClient(broker)
    await client.connects('c', '02', '<21 0001>')
    await client.sends('82 <0001 NONE "t" 01>').receives('suback 01')
    for (let count = 0; count < 300; count += 1)
      await broker.publish({ topic: 't', payload: Buffer.alloc(1000), qos: 1 })
    await turns()
    const { queuedMessages, publishDropped } = broker.stats()
    assert.ok(queuedMessages > 0 && queuedMessages <= most, `${queuedMessages} queued`)
    assert.equal(queuedMessages + publishDropped + 1, 300)
    await client.drops()
    await turns()
    assert.equal(broker.stats().queuedBytes, 0)
  }
})

test('S35 a flood from one Client does not keep the others waiting for its end', async () => {
  const broker = open()
  const flood = memoryClient(broker)
  const other = memoryClient(broker)
  await flood.connects('flood')
  await other.connects('other')
  flood.sends(bytes('{100000 30 <"t" NONE 78>}', 5))
  await other.hasNothing()
  assert.ok(broker.stats().publishReceived < 50_000, `${broker.stats().publishReceived} before the answer`)
  await flood.hasNothing()
  assert.equal(broker.stats().publishReceived, 100_000)
})

test('S36 a Client that takes every Topic Alias gets as many as there are', async () => {
  const broker = open({ limits: { maxOutboundTopicAliases: 16 } })
  const client = memoryClient(broker)
  await client.connects('c', '02', '<22 ffff>')
  await client.sends('82 <0001 NONE "#" 00>').receives('suback 00')
  for (let count = 0; count < 1000; count += 1) await broker.publish({ topic: `t/${count}`, payload: 'x' })
  for (let count = 0; count < 1000; count += 1) {
    const { body } = (await client.next()) as { body: Buffer }
    const properties = body.subarray(2 + body.readUInt16BE(0))
    const alias = properties[0] === 3 && properties[1] === 0x23 ? properties.readUInt16BE(2) : 0
    assert.ok(alias <= 16, `alias ${alias}`)
  }
})

test('S40 subscriptions are limited, and a filter of as many levels as may be is matched at once', async () => {
  const broker = open({ limits: { maxSubscriptionsPerClient: 20 } })
  const client = memoryClient(broker)
  await client.connects('c')
  await client.sends('82 <0001 NONE "a" 00 "b" 00 "c" 00>').receives('suback 00 00 00')
  for (let count = 3; count < 20; count += 1) {
    // 128 levels, of which ever more are wildcards.
    const filter = [
      ...Array.from({ length: count }, () => '+'),
      ...Array.from({ length: 128 - count }, () => 'a'),
    ].join('/')
    await client.sends(`82 <0001 NONE "${filter}" 00>`).receives('suback 00')
  }
  await client.sends('82 <0001 NONE "d" 00 "a" 01>').receives('suback 97 01')
  await broker.publish({ topic: Array.from({ length: 128 }, () => 'a').join('/'), payload: 'x' })
  assert.match((await client.next())?.text ?? '', /^publish 0 a\/a/)
  await client.hasNothing()
  assert.equal(broker.stats().subscriptions, 20)
})

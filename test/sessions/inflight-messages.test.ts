import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Message } from '../../lib/messages/message.ts'
import { QueuedMessage } from '../../lib/messages/queued-message.ts'
import { Delivery } from '../../lib/sessions/delivery.ts'
import { InflightMessages } from '../../lib/sessions/inflight-messages.ts'
import type { QoS } from '../../types/packets.ts'

function delivery(qos: QoS): Delivery {
  const fields = { topic: 't', payload: Buffer.alloc(0), qos, retain: false }
  const via = { identifiers: undefined, sharedFilter: undefined, parts: undefined }
  return new Delivery(new QueuedMessage(new Message(fields, undefined, 0)), qos, false, via)
}

test('no two messages in flight have the same Packet Identifier, and none has 0 [MQTT-2.2.1-4]', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 500, maxLength: 2000 }), (starts) => {
      const exchanges = new InflightMessages()
      const open = new Map<number, Delivery>()
      for (const [index, begins] of starts.entries()) {
        if (begins || open.size === 0) {
          const one = delivery(((index % 2) + 1) as QoS)
          const packetId = exchanges.start(one)
          assert.ok(packetId >= 1 && packetId <= 65_535 && !open.has(packetId))
          assert.equal(exchanges.get(packetId), one)
          open.set(packetId, one)
        } else {
          const [packetId, one] = [...open][index % open.size] as [number, Delivery]
          open.delete(packetId)
          if (one.qos === 1) assert.equal(exchanges.puback(packetId), one)
          else {
            assert.equal(exchanges.pubrec(packetId, false), 'continues')
            assert.equal(exchanges.pubcomp(packetId), one)
          }
        }
        assert.equal(exchanges.size, open.size)
        assert.equal(exchanges.quotaInUse, open.size)
      }
    }),
    { numRuns: 30 },
  )
})

test('all 65,535 identifiers can be in flight, and one that becomes free is the next', () => {
  const exchanges = new InflightMessages()
  const seen = new Set<number>()
  for (let number = 0; number < 65_535; number += 1) seen.add(exchanges.start(delivery(1)))
  assert.equal(seen.size, 65_535)
  exchanges.puback(777)
  assert.equal(exchanges.start(delivery(1)), 777)
})

test('each acknowledgement fits its state; any other is a Protocol Error and changes nothing', () => {
  const protocolError = { name: 'ProtocolError', reasonCode: 0x82 }
  const exchanges = new InflightMessages()
  const [one, two] = [delivery(1), delivery(2)]
  const [first, second] = [exchanges.start(one), exchanges.start(two)]
  assert.throws(() => exchanges.pubrec(first, false), protocolError)
  assert.throws(() => exchanges.pubcomp(first), protocolError)
  assert.throws(() => exchanges.puback(second), protocolError)
  assert.throws(() => exchanges.pubcomp(second), protocolError)
  assert.equal(exchanges.size, 2)
  assert.equal(exchanges.pubrec(second, false), 'continues')
  assert.equal(exchanges.pubrec(second, false), 'continues')
  assert.equal(exchanges.quotaInUse, 2, 'it counts until PUBCOMP')
  assert.equal(exchanges.pubcomp(second), two)
  assert.equal(exchanges.pubcomp(second), undefined)
  assert.equal(exchanges.puback(first), one)
  assert.equal(exchanges.puback(first), undefined)
  assert.equal(exchanges.pubrec(4, true), 'unknown')
  assert.equal(exchanges.quotaInUse, 0)
})

test('a PUBREC of 0x80 or more completes a message at once, and is an error after another PUBREC', () => {
  const exchanges = new InflightMessages()
  const [one, two] = [exchanges.start(delivery(2)), exchanges.start(delivery(2))]
  assert.equal(exchanges.pubrec(one, true), 'complete')
  assert.equal(exchanges.get(one), undefined)
  exchanges.pubrec(two, false)
  assert.throws(() => exchanges.pubrec(two, true), { name: 'ProtocolError', reasonCode: 0x82 })
  assert.ok(exchanges.get(two) !== undefined)
})

test('after a restart everything is to be sent again, in order, without what was acknowledged meanwhile', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 30 }), (acknowledged) => {
      const exchanges = new InflightMessages()
      const all = acknowledged.map(() => delivery(1))
      for (const one of all) exchanges.start(one)
      exchanges.restart()
      assert.equal(exchanges.quotaInUse, 0)
      for (const [index, yes] of acknowledged.entries()) if (yes) exchanges.puback((all[index] as Delivery).packetId)
      const again: Delivery[] = []
      for (let one = exchanges.nextUnsent(); one !== undefined; one = exchanges.nextUnsent()) again.push(one)
      assert.deepEqual(
        again,
        all.filter((_, index) => acknowledged[index] !== true),
      )
      assert.equal(exchanges.quotaInUse, again.length)
      assert.equal(exchanges.hasUnsent, false)
      exchanges.clear()
      assert.deepEqual([exchanges.size, exchanges.quotaInUse, exchanges.inOrder().length], [0, 0, 0])
    }),
  )
})

test('an acknowledgement of what is not sent again yet leaves the quota as it is', () => {
  const exchanges = new InflightMessages()
  const ids = [delivery(1), delivery(2), delivery(1)].map((one) => exchanges.start(one))
  exchanges.restart()
  exchanges.nextUnsent()
  exchanges.puback(ids[2] as number)
  assert.equal(exchanges.quotaInUse, 1)
  exchanges.puback(ids[0] as number)
  assert.equal(exchanges.quotaInUse, 0)
})

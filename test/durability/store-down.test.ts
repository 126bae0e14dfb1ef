/** A store that is gone: nobody is told that something is safe, and everything goes on when the store comes back. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import type { Packet, ProtocolLevel } from '../../types/packets.ts'
import { patienceMs } from '../support/patience.ts'
import { quickFolder } from '../support/quick-folder.ts'
import { ack, filter, publishPacket, settle, TestClient } from '../support/client.ts'
import { Faults, faulty } from './faulty-persistence.ts'
import { aedesMemory, brokerWith, openLog } from './stores.ts'

const stores = ['log', 'aedes-persistence'] as const

interface Site {
  readonly faults: Faults
  /** A Client with a session that stays. */
  readonly resume: (clientId: string, level: ProtocolLevel) => Promise<TestClient>
  readonly close: () => Promise<unknown>
}

/** @param storeTimeoutMs - Only where the store never answers it is short: a store that is slow has not failed. */
function open(t: TestContext, store: (typeof stores)[number], storeTimeoutMs: number = patienceMs): Site {
  const folder = mkdtempSync(join(quickFolder, 'haltere-down-'))
  const faults = new Faults()
  const broker = brokerWith(faulty(store === 'log' ? openLog(folder) : aedesMemory(), faults), storeTimeoutMs)
  broker.on('error', () => undefined)
  const clients: TestClient[] = []
  const close = (): Promise<unknown> => broker.close({ graceMs: 0 })
  const wait = setInterval(() => undefined, 1000) // A process does not end in the middle of a test.
  t.after(async () => {
    faults.disarm()
    for (const client of clients) client.stream.destroy()
    await close()
    clearInterval(wait)
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    faults,
    close,
    async resume(clientId, level) {
      const client = new TestClient(broker.connect(), level)
      clients.push(client)
      const keep = level === 5 && { properties: { sessionExpiryInterval: 1000, receiveMaximum: 1 } }
      assert.equal((await client.connect(clientId, { cleanStart: false, ...keep })).reasonCode, 0)
      return client
    },
  }
}

/** A receiver for `a` that is away, so that what is published has to be stored. */
async function receiver({ resume }: Site): Promise<void> {
  const client = await resume('receiver', 5)
  await client.subscribe('a', { qos: 2 })
  await client.disconnect()
}

/** These come, one at a time, and nothing else. */
async function receives({ resume }: Site, ...payloads: string[]): Promise<void> {
  const client = await resume('receiver', 5)
  for (const payload of payloads) assert.equal(await client.message(), payload)
  await client.quiet()
}

/** MQTT 5.0: the Client is told and stays. MQTT 3 has no word for it: the connection ends without an acknowledgement. */
async function isRefused(client: TestClient, type: 'puback' | 'pubrec' | 'suback' | 'unsuback'): Promise<void> {
  if (client.level < 5 && type !== 'suback') return client.ended()
  const packet = await client.receives(type)
  const codes = 'reasonCodes' in packet ? packet.reasonCodes : [packet.reasonCode]
  for (const code of codes) {
    // Unspecified error, Implementation specific error, Quota exceeded; MQTT 3.1.1 has but one for SUBACK.
    const expected = client.level < 5 ? [0x80] : type.startsWith('pub') ? [0x83, 0x97] : [0x80, 0x83, 0x97]
    assert.ok(expected.includes(code), `${type} with ${code}`)
  }
  if (client.level === 5) await client.quiet()
}

for (const store of stores) {
  for (const level of [5, 4] as const) {
    suite(`while the store (${store}) is gone, protocol level ${level}`, () => {
      for (const qos of [1, 2] as const) {
        test(`a PUBLISH at QoS ${qos} is refused, and taken when the store is back [MQTT-4.3.${qos + 1}-${qos === 1 ? 4 : 8}]`, async (t) => {
          const site = open(t, store)
          await receiver(site)
          const client = await site.resume('sender', level)
          site.faults.arm('reject', 1, Infinity)
          client.send(publishPacket('a', 'refused', { qos, packetId: 1 }))
          await isRefused(client, qos === 1 ? 'puback' : 'pubrec')
          site.faults.disarm()
          const again = level === 5 ? client : await persist(() => site.resume('sender', level))
          assert.equal(await again.publish('a', 'taken', { qos, packetId: 1 }), 0)
          await receives(site, 'taken')
        })
      }

      test('a retained message is refused, and what was retained stays', async (t) => {
        const site = open(t, store)
        const first = await site.resume('sender', level)
        await first.publish('r', 'first', { qos: 1, retain: true })
        site.faults.arm('reject', 1, Infinity)
        first.send(publishPacket('r', 'second', { qos: 1, retain: true, packetId: 9 }))
        await isRefused(first, 'puback')
        site.faults.disarm()
        const reader = await site.resume('reader', 5)
        await reader.subscribe('r')
        assert.equal(await reader.message(), 'first')
      })

      test('SUBSCRIBE and UNSUBSCRIBE are refused, and done when the store is back', async (t) => {
        const site = open(t, store)
        let client = await site.resume('s', level)
        await client.subscribe('b', { qos: 1 })
        site.faults.arm('reject', 1, Infinity)
        client.send({ type: 'subscribe', packetId: 7, subscriptions: [filter('a', { qos: 1 })], properties: undefined })
        if (level === 5) await isRefused(client, 'suback')
        else await isRefusedOrEnded(client)
        if (client.isClosed) {
          site.faults.disarm()
          client = await persist(() => site.resume('s', level))
          site.faults.arm('reject', 1, Infinity)
        }
        client.send({ type: 'unsubscribe', packetId: 8, topicFilters: ['b'], properties: undefined })
        await site.faults.reached()
        await settle()
        // Refused, or not answered before the store is back.
        const early = client.received.find(({ type }) => type === 'unsuback')
        assert.ok(early === undefined || (early.type === 'unsuback' && early.reasonCodes.every((code) => code >= 0x80)))
        site.faults.disarm()
        client.stream.destroy()
        client = await persist(() => site.resume('s', level))
        // Whether it was done meanwhile is open.
        await client.subscribe('b', { qos: 1 })
        const other = await site.resume('sender', 5)
        await other.publish('a', 'not asked for', { qos: 1 })
        await other.publish('b', 'asked for', { qos: 1 })
        assert.equal(await client.message(), 'asked for')
        assert.deepEqual(await client.subscribe('a', { qos: 1 }), [1])
        assert.ok((await client.unsubscribe('b')).every((code) => code < 0x80))
      })

      test('a PUBREL is not answered with success before its identifier is free [MQTT-4.3.3-11]', async (t) => {
        const site = open(t, store)
        await receiver(site)
        const client = await site.resume('sender', level)
        client.send(publishPacket('a', 'x', { qos: 2, packetId: 3 }))
        await client.receives('pubrec')
        site.faults.arm('reject', 1, Infinity)
        client.send(ack('pubrel', 3))
        await site.faults.reached()
        await settle()
        assert.ok(!client.received.some(({ type }) => type === 'pubcomp'))
        site.faults.disarm()
        const again = await persist(() => site.resume('sender', level))
        again.send(ack('pubrel', 3))
        await again.receives('pubcomp')
        assert.equal(await again.publish('a', 'y', { qos: 2, packetId: 3 }), 0)
        await receives(site, 'x', 'y')
      })

      test('a session is not promised', async (t) => {
        const site = open(t, store)
        await site.resume('old', level) // It is open.
        site.faults.arm('reject', 1, Infinity)
        await assert.rejects(site.resume('new', level))
        site.faults.disarm()
        await persist(() => site.resume('new', level))
      })

      test('nothing is acknowledged while it does not answer at all, others go on, and the broker can be closed', async (t) => {
        const site = open(t, store, 1000)
        await receiver(site)
        const other = await site.resume('other', 5)
        await other.subscribe('live')
        const client = await site.resume('sender', level)
        site.faults.arm('wait', 1, Infinity)
        client.send(publishPacket('a', 'x', { qos: 1, packetId: 1 }))
        await site.faults.reached()
        await other.publish('live', 'goes on')
        assert.equal(await other.message(), 'goes on')
        const early: Packet[] = client.received.filter(({ type }) => type === 'puback')
        assert.deepEqual(early, [])
        await site.close()
      })
    })
  }
}

/** A store may need a moment to come back. */
async function persist<Result>(attempt: () => Promise<Result>): Promise<Result> {
  const since = performance.now()
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (performance.now() - since > patienceMs) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

async function isRefusedOrEnded(client: TestClient): Promise<void> {
  const packet = await client.receives('suback').catch(() => undefined)
  if (packet === undefined) assert.ok(client.isClosed)
  else assert.deepEqual(packet.reasonCodes, [0x80])
}

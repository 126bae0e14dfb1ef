import assert from 'node:assert/strict'
import type { PersistedPacket } from '../../../types/persistence.ts'
import type { StoreUnderTest } from '../store-under-test.ts'
import type { TestCase } from '../test-case.ts'
import { ALL_PROPERTIES, BROKER_ID, comparable, listOf, publish } from '../values.ts'

const client = { id: 'c' }

async function queueOf(store: StoreUnderTest, clientId: string): Promise<PersistedPacket[]> {
  return listOf(store.persistence.outgoingStream({ id: clientId }))
}

async function counters(store: StoreUnderTest, clientId: string): Promise<number[]> {
  const found = (await queueOf(store, clientId)).map(({ brokerCounter }) => Number(brokerCounter))
  return store.lacks('order') ? found.toSorted((a, b) => a - b) : found
}

export const queueCases: readonly TestCase[] = [
  {
    name: 'a queued message keeps its properties, User Properties in order',
    restarts: true,
    async run(store) {
      const packet = publish({ properties: ALL_PROPERTIES, messageExpiry: 1_800_000_000_123, clientId: 'sender' })
      await store.persistence.outgoingEnqueueCombi([{ clientId: 'c' }, { clientId: 'd' }], packet)
      await store.restart()
      for (const clientId of ['c', 'd']) {
        const queue = (await queueOf(store, clientId)).map((each) => comparable(store, each))
        assert.deepEqual(queue, [comparable(store, packet)])
      }
    },
  },
  {
    name: 'a Packet Identifier belongs to the message in one queue',
    restarts: true,
    parts: ['packet-identifiers'],
    async run(store) {
      const packet = publish({ properties: ALL_PROPERTIES })
      await store.persistence.outgoingEnqueueCombi([{ clientId: 'c' }, { clientId: 'd' }], packet)
      await store.persistence.outgoingUpdate(client, { ...packet, messageId: 65_535 })
      await store.restart()
      const [mine] = await queueOf(store, 'c')
      assert.deepEqual(comparable(store, mine), comparable(store, { ...packet, messageId: 65_535 }))
      const [other] = await queueOf(store, 'd')
      assert.deepEqual(comparable(store, other), comparable(store, packet))
    },
  },
  {
    name: 'a payload is kept byte for byte: empty, every byte, and 1 MiB',
    restarts: true,
    async run(store) {
      const payloads = [
        Buffer.alloc(0),
        Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
        Buffer.alloc(1_048_576, 'haltere'),
      ]
      for (const [index, payload] of payloads.entries()) {
        const packet = publish({ payload, brokerCounter: index + 1 })
        await store.persistence.outgoingEnqueueCombi([{ clientId: 'c' }, { clientId: 'd' }], packet)
      }
      await store.restart()
      for (const clientId of ['c', 'd']) {
        for (const packet of await queueOf(store, clientId)) {
          assert.ok(packet.cmd === 'publish')
          const payload = Buffer.from(packet.payload as string)
          assert.ok(payload.equals(payloads[Number(packet.brokerCounter) - 1]!), `message ${packet.brokerCounter}`)
        }
        assert.deepEqual(await counters(store, clientId), [1, 2, 3])
      }
    },
  },
  {
    name: 'what is changed on a message after it was queued does not change the queue',
    async run(store) {
      const packet = publish()
      await store.persistence.outgoingEnqueue({ clientId: 'c' }, packet)
      Object.assign(packet, { topic: 'changed' })
      const [queued] = await queueOf(store, 'c')
      assert.ok(queued?.cmd === 'publish')
      assert.equal(queued.topic, 'a')
    },
  },
  {
    name: 'messages of two starts of a broker stay in the order in which they were queued',
    restarts: true,
    parts: ['order', 'broker-order'],
    async run(store) {
      for (const brokerCounter of [9, 10]) {
        await store.persistence.outgoingEnqueue({ clientId: 'c' }, publish({ brokerCounter }))
      }
      await store.restart()
      for (const brokerCounter of [1, 2]) {
        await store.persistence.outgoingEnqueue({ clientId: 'c' }, publish({ brokerId: 'boot00', brokerCounter }))
      }
      assert.deepEqual(await counters(store, 'c'), [9, 10, 1, 2])
    },
  },
  {
    name: '5,000 queued messages come in order, and are acknowledged in any order [MQTT-4.6.0-6]',
    restarts: true,
    parts: ['long-queues'],
    async run(store) {
      const numbers = Array.from({ length: 5000 }, (_, index) => index + 1)
      for (const brokerCounter of numbers) {
        await store.persistence.outgoingEnqueue({ clientId: 'c' }, publish({ brokerCounter }))
      }
      await store.restart()
      assert.deepEqual(await counters(store, 'c'), numbers)
      // The first 300 are on their way; every third one is acknowledged first, as with QoS 1 and 2 mixed.
      const sent = numbers.slice(0, 300)
      for (const brokerCounter of sent) {
        await store.persistence.outgoingUpdate(client, publish({ brokerCounter, messageId: brokerCounter }))
      }
      const order = [0, 1, 2].flatMap((rest) => sent.filter((_, index) => index % 3 === rest))
      for (const [index, messageId] of order.entries()) {
        const removed = await store.persistence.outgoingClearMessageId(client, { messageId })
        assert.equal(Number(removed?.brokerCounter), messageId)
        if (index !== 150) continue
        const left = new Set(order.slice(index + 1))
        assert.deepEqual(
          await counters(store, 'c'),
          numbers.filter((number) => number > 300 || left.has(number)),
        )
      }
      assert.deepEqual(await counters(store, 'c'), numbers.slice(300))
    },
  },
  {
    name: 'a QoS 2 message becomes a PUBREL in its place, and PUBCOMP removes it',
    restarts: true,
    async run(store) {
      for (const brokerCounter of [1, 2, 3]) {
        const packet = publish({ qos: 2, brokerCounter })
        await store.persistence.outgoingEnqueue({ clientId: 'c' }, packet)
        await store.persistence.outgoingUpdate(client, { ...packet, messageId: brokerCounter + 10 })
      }
      await store.persistence.outgoingUpdate(client, { cmd: 'pubrel', messageId: 12 })
      await store.restart()
      const kinds = (await queueOf(store, 'c')).map(({ cmd, messageId }) => `${cmd} ${messageId}`)
      const expected = ['publish 11', 'pubrel 12', 'publish 13']
      assert.deepEqual(
        store.lacks('order') ? kinds.toSorted() : kinds,
        store.lacks('order') ? expected.toSorted() : expected,
      )
      if (store.lacks('packet-identifiers')) return
      assert.equal((await store.persistence.outgoingClearMessageId(client, { messageId: 12 }))?.cmd, 'pubrel')
      assert.deepEqual(await counters(store, 'c'), [1, 3])
    },
  },
  {
    name: 'a message that gets another Packet Identifier is not found by the old one',
    restarts: true,
    parts: ['packet-identifiers'],
    async run(store) {
      await store.persistence.outgoingEnqueue({ clientId: 'c' }, publish())
      await store.persistence.outgoingUpdate(client, publish({ messageId: 1 }))
      await store.persistence.outgoingUpdate(client, publish({ messageId: 2 }))
      await store.restart()
      assert.ok(!(await store.persistence.outgoingClearMessageId(client, { messageId: 1 })))
      assert.equal((await store.persistence.outgoingClearMessageId(client, { messageId: 2 }))?.messageId, 2)
      assert.deepEqual(await queueOf(store, 'c'), [])
    },
  },
  {
    name: 'an acknowledgement for an unknown Packet Identifier removes nothing',
    async run(store) {
      await store.persistence.outgoingEnqueue({ clientId: 'c' }, publish())
      await store.persistence.outgoingUpdate(client, publish({ messageId: 5 }))
      assert.ok(!(await store.persistence.outgoingClearMessageId(client, { messageId: 1 })))
      assert.ok(!(await store.persistence.outgoingClearMessageId({ id: 'nobody' }, { messageId: 5 })))
      assert.equal((await queueOf(store, 'c')).length, 1)
    },
  },
  {
    name: 'what is acknowledged does not come back, and the queue of another Client stays',
    restarts: true,
    async run(store) {
      for (const brokerCounter of [1, 2]) {
        const packet = publish({ brokerCounter })
        await store.persistence.outgoingEnqueueCombi([{ clientId: 'c' }, { clientId: 'd' }], packet)
      }
      await store.persistence.outgoingUpdate(client, publish({ brokerId: BROKER_ID, brokerCounter: 1, messageId: 1 }))
      await store.persistence.outgoingClearMessageId(client, { messageId: 1 })
      await store.restart()
      assert.deepEqual(await counters(store, 'c'), [2])
      assert.deepEqual(await counters(store, 'd'), [1, 2])
    },
  },
  {
    name: 'cleanOutgoing removes the whole queue of one Client',
    restarts: true,
    needs: 'cleanOutgoing',
    parts: ['optional-methods'],
    async run(store) {
      for (const brokerCounter of [1, 2]) {
        const packet = publish({ brokerCounter })
        await store.persistence.outgoingEnqueueCombi([{ clientId: 'c' }, { clientId: 'd' }], packet)
      }
      await store.persistence.cleanOutgoing!(client)
      await store.restart()
      assert.deepEqual(await counters(store, 'c'), [])
      assert.deepEqual(await counters(store, 'd'), [1, 2])
    },
  },
]

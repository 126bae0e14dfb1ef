import assert from 'node:assert/strict'
import type { TestCase } from '../test-case.ts'
import {
  ALL_PROPERTIES,
  comparable,
  comparableWill,
  listOf,
  publish,
  sorted,
  STRANGE_NAMES,
  subscription,
  will,
} from '../values.ts'

export const clientCases: readonly TestCase[] = [
  {
    name: 'strange Client Identifiers are Clients of their own',
    restarts: true,
    async run(store) {
      for (const id of STRANGE_NAMES) {
        assert.deepEqual(await store.persistence.subscriptionsByClient({ id }), [])
        assert.deepEqual(await listOf(store.persistence.outgoingStream({ id })), [])
        assert.ok(!(await store.persistence.getWill({ id })))
      }
      const { brokerId } = store
      for (const [index, id] of STRANGE_NAMES.entries()) {
        const topic = `of/${index}`
        await store.persistence.addSubscriptions({ id }, [subscription(topic)])
        await store.persistence.outgoingEnqueue({ clientId: id }, publish({ topic, brokerCounter: index + 1 }))
        await store.persistence.incomingStorePacket({ id }, publish({ topic, qos: 2, messageId: 1 }))
        await store.persistence.putWill({ id }, will(topic))
      }
      await store.restart()
      for (const [index, id] of STRANGE_NAMES.entries()) {
        const topic = `of/${index}`
        const subscriptions = await store.persistence.subscriptionsByClient({ id })
        assert.deepEqual(
          subscriptions.map((each) => each.topic),
          [topic],
          id,
        )
        assert.deepEqual(await listOf(store.persistence.getClientList(topic)), [id])
        const queue = await listOf(store.persistence.outgoingStream({ id }))
        assert.deepEqual(
          queue.map((packet) => packet.cmd === 'publish' && packet.topic),
          [topic],
          id,
        )
        assert.equal((await store.persistence.incomingGetPacket({ id }, { messageId: 1 })).topic, topic)
        if (store.brokerId === brokerId) assert.equal((await store.persistence.getWill({ id }))?.topic, topic)

        // What is removed is gone for this Client, and the later rounds see that it is there for the others.
        await store.persistence.delWill({ id, brokerId })
        await store.persistence.incomingDelPacket({ id }, { messageId: 1 })
        await store.persistence.cleanOutgoing?.({ id })
        await store.persistence.cleanSubscriptions({ id })
        await assert.rejects(store.persistence.incomingGetPacket({ id }, { messageId: 1 }))
      }
      assert.deepEqual(await listOf(store.persistence.streamWill({})), [])
      assert.deepEqual(await store.persistence.countOffline(), { subsCount: 0, clientsCount: 0 })
    },
  },
  {
    name: 'a QoS 2 message that came in is kept with its properties until it is deleted',
    restarts: true,
    async run(store) {
      const client = { id: 'c' }
      const packet = publish({
        qos: 2,
        messageId: 65_535,
        properties: ALL_PROPERTIES,
        messageExpiry: 1_800_000_000_123,
      })
      await store.persistence.incomingStorePacket(client, packet)
      await store.persistence.incomingStorePacket(client, publish({ qos: 2, messageId: 1 }))
      await store.restart()
      const stored = await store.persistence.incomingGetPacket(client, { messageId: 65_535 })
      assert.deepEqual(comparable(store, stored), comparable(store, packet))
      await store.persistence.incomingDelPacket(client, { messageId: 65_535 })
      await store.restart()
      await assert.rejects(store.persistence.incomingGetPacket(client, { messageId: 65_535 }), 'it was deleted')
      assert.equal((await store.persistence.incomingGetPacket(client, { messageId: 1 })).messageId, 1)
    },
  },
  {
    name: 'cleanIncoming removes the QoS 2 messages of one Client',
    restarts: true,
    needs: 'cleanIncoming',
    async run(store) {
      for (const id of ['c', 'c1', 'd']) {
        for (const messageId of [1, 11]) {
          await store.persistence.incomingStorePacket({ id }, publish({ qos: 2, messageId }))
        }
      }
      await store.persistence.cleanIncoming!({ id: 'c' })
      await store.restart()
      for (const messageId of [1, 11]) {
        await assert.rejects(store.persistence.incomingGetPacket({ id: 'c' }, { messageId }))
        for (const id of ['c1', 'd']) await store.persistence.incomingGetPacket({ id }, { messageId })
      }
    },
  },
  {
    name: 'a Will keeps its properties, and is listed while its broker is not alive',
    restarts: true,
    async run(store) {
      const { brokerId } = store
      const properties = { ...ALL_PROPERTIES, willDelayInterval: 4_294_967_295 }
      const stored = will('w', { qos: 2, retain: true, properties, dueAt: 1_800_000_000_123 })
      await store.persistence.putWill({ id: 'c' }, { ...stored })
      assert.deepEqual(
        comparableWill(store, await store.persistence.getWill({ id: 'c' })),
        comparableWill(store, stored),
      )
      await store.restart()
      assert.deepEqual(await listOf(store.persistence.streamWill({ [brokerId]: 1 })), [])
      const [listed, ...more] = await listOf(store.persistence.streamWill({ other: 1 }))
      assert.deepEqual(more, [])
      assert.deepEqual(comparableWill(store, listed), comparableWill(store, stored))
      assert.equal(listed?.clientId, 'c')
      assert.equal(listed.brokerId, brokerId)
      await store.persistence.delWill({ id: 'c', brokerId })
      await store.restart()
      assert.ok(!(await store.persistence.getWill({ id: 'c' })))
      assert.deepEqual(await listOf(store.persistence.streamWill({})), [])
    },
  },
  {
    name: 'a Will takes the place of the one before it',
    restarts: true,
    parts: ['replaced-fields'],
    async run(store) {
      const { brokerId } = store
      await store.persistence.putWill({ id: 'c' }, will('first', { properties: ALL_PROPERTIES, dueAt: 1 }))
      await store.persistence.delWill({ id: 'c', brokerId })
      await store.persistence.putWill({ id: 'c' }, will('second'))
      await store.restart()
      const listed = await listOf(store.persistence.streamWill({}))
      assert.deepEqual(
        listed.map((each) => comparableWill(store, each)),
        [comparableWill(store, will('second'))],
      )
    },
  },
  {
    name: 'calls about many Clients at once do not disturb each other',
    restarts: true,
    async run(store) {
      const ids = Array.from({ length: 50 }, (_, index) => `client${index}`)
      await Promise.all(
        ids.map(async (id, index) => {
          await store.persistence.addSubscriptions({ id }, [subscription('all'), subscription(`only/${index}`)])
          await store.persistence.outgoingEnqueue({ clientId: id }, publish({ topic: id, brokerCounter: index + 1 }))
          await store.persistence.incomingStorePacket({ id }, publish({ topic: id, qos: 2, messageId: 7 }))
          if (index % 2 === 0) await store.persistence.removeSubscriptions({ id }, ['all'])
          await store.persistence.storeRetained(publish({ topic: `retained/${id}`, retain: true }))
        }),
      )
      await store.restart()
      assert.deepEqual(
        sorted((await store.persistence.subscriptionsByTopic('all')).map(({ clientId }) => clientId)),
        sorted(ids.filter((_, index) => index % 2 === 1)),
      )
      for (const id of ids) {
        const queue = await listOf(store.persistence.outgoingStream({ id }))
        assert.deepEqual(
          queue.map((packet) => packet.cmd === 'publish' && packet.topic),
          [id],
        )
        assert.equal((await store.persistence.incomingGetPacket({ id }, { messageId: 7 })).topic, id)
      }
      assert.equal((await listOf(store.persistence.createRetainedStream('retained/+'))).length, ids.length)
    },
  },
  {
    name: 'calls about one Client at once are all done',
    restarts: true,
    parts: ['concurrency'],
    async run(store) {
      const client = { id: 'c' }
      const numbers = Array.from({ length: 100 }, (_, index) => index + 1)
      await Promise.all(
        numbers.flatMap((number) => [
          store.persistence.addSubscriptions(client, [subscription('same'), subscription(`only/${number}`)]),
          store.persistence.outgoingEnqueue({ clientId: 'c' }, publish({ brokerCounter: number })),
          store.persistence.incomingStorePacket(client, publish({ qos: 2, messageId: number })),
        ]),
      )
      await Promise.all(numbers.map((number) => store.persistence.removeSubscriptions(client, [`only/${number}`])))
      await store.restart()
      assert.deepEqual(
        (await store.persistence.subscriptionsByClient(client)).map(({ topic }) => topic),
        ['same'],
      )
      const queue = (await listOf(store.persistence.outgoingStream(client))).map(({ brokerCounter }) => brokerCounter)
      assert.deepEqual(store.lacks('order') ? queue.toSorted((a, b) => Number(a) - Number(b)) : queue, numbers)
      for (const messageId of numbers) await store.persistence.incomingGetPacket(client, { messageId })
    },
  },
]

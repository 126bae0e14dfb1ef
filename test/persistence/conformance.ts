/** What our broker needs of a persistence beyond the suite of aedes-persistence. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import mqemitter from 'mqemitter'
import type {
  PersistedPublish,
  PersistedSubscription,
  Persistence,
  PersistenceBroker,
} from '../../types/persistence.ts'

const brokerId = 'broker-1'

export function publish(fields: Partial<PersistedPublish> = {}): PersistedPublish {
  return {
    cmd: 'publish',
    topic: 'a',
    payload: Buffer.from('x'),
    qos: 1,
    retain: false,
    dup: false,
    brokerId,
    brokerCounter: 1,
    ...fields,
  }
}

async function listOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

const strange = ['__proto__', 'constructor', 'a:b', 'a', '*?[', '🦟', 'a/b', ' ', '..', '\u00e9', 'e\u0301']

const allProperties = {
  payloadFormatIndicator: 1,
  messageExpiryInterval: 4_294_967_295,
  contentType: 'text/plain',
  responseTopic: 'answers/here',
  correlationData: Buffer.from([0, 255, 128]),
  userProperties: [
    ['b', '1'],
    ['a', '2'],
    ['b', '3'],
    ['__proto__', 'x'],
    ['', ''],
  ],
} as const

/** Runs the suite; each test gets a persistence of its own. */
export function conformance(name: string, create: () => Persistence | Promise<Persistence>): void {
  async function open(): Promise<Persistence> {
    const mq = mqemitter()
    const broker: PersistenceBroker = {
      id: brokerId,
      counter: 0,
      mq,
      publish: (packet, callback) => mq.emit({ ...packet }, callback),
      subscribe: mq.on.bind(mq),
      unsubscribe: mq.removeListener.bind(mq),
    }
    const persistence = await create()
    await persistence.setup(broker)
    return persistence
  }

  suite(`${name}: queues`, () => {
    test('a queued message keeps its properties, User Properties in order', async () => {
      const persistence = await open()
      const packet = publish({ properties: allProperties, messageExpiry: 1_800_000_000_000, clientId: 'sender' })
      await persistence.outgoingEnqueueCombi([{ clientId: 'c' }, { clientId: 'd' }], packet)
      await persistence.outgoingUpdate({ id: 'c' }, { ...packet, messageId: 7 })
      const [queued] = await listOf(persistence.outgoingStream({ id: 'c' }))
      assert.deepEqual(queued, { ...packet, messageId: 7 })
      const [other] = await listOf(persistence.outgoingStream({ id: 'd' }))
      assert.deepEqual(other, { ...packet, messageId: undefined }, 'the identifier belongs to one queue')
      await persistence.destroy()
    })

    test('what is changed after it was queued, or after it was read, does not change the queue', async () => {
      const persistence = await open()
      const packet = publish()
      await persistence.outgoingEnqueue({ clientId: 'c' }, packet)
      Object.assign(packet, { topic: 'changed' })
      for (const read of await listOf(persistence.outgoingStream({ id: 'c' })))
        Object.assign(read, { topic: 'changed' })
      const [queued] = await listOf(persistence.outgoingStream({ id: 'c' }))
      assert.equal(queued?.cmd === 'publish' && queued.topic, 'a')
      await persistence.destroy()
    })

    test('5,000 queued messages come in order, and are acknowledged in any order [MQTT-4.6.0-6]', async () => {
      const persistence = await open()
      const client = { id: 'c' }
      for (let index = 1; index <= 5000; index += 1) {
        await persistence.outgoingEnqueue({ clientId: 'c' }, publish({ brokerCounter: index }))
      }
      const queued = await listOf(persistence.outgoingStream(client))
      assert.deepEqual(
        queued.map(({ brokerCounter }) => brokerCounter),
        Array.from({ length: 5000 }, (_, index) => index + 1),
      )
      for (const packet of queued) {
        await persistence.outgoingUpdate(client, { ...packet, messageId: packet.brokerCounter! })
      }
      // Every third one first, as a Client may do with QoS 1 and 2 mixed.
      const order = [0, 1, 2].flatMap((rest) => queued.filter((_, index) => index % 3 === rest))
      for (const [index, { brokerCounter }] of order.entries()) {
        const removed = await persistence.outgoingClearMessageId(client, { messageId: brokerCounter! })
        assert.equal(removed?.brokerCounter, brokerCounter)
        if (index % 1000 !== 0) continue
        const left = await listOf(persistence.outgoingStream(client))
        assert.deepEqual(
          left.map((packet) => packet.messageId),
          order
            .slice(index + 1)
            .map((packet) => packet.brokerCounter!)
            .toSorted((a, b) => a - b),
        )
      }
      assert.deepEqual(await listOf(persistence.outgoingStream(client)), [])
      await persistence.destroy()
    })

    test('a QoS 2 message becomes a PUBREL in its place, and PUBCOMP removes it', async () => {
      const persistence = await open()
      const client = { id: 'c' }
      for (const brokerCounter of [1, 2, 3]) {
        const packet = publish({ qos: 2, brokerCounter })
        await persistence.outgoingEnqueue({ clientId: 'c' }, packet)
        await persistence.outgoingUpdate(client, { ...packet, messageId: brokerCounter + 10 })
      }
      await persistence.outgoingUpdate(client, { cmd: 'pubrel', messageId: 12 })
      const kinds = (await listOf(persistence.outgoingStream(client))).map(({ cmd, messageId }) => [cmd, messageId])
      assert.deepEqual(kinds, [
        ['publish', 11],
        ['pubrel', 12],
        ['publish', 13],
      ])
      assert.equal((await persistence.outgoingClearMessageId(client, { messageId: 12 }))?.cmd, 'pubrel')
      assert.equal((await listOf(persistence.outgoingStream(client))).length, 2)
      await persistence.destroy()
    })

    test('a message that gets another Packet Identifier is not found by the old one', async () => {
      const persistence = await open()
      const client = { id: 'c' }
      const packet = publish()
      await persistence.outgoingEnqueue({ clientId: 'c' }, packet)
      await persistence.outgoingUpdate(client, { ...packet, messageId: 1 })
      await persistence.outgoingUpdate(client, { ...packet, messageId: 2 })
      assert.ok(!(await persistence.outgoingClearMessageId(client, { messageId: 1 })))
      assert.equal((await persistence.outgoingClearMessageId(client, { messageId: 2 }))?.messageId, 2)
      await persistence.destroy()
    })

    test('an acknowledgement for an unknown Packet Identifier removes nothing', async () => {
      const persistence = await open()
      await persistence.outgoingEnqueue({ clientId: 'c' }, publish())
      assert.ok(!(await persistence.outgoingClearMessageId({ id: 'c' }, { messageId: 1 })))
      assert.ok(!(await persistence.outgoingClearMessageId({ id: 'nobody' }, { messageId: 1 })))
      assert.equal((await listOf(persistence.outgoingStream({ id: 'c' }))).length, 1)
      await persistence.destroy()
    })
  })

  suite(`${name}: Client Identifiers`, () => {
    test('strange Client Identifiers are Clients of their own', async () => {
      const persistence = await open()
      const empty = await persistence.subscriptionsByClient({ id: 'constructor' })
      assert.deepEqual(empty, [])
      for (const [index, id] of strange.entries()) {
        await persistence.addSubscriptions({ id }, [{ topic: id, qos: 1, rh: 0, rap: false, nl: false }])
        await persistence.outgoingEnqueue({ clientId: id }, publish({ topic: id, brokerCounter: index + 1 }))
        await persistence.incomingStorePacket({ id }, publish({ topic: id, qos: 2, messageId: 1 }))
        await persistence.putWill({ id }, { topic: id, payload: Buffer.from('x'), qos: 0, retain: false })
      }
      for (const id of strange) {
        assert.deepEqual(
          (await persistence.subscriptionsByClient({ id })).map(({ topic }) => topic),
          [id],
        )
        assert.deepEqual(await listOf(persistence.getClientList(id)), [id])
        const queued = await listOf(persistence.outgoingStream({ id }))
        assert.deepEqual(
          queued.map((packet) => packet.cmd === 'publish' && packet.topic),
          [id],
        )
        assert.equal((await persistence.incomingGetPacket({ id }, { messageId: 1 })).topic, id)
        assert.equal((await persistence.delWill({ id, brokerId }))?.topic, id)
        await persistence.cleanIncoming?.({ id })
        await persistence.cleanOutgoing?.({ id })
        await persistence.cleanSubscriptions({ id })
      }
      assert.deepEqual(await persistence.countOffline(), { subsCount: 0, clientsCount: 0 })
      await persistence.destroy()
    })
  })

  suite(`${name}: QoS 2 messages that come in`, () => {
    test('a message is kept with its properties until it is deleted, and unknown ones are refused', async () => {
      const persistence = await open()
      const client = { id: 'c' }
      const packet = publish({ qos: 2, messageId: 65_535, properties: allProperties, messageExpiry: 1 })
      await persistence.incomingStorePacket(client, packet)
      assert.deepEqual(await persistence.incomingGetPacket(client, { messageId: 65_535 }), packet)
      await persistence.incomingDelPacket(client, { messageId: 65_535 })
      await assert.rejects(persistence.incomingGetPacket(client, { messageId: 65_535 }))
      await persistence.destroy()
    })
  })

  suite(`${name}: subscriptions`, () => {
    const full: PersistedSubscription = { topic: 'a/+', qos: 2, rh: 2, rap: true, nl: true, subscriptionIdentifier: 9 }

    test('a subscription keeps its options and its identifier, and loses them when it is replaced', async () => {
      const persistence = await open()
      await persistence.addSubscriptions({ id: 'c' }, [full])
      assert.deepEqual(await persistence.subscriptionsByClient({ id: 'c' }), [full])
      const plain: PersistedSubscription = { topic: 'a/+', qos: 1, rh: 0, rap: false, nl: false }
      await persistence.addSubscriptions({ id: 'c' }, [plain])
      assert.deepEqual(await persistence.subscriptionsByClient({ id: 'c' }), [plain])
      assert.deepEqual(await persistence.subscriptionsByTopic('a/x'), [{ clientId: 'c', ...plain }])
      await persistence.destroy()
    })

    test('+ matches an empty level, and no wildcard at the start matches $ topics [MQTT-4.7.2-1]', async () => {
      const persistence = await open()
      for (const topic of ['a/+', '+/+', '/#', '#', '$SYS/#', '+/b']) {
        await persistence.addSubscriptions({ id: topic }, [{ ...full, topic }])
      }
      const matching = async (topic: string) =>
        (await persistence.subscriptionsByTopic(topic)).map(({ clientId }) => clientId).toSorted()
      assert.deepEqual(await matching('a/'), ['#', '+/+', 'a/+'])
      assert.deepEqual(await matching('/'), ['#', '+/+', '/#'])
      assert.deepEqual(await matching('$SYS/b'), ['$SYS/#'])
      await persistence.destroy()
    })

    test('all subscriptions can be read at the start', async () => {
      const persistence = await open()
      await persistence.addSubscriptions({ id: 'c' }, [full, { ...full, topic: 'b', qos: 0 }])
      await persistence.addSubscriptions({ id: 'd' }, [full])
      if (persistence.allSubscriptions !== undefined) {
        const all = (await listOf(persistence.allSubscriptions())).map((each) => [
          each.clientId,
          each.subscription.topic,
        ])
        assert.deepEqual(all, [
          ['c', 'a/+'],
          ['c', 'b'],
          ['d', 'a/+'],
        ])
      }
      await persistence.destroy()
    })
  })

  suite(`${name}: retained messages`, () => {
    test('a retained message keeps its properties, and one without them replaces them', async () => {
      const persistence = await open()
      const first = publish({ retain: true, properties: allProperties, messageExpiry: 5 })
      await persistence.storeRetained(first)
      assert.deepEqual(await listOf(persistence.createRetainedStream('a')), [first])
      const second = publish({ retain: true, brokerCounter: 2 })
      await persistence.storeRetained(second)
      assert.deepEqual(await listOf(persistence.createRetainedStream('a')), [second])
      if (persistence.retainedGet !== undefined) assert.deepEqual(await persistence.retainedGet('a'), second)
      await persistence.storeRetained(publish({ retain: true, payload: Buffer.alloc(0) })) // [MQTT-3.3.1-6]
      assert.deepEqual(await listOf(persistence.createRetainedStream('a')), [])
      await persistence.destroy()
    })

    test('$ topics, empty levels and strange names are found by the filters that match them', async () => {
      const persistence = await open()
      const names = ['$SYS/x', 'a/', '/', '/a', 'dev[1]/x', 'a*/x', ...strange.filter((topic) => !topic.includes('/'))]
      for (const topic of names) await persistence.storeRetained(publish({ topic, retain: true }))
      const found = async (topicFilter: string) =>
        (await listOf(persistence.createRetainedStream(topicFilter))).map(({ topic }) => topic).toSorted()
      assert.deepEqual(await found('#'), names.filter((topic) => !topic.startsWith('$')).toSorted())
      assert.deepEqual(await found('$SYS/#'), ['$SYS/x'])
      assert.deepEqual(await found('+/x'), ['a*/x', 'dev[1]/x'])
      assert.deepEqual(await found('a/+'), ['a/'])
      assert.deepEqual(await found('+/+'), ['/', '/a', 'a*/x', 'a/', 'dev[1]/x'])
      assert.deepEqual(await found('dev[1]/#'), ['dev[1]/x'])
      assert.deepEqual(await found('__proto__'), ['__proto__'])
      await persistence.destroy()
    })

    test('a message that several filters match is given once', async () => {
      const persistence = await open()
      await persistence.storeRetained(publish({ retain: true }))
      assert.equal((await listOf(persistence.createRetainedStreamCombi(['a', '#', '+']))).length, 1)
      await persistence.destroy()
    })
  })

  suite(`${name}: Wills`, () => {
    test('a Will keeps its properties, and is listed while its broker is not alive', async () => {
      const persistence = await open()
      const will = {
        topic: 'w',
        payload: Buffer.from('x'),
        qos: 1,
        retain: true,
        properties: { ...allProperties, willDelayInterval: 4_294_967_295 },
      } as const
      await persistence.putWill({ id: 'c' }, { ...will })
      assert.deepEqual(await persistence.getWill({ id: 'c' }), { ...will, clientId: 'c', brokerId })
      assert.equal((await listOf(persistence.streamWill({ [brokerId]: 1 }))).length, 0)
      assert.equal((await listOf(persistence.streamWill({ other: 1 }))).length, 1)
      await persistence.delWill({ id: 'c', brokerId })
      assert.ok(!(await persistence.getWill({ id: 'c' })))
      await persistence.destroy()
    })
  })

  test(`${name}: a persistence is destroyed once`, async () => {
    const persistence = await open()
    await persistence.destroy()
    await assert.rejects(persistence.destroy())
  })
}

/** What every store made for aedes must do behind our adapter, however it does it. */
import assert from 'node:assert/strict'
import { suite, type TestContext, test } from 'node:test'
import type { PersistedPublish, PersistedQueueItem, PersistedTarget } from '../../types/persistence.ts'
import { AdapterRun, type AdapterStore, withMethods } from '../support/adapter-run.ts'

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

const strangeIds = ['__proto__', 'constructor', 'a:b', 'a', 'ab', '*?[', '🦟', 'a/b', ' ', '..', '%2F', 'é', 'e\u0301']
const strangeTopics = [
  '__proto__',
  '/',
  'a//b',
  '/a',
  'a/',
  'dev[1]/x',
  '*?[',
  '🦟/🦟',
  '$data/x',
  `${'a/'.repeat(150)}end`,
]

const forever = { expiryInterval: 4_294_967_295, expiresAt: null }

function counters(items: readonly PersistedQueueItem[]): (number | undefined)[] {
  return items.map(({ packet }) => packet.brokerCounter)
}

function to(clientId: string, fields: Partial<PersistedTarget> = {}): PersistedTarget {
  return { clientId, qos: 1, retain: false, ...fields }
}

/**
 * @param create - an empty store.
 * @param queueLength - of the longest queue.
 */
export function adapterConformance(name: string, create: () => Promise<AdapterStore>, queueLength = 5000): void {
  async function start(context: TestContext, wrap?: (persistence: unknown) => unknown): Promise<AdapterRun> {
    const run = await AdapterRun.start(await create(), {}, wrap)
    context.after(() => run.end())
    return run
  }

  suite(`${name}: queues`, () => {
    test('a queued message comes back with all its Properties and what is its own in each queue', async (context) => {
      const run = await start(context)
      await run.sessions('c', 'd')
      const packet = run.message({
        qos: 2,
        retain: true,
        clientId: 'sender',
        nl: true,
        properties: allProperties,
        messageExpiry: 1_900_000_000_123,
        payload: Buffer.from([0, 1, 255]),
        unknownFields: Buffer.from([0x1e, 0xff]),
      })
      const unknownFields = Buffer.from([0x9e, 0, 1, 0x61])
      const targets = [
        to('c', { qos: 1, subscriptionIdentifiers: [268_435_455, 1], sharedFilter: '$share/g/a', unknownFields }),
        to('d', { qos: 2, retain: true, messageId: 65_535 }),
      ]
      await run.backend.commit([{ kind: 'publish', packet, targets, retain: false }])
      for (const when of ['at once', 'after a restart']) {
        const { queues } = await run.read()
        assert.deepEqual(queues.get('c'), [{ packet, target: targets[0] }], when)
        assert.deepEqual(queues.get('d'), [{ packet, target: targets[1] }], when)
        await run.restart()
      }
    })

    test('a payload that is text or nothing, or looks like one of our own, comes back as bytes', async (context) => {
      const run = await start(context)
      await run.sessions('c')
      const payloads = ['text', '', Buffer.from('004d5135000000027b7d', 'hex')]
      for (const payload of payloads) await run.publish({ payload }, to('c'))
      await run.restart()
      const queue = (await run.read()).queues.get('c') ?? []
      const read = queue.map(({ packet }) => (packet as PersistedPublish).payload)
      assert.deepEqual(
        read,
        payloads.map((payload) => Buffer.from(payload)),
      )
    })

    test('Packet Identifiers belong to one queue, and are complete one by one, before and after a restart', async (context) => {
      const run = await start(context)
      await run.sessions('c', 'd')
      for (let message = 1; message <= 4; message += 1) {
        const messageId = 10 + message
        await run.publish({}, to('c', { messageId }), to('d', { messageId: 20 + message }), to('e', { messageId }))
      }
      await run.backend.commit([{ kind: 'complete', clientId: 'c', messageId: 12 }])
      await run.restart()
      const { queues } = await run.read()
      const ids = (id: string, from: typeof queues = queues): unknown[] =>
        (from.get(id) ?? []).map(({ target }) => target?.messageId)
      assert.deepEqual(ids('c'), [11, 13, 14])
      assert.deepEqual(ids('d'), [21, 22, 23, 24])
      await run.backend.commit([
        { kind: 'complete', clientId: 'c', messageId: 11 },
        { kind: 'complete', clientId: 'd', messageId: 24 },
        { kind: 'complete', clientId: 'd', messageId: 9 },
      ])
      await run.restart()
      const later = await run.read()
      assert.deepEqual(ids('c', later.queues), [13, 14])
      assert.deepEqual(ids('d', later.queues), [21, 22, 23])
    })

    test('a message gets its Packet Identifier later, and keeps everything', async (context) => {
      const run = await start(context)
      await run.sessions('c')
      const fields = { properties: allProperties, messageExpiry: 1_900_000_000_123, qos: 2 } as const
      const unknownFields = Buffer.from([0x1e, 0xff])
      const target = to('c', { qos: 2, subscriptionIdentifiers: [5], sharedFilter: '$share/g/a', unknownFields })
      const packet = await run.publish(fields, target)
      await run.restart()
      await run.read()
      const { brokerId = '', brokerCounter = 0 } = packet
      await run.backend.commit([{ kind: 'send', clientId: 'c', brokerId, brokerCounter, messageId: 7 }])
      await run.restart()
      assert.deepEqual((await run.read()).queues.get('c'), [{ packet, target: { ...target, messageId: 7 } }])
    })

    test('a PUBREL stands where its message stood, by its name, until it is complete', async (context) => {
      const run = await start(context)
      await run.sessions('c')
      for (const messageId of [1, 2, 3, undefined]) {
        await run.publish({ qos: 2 }, to('c', { qos: 2, ...(messageId !== undefined && { messageId }) }))
      }
      const first = run.brokerId
      await run.backend.commit([
        { kind: 'release', clientId: 'c', messageId: 2 },
        { kind: 'release', clientId: 'c', messageId: 1 },
      ])
      await run.restart()
      const queue = (await run.read()).queues.get('c') ?? []
      assert.deepEqual(counters(queue), [1, 2, 3, 4])
      assert.deepEqual(queue.slice(0, 2), [
        { packet: { cmd: 'pubrel', messageId: 1, brokerId: first, brokerCounter: 1 }, target: undefined },
        { packet: { cmd: 'pubrel', messageId: 2, brokerId: first, brokerCounter: 2 }, target: undefined },
      ])
      await run.backend.commit([
        { kind: 'complete', clientId: 'c', messageId: 2 },
        { kind: 'release', clientId: 'c', messageId: 3 },
        { kind: 'complete', clientId: 'c', messageId: 3 },
      ])
      await run.restart()
      assert.deepEqual(counters((await run.read()).queues.get('c') ?? []), [1, 4])
      await run.backend.commit([{ kind: 'complete', clientId: 'c', messageId: 1 }])
      await run.restart()
      assert.deepEqual(counters((await run.read()).queues.get('c') ?? []), [4])
    })

    test('a message is taken out of queues where it has no Packet Identifier; elsewhere nothing happens', async (context) => {
      const run = await start(context)
      await run.sessions('c', 'd', 'e')
      await run.publish({}, to('c'), to('d', { messageId: 1 }))
      const { brokerId, brokerCounter = 0 } = await run.publish({}, to('c'), to('d', { messageId: 2 }))
      await run.publish({}, to('c'), to('d', { messageId: 3 }))
      const clientIds = ['c', 'd', 'e', 'nobody']
      await run.backend.commit([
        { kind: 'discard', clientIds, brokerId: brokerId ?? '', brokerCounter },
        { kind: 'discard', clientIds, brokerId: 'nobody', brokerCounter: 1 },
        { kind: 'send', clientId: 'e', brokerId: brokerId ?? '', brokerCounter, messageId: 5 },
        { kind: 'release', clientId: 'e', messageId: 5 },
        { kind: 'complete', clientId: 'e', messageId: 5 },
      ])
      await run.restart()
      const { queues } = await run.read()
      assert.deepEqual(counters(queues.get('c') ?? []), [1, 3])
      assert.deepEqual(counters(queues.get('d') ?? []), [1, 2, 3])
      assert.deepEqual(queues.get('e'), [])
    })

    test('messages of several starts come back in the order in which they were stored', async (context) => {
      const run = await start(context)
      await run.sessions('c')
      const topics: string[] = []
      for (let starts = 1; starts <= 3; starts += 1) {
        for (let message = 1; message <= 12; message += 1) {
          topics.push(`${starts}/${message}`)
          await run.publish(
            { topic: topics.at(-1)! },
            to('c', starts === 1 && message < 3 ? { messageId: message } : {}),
          )
        }
        await run.restart()
      }
      const queue = (await run.read()).queues.get('c') ?? []
      assert.deepEqual(
        queue.map(({ packet }) => (packet as PersistedPublish).topic),
        topics,
      )
    })

    test(`${queueLength} queued messages come back in order, twice, and all can be complete`, async (context) => {
      const run = await start(context)
      await run.sessions('c')
      const operations = Array.from({ length: queueLength }, (_, index) => ({
        kind: 'publish' as const,
        packet: run.message({ topic: `t/${index}`, properties: { contentType: 'x' } }),
        targets: [to('c', index < 20 ? { messageId: index + 1, qos: 2 } : {})],
        retain: false,
      }))
      await run.backend.commit(operations)
      await run.backend.commit([{ kind: 'release', clientId: 'c', messageId: 1 }])
      const wanted = Array.from({ length: queueLength }, (_, index) => index + 1)
      for (let round = 1; round <= 2; round += 1) {
        await run.restart()
        const queue = (await run.read()).queues.get('c') ?? []
        assert.deepEqual(counters(queue), wanted)
        assert.equal(queue[0]?.packet.cmd, 'pubrel')
        assert.equal(queue[19]?.target?.messageId, 20)
        assert.equal((queue.at(-1)!.packet as PersistedPublish).topic, `t/${queueLength - 1}`)
      }
      await run.backend.commit([{ kind: 'end session', clientId: 'c' }])
      await run.restart()
      await run.sessions('c')
      assert.deepEqual((await run.read()).queues.get('c'), [])
    })
  })

  suite(`${name}: sessions`, () => {
    test('a session without subscriptions comes back with its expiry and its owner', async (context) => {
      const run = await start(context)
      const infos = [
        { expiryInterval: 0, expiresAt: null },
        { expiryInterval: 4_294_967_295, expiresAt: null, owner: 'ü/+#\0 "' },
        { expiryInterval: 4_294_967_294, expiresAt: 1_900_000_000_123, owner: '' },
      ]
      await run.backend.commit(infos.map((session, index) => ({ kind: 'session', clientId: `c${index}`, session })))
      await run.restart()
      const { sessions } = await run.read()
      assert.equal(sessions.size, 3)
      for (const [index, session] of infos.entries()) {
        assert.deepEqual(sessions.get(`c${index}`), {
          kind: 'session',
          clientId: `c${index}`,
          session,
          subscriptions: [],
          queue: [],
          incoming: [],
          will: undefined,
        })
      }
      assert.equal(await run.backend.readSession('nobody'), undefined)
    })

    test('what is said of a session changes, its owner too, before and after a restart', async (context) => {
      const run = await start(context)
      const steps = [
        { expiryInterval: 10, expiresAt: null, owner: 'one' },
        { expiryInterval: 10, expiresAt: 1_900_000_000_000, owner: 'two' },
        { expiryInterval: 20, expiresAt: null },
        { expiryInterval: 20, expiresAt: null, owner: 'one' },
      ]
      for (const session of steps) {
        await run.backend.commit([{ kind: 'session', clientId: 'c', session }])
        assert.deepEqual((await run.backend.readSession('c'))?.session, session)
        await run.restart()
        assert.deepEqual((await run.backend.readSession('c'))?.session, session)
      }
    })

    test('subscriptions come back with all that is said of them, and nothing of what they replaced', async (context) => {
      const run = await start(context)
      await run.sessions('c')
      const full = {
        topic: 'a/+',
        qos: 2,
        rh: 2,
        rap: true,
        nl: true,
        subscriptionIdentifier: 268_435_455,
        grantedTopic: 'b/+',
        requestedQos: 2,
        byApplication: true,
        ownCopy: true,
      } as const
      const plain = { topic: 'a/+', qos: 0, rh: 0, rap: false, nl: false } as const
      const odd = strangeTopics.map((topic) => ({ topic, qos: 1, rh: 1, rap: false, nl: false }) as const)
      await run.backend.commit([{ kind: 'subscribe', clientId: 'c', subscriptions: [full, ...odd] }])
      await run.restart()
      const byTopic = async (): Promise<unknown> =>
        (await run.read()).sessions.get('c')?.subscriptions.toSorted((a, b) => (a.topic < b.topic ? -1 : 1))
      const sorted = [full, ...odd].toSorted((a, b) => (a.topic < b.topic ? -1 : 1))
      assert.deepEqual(await byTopic(), sorted)
      await run.backend.commit([
        { kind: 'subscribe', clientId: 'c', subscriptions: [plain] },
        { kind: 'unsubscribe', clientId: 'c', topicFilters: [...strangeTopics, 'never/there'] },
        { kind: 'unsubscribe', clientId: 'c', topicFilters: [] },
        { kind: 'subscribe', clientId: 'c', subscriptions: [] },
      ])
      await run.restart()
      assert.deepEqual(await byTopic(), [plain])
      await run.backend.commit([{ kind: 'unsubscribe', clientId: 'c', topicFilters: ['a/+'] }])
      await run.restart()
      assert.deepEqual(await byTopic(), [])
    })

    test('ten subscribes and unsubscribes of one Client at once are all done', async (context) => {
      const run = await start(context)
      await run.sessions('c')
      const subscription = { topic: 'a', qos: 1, rh: 0, rap: false, nl: false } as const
      await run.backend.commit(
        Array.from({ length: 10 }, (_, index) => [
          {
            kind: 'subscribe' as const,
            clientId: 'c',
            subscriptions: [subscription, { ...subscription, topic: `${index}` }],
          },
          { kind: 'unsubscribe' as const, clientId: 'c', topicFilters: ['a'] },
        ]).flat(),
      )
      await run.restart()
      const topics = (await run.backend.readSession('c'))?.subscriptions.map(({ topic }) => topic)
      assert.deepEqual(
        topics?.toSorted(),
        Array.from({ length: 10 }, (_, index) => `${index}`),
      )
    })

    test('the end of a session leaves nothing for a later one of the same Client', async (context) => {
      const run = await start(context)
      await run.sessions('c', 'cc')
      const packet = run.message({ qos: 2 })
      await run.backend.commit([
        { kind: 'session', clientId: 'c', session: { ...forever, owner: 'somebody' } },
        { kind: 'subscribe', clientId: 'c', subscriptions: [{ topic: 'a', qos: 1 }] },
        {
          kind: 'publish',
          packet,
          targets: [to('c', { messageId: 5 }), to('cc')],
          retain: false,
          incoming: { clientId: 'c', messageId: 9 },
        },
        { kind: 'will', clientId: 'c', will: { topic: 'w', payload: 'x', qos: 1, retain: false } },
      ])
      await run.publish({}, to('c'))
      await run.publish({ qos: 2 }, to('c', { qos: 2, messageId: 6 }))
      await run.backend.commit([{ kind: 'release', clientId: 'c', messageId: 6 }])
      await run.restart()
      await run.read()
      await run.backend.commit([{ kind: 'end session', clientId: 'c' }])
      assert.equal(await run.backend.readSession('c'), undefined)
      await run.backend.commit([
        { kind: 'end session', clientId: 'c' },
        { kind: 'end session', clientId: 'nobody' },
      ])
      await run.restart()
      assert.deepEqual([...(await run.read()).sessions.keys()], ['cc'])
      await run.sessions('c')
      const again = await run.backend.readSession('c')
      assert.deepEqual([again?.queue, again?.subscriptions, again?.will], [[], [], undefined])
      assert.equal(await run.backend.findIncoming('c', 9), 'unknown')
      assert.equal((await run.queue('cc')).length, 1)
    })

    test('Client Identifiers of every kind are kept apart', async (context) => {
      const run = await start(context)
      await run.sessions(...strangeIds)
      for (const [index, clientId] of strangeIds.entries()) {
        const packet = run.message({ topic: clientId, qos: 2 })
        await run.backend.commit([
          { kind: 'subscribe', clientId, subscriptions: [{ topic: `t/${index}`, qos: 1 }] },
          {
            kind: 'publish',
            packet,
            targets: [to(clientId, { messageId: 1 })],
            retain: false,
            incoming: { clientId, messageId: index + 1 },
          },
          { kind: 'will', clientId, will: { topic: `w/${index}`, payload: 'x', qos: 1, retain: false } },
        ])
      }
      await run.restart()
      const { sessions, queues } = await run.read()
      assert.deepEqual([...sessions.keys()].toSorted(), strangeIds.toSorted())
      for (const [index, clientId] of strangeIds.entries()) {
        assert.deepEqual(
          sessions.get(clientId)?.subscriptions.map(({ topic }) => topic),
          [`t/${index}`],
        )
        assert.equal(sessions.get(clientId)?.will?.topic, `w/${index}`)
        assert.deepEqual(counters(queues.get(clientId) ?? []), [index + 1])
        assert.equal(await run.backend.findIncoming(clientId, index + 1), 'accepted')
        assert.equal(await run.backend.findIncoming(clientId, index + 2), 'unknown')
      }
    })

    test('sessions that aedes wrote come back when their Client does, and it is said that there are such', async (context) => {
      const run = await start(context, (persistence) => persistence)
      await run.backend.close()
      const { persistence, close } = await run.bare()
      await persistence.addSubscriptions({ id: 'old' }, [{ topic: 'a', qos: 1, rh: 0, rap: true, nl: false }])
      const packet = {
        cmd: 'publish',
        topic: 'a',
        payload: Buffer.from('x'),
        qos: 1,
        retain: false,
        brokerId: 'aedes-1',
      } as const
      await persistence.outgoingEnqueueCombi([{ clientId: 'old' }], { ...packet, brokerCounter: 1 })
      await persistence.outgoingEnqueueCombi([{ clientId: 'old' }], { ...packet, brokerCounter: 2 })
      await close()
      await run.open()
      assert.deepEqual([...(await run.read()).sessions.keys()], [])
      assert.equal(run.warnings.length, 1)
      assert.match(run.warnings[0]!, /1 sessions were written by another broker/)
      const state = await run.backend.readSession('old')
      assert.deepEqual(state?.session, forever)
      assert.deepEqual(state?.subscriptions, [{ topic: 'a', qos: 1, rh: 0, rap: true, nl: false }])
      assert.deepEqual(counters([...(state?.queue ?? [])]), [1, 2])
      const [first] = [...(state?.queue ?? [])]
      assert.deepEqual(first, { packet: { ...packet, brokerCounter: 1 }, target: to('old') })
    })
  })

  suite(`${name}: Wills`, () => {
    test('a Will comes back with its Properties and when it is due, and replaces the last one, also of an earlier start', async (context) => {
      const run = await start(context)
      await run.sessions('c', 'd')
      const will = {
        topic: 'w',
        payload: Buffer.from([0, 255]),
        qos: 2,
        retain: true,
        properties: { ...allProperties, willDelayInterval: 30 },
      } as const
      const other = { topic: 'other', payload: Buffer.from('x'), qos: 0, retain: false } as const
      await run.backend.commit([{ kind: 'will', clientId: 'c', will }])
      const first = { clientId: 'c', brokerId: run.brokerId }
      await run.restart()
      assert.deepEqual((await run.read()).sessions.get('c')?.will, { ...will, ...first })
      assert.deepEqual((await run.backend.readSession('c'))?.will, { ...will, ...first })
      await run.backend.commit([{ kind: 'will', clientId: 'c', will: { ...will, dueAt: 1_900_000_000_123 } }])
      const second = { clientId: 'c', brokerId: run.brokerId }
      await run.restart()
      assert.deepEqual((await run.read()).sessions.get('c')?.will, { ...will, dueAt: 1_900_000_000_123, ...second })
      await run.backend.commit([{ kind: 'will', clientId: 'c', will: other }])
      assert.deepEqual((await run.backend.readSession('c'))?.will, { ...other, clientId: 'c', brokerId: run.brokerId })
      await run.backend.commit([
        { kind: 'will', clientId: 'c', will: undefined },
        { kind: 'will', clientId: 'd', will: undefined },
      ])
      await run.restart()
      assert.equal((await run.read()).sessions.get('c')?.will, undefined)
      assert.equal((await run.backend.readSession('c'))?.will, undefined)
    })

    test('when the process ends while a Will is replaced, the new one counts, and none is left when it is gone', async (context) => {
      let isBroken = false
      const run = await start(context, (persistence) =>
        withMethods(persistence, {
          delWill: (real, ...values) => {
            if (isBroken) throw new Error('gone')
            return real(...values)
          },
        }),
      )
      await run.sessions('c')
      const put = (topic: string): Promise<unknown> =>
        run.backend.commit([{ kind: 'will', clientId: 'c', will: { topic, payload: 'x', qos: 1, retain: false } }])
      await put('old')
      isBroken = true
      await put('new').catch(() => undefined) // Where a new one replaces the old one, nothing is deleted.
      isBroken = false
      await run.restart()
      assert.equal((await run.read()).sessions.get('c')?.will?.topic, 'new')
      await run.backend.commit([{ kind: 'will', clientId: 'c', will: undefined }])
      await run.restart()
      assert.equal((await run.read()).sessions.get('c')?.will, undefined)
    })

    test('the Will of a Client without a session comes back, also when aedes wrote it', async (context) => {
      const run = await start(context)
      await run.backend.close()
      const { persistence, close } = await run.bare()
      const will = { topic: 'w', payload: Buffer.from('old'), qos: 1, retain: false } as const
      await persistence.putWill({ id: 'old', brokerId: 'aedes-1' }, { ...will })
      await close()
      await run.open()
      await run.backend.commit([{ kind: 'will', clientId: 'new', will: { ...will, payload: 'new' } }])
      await run.restart()
      const { sessions } = await run.read()
      assert.deepEqual(
        Array.from(sessions.values(), ({ clientId, will, session }) => [
          clientId,
          will?.payload.toString(),
          session.expiryInterval,
        ]).toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1)),
        [
          ['new', 'new', 0],
          ['old', 'old', 0],
        ],
      )
      await run.backend.commit([
        { kind: 'will', clientId: 'old', will: undefined },
        { kind: 'end session', clientId: 'new' },
      ])
      await run.restart()
      assert.equal((await run.read()).sessions.size, 0)
    })
  })

  suite(`${name}: retained messages`, () => {
    test('a retained message comes back with its Properties, and nothing of what it replaced', async (context) => {
      const run = await start(context)
      const packet = run.message({
        qos: 2,
        retain: true,
        clientId: 'sender',
        nl: true,
        properties: allProperties,
        messageExpiry: 1_900_000_000_123,
        payload: Buffer.from([0, 255]),
      })
      await run.backend.commit([{ kind: 'publish', packet, targets: [], retain: true }])
      await run.restart()
      assert.deepEqual((await run.read()).retained.get('a'), packet)
      const plain = run.message({ retain: true, qos: 0 })
      await run.backend.commit([{ kind: 'publish', packet: plain, targets: [], retain: true }])
      await run.restart()
      assert.deepEqual((await run.read()).retained.get('a'), plain)
      await run.backend.commit([{ kind: 'publish', packet: run.message({ payload: '' }), targets: [], retain: true }])
      await run.restart()
      assert.equal((await run.read()).retained.size, 0)
    })

    test('Topic Names of every kind are kept apart, and none of $SYS comes back', async (context) => {
      const run = await start(context)
      await run.backend.commit(
        [...strangeTopics, '$SYS/x'].map((topic) => ({
          kind: 'publish',
          packet: run.message({ topic, payload: topic, retain: true }),
          targets: [],
          retain: true,
        })),
      )
      await run.restart()
      const { retained } = await run.read()
      assert.deepEqual([...retained.keys()].toSorted(), strangeTopics.toSorted())
      for (const [topic, { payload }] of retained) assert.equal(payload.toString(), topic)
      await run.backend.commit(
        strangeTopics.map((topic) => ({
          kind: 'publish',
          packet: run.message({ topic, payload: '' }),
          targets: [],
          retain: true,
        })),
      )
      await run.restart()
      assert.equal((await run.read()).retained.size, 0)
    })
  })

  suite(`${name}: QoS 2 messages from Clients`, () => {
    test('an exchange is accepted when the message is in every queue, and unknown when it is done', async (context) => {
      const run = await start(context)
      await run.sessions('c', 'd')
      const incoming = { clientId: 'd', messageId: 65_535 }
      const packet = run.message({ qos: 2, properties: allProperties })
      await run.backend.commit([{ kind: 'publish', packet, targets: [to('c')], retain: true, incoming }])
      await run.restart()
      assert.deepEqual((await run.read()).sessions.get('d')?.incoming, [])
      assert.equal(await run.backend.findIncoming('d', 65_535), 'accepted')
      assert.equal(await run.backend.findIncoming('c', 65_535), 'unknown')
      await run.backend.commit([
        { kind: 'incoming done', ...incoming },
        { kind: 'incoming done', ...incoming },
      ])
      await run.restart()
      assert.equal(await run.backend.findIncoming('d', 65_535), 'unknown')
    })

    test('when the process ends while a message is handed on, it comes back by its name', async (context) => {
      let isBroken = false
      const run = await start(context, (persistence) =>
        withMethods(persistence, {
          outgoingEnqueue: (real, target, ...rest) => {
            if (isBroken && (target as PersistedTarget).clientId === 'd') throw new Error('gone')
            return real(target, ...rest)
          },
        }),
      )
      await run.sessions('c', 'd')
      const incoming = { clientId: 's', messageId: 3 }
      const packet = run.message({ qos: 2, properties: allProperties, messageExpiry: 1_900_000_000_123, clientId: 's' })
      isBroken = true
      const operation = { kind: 'publish', packet, targets: [to('c'), to('d')], retain: false, incoming } as const
      await assert.rejects(run.backend.commit([operation]), /outgoingEnqueue failed: gone/)
      isBroken = false
      await run.restart()
      await run.read()
      assert.deepEqual(await run.backend.findIncoming('s', 3), packet)
      const again = { ...operation, targets: [to('d')] }
      await run.backend.commit([again])
      assert.equal(await run.backend.findIncoming('s', 3), 'accepted')
      await run.restart()
      assert.equal(await run.backend.findIncoming('s', 3), 'accepted')
      const { queues } = await run.read()
      assert.deepEqual([counters(queues.get('c') ?? []), counters(queues.get('d') ?? [])], [[1], [1]])
      await run.backend.commit([{ kind: 'incoming done', ...incoming }])
      assert.equal(await run.backend.findIncoming('s', 3), 'unknown')
    })
  })

  suite(`${name}: what is left behind`, () => {
    test('nothing is known any more of what is complete', async (context) => {
      const run = await start(context)
      await run.sessions('c')
      for (const messageId of [1, 2]) await run.publish({ qos: 2 }, to('c', { qos: 2, messageId }))
      await run.backend.commit([
        { kind: 'release', clientId: 'c', messageId: 1 },
        { kind: 'complete', clientId: 'c', messageId: 1 },
        { kind: 'complete', clientId: 'c', messageId: 2 },
      ])
      assert.equal(run.backend.queuedMessages, 0)
    })

    test('a message that stands in a queue twice comes back once, and does not come back when it is complete', async (context) => {
      const run = await start(context)
      await run.sessions('c')
      const packet = await run.publish({}, to('c', { messageId: 4 }))
      await run.restart()
      // As by a broker that does not know that it is there.
      await run.backend.commit([{ kind: 'publish', packet, targets: [to('c')], retain: false }])
      await run.restart()
      const queue = (await run.read()).queues.get('c') ?? []
      assert.deepEqual(counters(queue), [1])
      // Whether it has its Packet Identifier still is not the same in each store.
      await run.backend.commit([
        { kind: 'complete', clientId: 'c', messageId: 4 },
        { kind: 'discard', clientIds: ['c'], brokerId: packet.brokerId ?? '', brokerCounter: 1 },
      ])
      await run.restart()
      assert.deepEqual((await run.read()).queues.get('c'), [])
    })
  })
}

import assert from 'node:assert/strict'
import type { PersistenceOperation } from '../../../types/persistence.ts'
import type { TestCase } from '../test-case.ts'
import { ALL_PROPERTIES, BROKER_ID, publish } from '../values.ts'
import { ComparedStore, message, retained, session, target } from './steps.ts'

function send(clientId: string, brokerCounter: number, messageId: number): PersistenceOperation {
  return { kind: 'send', clientId, brokerId: BROKER_ID, brokerCounter, messageId }
}

function discard(brokerCounter: number, ...clientIds: string[]): PersistenceOperation {
  return { kind: 'discard', clientIds, brokerId: BROKER_ID, brokerCounter }
}

export const commitQueueCases: readonly TestCase[] = [
  {
    name: 'a queued message keeps its properties, and each target what is its own',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      const full = { properties: ALL_PROPERTIES, messageExpiry: 1_800_000_000_123, clientId: 'sender', nl: true }
      await compared.commit(session('c'), session('d'), session('e'), session('f'))
      await compared.commit(
        message(
          1,
          [
            target('c', { qos: 2, retain: true, subscriptionIdentifiers: [268_435_455, 1, 2] }),
            target('d', { qos: 1, sharedFilter: '$share/group/a/#' }),
            target('e', { qos: 2, messageId: 65_535 }),
          ],
          { ...full, qos: 2, topic: '$SYS/🦟//' },
        ),
      )
      await compared.commit(message(2, [target('c'), target('f')], { payload: 'text ü' }))
    },
  },
  {
    name: 'a payload is kept byte for byte: empty, every byte, and 1 MiB',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
      await compared.commit(session('c'), session('d'))
      await compared.commit(
        message(1, [target('c')], { payload: Buffer.alloc(0) }),
        message(2, [target('c'), target('d')], { payload: bytes }),
        message(3, [target('d')], { payload: bytes.subarray(100, 110) }), // a view of a larger buffer
      )
      await compared.commit(
        message(4, [target('c'), target('d')], { payload: Buffer.alloc(1_048_576, 'haltere') }),
        retained('large', { brokerCounter: 5, payload: Buffer.alloc(1_048_576, 'retained') }),
      )
    },
  },
  {
    name: 'a message is sent, sent anew with another identifier, released and completed',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      await compared.commit(session('c'), session('d'))
      const both = [target('c', { qos: 2 }), target('d', { qos: 2 })]
      await compared.commit(...[1, 2, 3, 4].map((counter) => message(counter, both, { qos: 2 })))
      await compared.commit(send('c', 1, 11))
      await compared.commit(send('c', 2, 12), send('c', 3, 13), send('d', 1, 12))
      await compared.commit({ kind: 'release', clientId: 'c', messageId: 12 }) // a PUBREL in its place
      await compared.commit({ kind: 'release', clientId: 'c', messageId: 12 }) // once more
      await compared.commit(send('c', 1, 21)) // 11 is free again
      await compared.commit({ kind: 'complete', clientId: 'c', messageId: 11 })
      await compared.commit({ kind: 'complete', clientId: 'c', messageId: 12 })
      await compared.commit(send('c', 4, 12)) // the identifier of what is complete
      await compared.commit(
        { kind: 'complete', clientId: 'c', messageId: 21 },
        { kind: 'complete', clientId: 'c', messageId: 13 },
      )
      await compared.commit({ kind: 'complete', clientId: 'c', messageId: 12 })
    },
  },
  {
    name: 'what was sent comes before what waits [MQTT-4.6.0-1]',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      await compared.commit(session('c'))
      await compared.commit(...[1, 2, 3].map((counter) => message(counter, [target('c')])))
      await compared.commit(send('c', 2, 65_535))
      await compared.commit(message(4, [target('c', { messageId: 1 })]))
      await compared.commit({ kind: 'complete', clientId: 'c', messageId: 65_535 })
    },
  },
  {
    name: 'send, release, complete and discard on what is not there change nothing',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      await compared.commit(session('c'), session('d'), message(1, [target('c', { qos: 2 })], { qos: 2 }))
      await compared.commit(
        send('c', 9, 1),
        send('d', 1, 1),
        send('nobody', 1, 1),
        { kind: 'send', clientId: 'c', brokerId: 'another', brokerCounter: 1, messageId: 1 },
        { kind: 'release', clientId: 'c', messageId: 1 },
        { kind: 'release', clientId: 'nobody', messageId: 1 },
        { kind: 'complete', clientId: 'c', messageId: 1 },
        { kind: 'complete', clientId: 'nobody', messageId: 1 },
        discard(9, 'c', 'd', 'nobody'),
        { kind: 'discard', clientIds: ['c'], brokerId: 'another', brokerCounter: 1 },
        discard(1),
      )
      await compared.commit(send('c', 1, 5))
      await compared.commit(
        { kind: 'complete', clientId: 'd', messageId: 5 },
        { kind: 'complete', clientId: 'c', messageId: 6 },
        { kind: 'release', clientId: 'd', messageId: 5 },
      )
    },
  },
  {
    name: 'a message is discarded from those queues in which it was not sent',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      const all = ['c', 'd', 'e'].map((clientId) => target(clientId))
      await compared.commit(session('c'), session('d'), session('e'))
      await compared.commit(message(1, all), message(2, all), message(3, all), send('d', 1, 7))
      await compared.commit(discard(1, 'c', 'd'))
      await compared.commit({ kind: 'complete', clientId: 'd', messageId: 7 })
      await compared.commit(discard(1, 'e'), discard(3, 'c', 'd', 'e'))
      await compared.commit(message(4, [target('d', { messageId: 7 })]))
    },
  },
  {
    name: 'names of messages: another start of the broker, and numbers as large as they get',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      const { MAX_SAFE_INTEGER } = Number
      await compared.commit(session('c'))
      for (const brokerId of ['boot2', 'boot10', 'boot1', '__proto__']) {
        await compared.commit(
          message(1, [target('c')], { brokerId }),
          message(MAX_SAFE_INTEGER, [target('c')], { brokerId }),
        )
      }
      await compared.commit({ kind: 'discard', clientIds: ['c'], brokerId: 'boot1', brokerCounter: 1 })
      await compared.commit(
        { kind: 'send', clientId: 'c', brokerId: 'boot10', brokerCounter: 1, messageId: 2 },
        { kind: 'send', clientId: 'c', brokerId: '__proto__', brokerCounter: MAX_SAFE_INTEGER, messageId: 1 },
      )
    },
  },
  {
    name: '5,000 messages wait in order, while some are sent and acknowledged',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      await compared.commit(session('c'), session('d'))
      const numbers = Array.from({ length: 5000 }, (_, index) => index + 1)
      const both = [target('c'), target('d')]
      await compared.commit(...numbers.map((counter) => message(counter, both)))
      const sent = numbers.slice(0, 300)
      await compared.commit(...sent.map((counter) => send('c', counter, counter)))
      const done = sent.filter((number) => number % 3 !== 0)
      await compared.commit(...done.map((messageId) => ({ kind: 'complete', clientId: 'c', messageId }) as const))
      await compared.commit({ kind: 'end session', clientId: 'd' })
    },
  },
  {
    name: 'a retained message is replaced as a whole and removed by one without a payload [MQTT-3.3.1-6]',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      const topics = ['a', 'a/', '/a', '$SYS/a', '__proto__', 'constructor', 'dev[1]', '*', '🦟', '\u00e9', 'e\u0301']
      const full = { qos: 2, properties: ALL_PROPERTIES, messageExpiry: 1_800_000_000_123, clientId: 'sender' } as const
      await compared.commit(...topics.map((topic) => retained(topic, full)))
      await compared.commit(...topics.map((topic) => retained(topic, { brokerCounter: 2 })))
      await compared.commit(
        retained('a', { payload: Buffer.alloc(0), brokerCounter: 3 }),
        retained('never', { payload: Buffer.alloc(0), brokerCounter: 3 }),
      )
      await compared.commit(
        ...topics.flatMap((topic) => [
          retained(topic, { payload: Buffer.alloc(0), brokerCounter: 4 }),
          ...(topic === '/a' ? [retained(topic, { brokerCounter: 5 })] : []),
        ]),
      )
    },
  },
  {
    name: 'a message that is not retained leaves the retained message of its topic, and one may do both',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      await compared.commit(session('c'), session('d'))
      await compared.commit(retained('a'), message(2, [target('c')], { topic: 'a', payload: Buffer.alloc(0) }))
      await compared.commit(message(3, [target('c')], { topic: 'b', retain: true }))
      const packet = publish({ topic: 'b', brokerCounter: 4, retain: true })
      await compared.commit({ kind: 'publish', packet, targets: [target('c'), target('d')], retain: true })
      const empty = { ...packet, brokerCounter: 5, payload: Buffer.alloc(0) }
      await compared.commit({ kind: 'publish', packet: empty, targets: [target('d')], retain: true })
      // Each exists as long as a queue or topic has it.
      await compared.commit({ kind: 'end session', clientId: 'd' })
      const found = await store.commits.readAll()[Symbol.asyncIterator]().next()
      assert.equal(found.done, false)
    },
  },
]

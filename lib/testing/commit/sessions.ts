import assert from 'node:assert/strict'
import type { PersistenceOperation } from '../../../types/persistence.ts'
import type { TestCase } from '../test-case.ts'
import { ALL_PROPERTIES, STRANGE_NAMES, subscription, will } from '../values.ts'
import { readState } from './state.ts'
import { ComparedStore, message, retained, session, target } from './steps.ts'

/** A session with every part that it can have. */
function everything(clientId: string, brokerCounter: number): PersistenceOperation[] {
  return [
    session(clientId, { owner: `owner of ${clientId}`, expiryInterval: 60, expiresAt: 1_800_000_000_123 }),
    { kind: 'subscribe', clientId, subscriptions: [subscription('a/+', { subscriptionIdentifier: brokerCounter })] },
    message(brokerCounter, [target(clientId)]),
    message(brokerCounter + 1000, [target(clientId, { qos: 2 })], { qos: 2 }),
    { kind: 'send', clientId, brokerId: 'boot0', brokerCounter: brokerCounter + 1000, messageId: 7 },
    { ...retained(`of/${brokerCounter}`), incoming: { clientId, messageId: brokerCounter } } as PersistenceOperation,
    { kind: 'will', clientId, will: will(`of/${brokerCounter}`) },
  ]
}

export const sessionCases: readonly TestCase[] = [
  {
    name: 'a store that has one of commit and readAll has both, and a new one is empty',
    async run(store) {
      assert.deepEqual(await readState(store.commits), { retained: [], sessions: [] })
      await store.commits.commit([])
      assert.deepEqual(await readState(store.commits), { retained: [], sessions: [] })
    },
  },
  {
    name: 'a session without anything in it is kept, with whose it is and when it ends',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      await compared.commit(session('c'))
      await compared.commit(session('d', { owner: '__proto__', expiryInterval: 0, expiresAt: 1_800_000_000_123 }))
      await compared.commit(session('c', { owner: undefined, expiryInterval: 1, expiresAt: null }))
      await compared.commit(session('d', { owner: undefined, expiryInterval: 4_294_967_295, expiresAt: null }))
      await compared.commit({ kind: 'end session', clientId: 'c' })
    },
  },
  {
    name: 'what is said of a session changes nothing else of it',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      await compared.commit(...everything('c', 1))
      await compared.commit(session('c', { owner: undefined, expiryInterval: 5, expiresAt: null }))
    },
  },
  {
    name: 'the end of a session leaves nothing of it, and a new one with its identifier is empty',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      await compared.commit(...everything('c', 1), ...everything('c1', 2))
      await compared.commit({ kind: 'end session', clientId: 'c' })
      await compared.commit(session('c'))
      await compared.commit({ kind: 'end session', clientId: 'c1' }, session('c1'), message(3, [target('c1')]))
    },
  },
  {
    name: 'sessions with strange Client Identifiers are sessions of their own',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      await compared.commit(...STRANGE_NAMES.flatMap((clientId, index) => everything(clientId, index + 1)))
      const ended = STRANGE_NAMES.filter((_, index) => index % 2 === 0)
      await compared.commit(...ended.map((clientId) => ({ kind: 'end session', clientId }) as const))
      await compared.commit(...ended.map((clientId) => session(clientId)))
    },
  },
  {
    name: 'a subscription keeps everything, is replaced as a whole, and is removed',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      const clientId = 'c'
      const full = subscription('$share/group/a/+', {
        qos: 2,
        rh: 2,
        rap: true,
        nl: true,
        subscriptionIdentifier: 268_435_455,
        grantedTopic: '$share/group/tenant/a/+',
        requestedQos: 1,
        byApplication: true,
        ownCopy: true,
      })
      const filters = [...STRANGE_NAMES, '#', '+/b', '/', '$SYS/#']
      await compared.commit(session('c'), session('d'))
      await compared.commit({ kind: 'subscribe', clientId, subscriptions: [full, subscription('b', { qos: 0 })] })
      await compared.commit({ kind: 'subscribe', clientId, subscriptions: [subscription(full.topic)] })
      const subscriptions = filters.map((topic) => subscription(topic))
      await compared.commit(
        { kind: 'subscribe', clientId, subscriptions },
        { kind: 'subscribe', clientId: 'd', subscriptions },
      )
      await compared.commit({
        kind: 'unsubscribe',
        clientId,
        topicFilters: ['never/had', 'constructor', '__proto__', '#'],
      })
      await compared.commit(
        { kind: 'unsubscribe', clientId, topicFilters: filters },
        { kind: 'subscribe', clientId, subscriptions: [full] },
        { kind: 'unsubscribe', clientId: 'nobody', topicFilters: filters },
      )
    },
  },
  {
    name: 'a Will keeps its properties, is replaced as a whole, and is removed',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      const properties = { ...ALL_PROPERTIES, willDelayInterval: 4_294_967_295 }
      const full = will('w', { qos: 2, retain: true, properties, dueAt: 1_800_000_000_123 })
      await compared.commit(session('c'), session('d'), { kind: 'will', clientId: 'c', will: full })
      await compared.commit(
        { kind: 'will', clientId: 'c', will: will('w') },
        { kind: 'will', clientId: 'd', will: full },
      )
      await compared.commit({ kind: 'will', clientId: 'c', will: undefined })
      await compared.commit(
        { kind: 'will', clientId: 'c', will: undefined },
        { kind: 'will', clientId: 'nobody', will: full },
      )
    },
  },
  {
    name: 'a Packet Identifier that came in stays taken until its exchange is done',
    restarts: true,
    async run(store) {
      const compared = new ComparedStore(store)
      const came = (clientId: string, messageId: number): PersistenceOperation =>
        ({ ...message(messageId, [], { qos: 2 }), incoming: { clientId, messageId } }) as PersistenceOperation
      await compared.commit(session('c'), session('d'))
      await compared.commit(came('c', 1), came('c', 65_535), came('c', 65_535), came('d', 1))
      await compared.commit({ kind: 'incoming done', clientId: 'c', messageId: 1 })
      await compared.commit(
        { kind: 'incoming done', clientId: 'c', messageId: 1 },
        { kind: 'incoming done', clientId: 'nobody', messageId: 65_535 },
      )
      await compared.commit(came('c', 1), { kind: 'incoming done', clientId: 'c', messageId: 65_535 })
    },
  },
]

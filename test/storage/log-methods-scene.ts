/**
 * Fills a log store through `commit` with every kind of record and every field, once there and once not. In 0.1.0 the log
 * had the methods of aedes-persistence too: the records that only these wrote are in the golden files of 0.1.0.
 */
import type {
  LogPersistence,
  PersistedPublish,
  PersistedSubscription,
  PersistedTarget,
  PersistenceOperation,
} from '../../lib/index.ts'
import { allProperties, everyByte, expectedMessage } from './broker-scene.ts'
import { type Expected, type ExpectedSession, FOR_EVER, OPENED_AFTER, WATCHER, WRITTEN_AT } from './golden.ts'

const BROKER_ID = 'broker-1'
const at = (seconds: number): number => WRITTEN_AT + seconds * 1000
const expiring = { messageExpiryInterval: 7200 }
const toAll = { ...allProperties, subscriptionIdentifiers: [1] }

/** The messages of one part; `first` is the number of the first one, also as Packet Identifier. */
function messages(first: number): PersistenceOperation[] {
  const name = (offset: number) => ({ brokerId: BROKER_ID, brokerCounter: first + offset })
  const packet = (offset: number, fields: Partial<PersistedPublish>): PersistedPublish => ({
    cmd: 'publish',
    topic: `q/${first + offset}`,
    payload: Buffer.from(`message ${first + offset}`),
    qos: 2,
    retain: false,
    ...name(offset),
    ...fields,
  })
  const publish = (fields: PersistedPublish, ...targets: PersistedTarget[]): PersistenceOperation => ({
    kind: 'publish',
    packet: fields,
    targets,
    retain: false,
  })
  const nameless = (fields: Partial<PersistedPublish>): PersistedPublish => ({
    cmd: 'publish',
    topic: 'nameless',
    payload: JSON.stringify(fields),
    qos: 1,
    retain: false,
    ...fields,
  })
  const clientId = 'queue'
  const all = { subscriptionIdentifiers: [7, 268_435_455], sharedFilter: '$share/group/q/#' }
  return [
    // Released, sent, and sent later.
    publish(packet(0, { properties: toAll }), { clientId, qos: 2, retain: true, messageId: first, ...all }),
    { kind: 'release', clientId, messageId: first },
    publish(packet(1, { qos: 1, payload: 'a string' }), { clientId, qos: 1, retain: false, messageId: first + 1 }),
    publish(
      packet(2, {
        dup: true,
        nl: true,
        clientId: 'publisher',
        messageId: 9,
        properties: allProperties,
        messageExpiry: at(3600),
      }),
      { clientId, qos: 2, retain: false, ...all },
    ),
    { kind: 'send', clientId, ...name(2), messageId: first + 2 },
    // Waiting: for two, one of them at a lower QoS; as small as can be; with what JSON or UTF-8 would not keep.
    publish(
      packet(3, { dup: false, nl: false, retain: true, properties: expiring, messageExpiry: at(7200) }),
      { clientId, qos: 2, retain: true },
      { clientId: 'owned', qos: 1, retain: false, subscriptionIdentifiers: [3] },
    ),
    publish(packet(4, { qos: 1, payload: '', properties: {} }), { clientId, qos: 1, retain: false }),
    publish(packet(5, { payload: everyByte, properties: { correlationData: Buffer.alloc(0), userProperties: [] } }), {
      clientId,
      qos: 2,
      retain: false,
      subscriptionIdentifiers: [],
    }),
    // Without half of its name, or all of it.
    publish(nameless({ brokerId: BROKER_ID, clientId: 'publisher' }), { clientId, qos: 1, retain: false }),
    publish(nameless({ brokerCounter: 1, nl: true }), { clientId, qos: 1, retain: false }),
    publish(nameless({}), { clientId, qos: 1, retain: false }),
    // No longer there: completed, discarded, expired.
    publish(packet(6, { properties: { ...allProperties, topicAlias: 1, willDelayInterval: 2 } as object }), {
      clientId,
      qos: 2,
      retain: false,
      messageId: first + 6,
    }),
    { kind: 'complete', clientId, messageId: first + 6 },
    publish(packet(7, {}), { clientId, qos: 2, retain: false }, { clientId: 'owned', qos: 2, retain: false }),
    { kind: 'discard', clientIds: [clientId, 'owned', 'nobody'], ...name(7) },
    publish(packet(8, { messageExpiry: at(OPENED_AFTER - 30) }), { clientId, qos: 2, retain: false }),
    // QoS 2 from a Client: one stays, one is done.
    { kind: 'publish', packet: packet(9, {}), targets: [], retain: false, incoming: { clientId, messageId: first } },
    {
      kind: 'publish',
      packet: packet(9, {}),
      targets: [],
      retain: false,
      incoming: { clientId, messageId: first + 1 },
    },
    { kind: 'incoming done', clientId, messageId: first + 1 },
    // Retained: with all fields, as small as can be, replaced, removed.
    {
      kind: 'publish',
      packet: packet(10, { topic: `r/${first}/all`, retain: true, properties: allProperties, messageExpiry: at(3600) }),
      targets: [],
      retain: true,
    },
    ...['first', 'second'].map((payload) => ({
      kind: 'publish' as const,
      packet: { cmd: 'publish' as const, topic: `r/${first}/few`, payload, qos: 0 as const, retain: true },
      targets: [],
      retain: true,
    })),
    ...['x', ''].map((payload) => ({
      kind: 'publish' as const,
      packet: packet(11, { topic: `r/${first}/removed`, payload, retain: true }),
      targets: [],
      retain: true,
    })),
  ]
}

function subscriptions(part: string): PersistedSubscription[] {
  return [
    { topic: `${part}/none`, qos: 0 },
    { topic: `${part}/all`, qos: 2, rh: 1, rap: true, nl: true, subscriptionIdentifier: 268_435_455 },
    { topic: `${part}/false`, qos: 1, rh: 0, rap: false, nl: false },
    // What a hook granted is not looked at by the hook of the broker that opens the store.
    { topic: `${part}/rh`, qos: 1, rh: 2, grantedTopic: `${part}/rh`, requestedQos: 2 },
    { topic: `$share/${part}/q/#`, qos: 1 },
    { topic: `${part}/gone`, qos: 1 },
  ]
}

async function fillPart(store: LogPersistence, first: number): Promise<void> {
  const part = `part${first}`
  const forEver = { expiryInterval: FOR_EVER, expiresAt: null }
  await store.commit([
    { kind: 'session', clientId: 'queue', session: forEver },
    { kind: 'session', clientId: 'owned', session: { owner: 'owner', expiryInterval: 7200, expiresAt: at(7200) } },
    { kind: 'session', clientId: `over ${part}`, session: { expiryInterval: 30, expiresAt: at(30) } },
    { kind: 'session', clientId: `ended ${part}`, session: forEver },
    { kind: 'session', clientId: WATCHER, session: forEver },
    { kind: 'session', clientId: `will ${part}`, session: forEver },
    { kind: 'session', clientId: `will taken back ${part}`, session: forEver },
    { kind: 'session', clientId: `aedes ${part}`, session: forEver },
    { kind: 'session', clientId: `cleaned ${part}`, session: forEver },
    { kind: 'subscribe', clientId: WATCHER, subscriptions: [{ topic: 'will/#', qos: 2, rap: true }] },
    { kind: 'subscribe', clientId: 'queue', subscriptions: subscriptions(part) },
    { kind: 'unsubscribe', clientId: 'queue', topicFilters: [`${part}/gone`, 'never there'] },
    { kind: 'subscribe', clientId: `ended ${part}`, subscriptions: subscriptions(part) },
  ])
  for (const operation of messages(first)) await store.commit([operation])
  await store.commit([
    {
      kind: 'will',
      clientId: `will ${part}`,
      will: {
        topic: `will/${part}`,
        payload: everyByte,
        qos: 2,
        retain: false,
        properties: { ...allProperties, willDelayInterval: 600 },
        dueAt: at(600 + first),
        clientId: `will ${part}`,
        brokerId: BROKER_ID,
      },
    },
    {
      kind: 'will',
      clientId: `will taken back ${part}`,
      will: { topic: 'will/back', payload: 'x', qos: 1, retain: true },
    },
    { kind: 'will', clientId: `will taken back ${part}`, will: undefined },
    { kind: 'end session', clientId: `ended ${part}` },
  ])
}

/** The first part is written down again by a compaction, the second one is left as it was written. */
export async function fillLog(store: LogPersistence): Promise<void> {
  await fillPart(store, 100)
  await store.compact()
  await fillPart(store, 200)
  // A Will of a Client that was connected.
  await store.commit([
    {
      kind: 'will',
      clientId: 'owned',
      will: { topic: 'will/owned', payload: 'at once', qos: 1, retain: false, properties: {} },
    },
  ])
}

export function expectedAfterFilling(): Expected {
  const later = { ...allProperties, messageExpiryInterval: 3600 - OPENED_AFTER }
  const session = (clientId: string, fields: Partial<ExpectedSession> = {}): ExpectedSession => ({
    clientId,
    level: 5,
    queue: [],
    subscriptions: {},
    incoming: [],
    ...fields,
  })
  const parts = [100, 200]
  const identifiers = { subscriptionIdentifiers: [7, 268_435_455] }
  const inFlight = (first: number): ExpectedSession['queue'] => [
    { pubrel: first },
    expectedMessage(`q/${first + 1}`, 'a string', { qos: 1, dup: true, packetId: first + 1 }),
    expectedMessage(`q/${first + 2}`, `message ${first + 2}`, {
      qos: 2,
      dup: true,
      packetId: first + 2,
      properties: { ...later, ...identifiers },
    }),
  ]
  const expiringLater = { messageExpiryInterval: 7200 - OPENED_AFTER }
  const waiting = (first: number): ExpectedSession['queue'] => [
    expectedMessage(`q/${first + 3}`, `message ${first + 3}`, { qos: 2, retain: true, properties: expiringLater }),
    expectedMessage(`q/${first + 4}`, '', { qos: 1 }),
    expectedMessage(`q/${first + 5}`, everyByte, { qos: 2, properties: { correlationData: Buffer.alloc(0) } }),
    ...[{ brokerId: BROKER_ID, clientId: 'publisher' }, { brokerCounter: 1, nl: true }, {}].map((fields) =>
      expectedMessage('nameless', JSON.stringify(fields), { qos: 1 }),
    ),
  ]
  const subscription = (topicFilter: string, fields: object): [string, Record<string, unknown>] => [
    topicFilter,
    { topicFilter, qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0, ...fields },
  ]
  return {
    sessions: [
      session(WATCHER, {
        queue: [expectedMessage('will/owned', 'at once', { qos: 1 })],
        subscriptions: Object.fromEntries([subscription('will/#', { qos: 2, retainAsPublished: true })]),
      }),
      session('queue', {
        queue: [...parts.flatMap(inFlight), ...parts.flatMap(waiting)],
        subscriptions: Object.fromEntries(
          parts.flatMap((first) => [
            subscription(`part${first}/none`, { qos: 0 }),
            subscription(`part${first}/all`, {
              qos: 2,
              noLocal: true,
              retainAsPublished: true,
              retainHandling: 1,
              subscriptionIdentifier: 268_435_455,
            }),
            subscription(`part${first}/false`, {}),
            // The hook is asked again for what the Client asked for.
            subscription(`part${first}/rh`, { qos: 2, retainHandling: 2 }),
            subscription(`$share/part${first}/q/#`, { shareName: `part${first}` }),
          ]),
        ),
        incoming: parts,
      }),
      session('owned', {
        username: 'owner',
        queue: parts.map((first) =>
          expectedMessage(`q/${first + 3}`, `message ${first + 3}`, {
            qos: 1,
            properties: { ...expiringLater, subscriptionIdentifiers: [3] },
          }),
        ),
      }),
      ...parts.flatMap((first) => [session(`will taken back part${first}`)]),
    ],
    ended: ['nobody', ...parts.flatMap((first) => [`ended part${first}`, `over part${first}`])],
    retained: parts.flatMap((first) => [
      expectedMessage(`r/${first}/all`, `message ${first + 10}`, { qos: 2, retain: true, properties: later }),
      expectedMessage(`r/${first}/few`, 'second', { qos: 0, retain: true }),
    ]),
    wills: parts.map((first) => ({
      clientId: `will part${first}`,
      seconds: 600 + first - OPENED_AFTER,
      message: expectedMessage(`will/part${first}`, everyByte, { qos: 2, properties: allProperties }),
    })),
  }
}

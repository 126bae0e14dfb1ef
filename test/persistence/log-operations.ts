/** Operations that fast-check makes up, and what a store has, in a form that can be compared. */
import fc from 'fast-check'
import type { PersistenceOperation } from '../../types/persistence.ts'
import type { Storage } from '../../types/storage.ts'

export const broker = { id: 'broker-1' }

const clientIds = ['c', 'd', '🦟', '']
const clientId = fc.constantFrom(...clientIds)
const topic = fc.constantFrom('a', 'a/b', '$SYS/x', '/', 'é')
const qos = fc.constantFrom<0 | 1 | 2>(0, 1, 2)
const messageId = fc.integer({ min: 1, max: 12 })
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 2 })
const text = fc.string({ unit: 'grapheme', maxLength: 5 })
const bytes = fc.uint8Array({ maxLength: 20 }).map((array) => Buffer.from(array))
const payload = fc.oneof(bytes, text)

/** Without those that are undefined, which a journal does not tell from those that are not there. */
function present<T extends object>(object: T): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T
}

const properties = fc
  .record({
    payloadFormatIndicator: maybe(fc.constantFrom(0, 1)),
    messageExpiryInterval: maybe(fc.nat(4_294_967_295)),
    contentType: maybe(text),
    responseTopic: maybe(topic),
    correlationData: maybe(bytes),
    userProperties: maybe(fc.array(fc.tuple(text, text), { maxLength: 3 })),
    subscriptionIdentifiers: maybe(fc.array(fc.integer({ min: 1, max: 268_435_455 }), { maxLength: 2 })),
    topicAlias: maybe(fc.nat(65_535)),
    willDelayInterval: maybe(fc.nat(4_294_967_295)),
  })
  .map(present) as fc.Arbitrary<object>

/** The counter of the messages, so that each has a name of its own. */
const counter = fc.integer({ min: 0, max: 30 })

const publish = fc
  .record({
    packet: fc
      .record({
        cmd: fc.constant('publish' as const),
        topic,
        payload,
        qos,
        retain: fc.boolean(),
        dup: maybe(fc.boolean()),
        brokerId: fc.constant('broker-1'),
        messageId: maybe(messageId),
        clientId: maybe(clientId),
        nl: maybe(fc.boolean()),
        properties: maybe(properties),
        messageExpiry: maybe(fc.double({ noNaN: true })),
      })
      .map(present),
    targets: fc.uniqueArray(
      fc
        .record({
          clientId,
          qos,
          retain: fc.boolean(),
          subscriptionIdentifiers: maybe(fc.array(fc.nat(268_435_455), { maxLength: 3 })),
          sharedFilter: maybe(fc.constant('$share/g/a')),
          messageId: maybe(messageId),
        })
        .map(present),
      { maxLength: 4, selector: (target) => target.clientId },
    ),
    retain: fc.boolean(),
    incoming: maybe(fc.record({ clientId, messageId })),
  })
  .map((fields) => ({ kind: 'publish' as const, ...fields }))

const other = fc.oneof(
  fc.record({
    kind: fc.constant('session' as const),
    clientId,
    session: fc.record({
      owner: maybe(text),
      expiryInterval: fc.nat(4_294_967_295),
      expiresAt: fc.option(fc.nat(), { nil: null }),
    }),
  }),
  fc.record({ kind: fc.constant('end session' as const), clientId }),
  fc.record({
    kind: fc.constant('subscribe' as const),
    clientId,
    subscriptions: fc.array(
      fc
        .record({
          topic: fc.constantFrom('a', '#', '+/b', '$share/g/a'),
          qos,
          rh: maybe(fc.constantFrom(0, 1, 2)),
          rap: maybe(fc.boolean()),
          nl: maybe(fc.boolean()),
          subscriptionIdentifier: maybe(fc.nat(268_435_455)),
          grantedTopic: maybe(topic),
          requestedQos: maybe(qos),
        })
        // Of the drawn fields, so that the seeds of the tests stay what they were.
        .map((fields) =>
          present({ ...fields, ...(fields.requestedQos === 2 && { byApplication: true, ownCopy: true }) }),
        ),
      { maxLength: 3 },
    ),
  }),
  fc.record({
    kind: fc.constant('unsubscribe' as const),
    clientId,
    topicFilters: fc.array(fc.constantFrom('a', '#', '+/b', 'x'), { maxLength: 2 }),
  }),
  fc.record({ kind: fc.constant('incoming done' as const), clientId, messageId }),
  fc.record({
    kind: fc.constant('will' as const),
    clientId,
    will: maybe(
      fc
        .record({
          topic,
          payload,
          qos,
          retain: fc.boolean(),
          properties: maybe(properties),
          dueAt: maybe(fc.nat()),
          clientId: maybe(clientId),
          brokerId: maybe(text),
        })
        .map(present),
    ),
  }),
)

const exchange = fc.oneof(
  fc.record({
    kind: fc.constant('send' as const),
    clientId,
    brokerId: fc.constant('broker-1'),
    brokerCounter: counter,
    messageId,
  }),
  fc.record({ kind: fc.constant('release' as const), clientId, messageId }),
  fc.record({ kind: fc.constant('complete' as const), clientId, messageId }),
  fc.record({
    kind: fc.constant('discard' as const),
    clientIds: fc.uniqueArray(clientId, { maxLength: 3 }),
    brokerId: fc.constant('broker-1'),
    brokerCounter: counter,
  }),
)

/** Commits as a broker makes them: each message has a name of its own, an identifier is given to one message at a time. */
export const commits: fc.Arbitrary<PersistenceOperation[][]> = fc
  .array(fc.array(fc.oneof(publish, publish, exchange, exchange, other), { minLength: 1, maxLength: 4 }), {
    maxLength: 40,
    size: 'max',
  })
  .map(tidy)

function tidy(list: readonly object[][]): PersistenceOperation[][] {
  let brokerCounter = 0
  let next = 100
  const expiresAt = null
  // Only what belongs to a session is read, so each Client has one first.
  const sessions = clientIds.map((clientId): PersistenceOperation => {
    return { kind: 'session', clientId, session: { owner: undefined, expiryInterval: 60, expiresAt } }
  })
  const rest = (list as PersistenceOperation[][]).map((operations) =>
    operations.map((operation) => {
      if (operation.kind === 'send') {
        // Counted from the last message, so that most are there.
        next += 1
        return { ...operation, brokerCounter: Math.max(1, brokerCounter - operation.brokerCounter), messageId: next }
      }
      if (operation.kind === 'discard') {
        return { ...operation, brokerCounter: Math.max(1, brokerCounter - operation.brokerCounter) }
      }
      if (operation.kind === 'release' || operation.kind === 'complete') {
        return { ...operation, messageId: Math.max(1, next - operation.messageId + 1) }
      }
      if (operation.kind !== 'publish') return operation
      brokerCounter += 1
      const targets = operation.targets.map((target) => {
        if (target.messageId === undefined) return target
        next += 1
        return { ...target, messageId: next }
      })
      return { ...operation, targets, packet: { ...operation.packet, brokerCounter } }
    }),
  )
  return [sessions, ...rest]
}

/** All that a store has. */
export async function contentsOf(store: Pick<Storage, 'readAll'>): Promise<unknown> {
  const contents: unknown[] = []
  for await (const state of store.readAll()) {
    if (state.kind === 'retained') contents.push(['retained', state.packet.topic, state.packet])
    else {
      contents.push([
        'session',
        state.clientId,
        {
          ...state,
          subscriptions: state.subscriptions.toSorted((a, b) => (a.topic < b.topic ? -1 : 1)),
          queue: [...state.queue],
          incoming: state.incoming.toSorted((a, b) => a - b),
        },
      ])
    }
  }
  return structuredClone(contents.toSorted((a, b) => (String(a) < String(b) ? -1 : 1)))
}

/** A conversation of Clients with a broker that leaves one of everything in its store, and what is expected after it. */
import type { Broker, PublishProperties } from '../../lib/index.ts'
import { ack, type ConnectOptions, filter, settle, TestClient, will } from '../support/client.ts'
import {
  type Expected,
  type ExpectedMessage,
  type ExpectedSession,
  FOR_EVER,
  OPENED_AFTER,
  plainProperties,
  WATCHER,
} from './golden.ts'

const persistent: ConnectOptions = { cleanStart: false, properties: { sessionExpiryInterval: FOR_EVER } }
const lasts = (sessionExpiryInterval: number): ConnectOptions => ({ properties: { sessionExpiryInterval } })

/** Every Property that a PUBLISH carries to its receivers. */
export const allProperties: PublishProperties = {
  payloadFormatIndicator: 1,
  messageExpiryInterval: 3600,
  contentType: 'text/plain',
  responseTopic: 'answers/é',
  correlationData: Buffer.from([0, 255, 13, 10]),
  userProperties: [
    ['b', '2'],
    ['a', '1'],
    ['b', '2'],
    ['', ''],
  ],
}

/** The same after the time that passes before the store is opened. */
const allPropertiesLater = { ...allProperties, messageExpiryInterval: 3600 - OPENED_AFTER }

export const everyByte: Buffer = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
/** Larger than the segments of the golden logs. */
const large = 'large '.repeat(1000)

export function expectedMessage(
  topic: string,
  payload: Buffer | string,
  fields: Partial<Omit<ExpectedMessage, 'properties'>> & { readonly properties?: object },
): ExpectedMessage {
  const { properties, ...rest } = fields
  return {
    topic,
    payload: Buffer.from(payload as string).toString('base64'),
    qos: 0,
    retain: false,
    dup: false,
    ...rest,
    properties: plainProperties(properties),
  }
}

/** Leaves `here`, `here late` and `here clean` connected: what becomes of their Wills depends on how the broker ends. */
export async function playScene(broker: Broker): Promise<void> {
  async function connect(clientId: string, options: ConnectOptions = persistent): Promise<TestClient> {
    const client = new TestClient(broker.connect(), options.level ?? 5)
    const { reasonCode } = await client.connect(clientId, { cleanStart: false, ...options })
    if (reasonCode !== 0) throw new Error(`${clientId}: Reason Code ${reasonCode}`)
    return client
  }

  const watcher = await connect(WATCHER)
  await watcher.subscribe('will/#', { qos: 2, retainAsPublished: true })
  await watcher.disconnect()

  const publisher = await connect('publisher', { cleanStart: true })
  const publish = (...[topic, payload, options]: Parameters<TestClient['publish']>): Promise<number> =>
    publisher.publish(topic, payload, options)

  // What is sent and not complete: 1 was sent, 2 was released, 3 was sent, 4 was completed.
  const inFlight: ConnectOptions = { properties: { sessionExpiryInterval: FOR_EVER, receiveMaximum: 4 } }
  let receiver = await connect('receiver', inFlight)
  await receiver.subscribe([filter('a/#', { qos: 2, retainAsPublished: true })], {}, { subscriptionIdentifier: 7 })
  await receiver.subscribe([filter('a/+', { qos: 1 })], {}, { subscriptionIdentifier: 268_435_455 })
  await receiver.subscribe([
    filter('b', { qos: 1, noLocal: true, retainHandling: 1 }),
    filter('c', { retainHandling: 2 }),
    filter('asked/#', { qos: 2 }),
    filter('$share/group/shared/#', { qos: 1 }),
    filter('é/🦟', { qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 }),
    filter('gone', { qos: 2 }),
  ])
  await receiver.unsubscribe('gone')
  for (const [index, qos] of ([1, 2, 2, 1] as const).entries()) {
    await publish('b2', 'nobody listens', { qos })
    await publish('a/in/flight', `sent ${index + 1}`, { qos, ...(index === 0 && { properties: allProperties }) })
    await receiver.receives('publish')
  }
  receiver.send(ack('pubrec', 2), ack('puback', 4))
  await receiver.receives('pubrel')
  await receiver.quiet()
  await receiver.drop()

  const old = await connect('🦟 old', { level: 4, username: 'owner', cleanStart: false })
  await old.subscribe([filter('a/+', { qos: 1 }), filter('#', { qos: 0 })])
  await old.drop()
  const oldest = await connect('oldest', { level: 3, cleanStart: false })
  await oldest.subscribe('a/b', { qos: 2 })
  await oldest.drop()
  await (await connect('empty', lasts(7200))).disconnect()
  await (await connect('over', lasts(OPENED_AFTER - 30))).disconnect()
  await (await connect('removed')).disconnect()
  await (await connect('removed', { cleanStart: true })).disconnect()

  await publish('a/b', 'all Properties', { qos: 2, properties: allProperties })
  await publish('a/b', '', { qos: 1 })
  await publish('a/b', 'it is too late for this', {
    qos: 2,
    properties: { messageExpiryInterval: OPENED_AFTER - 30 },
  })
  await publish('a/b/c', everyByte as unknown as string, { qos: 2, retain: true })
  await publish('b', large, { qos: 2 })
  await publish('granted/x', 'by another filter', { qos: 2 })
  await publish('shared/x', 'shared', { qos: 2 })
  await publish('é/🦟', 'not ASCII', { qos: 2 })
  // Taken on at once: the same session and one message that it completes.
  receiver = await connect('taker', persistent)
  await receiver.subscribe('taken', { qos: 2 })
  await publish('taken', 'complete', { qos: 2 })
  await receiver.message()
  await receiver.disconnect()
  await publish('taken', 'waits', { qos: 2 })

  const sender = await connect('sender')
  for (const packetId of [5, 65_535]) {
    sender.send({
      type: 'publish',
      topic: 'a/b',
      payload: Buffer.from(`from a sender, ${packetId}`),
      qos: 2,
      retain: false,
      dup: false,
      packetId,
      properties: undefined,
    })
    await sender.receives('pubrec')
  }
  await sender.publish('b2', 'complete', { qos: 2, packetId: 6 })
  await sender.drop()

  await publish('r/all', 'all Properties', { qos: 2, retain: true, properties: allProperties })
  await publish('r/plain', 'first', { qos: 1, retain: true })
  await publish('r/plain', 'second', { qos: 0, retain: true })
  await publish('r/bytes', everyByte as unknown as string, { qos: 1, retain: true })
  await publish('r/removed', 'x', { qos: 1, retain: true })
  await publish('r/removed', '', { qos: 1, retain: true })
  await publish('r/over', 'x', { qos: 1, retain: true, properties: { messageExpiryInterval: OPENED_AFTER - 30 } })
  await publish('r//é 🦟', 'not ASCII', { qos: 1, retain: true })

  const { messageExpiryInterval, ...rest } = allProperties
  const delayed = { ...rest, messageExpiryInterval: messageExpiryInterval!, willDelayInterval: 600 }
  const gone = [
    await connect('gone', { ...persistent, will: will('will/all', 'all Properties', { qos: 2, properties: delayed }) }),
    await connect('gone too', {
      ...persistent,
      will: will('will/few', '', { qos: 1, properties: { willDelayInterval: 700 } }),
    }),
    await connect('back', {
      ...persistent,
      will: will('will/back', 'never', { qos: 1, properties: { willDelayInterval: 800 } }),
    }),
  ]
  for (const client of gone) await client.drop()
  await (await connect('back')).disconnect()
  await connect('here', { ...persistent, will: will('will/here', 'at once', { qos: 2, retain: true }) })
  await connect('here late', {
    ...persistent,
    will: will('will/late', 'late', { qos: 1, properties: { willDelayInterval: 100 } }),
  })
  await connect('here clean', { cleanStart: true, will: will('will/clean', 'no session', { qos: 1 }) })
  // Acknowledged when it and all before it is stored.
  await publish('b2', 'the end', { qos: 1 })
  await settle()
}

const subscribed = (topicFilter: string, fields: object): object => ({
  topicFilter,
  qos: 0,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
  ...fields,
})

/** What a broker has to know that opens the store `OPENED_AFTER` seconds later. */
export function expectedAfterScene(end: 'closed' | 'killed'): Expected {
  const identifiers = { subscriptionIdentifiers: [7] }
  const both = { subscriptionIdentifiers: [7, 268_435_455] }
  const session = (clientId: string, fields: Partial<ExpectedSession> = {}): ExpectedSession => ({
    clientId,
    level: 5,
    queue: [],
    subscriptions: {},
    incoming: [],
    ...fields,
  })
  const sessions = [
    session(WATCHER, {
      queue: [
        expectedMessage('will/here', 'at once', { qos: 2, retain: true }),
        expectedMessage('will/clean', 'no session', { qos: 1 }),
      ],
      subscriptions: { 'will/#': subscribed('will/#', { qos: 2, retainAsPublished: true }) as Record<string, unknown> },
    }),
    session('receiver', {
      queue: [
        expectedMessage('a/in/flight', 'sent 1', {
          qos: 1,
          dup: true,
          packetId: 1,
          properties: { ...allPropertiesLater, ...identifiers },
        }),
        { pubrel: 2 },
        expectedMessage('a/in/flight', 'sent 3', { qos: 2, dup: true, packetId: 3, properties: identifiers }),
        expectedMessage('a/b', 'all Properties', { qos: 2, properties: { ...allPropertiesLater, ...both } }),
        expectedMessage('a/b', '', { qos: 1, properties: both }),
        expectedMessage('a/b/c', everyByte, { qos: 2, retain: true, properties: identifiers }),
        expectedMessage('b', large, { qos: 1 }),
        expectedMessage('granted/x', 'by another filter', { qos: 1 }),
        expectedMessage('shared/x', 'shared', { qos: 1 }),
        expectedMessage('é/🦟', 'not ASCII', { qos: 2 }),
        expectedMessage('a/b', 'from a sender, 5', { qos: 2, properties: both }),
        expectedMessage('a/b', 'from a sender, 65535', { qos: 2, properties: both }),
      ],
      subscriptions: {
        'a/#': subscribed('a/#', { qos: 2, retainAsPublished: true, subscriptionIdentifier: 7 }),
        'a/+': subscribed('a/+', { qos: 1, subscriptionIdentifier: 268_435_455 }),
        b: subscribed('b', { qos: 1, noLocal: true, retainHandling: 1 }),
        c: subscribed('c', { retainHandling: 2 }),
        'asked/#': subscribed('granted/#', { qos: 1 }),
        '$share/group/shared/#': subscribed('$share/group/shared/#', { qos: 1, shareName: 'group' }),
        'é/🦟': subscribed('é/🦟', { qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 }),
      } as ExpectedSession['subscriptions'],
    }),
    session('🦟 old', {
      level: 4,
      username: 'owner',
      queue: [
        expectedMessage('a/b', 'all Properties', { qos: 1 }),
        expectedMessage('a/b', '', { qos: 1 }),
        expectedMessage('a/b', 'from a sender, 5', { qos: 1 }),
        expectedMessage('a/b', 'from a sender, 65535', { qos: 1 }),
      ],
      subscriptions: {
        'a/+': subscribed('a/+', { qos: 1 }),
        '#': subscribed('#', {}),
      } as ExpectedSession['subscriptions'],
    }),
    session('oldest', {
      level: 3,
      queue: [
        expectedMessage('a/b', 'all Properties', { qos: 2 }),
        expectedMessage('a/b', '', { qos: 1 }),
        expectedMessage('a/b', 'from a sender, 5', { qos: 2 }),
        expectedMessage('a/b', 'from a sender, 65535', { qos: 2 }),
      ],
      subscriptions: { 'a/b': subscribed('a/b', { qos: 2 }) } as ExpectedSession['subscriptions'],
    }),
    session('taker', {
      queue: [expectedMessage('taken', 'waits', { qos: 2 })],
      subscriptions: { taken: subscribed('taken', { qos: 2 }) } as ExpectedSession['subscriptions'],
    }),
    session('sender', { incoming: [5, 65_535] }),
    session('empty'),
    session('back'),
  ]
  const retained = [
    expectedMessage('a/b/c', everyByte, { qos: 2, retain: true }),
    expectedMessage('r//é 🦟', 'not ASCII', { qos: 1, retain: true }),
    expectedMessage('r/all', 'all Properties', { qos: 2, retain: true, properties: allPropertiesLater }),
    expectedMessage('r/bytes', everyByte, { qos: 1, retain: true }),
    expectedMessage('r/plain', 'second', { qos: 0, retain: true }),
    expectedMessage('will/here', 'at once', { qos: 2, retain: true }),
  ]
  const wills = [
    {
      clientId: 'here late',
      // The connection ended when the broker was closed; else it ended, for whom opens the store, when that was done.
      seconds: end === 'closed' ? 100 - OPENED_AFTER : 100,
      message: expectedMessage('will/late', 'late', { qos: 1 }),
    },
    {
      clientId: 'gone',
      seconds: 600 - OPENED_AFTER,
      // The expiry of a Will begins when it is published.
      message: expectedMessage('will/all', 'all Properties', { qos: 2, properties: allProperties }),
    },
    { clientId: 'gone too', seconds: 700 - OPENED_AFTER, message: expectedMessage('will/few', '', { qos: 1 }) },
  ]
  return { sessions, ended: ['over', 'removed', 'here clean', 'publisher'], retained, wills }
}

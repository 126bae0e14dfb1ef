/** Stores with one fault each, and the test of the suite that has to find it. */
import type {
  PersistedPublish,
  PersistedSessionState,
  PersistedSubscription,
  PersistedWill,
  Persistence,
  PersistenceOperation,
} from '../../types/persistence.ts'
import type { SoundStore } from './sound-store.ts'

export interface Fault {
  /** What is wrong with the store. */
  readonly name: string
  /** In the name of the tests that have to fail, of those without a restart unless it says `with a restart`. */
  readonly foundBy: string
  /** The methods that are wrong. */
  spoil(store: SoundStore): Partial<SoundStore>
  /** What happens wrongly when it is opened again. */
  reopen?(store: SoundStore): void
}

async function* change<T>(items: AsyncIterable<T>, each: (item: T, index: number) => readonly T[]): AsyncGenerator<T> {
  let index = 0
  for await (const item of items) {
    yield* each(item, index)
    index += 1
  }
}

async function* reversed<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  yield* list.toReversed()
}

/** A fault of messages as they are queued. */
function queued(name: string, foundBy: string, alter: (packet: PersistedPublish) => PersistedPublish): Fault {
  return {
    name,
    foundBy,
    spoil: ({ outgoingEnqueue, outgoingEnqueueCombi, ...rest }) => {
      void rest
      return {
        outgoingEnqueue: (target, packet) => outgoingEnqueue(target, alter(packet)),
        outgoingEnqueueCombi: (targets, packet) => outgoingEnqueueCombi(targets, alter(packet)),
      }
    },
  }
}

/** A fault of operations as they are committed. */
function committed(
  name: string,
  foundBy: string,
  alter: (operation: PersistenceOperation, store: SoundStore) => readonly PersistenceOperation[],
): Fault {
  return {
    name,
    foundBy,
    spoil: (store) => {
      const { commit } = store
      return { commit: (operations) => commit(operations.flatMap((operation) => alter(operation, store))) }
    },
  }
}

/** A fault of sessions as they are read. */
function read(
  name: string,
  foundBy: string,
  alter: (state: PersistedSessionState) => Partial<PersistedSessionState>,
): Fault {
  return {
    name,
    foundBy,
    spoil: ({ readAll }) => ({
      readAll: () => change(readAll(), (piece) => [piece.kind === 'session' ? { ...piece, ...alter(piece) } : piece]),
    }),
  }
}

/** A fault of which operations a store knows. */
function ignores(kind: PersistenceOperation['kind'], foundBy: string): Fault {
  return committed(`forgets ${kind}`, foundBy, (operation) => (operation.kind === kind ? [] : [operation]))
}

/** A fault that comes with a restart. */
function forgets(name: string, foundBy: string, reopen: (store: SoundStore) => void): Fault {
  return { name, foundBy: `${foundBy}.*with a restart`, spoil: () => ({}), reopen }
}

const withoutLast = (packet: PersistedPublish): PersistedPublish => {
  const { properties } = packet
  if (properties?.userProperties === undefined) return packet
  return { ...packet, properties: { ...properties, userProperties: properties.userProperties.slice(0, -1) } }
}

export const faults: readonly Fault[] = [
  // What aedes-persistence asks for.
  queued('loses properties', 'a queued message keeps its properties', (packet) => ({
    ...packet,
    properties: undefined,
  })),
  queued('loses when a message expires', 'a queued message keeps its properties', (packet) => ({
    ...packet,
    messageExpiry: undefined,
  })),
  queued('loses a User Property', 'a queued message keeps its properties', withoutLast),
  queued('keeps User Properties as an object', 'a queued message keeps its properties', (packet) => {
    const pairs = packet.properties?.userProperties
    if (pairs === undefined) return packet
    return {
      ...packet,
      properties: { ...packet.properties, userProperties: Object.entries(Object.fromEntries(pairs)) },
    }
  }),
  queued('keeps payloads as text', 'byte for byte', (packet) => ({
    ...packet,
    payload: Buffer.from(packet.payload.toString()),
  })),
  {
    name: 'keeps the object that it is given',
    foundBy: 'what is changed on a message after it was queued',
    spoil({ outgoingStream }) {
      const given: PersistedPublish[] = []
      return {
        outgoingEnqueue: async (_, packet) => given.push(packet),
        outgoingStream: (client) => change(outgoingStream(client), () => given),
      }
    },
  },
  {
    name: 'reads a queue backwards',
    foundBy: '5,000 queued messages come in order',
    spoil: ({ outgoingStream }) => ({ outgoingStream: (client) => reversed(outgoingStream(client)) }),
  },
  {
    name: 'reads a queue by the names of messages',
    foundBy: 'messages of two starts of a broker',
    spoil: ({ outgoingStream }) => ({
      async *outgoingStream(client) {
        const list = []
        for await (const packet of outgoingStream(client)) list.push(packet)
        yield* list.toSorted((a, b) => Number(a.brokerCounter) - Number(b.brokerCounter))
      },
    }),
  },
  {
    name: 'reads no more than 1,000 messages',
    foundBy: '5,000 queued messages come in order',
    spoil: ({ outgoingStream }) => ({
      outgoingStream: (client) => change(outgoingStream(client), (packet, index) => (index < 1000 ? [packet] : [])),
    }),
  },
  {
    name: 'gives a Packet Identifier to a message in all queues',
    foundBy: 'a Packet Identifier belongs to the message in one queue',
    spoil: ({ outgoingUpdate }) => ({
      async outgoingUpdate(client, packet) {
        await outgoingUpdate(client, packet)
        if (client.id === 'c') await outgoingUpdate({ id: 'd' }, packet).catch(() => undefined)
      },
    }),
  },
  {
    name: 'removes the first message for an unknown Packet Identifier',
    foundBy: 'an acknowledgement for an unknown Packet Identifier removes nothing',
    spoil: ({ outgoingClearMessageId }) => ({
      outgoingClearMessageId: async (client, packet) =>
        (await outgoingClearMessageId(client, packet)) ?? (await outgoingClearMessageId(client, { messageId: 5 })),
    }),
  },
  {
    name: 'puts a PUBREL at the end',
    foundBy: 'a QoS 2 message becomes a PUBREL in its place',
    spoil: ({ outgoingStream }) => ({
      async *outgoingStream(client) {
        const list = []
        for await (const packet of outgoingStream(client)) list.push(packet)
        yield* list.toSorted((a, b) => Number(a.cmd === 'pubrel') - Number(b.cmd === 'pubrel'))
      },
    }),
  },
  {
    name: 'cleans the queue of everybody',
    foundBy: 'cleanOutgoing removes the whole queue of one Client',
    spoil: ({ cleanOutgoing }) => ({
      cleanOutgoing: async () => Promise.all(['c', 'd'].map((id) => cleanOutgoing({ id }))),
    }),
  },
  ...(['outgoingEnqueue', 'incomingStorePacket', 'addSubscriptions', 'putWill'] as const).map(
    (method): Fault => ({
      name: `mixes up Client Identifiers with a colon in ${method}`,
      foundBy: 'strange Client Identifiers are Clients of their own',
      spoil: (store) => {
        const original = store[method] as (client: object, value: unknown) => Promise<unknown>
        return {
          [method]: (client: { readonly id?: string; readonly clientId?: string }, value: unknown) => {
            const short = (id: string | undefined): string | undefined => id?.split(':')[0]
            return original({ ...client, id: short(client.id), clientId: short(client.clientId) }, value)
          },
        }
      },
    }),
  ),
  {
    name: 'loses properties of retained messages',
    foundBy: 'a retained message keeps its properties',
    spoil: ({ storeRetained }) => ({
      storeRetained: (packet) => storeRetained({ ...packet, properties: undefined }),
    }),
  },
  {
    name: 'merges a retained message with the one before',
    foundBy: 'a retained message without properties takes the place',
    spoil: ({ storeRetained, retainedGet }) => ({
      storeRetained: async (packet) => storeRetained({ ...(await retainedGet(packet.topic)), ...packet }),
    }),
  },
  {
    name: 'keeps an empty retained message',
    foundBy: 'an empty payload removes the retained message',
    spoil: ({ storeRetained }) => ({
      storeRetained: async (packet) => (packet.payload.length === 0 ? undefined : storeRetained(packet)),
    }),
  },
  {
    name: 'finds $ topics with #',
    foundBy: 'no wildcard at the first level finds a retained message',
    spoil: ({ createRetainedStreamCombi }) => ({
      createRetainedStream: (topicFilter) =>
        createRetainedStreamCombi(topicFilter === '#' ? ['#', '$SYS/#'] : [topicFilter]),
    }),
  },
  {
    name: 'does not find empty levels',
    foundBy: '\\+ finds retained messages with an empty level',
    spoil: ({ createRetainedStream }) => ({
      createRetainedStream: (topicFilter) =>
        change(createRetainedStream(topicFilter), (packet) => (packet.topic.endsWith('/') ? [] : [packet])),
    }),
  },
  {
    name: 'takes brackets for a pattern',
    foundBy: 'characters that mean something elsewhere mean nothing in a Topic Name',
    spoil: ({ createRetainedStream }) => ({
      createRetainedStream: (topicFilter) => createRetainedStream(topicFilter.replaceAll(/\[(.)\]/g, '$1')),
    }),
  },
  {
    name: 'finds retained messages of the first filter only',
    foundBy: 'several filters find every retained message',
    spoil: ({ createRetainedStream }) => ({
      createRetainedStreamCombi: ([topicFilter = '']) => createRetainedStream(topicFilter),
    }),
  },
  ...(
    ['rh', 'rap', 'nl', 'subscriptionIdentifier', 'grantedTopic', 'requestedQos', 'byApplication', 'ownCopy'] as const
  ).map(
    (field): Fault => ({
      name: `loses ${field} of a subscription`,
      foundBy: 'a subscription keeps ',
      spoil: ({ addSubscriptions, subscriptionsByClient }) => ({
        addSubscriptions,
        async subscriptionsByClient(client) {
          const stored = await subscriptionsByClient(client)
          return stored.map((each): PersistedSubscription => ({ ...each, [field]: undefined }))
        },
      }),
    }),
  ),
  {
    name: 'adds a subscription that is there already once more',
    foundBy: 'a subscription that replaces another',
    spoil({ addSubscriptions, subscriptionsByClient }) {
      const all: PersistedSubscription[] = []
      return {
        addSubscriptions: async (client, subscriptions) => {
          all.push(...subscriptions)
          await addSubscriptions(client, subscriptions)
        },
        subscriptionsByClient: async (client) => (client.id === 'c' ? all : subscriptionsByClient(client)),
      }
    },
  },
  {
    name: 'matches subscriptions at QoS 0',
    foundBy: 'a subscription at QoS 0 is kept',
    spoil: ({ addSubscriptions, countOffline }) => ({
      addSubscriptions: (client, subscriptions) =>
        addSubscriptions(
          client,
          subscriptions.map((each) => ({ ...each, qos: each.qos === 0 ? 1 : each.qos })),
        ),
      countOffline,
    }),
  },
  {
    name: 'removes all subscriptions with one',
    foundBy: 'a Client has its subscriptions until they are removed',
    spoil: ({ cleanSubscriptions }) => ({ removeSubscriptions: (client) => cleanSubscriptions(client) }),
  },
  {
    name: 'loses the delay of a Will',
    foundBy: 'a Will keeps its properties, and is listed',
    spoil: ({ putWill }) => ({
      putWill: (client, will) => {
        const { willDelayInterval: _, ...properties } = will.properties ?? {}
        return putWill(client, { ...will, properties })
      },
    }),
  },
  {
    name: 'lists Wills of brokers that are alive',
    foundBy: 'a Will keeps its properties, and is listed',
    spoil: ({ streamWill }) => ({ streamWill: () => streamWill({}) }),
  },
  {
    name: 'keeps two Wills of a Client',
    foundBy: 'a Will takes the place of the one before it',
    spoil({ putWill, streamWill }) {
      const all: PersistedWill[] = []
      return {
        putWill: async (client, will) => {
          all.push(will)
          await putWill(client, will)
        },
        streamWill: (brokers) => change(streamWill(brokers), () => all),
      }
    },
  },
  {
    name: 'deletes all QoS 2 messages that came in with one',
    foundBy: 'a QoS 2 message that came in is kept',
    spoil: ({ cleanIncoming }) => ({ incomingDelPacket: (client) => cleanIncoming(client) }),
  },
  {
    name: 'loses what is added while something else is added',
    foundBy: 'calls about one Client at once are all done',
    spoil({ addSubscriptions }) {
      let adding = false
      return {
        async addSubscriptions(client, subscriptions) {
          if (adding && subscriptions.length === 1) return
          adding = true
          await addSubscriptions(client, subscriptions)
          adding = false
        },
        removeSubscriptions: async () => undefined,
      }
    },
  },
  {
    name: 'never answers the second of two calls at once',
    foundBy: 'calls about one Client at once are all done',
    spoil({ addSubscriptions }) {
      let adding = 0
      return {
        async addSubscriptions(client, subscriptions) {
          adding += 1
          if (adding > 1) await new Promise(() => undefined)
          await addSubscriptions(client, subscriptions)
          adding -= 1
        },
      }
    },
  },
  forgets('forgets queues', 'a queued message keeps its properties', (store) => void store.cleanOutgoing({ id: 'c' })),
  forgets('forgets QoS 2 messages', 'a QoS 2 message that came in', (store) => void store.cleanIncoming({ id: 'c' })),
  forgets('forgets Wills', 'a Will keeps its properties', (store) => void store.delWill({ id: 'c' })),
  forgets('forgets subscriptions', 'a subscription keeps', (store) => void store.cleanSubscriptions({ id: 'c' })),
  forgets('forgets a retained message', 'a retained message keeps', (store) => {
    void store.storeRetained({ cmd: 'publish', topic: 'a', payload: Buffer.alloc(0), qos: 0, retain: true })
  }),

  // What `commit` and `readAll` are for.
  {
    name: 'has commit and no readAll',
    foundBy: 'a store that has one of commit and readAll has both',
    spoil: () => ({ readAll: undefined }) as unknown as Partial<Persistence>, // which the types do not allow
  },
  {
    name: 'gives the same topic twice',
    foundBy: 'a retained message is replaced as a whole',
    spoil: ({ readAll }) => ({ readAll: () => change(readAll(), (piece) => [piece, piece]) }),
  },
  ignores('session', 'a session without anything in it'),
  ignores('end session', 'the end of a session leaves nothing'),
  ignores('subscribe', 'commit: a subscription keeps everything'),
  ignores('unsubscribe', 'commit: a subscription keeps everything'),
  ignores('send', 'a message is sent, sent anew'),
  ignores('release', 'a message is sent, sent anew'),
  ignores('complete', 'a message is sent, sent anew'),
  ignores('discard', 'a message is discarded'),
  ignores('incoming done', 'a Packet Identifier that came in stays taken'),
  ignores('will', 'commit: a Will keeps its properties'),
  ...(['queue', 'subscriptions', 'incoming', 'will'] as const).map(
    (part): Fault => ({
      name: `leaves the ${part} of a session that ended`,
      foundBy: 'the end of a session leaves nothing',
      spoil({ commit, model }) {
        return {
          async commit(operations) {
            for (const operation of operations) {
              if (operation.kind !== 'end session') {
                await commit([operation])
                continue
              }
              const ended = model.sessions.get(operation.clientId)
              await commit([operation])
              if (ended === undefined) continue
              await commit([{ kind: 'session', clientId: operation.clientId, session: ended.session }])
              const left = model.sessions.get(operation.clientId)!
              if (part === 'queue') left.waiting = ended.waiting
              if (part === 'will') left.will = ended.will
              if (part === 'incoming') for (const messageId of ended.incoming) left.incoming.add(messageId)
              if (part === 'subscriptions') for (const each of ended.subscriptions) left.subscriptions.set(...each)
            }
          },
        }
      },
    }),
  ),
  committed(
    'begins a session anew when something is said of it',
    'what is said of a session changes nothing',
    (operation) =>
      operation.kind === 'session' ? [{ kind: 'end session', clientId: operation.clientId }, operation] : [operation],
  ),
  committed(
    'adds to a subscription that is there',
    'commit: a subscription keeps everything',
    (operation, { model }) => {
      if (operation.kind !== 'subscribe') return [operation]
      const before = model.sessions.get(operation.clientId)?.subscriptions
      return [
        {
          ...operation,
          subscriptions: operation.subscriptions.map((each) => ({ ...before?.get(each.topic), ...each })),
        },
      ]
    },
  ),
  committed('loses the properties of a Will', 'commit: a Will keeps its properties', (operation) =>
    operation.kind === 'will' && operation.will !== undefined
      ? [{ ...operation, will: { ...operation.will, properties: undefined } }]
      : [operation],
  ),
  ...(['qos', 'retain', 'subscriptionIdentifiers', 'sharedFilter', 'messageId'] as const).map((field) =>
    committed(`shares ${field} between targets`, 'and each target what is its own', (operation) => {
      if (operation.kind !== 'publish' || operation.targets.length === 0) return [operation]
      const value = operation.targets.at(-1)?.[field]
      return [{ ...operation, targets: operation.targets.map((each) => ({ ...each, [field]: value })) }]
    }),
  ),
  committed('retains what is not to be retained', 'a message that is not retained leaves', (operation) =>
    operation.kind === 'publish' ? [{ ...operation, retain: operation.packet.retain }] : [operation],
  ),
  committed('loses a User Property', 'a queued message keeps its properties, and each target', (operation) =>
    operation.kind === 'publish' ? [{ ...operation, packet: withoutLast(operation.packet) }] : [operation],
  ),
  committed('finds a message by its number alone', 'names of messages', (operation, { model }) => {
    if (operation.kind !== 'discard') return [operation]
    const queues = operation.clientIds.flatMap((clientId) => model.sessions.get(clientId)?.waiting ?? [])
    const same = queues.filter(({ packet }) => packet.brokerCounter === operation.brokerCounter)
    return same.map(({ packet: { brokerId = '' } }) => ({ ...operation, brokerId }))
  }),
  committed('discards from all queues', 'a message is discarded from those queues', (operation, { model }) =>
    operation.kind === 'discard' ? [{ ...operation, clientIds: [...model.sessions.keys()] }] : [operation],
  ),
  committed('completes at the release', 'a message is sent, sent anew', (operation) =>
    operation.kind === 'release' ? [{ ...operation, kind: 'complete' }] : [operation],
  ),
  committed(
    'takes the first message for one that is not there',
    'on what is not there change nothing',
    (operation, { model }) => {
      if (operation.kind !== 'send') return [operation]
      const { brokerId, brokerCounter } = model.sessions.get(operation.clientId)?.waiting[0]?.packet ?? operation
      return [{ ...operation, brokerId: brokerId!, brokerCounter: brokerCounter! }]
    },
  ),
  read('gives what waits in the order of its numbers', 'what was sent comes before what waits', ({ queue }) => ({
    queue: [...queue].toSorted((a, b) => Number(a.packet.brokerCounter) - Number(b.packet.brokerCounter)),
  })),
  read('puts a PUBREL first', 'a message is sent, sent anew', ({ queue }) => ({
    queue: [...queue].toSorted((a, b) => Number(b.packet.cmd === 'pubrel') - Number(a.packet.cmd === 'pubrel')),
  })),
  read('loses whose a session is', 'a session without anything in it', ({ session }) => ({
    session: { ...session, owner: undefined },
  })),
  read('loses when a session ends', 'a session without anything in it', ({ session }) => ({
    session: { ...session, expiresAt: null },
  })),
  read('reads no more than 1,000 messages', '5,000 messages wait', ({ queue }) => ({
    queue: [...queue].slice(0, 1000),
  })),
  {
    name: 'does one operation after the other',
    foundBy: 'whoever reads during a commit',
    spoil: ({ commit }) => ({
      async commit(operations) {
        for (const operation of operations) await commit([operation])
      },
    }),
  },
  {
    name: 'does an operation for one queue after the other',
    foundBy: 'whoever reads during a commit',
    spoil: ({ commit }) => ({
      async commit(operations) {
        const targets = operations.flatMap((each) => (each.kind === 'publish' ? each.targets : []))
        for (const clientId of new Set(targets.map((each) => each.clientId))) {
          const mine = operations.flatMap((each) => {
            if (each.kind !== 'publish' || each.targets.length === 0) return []
            return [{ ...each, targets: each.targets.filter((target) => target.clientId === clientId) }]
          })
          await commit(mine)
        }
        await commit(operations.filter((each) => each.kind !== 'publish' || each.targets.length === 0))
      },
    }),
  },
  {
    name: 'does large commits later than small ones',
    foundBy: 'commits that overlap are done in the order',
    spoil: ({ commit }) => ({
      async commit(operations) {
        const isLarge = operations.some((each) => each.kind === 'publish' && each.packet.payload.length > 1000)
        if (isLarge) await new Promise(setImmediate)
        await commit(operations)
      },
    }),
  },
  {
    name: 'answers before it is done, and forgets the rest',
    foundBy: 'what resolved is there',
    spoil({ commit }) {
      let calls = 0
      return {
        async commit(operations) {
          calls += 1
          if (calls % 10 !== 0) await commit(operations)
        },
      }
    },
  },
  {
    name: 'writes on what it is given',
    foundBy: 'what a store is given stays as it is',
    spoil: ({ commit }) => ({
      async commit(operations) {
        for (const each of operations) if (each.kind === 'will' && each.will) each.will.clientId = each.clientId
        await commit(operations)
      },
    }),
  },
  {
    name: 'gives strange identifiers to plain objects',
    foundBy: 'sessions with strange Client Identifiers',
    spoil: ({ readAll }) => ({
      readAll: () =>
        change(readAll(), (piece) => (piece.kind === 'session' && piece.clientId === '__proto__' ? [] : [piece])),
    }),
  },
  {
    name: 'gives another queue by readSession',
    foundBy: 'a message is sent, sent anew',
    spoil: ({ readSession }) => ({
      readSession: async (clientId) => {
        const session = await readSession(clientId)
        return session && { ...session, queue: [] }
      },
    }),
  },
  committed('forgets a Packet Identifier once it is complete', 'random operations', (operation) =>
    operation.kind === 'complete' && operation.messageId % 17 === 0 ? [] : [operation],
  ),
  forgets('forgets a session without anything in it', 'a session without anything in it', ({ model }) => {
    for (const [clientId, { waiting }] of model.sessions) if (waiting.length === 0) model.sessions.delete(clientId)
  }),
  forgets('forgets what was released', 'a message is sent, sent anew', ({ model }) => {
    for (const session of model.sessions.values())
      session.sent = session.sent.filter(({ target }) => target !== undefined)
  }),
  forgets('forgets Packet Identifiers', 'random operations', ({ model }) => {
    for (const session of model.sessions.values()) {
      session.sent = session.sent.map((item) =>
        item.target === undefined ? item : { ...item, target: { ...item.target, messageId: 1 } },
      )
    }
  }),
  forgets('brings back what was discarded', 'a message is discarded', ({ model }) => {
    const [first] = model.sessions.get('c')?.waiting ?? []
    if (first !== undefined) model.sessions.get('c')?.waiting.push(first)
  }),
]

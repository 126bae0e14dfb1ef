import type {
  MatchedSubscription,
  PersistedPacket,
  PersistedPublish,
  PersistedSessionState,
  PersistedState,
  PersistedSubscription,
  PersistedWill,
  Persistence,
  PersistenceBroker,
  PersistenceCapabilities,
  PersistenceClient,
  PersistenceOperation,
} from '../../../types/persistence.ts'
import type { Storage, StorageBroker } from '../../../types/storage.ts'
import { brokerHandle } from '../broker-handle.ts'
import { SubscriptionTree } from '../../topics/subscription-tree.ts'
import type { TopicTrie } from '../../topics/topic-trie.ts'
import { copyOf, Entry, packetIn, packetOf, type StoredMessage } from './stored-queue.ts'
import { type LogRecord, type Sequenced, sequencesOf, type StoredSubscription, StoredState } from './stored-state.ts'

/**
 * Stores everything in memory, until the process ends: a `Storage`, and a persistence with the whole contract of
 * aedes-persistence 11.
 * A wildcard at the first level does not find `$…` topics, neither retained messages nor subscriptions [MQTT-4.7.2-1];
 * the suite of aedes-persistence leaves that open. Returned objects are shared and must not be changed, unless noted.
 */
export class MemoryPersistence implements Persistence, Storage {
  readonly capabilities: PersistenceCapabilities = { packetProperties: true, ordered: true, atomic: true }
  readonly #tree = new SubscriptionTree<MatchedSubscription>()
  readonly #state = new StoredState(undefined, this.#tree)
  #order = 0
  #broker: PersistenceBroker | undefined = undefined
  #destroyed = false

  get broker(): PersistenceBroker {
    if (this.#broker === undefined) throw new Error('setup() was not called')
    return this.#broker
  }

  /** The number of queues in memory. */
  get queueCount(): number {
    return this.#state.outgoing.size
  }

  async setup(broker: PersistenceBroker): Promise<void> {
    this.#broker = broker
  }

  async destroy(): Promise<void> {
    if (this.#destroyed) throw new Error('destroy() was called before')
    this.#destroyed = true
  }

  /** Calls `setup`, which a class that extends this one may override. It needs nothing of the broker itself. */
  async open(broker?: StorageBroker): Promise<void> {
    if (broker !== undefined) await this.setup(brokerHandle(broker.id, broker.emitter))
  }

  /** Calls `destroy`. */
  async close(): Promise<void> {
    await this.destroy()
  }

  async commit(operations: readonly PersistenceOperation[]): Promise<void> {
    await this.#perform(operations)
  }

  readAll(): MemoryStream<PersistedState> {
    return new MemoryStream(this.#state.all())
  }

  async readSession(clientId: string): Promise<PersistedSessionState | undefined> {
    return this.#state.session(clientId)
  }

  /** Applies all changes; resolves with the result of {@link StoredState.apply} for the last one. */
  async #perform(changes: readonly LogRecord[]): Promise<unknown> {
    let result: unknown
    for (const change of changes) {
      result = this.#state.apply(change, this.#order)
      this.#order += sequencesOf(change)
    }
    return result
  }

  async storeRetained(packet: PersistedPublish): Promise<void> {
    await this.#perform([{ kind: 'publish', packet: { ...packet }, targets: [], retain: true }])
  }

  async retainedGet(topic: string): Promise<PersistedPublish | undefined> {
    const stored = this.#state.retained.get(topic)
    return stored === undefined ? undefined : packetIn(stored.value)
  }

  createRetainedStream(topicFilter: string): MemoryStream<PersistedPublish> {
    return new MemoryStream(matchAny(this.#state.retained, [topicFilter]))
  }

  /** Returns a message once, also if several filters match it. */
  createRetainedStreamCombi(topicFilters: readonly string[]): MemoryStream<PersistedPublish> {
    return new MemoryStream(matchAny(this.#state.retained, topicFilters))
  }

  async addSubscriptions(client: PersistenceClient, subscriptions: readonly PersistedSubscription[]): Promise<void> {
    await this.#perform([{ kind: 'subscribe', clientId: client.id, subscriptions }])
  }

  async removeSubscriptions(client: PersistenceClient, topicFilters: readonly string[]): Promise<void> {
    await this.#perform([{ kind: 'unsubscribe', clientId: client.id, topicFilters }])
  }

  async cleanSubscriptions(client: PersistenceClient): Promise<void> {
    await this.#perform([{ kind: 'clean subscriptions', clientId: client.id }])
  }

  async subscriptionsByClient(client: PersistenceClient): Promise<PersistedSubscription[]> {
    return Array.from(this.#state.subscriptions.get(client.id)?.values() ?? [], ({ subscription }) => subscription)
  }

  async subscriptionsByTopic(topic: string): Promise<MatchedSubscription[]> {
    const found: MatchedSubscription[] = []
    this.#tree.match(topic, found)
    return found
  }

  allSubscriptions(): MemoryStream<{ clientId: string; subscription: PersistedSubscription }> {
    return new MemoryStream(everySubscription(this.#state.subscriptions))
  }

  async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    return { subsCount: this.#tree.size, clientsCount: this.#state.subscriptions.size }
  }

  getClientList(topicFilter: string): MemoryStream<string> {
    return new MemoryStream(clientsWith(this.#state.subscriptions, topicFilter))
  }

  async outgoingEnqueue(target: { readonly clientId: string }, packet: PersistedPublish): Promise<void> {
    await this.outgoingEnqueueCombi([target], packet)
  }

  async outgoingEnqueueCombi(
    clients: readonly { readonly clientId: string }[],
    packet: PersistedPublish,
  ): Promise<void> {
    const { qos, retain } = packet
    const targets = clients.map(({ clientId }) => ({ clientId, qos, retain }))
    await this.#perform([{ kind: 'publish', packet: copyOf(packet, undefined, packet), targets, retain: false }])
  }

  async outgoingUpdate(client: PersistenceClient, packet: PersistedPacket): Promise<void> {
    const updated = await this.#perform([{ kind: 'update', clientId: client.id, packet: { ...packet } }])
    if (updated !== true) throw new Error('no such packet')
  }

  /** The returned packet belongs to the caller. */
  async outgoingClearMessageId(
    client: PersistenceClient,
    { messageId }: { readonly messageId: number },
  ): Promise<PersistedPacket | undefined> {
    const removed = await this.#perform([{ kind: 'complete', clientId: client.id, messageId }])
    return removed instanceof Entry ? packetOf(removed) : undefined
  }

  /** The returned packets belong to the caller. */
  outgoingStream(client: PersistenceClient): MemoryStream<PersistedPacket> {
    return new MemoryStream(this.#state.outgoing.get(client.id)?.packets() ?? [])
  }

  async cleanOutgoing(client: PersistenceClient): Promise<void> {
    await this.#perform([{ kind: 'clean outgoing', clientId: client.id }])
  }

  async incomingStorePacket(client: PersistenceClient, packet: PersistedPublish): Promise<void> {
    const { messageId } = packet
    if (messageId === undefined) throw new TypeError('messageId: expected a Packet Identifier, got undefined')
    await this.#perform([
      { kind: 'incoming', clientId: client.id, messageId, packet: copyOf(packet, messageId, packet) },
    ])
  }

  /** Does not find messages of `commit`, of which only the Packet Identifier is stored. */
  async incomingGetPacket(
    client: PersistenceClient,
    packet: { readonly messageId: number },
  ): Promise<PersistedPublish> {
    const stored = this.#state.incoming.get(client.id)?.get(packet.messageId)?.value
    if (stored === undefined) throw new Error('no such packet')
    return stored
  }

  async incomingDelPacket(client: PersistenceClient, { messageId }: { readonly messageId: number }): Promise<void> {
    const removed = await this.#perform([{ kind: 'incoming done', clientId: client.id, messageId }])
    if (removed !== true) throw new Error('no such packet')
  }

  async cleanIncoming(client: PersistenceClient): Promise<void> {
    await this.#perform([{ kind: 'clean incoming', clientId: client.id }])
  }

  async putWill(client: PersistenceClient, will: PersistedWill): Promise<void> {
    // On the object itself, where the suite of aedes-persistence expects it.
    will.clientId = client.id
    will.brokerId = this.broker.id
    await this.#perform([{ kind: 'will', clientId: client.id, will }])
  }

  async getWill(client: PersistenceClient): Promise<PersistedWill | undefined> {
    return this.#state.wills.get(client.id)?.value
  }

  async delWill(client: PersistenceClient): Promise<PersistedWill | undefined> {
    const will = this.#state.wills.get(client.id)?.value
    await this.#perform([{ kind: 'will', clientId: client.id, will: undefined }])
    return will
  }

  streamWill(brokers: Readonly<Record<string, unknown>> = {}): MemoryStream<PersistedWill> {
    return new MemoryStream(willsOfOthers(this.#state.wills, brokers))
  }
}

/** A list that can be read with `for await`, as the contract says, and with `for`, without a promise for each item. */
export class MemoryStream<T> implements AsyncIterable<T>, Iterable<T> {
  /** The suite of aedes-persistence reads it and expects the 1 of `Readable.from`. */
  readonly readableHighWaterMark = 1
  readonly #items: Iterable<T>

  constructor(items: Iterable<T>) {
    this.#items = items
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#items[Symbol.iterator]()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (const item of this.#items) yield item
  }
}

function* matchAny(
  retained: TopicTrie<Sequenced<StoredMessage>>,
  topicFilters: readonly string[],
): Generator<PersistedPublish> {
  const given = topicFilters.length > 1 ? new Set<PersistedPublish>() : undefined
  for (const topicFilter of topicFilters) {
    for (const { value } of retained.match(topicFilter)) {
      const packet = packetIn(value)
      if (given?.has(packet)) continue
      given?.add(packet)
      yield packet
    }
  }
}

function* everySubscription(
  subscriptions: ReadonlyMap<string, ReadonlyMap<string, StoredSubscription>>,
): Generator<{ clientId: string; subscription: PersistedSubscription }> {
  for (const [clientId, stored] of subscriptions) {
    for (const { subscription } of stored.values()) yield { clientId, subscription }
  }
}

function* clientsWith(
  subscriptions: ReadonlyMap<string, ReadonlyMap<string, StoredSubscription>>,
  topicFilter: string,
): Generator<string> {
  for (const [clientId, stored] of subscriptions) if (stored.has(topicFilter)) yield clientId
}

function* willsOfOthers(
  wills: ReadonlyMap<string, Sequenced<PersistedWill>>,
  brokers: Readonly<Record<string, unknown>>,
): Generator<PersistedWill> {
  for (const [clientId, { value: will }] of wills) {
    if (will.brokerId === undefined || !Object.hasOwn(brokers, will.brokerId)) {
      yield will.clientId === undefined ? { ...will, clientId } : will
    }
  }
}

import type {
  MatchedSubscription,
  PersistedPacket,
  PersistedPublish,
  PersistedSubscription,
  PersistedWill,
  Persistence,
  PersistenceBroker,
  PersistenceCapabilities,
  PersistenceClient,
} from '../../types/persistence.ts'
import { SubscriptionTree } from '../topics/subscription-tree.ts'
import { TopicTrie } from '../topics/topic-trie.ts'
import { copyOf, OutgoingQueue } from './outgoing-queue.ts'

interface Stored {
  readonly subscription: PersistedSubscription
  /** What the tree holds, above QoS 0. */
  readonly matched: MatchedSubscription | undefined
}

/** A queue that runs empty is likely to be used again soon, so some are kept; but not for every Client there ever was. */
const KEPT_QUEUES = 1000

/**
 * Keeps everything in this process, and loses it with the process.
 * A wildcard at the first level does not find `$…` topics, neither retained messages nor subscriptions [MQTT-4.7.2-1];
 * the suite of aedes-persistence leaves that open. What is returned is shared and must not be changed, unless noted.
 */
export class MemoryPersistence implements Persistence {
  readonly capabilities: PersistenceCapabilities = { packetProperties: true, ordered: true }
  readonly #retained = new TopicTrie<PersistedPublish>()
  /** By Client Identifier, then by Topic Filter. */
  readonly #subscriptions = new Map<string, Map<string, Stored>>()
  readonly #tree = new SubscriptionTree<MatchedSubscription>()
  readonly #outgoing = new Map<string, OutgoingQueue>()
  #emptyQueues = 0
  /** By Client Identifier, then by Packet Identifier. */
  readonly #incoming = new Map<string, Map<number, PersistedPublish>>()
  readonly #wills = new Map<string, PersistedWill>()
  #broker: PersistenceBroker | undefined = undefined
  #destroyed = false

  get broker(): PersistenceBroker {
    if (this.#broker === undefined) throw new Error('setup() was not called')
    return this.#broker
  }

  /** How many queues are kept, for those who watch memory. */
  get queueCount(): number {
    return this.#outgoing.size
  }

  async setup(broker: PersistenceBroker): Promise<void> {
    this.#broker = broker
  }

  async destroy(): Promise<void> {
    if (this.#destroyed) throw new Error('destroy() was called before')
    this.#destroyed = true
  }

  async storeRetained(packet: PersistedPublish): Promise<void> {
    if (packet.payload.length === 0) this.#retained.delete(packet.topic)
    else this.#retained.set(packet.topic, { ...packet })
  }

  async retainedGet(topic: string): Promise<PersistedPublish | undefined> {
    return this.#retained.get(topic)
  }

  createRetainedStream(topicFilter: string): Answer<PersistedPublish> {
    return new Answer(this.#retained.match(topicFilter))
  }

  /** Gives a message once, also when several filters match it. */
  createRetainedStreamCombi(topicFilters: readonly string[]): Answer<PersistedPublish> {
    return new Answer(matchAny(this.#retained, topicFilters))
  }

  async addSubscriptions(client: PersistenceClient, subscriptions: readonly PersistedSubscription[]): Promise<void> {
    let stored = this.#subscriptions.get(client.id)
    if (stored === undefined) {
      stored = new Map()
      this.#subscriptions.set(client.id, stored)
    }
    for (const { topic, qos, rh, rap, nl, subscriptionIdentifier } of subscriptions) {
      this.#unmatch(stored.get(topic))
      const subscription: PersistedSubscription = { topic, qos, rh, rap, nl }
      const matched = qos > 0 ? { clientId: client.id, ...subscription } : undefined
      if (matched !== undefined) this.#tree.add(topic, matched)
      stored.set(topic, {
        subscription: subscriptionIdentifier === undefined ? subscription : { ...subscription, subscriptionIdentifier },
        matched,
      })
    }
  }

  async removeSubscriptions(client: PersistenceClient, topicFilters: readonly string[]): Promise<void> {
    const stored = this.#subscriptions.get(client.id)
    if (stored === undefined) return
    for (const topicFilter of topicFilters) {
      this.#unmatch(stored.get(topicFilter))
      stored.delete(topicFilter)
    }
    if (stored.size === 0) this.#subscriptions.delete(client.id)
  }

  async cleanSubscriptions(client: PersistenceClient): Promise<void> {
    for (const stored of this.#subscriptions.get(client.id)?.values() ?? []) this.#unmatch(stored)
    this.#subscriptions.delete(client.id)
  }

  async subscriptionsByClient(client: PersistenceClient): Promise<PersistedSubscription[]> {
    return Array.from(this.#subscriptions.get(client.id)?.values() ?? [], ({ subscription }) => subscription)
  }

  async subscriptionsByTopic(topic: string): Promise<MatchedSubscription[]> {
    const found: MatchedSubscription[] = []
    this.#tree.match(topic, found)
    return found
  }

  allSubscriptions(): Answer<{ clientId: string; subscription: PersistedSubscription }> {
    return new Answer(everySubscription(this.#subscriptions))
  }

  async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    return { subsCount: this.#tree.size, clientsCount: this.#subscriptions.size }
  }

  getClientList(topicFilter: string): Answer<string> {
    return new Answer(clientsWith(this.#subscriptions, topicFilter))
  }

  async outgoingEnqueue(target: { readonly clientId: string }, packet: PersistedPublish): Promise<void> {
    this.#enqueue(target.clientId, copyOf(packet, undefined))
  }

  async outgoingEnqueueCombi(
    targets: readonly { readonly clientId: string }[],
    packet: PersistedPublish,
  ): Promise<void> {
    const shared = copyOf(packet, undefined)
    for (const { clientId } of targets) this.#enqueue(clientId, shared)
  }

  async outgoingUpdate(client: PersistenceClient, packet: PersistedPacket): Promise<void> {
    if (this.#outgoing.get(client.id)?.update(packet) !== true) throw new Error('no such packet')
  }

  /** What it returns belongs to the caller. */
  async outgoingClearMessageId(
    client: PersistenceClient,
    packet: { readonly messageId: number },
  ): Promise<PersistedPacket | undefined> {
    const queue = this.#outgoing.get(client.id)
    const removed = queue?.remove(packet.messageId)
    if (removed !== undefined && queue?.length === 0) {
      this.#emptyQueues += 1
      if (this.#emptyQueues > KEPT_QUEUES && this.#emptyQueues > this.#outgoing.size / 2) this.#removeEmptyQueues()
    }
    return removed
  }

  /** What it gives belongs to the caller. */
  outgoingStream(client: PersistenceClient): Answer<PersistedPacket> {
    return new Answer(this.#outgoing.get(client.id)?.packets() ?? [])
  }

  async cleanOutgoing(client: PersistenceClient): Promise<void> {
    if (this.#outgoing.get(client.id)?.length === 0) this.#emptyQueues -= 1
    this.#outgoing.delete(client.id)
  }

  async incomingStorePacket(client: PersistenceClient, packet: PersistedPublish): Promise<void> {
    if (packet.messageId === undefined) throw new TypeError('messageId: expected a Packet Identifier, got undefined')
    let stored = this.#incoming.get(client.id)
    if (stored === undefined) {
      stored = new Map()
      this.#incoming.set(client.id, stored)
    }
    stored.set(packet.messageId, copyOf(packet, packet.messageId))
  }

  async incomingGetPacket(
    client: PersistenceClient,
    packet: { readonly messageId: number },
  ): Promise<PersistedPublish> {
    const stored = this.#incoming.get(client.id)?.get(packet.messageId)
    if (stored === undefined) throw new Error('no such packet')
    return stored
  }

  async incomingDelPacket(client: PersistenceClient, packet: { readonly messageId: number }): Promise<void> {
    const stored = this.#incoming.get(client.id)
    if (stored?.delete(packet.messageId) !== true) throw new Error('no such packet')
    if (stored.size === 0) this.#incoming.delete(client.id)
  }

  async cleanIncoming(client: PersistenceClient): Promise<void> {
    this.#incoming.delete(client.id)
  }

  async putWill(client: PersistenceClient, will: PersistedWill): Promise<void> {
    // On the object itself: the suite of aedes-persistence looks for it there.
    will.clientId = client.id
    will.brokerId = this.broker.id
    this.#wills.set(client.id, will)
  }

  async getWill(client: PersistenceClient): Promise<PersistedWill | undefined> {
    return this.#wills.get(client.id)
  }

  async delWill(client: PersistenceClient): Promise<PersistedWill | undefined> {
    const will = this.#wills.get(client.id)
    this.#wills.delete(client.id)
    return will
  }

  streamWill(brokers: Readonly<Record<string, unknown>> = {}): Answer<PersistedWill> {
    return new Answer(willsOfOthers(this.#wills, brokers))
  }

  #unmatch(stored: Stored | undefined): void {
    if (stored?.matched !== undefined) this.#tree.remove(stored.subscription.topic, stored.matched)
  }

  #enqueue(clientId: string, packet: PersistedPublish): void {
    let queue = this.#outgoing.get(clientId)
    if (queue === undefined) {
      queue = new OutgoingQueue()
      this.#outgoing.set(clientId, queue)
    } else if (queue.length === 0) this.#emptyQueues -= 1
    queue.push(packet)
  }

  #removeEmptyQueues(): void {
    for (const [clientId, queue] of this.#outgoing) if (queue.length === 0) this.#outgoing.delete(clientId)
    this.#emptyQueues = 0
  }
}

/** An answer in memory: `for await` reads it as the contract says, and `for` reads it without a promise per item. */
export class Answer<T> implements AsyncIterable<T>, Iterable<T> {
  /** The suite of aedes-persistence asks for it, and counts on the 1 of `Readable.from`. */
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
  retained: TopicTrie<PersistedPublish>,
  topicFilters: readonly string[],
): Generator<PersistedPublish> {
  const given = new Set<PersistedPublish>()
  for (const topicFilter of topicFilters) {
    for (const packet of retained.match(topicFilter)) {
      if (given.has(packet)) continue
      given.add(packet)
      yield packet
    }
  }
}

function* everySubscription(
  subscriptions: ReadonlyMap<string, ReadonlyMap<string, Stored>>,
): Generator<{ clientId: string; subscription: PersistedSubscription }> {
  for (const [clientId, stored] of subscriptions) {
    for (const { subscription } of stored.values()) yield { clientId, subscription }
  }
}

function* clientsWith(
  subscriptions: ReadonlyMap<string, ReadonlyMap<string, Stored>>,
  topicFilter: string,
): Generator<string> {
  for (const [clientId, stored] of subscriptions) if (stored.has(topicFilter)) yield clientId
}

function* willsOfOthers(
  wills: ReadonlyMap<string, PersistedWill>,
  brokers: Readonly<Record<string, unknown>>,
): Generator<PersistedWill> {
  for (const will of wills.values()) {
    if (will.brokerId === undefined || !Object.hasOwn(brokers, will.brokerId)) yield will
  }
}

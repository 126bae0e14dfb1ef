import type {
  MatchedSubscription,
  PersistedPacket,
  PersistedPublish,
  PersistedSessionInfo,
  PersistedSessionState,
  PersistedState,
  PersistedSubscription,
  PersistedTarget,
  PersistedWill,
  PersistenceOperation,
  PublishOperation,
} from '../../../types/persistence.ts'
import type { SubscriptionTree } from '../../topics/subscription-tree.ts'
import { TopicTrie } from '../../topics/topic-trie.ts'
import { optionalFields, subscriptionFields } from '../records.ts'
import {
  type Content,
  type DeliveryOptions,
  deliveryOptionsOf,
  Entry,
  messageIn,
  packetIn,
  SharedMessage,
  type StoredMessage,
  StoredQueue,
} from './stored-queue.ts'

/** All changes of a state: the operations of `commit`, and those of the methods of aedes. */
export type LogRecord =
  | PersistenceOperation
  /** See `Persistence.outgoingUpdate`. */
  | { readonly kind: 'update'; readonly clientId: string; readonly packet: PersistedPacket }
  /** Stores a QoS 2 message until its PUBREL; without a packet only its Packet Identifier. */
  | {
      readonly kind: 'incoming'
      readonly clientId: string
      readonly messageId: number
      readonly packet: PersistedPublish | undefined
    }
  | { readonly kind: 'clean subscriptions'; readonly clientId: string }
  | { readonly kind: 'clean outgoing'; readonly clientId: string }
  | { readonly kind: 'clean incoming'; readonly clientId: string }

/** A stored value, and the order number of its change. */
export interface Sequenced<T> {
  readonly value: T
  readonly order: number
}

export interface StoredSubscription {
  readonly subscription: PersistedSubscription
  /** The entry of the tree; undefined at QoS 0 or without a tree. */
  readonly matched: MatchedSubscription | undefined
  readonly order: number
}

/** Counts the bytes that a journal of the state needs: each object is added (1) and removed (-1). */
export interface SizeListener {
  message(packet: PersistedPublish, sign: 1 | -1): void
  entry(clientId: string, content: Entry['content'], own: DeliveryOptions, sign: 1 | -1): void
  subscription(clientId: string, subscription: PersistedSubscription, sign: 1 | -1): void
  will(clientId: string, will: PersistedWill, sign: 1 | -1): void
  session(clientId: string, session: PersistedSessionInfo, sign: 1 | -1): void
  incoming(clientId: string, packet: PersistedPublish | undefined, sign: 1 | -1): void
}

/** Empty queues are kept because most are used again soon, but not for every former Client. */
const MAX_EMPTY_QUEUES = 1000

/** The order numbers that a change takes: each entry of a queue has one of its own. */
export function sequencesOf(change: LogRecord): number {
  return change.kind === 'publish' ? Math.max(1, change.targets.length) : 1
}

/** The whole state of a store in memory, and the only place that changes it. No change waits or fails. */
export class StoredState {
  readonly retained: TopicTrie<Sequenced<StoredMessage>> = new TopicTrie()
  readonly sessions: Map<string, Sequenced<PersistedSessionInfo>> = new Map()
  /** By Client Identifier, then by Topic Filter. */
  readonly subscriptions: Map<string, Map<string, StoredSubscription>> = new Map()
  /** The subscriptions above QoS 0 by Topic Filter; only for a store with the methods of aedes. */
  readonly tree: SubscriptionTree<MatchedSubscription> | undefined
  readonly outgoing: Map<string, StoredQueue> = new Map()
  /** By Client Identifier, then by Packet Identifier. */
  readonly incoming: Map<string, Map<number, Sequenced<PersistedPublish | undefined>>> = new Map()
  readonly wills: Map<string, Sequenced<PersistedWill>> = new Map()
  #emptyQueues = 0
  readonly #size: SizeListener | undefined

  constructor(size?: SizeListener, tree?: SubscriptionTree<MatchedSubscription>) {
    this.#size = size
    this.tree = tree
  }

  /**
   * Applies a change. `order` is its first order number, higher than all before. Returns the removed object or, for an
   * update, whether there was an object to update.
   */
  apply(change: LogRecord, order: number): unknown {
    switch (change.kind) {
      case 'publish':
        return this.#publish(change, order)
      case 'session':
        return this.#setSession(change.clientId, change.session, order)
      case 'end session':
        return this.#endSession(change.clientId)
      case 'subscribe':
        return this.#subscribe(change.clientId, change.subscriptions, order)
      case 'unsubscribe':
        return this.#unsubscribe(change.clientId, change.topicFilters)
      case 'send':
        return this.outgoing.get(change.clientId)?.identify(change.brokerId, change.brokerCounter, change.messageId)
      case 'release':
        return this.#release(change.clientId, change.messageId)
      case 'complete':
        return this.#complete(change.clientId, change.messageId)
      case 'discard':
        for (const clientId of change.clientIds) this.#discard(clientId, change.brokerId, change.brokerCounter)
        return undefined
      case 'incoming':
        return this.#keepIncoming(change.clientId, change.messageId, change.packet, order)
      case 'incoming done':
        return this.#incomingDone(change.clientId, change.messageId)
      case 'will':
        return this.#setWill(change.clientId, change.will, order)
      case 'update':
        return this.#update(change)
      case 'clean subscriptions':
        return this.#cleanSubscriptions(change.clientId)
      case 'clean outgoing':
        return this.#cleanOutgoing(change.clientId)
      case 'clean incoming':
        return this.#cleanIncoming(change.clientId)
    }
  }

  /** Restores a message of a journal: its entries may exist already, and they have their former order. */
  restore(packet: PersistedPublish, order: number, retained: boolean, entries: readonly RestoredEntry[]): void {
    const isShared = entries.length + (retained ? 1 : 0) > 1
    const message = isShared ? new SharedMessage(packet) : packet
    if (retained) this.#retain(message, packet, order)
    for (const { target, order: entryOrder } of entries) {
      this.restoreEntry(target.clientId, new Entry(message, deliveryOptionsOf(target), target.messageId, entryOrder))
    }
  }

  restoreEntry(clientId: string, entry: Entry): void {
    const before = this.#queue(clientId).restore(entry)
    if (before !== undefined) this.#removed(clientId, before)
    this.#added(clientId, entry)
  }

  /** Sends a message whose order is known from a journal; see {@link StoredQueue.identifyAt}. */
  sendAt(order: number, { clientId, brokerId, brokerCounter, messageId }: Extract<LogRecord, { kind: 'send' }>): void {
    this.outgoing.get(clientId)?.identifyAt(order, brokerId, brokerCounter, messageId)
  }

  /** Discards a message whose order in this queue is known from a journal. */
  discardAt(order: number, clientId: string, brokerId: string, brokerCounter: number): void {
    const queue = this.outgoing.get(clientId)
    const entry = queue?.find(order)
    if (queue === undefined || entry === undefined) return
    for (const each of queue.namedAll(brokerId, brokerCounter, entry)) {
      if (each.messageId === undefined) this.#delete(clientId, queue, each)
    }
  }

  /** Called when the whole journal is read. */
  sort(): void {
    for (const queue of this.outgoing.values()) queue.sort()
  }

  *all(): Generator<PersistedState, void, undefined> {
    for (const { value } of this.retained.values()) yield { kind: 'retained', packet: packetIn(value) }
    for (const [clientId, { value: session }] of this.sessions) yield this.#stateOf(clientId, session)
  }

  session(clientId: string): PersistedSessionState | undefined {
    const session = this.sessions.get(clientId)
    return session === undefined ? undefined : this.#stateOf(clientId, session.value)
  }

  #stateOf(clientId: string, session: PersistedSessionInfo): PersistedSessionState {
    return {
      kind: 'session',
      clientId,
      session,
      subscriptions: Array.from(this.subscriptions.get(clientId)?.values() ?? [], ({ subscription }) => subscription),
      queue: this.outgoing.get(clientId)?.items(clientId) ?? [],
      incoming: [...(this.incoming.get(clientId)?.keys() ?? [])],
      will: this.wills.get(clientId)?.value,
    }
  }

  #publish({ packet, targets, retain, incoming }: PublishOperation, order: number): void {
    const isShared = targets.length + (retain ? 1 : 0) > 1
    const message = isShared ? new SharedMessage(packet) : packet
    if (retain) this.#retain(message, packet, order)
    let entryOrder = order
    for (const target of targets) {
      const entry = new Entry(message, deliveryOptionsOf(target), target.messageId, entryOrder)
      this.#queue(target.clientId).add(entry)
      this.#added(target.clientId, entry)
      entryOrder += 1
    }
    if (incoming !== undefined) this.#keepIncoming(incoming.clientId, incoming.messageId, undefined, order)
  }

  #retain(message: StoredMessage, { topic, payload }: PersistedPublish, order: number): void {
    let before: Sequenced<StoredMessage> | undefined
    if (payload.length === 0) before = this.retained.delete(topic)
    else {
      before = this.retained.set(topic, { value: message, order })
      this.#refer(message)
    }
    if (before !== undefined) this.#unrefer(before.value)
  }

  #setSession(clientId: string, session: PersistedSessionInfo, order: number): void {
    const before = this.sessions.get(clientId)
    if (before !== undefined) this.#size?.session(clientId, before.value, -1)
    this.sessions.set(clientId, { value: session, order })
    this.#size?.session(clientId, session, 1)
  }

  #endSession(clientId: string): void {
    const before = this.sessions.get(clientId)
    if (before !== undefined) this.#size?.session(clientId, before.value, -1)
    this.sessions.delete(clientId)
    this.#cleanSubscriptions(clientId)
    this.#cleanOutgoing(clientId)
    this.#cleanIncoming(clientId)
    this.#setWill(clientId, undefined, 0)
  }

  #subscribe(clientId: string, subscriptions: readonly PersistedSubscription[], order: number): void {
    let stored = this.subscriptions.get(clientId)
    if (stored === undefined) {
      if (subscriptions.length === 0) return
      stored = new Map()
      this.subscriptions.set(clientId, stored)
    }
    for (const given of subscriptions) {
      const { topic, qos, rh, rap, nl } = given
      this.#unsubscribed(clientId, stored.get(topic))
      const matched = qos > 0 && this.tree !== undefined ? { clientId, topic, qos, rh, rap, nl } : undefined
      if (matched !== undefined) this.tree?.add(topic, matched)
      const subscription = { topic, qos, rh, rap, nl, ...optionalFields(subscriptionFields, given) }
      stored.set(topic, { subscription, matched, order })
      this.#size?.subscription(clientId, subscription, 1)
    }
  }

  #unsubscribe(clientId: string, topicFilters: readonly string[]): void {
    const stored = this.subscriptions.get(clientId)
    if (stored === undefined) return
    for (const topicFilter of topicFilters) {
      this.#unsubscribed(clientId, stored.get(topicFilter))
      stored.delete(topicFilter)
    }
    if (stored.size === 0) this.subscriptions.delete(clientId)
  }

  #cleanSubscriptions(clientId: string): void {
    for (const stored of this.subscriptions.get(clientId)?.values() ?? []) this.#unsubscribed(clientId, stored)
    this.subscriptions.delete(clientId)
  }

  #unsubscribed(clientId: string, stored: StoredSubscription | undefined): void {
    if (stored === undefined) return
    if (stored.matched !== undefined) this.tree?.remove(stored.subscription.topic, stored.matched)
    this.#size?.subscription(clientId, stored.subscription, -1)
  }

  #release(clientId: string, messageId: number): void {
    const entry = this.outgoing.get(clientId)?.identified(messageId)
    const packet = entry === undefined ? undefined : messageIn(entry.content)
    if (entry === undefined || packet === undefined) return
    this.#removed(clientId, entry)
    entry.content = { cmd: 'pubrel', messageId, brokerId: packet.brokerId, brokerCounter: packet.brokerCounter }
    this.#added(clientId, entry)
  }

  #complete(clientId: string, messageId: number): Entry | undefined {
    const queue = this.outgoing.get(clientId)
    const entry = queue?.identified(messageId)
    if (queue !== undefined && entry !== undefined) this.#delete(clientId, queue, entry)
    return entry
  }

  #discard(clientId: string, brokerId: string, brokerCounter: number): void {
    const queue = this.outgoing.get(clientId)
    if (queue === undefined) return
    for (const entry of queue.namedAll(brokerId, brokerCounter)) {
      if (entry.messageId === undefined) this.#delete(clientId, queue, entry)
    }
  }

  #update({ clientId, packet }: Extract<LogRecord, { kind: 'update' }>): boolean {
    const queue = this.outgoing.get(clientId)
    if (queue === undefined) return false
    const entry = packet.messageId === undefined ? undefined : queue.identified(packet.messageId)
    const before = entry === undefined ? undefined : { content: entry.content, own: entry.own }
    const updated = queue.update(packet)
    if (entry !== undefined && before !== undefined && entry.content !== before.content) {
      this.#removed(clientId, before)
      this.#added(clientId, entry)
    }
    return updated
  }

  #cleanOutgoing(clientId: string): void {
    const queue = this.outgoing.get(clientId)
    if (queue === undefined) return
    for (const entry of queue.entries()) this.#removed(clientId, entry)
    if (queue.length === 0) this.#emptyQueues -= 1
    this.outgoing.delete(clientId)
  }

  #keepIncoming(clientId: string, messageId: number, packet: PersistedPublish | undefined, order: number): void {
    let stored = this.incoming.get(clientId)
    if (stored === undefined) {
      stored = new Map()
      this.incoming.set(clientId, stored)
    }
    const before = stored.get(messageId)
    if (before !== undefined) this.#size?.incoming(clientId, before.value, -1)
    stored.set(messageId, { value: packet, order })
    this.#size?.incoming(clientId, packet, 1)
  }

  #incomingDone(clientId: string, messageId: number): boolean {
    const stored = this.incoming.get(clientId)
    const before = stored?.get(messageId)
    if (stored === undefined || before === undefined) return false
    this.#size?.incoming(clientId, before.value, -1)
    stored.delete(messageId)
    if (stored.size === 0) this.incoming.delete(clientId)
    return true
  }

  #cleanIncoming(clientId: string): void {
    for (const { value } of this.incoming.get(clientId)?.values() ?? []) this.#size?.incoming(clientId, value, -1)
    this.incoming.delete(clientId)
  }

  #setWill(clientId: string, will: PersistedWill | undefined, order: number): PersistedWill | undefined {
    const before = this.wills.get(clientId)?.value
    if (before !== undefined) this.#size?.will(clientId, before, -1)
    if (will === undefined) this.wills.delete(clientId)
    else {
      this.wills.set(clientId, { value: will, order })
      this.#size?.will(clientId, will, 1)
    }
    return before
  }

  #queue(clientId: string): StoredQueue {
    let queue = this.outgoing.get(clientId)
    if (queue === undefined) {
      queue = new StoredQueue()
      this.outgoing.set(clientId, queue)
    } else if (queue.length === 0) this.#emptyQueues -= 1
    return queue
  }

  #delete(clientId: string, queue: StoredQueue, entry: Entry): void {
    queue.delete(entry)
    this.#removed(clientId, entry)
    if (queue.length > 0) return
    this.#emptyQueues += 1
    if (this.#emptyQueues > MAX_EMPTY_QUEUES && this.#emptyQueues > this.outgoing.size / 2) this.#removeEmptyQueues()
  }

  #removeEmptyQueues(): void {
    for (const [clientId, queue] of this.outgoing) if (queue.length === 0) this.outgoing.delete(clientId)
    this.#emptyQueues = 0
  }

  #added(clientId: string, entry: Entry): void {
    this.#refer(entry.content)
    this.#size?.entry(clientId, entry.content, entry.own, 1)
  }

  #removed(clientId: string, { content, own }: Pick<Entry, 'content' | 'own'>): void {
    this.#unrefer(content)
    this.#size?.entry(clientId, content, own, -1)
  }

  #refer(content: Content): void {
    if (content instanceof SharedMessage) {
      content.references += 1
      if (content.references === 1) this.#size?.message(content.packet, 1)
    } else if (content.cmd === 'publish') this.#size?.message(content, 1)
  }

  #unrefer(content: Content): void {
    if (content instanceof SharedMessage) {
      content.references -= 1
      if (content.references === 0) this.#size?.message(content.packet, -1)
    } else if (content.cmd === 'publish') this.#size?.message(content, -1)
  }
}

export interface RestoredEntry {
  readonly target: PersistedTarget
  readonly order: number
}

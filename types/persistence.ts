/**
 * A store of sessions, queued messages, retained messages and Wills: the contract of aedes-persistence 11 in its promise
 * form, which aedes-persistence, -level, -redis and -mongodb fulfil, and optional methods beyond it.
 * Field names are those of that contract.
 */
import type { Emitter, EmitterListener } from './emitter.ts'
import type { QoS } from './packets.ts'
import type { PublishProperties, WillProperties } from './properties.ts'

/** A value, or a promise of it. */
type Awaitable<T> = T | Promise<T>

/** The Client that a call is about. */
export interface PersistenceClient {
  /** The Client Identifier. */
  readonly id: string
  /** The broker that stored the Client's Will; some adapters need it to delete the Will. */
  readonly brokerId?: string
}

/** The members of its broker that a persistence may use. */
export interface PersistenceBroker {
  /** Different at every start, and without `:`. */
  id: string
  /** The last value of `brokerCounter`. */
  counter: number
  readonly mq: Emitter
  publish(
    packet: { readonly topic: string; readonly payload?: unknown },
    callback: (error?: Error | null) => void,
  ): unknown
  subscribe(topic: string, listener: EmitterListener, callback: () => void): unknown
  unsubscribe(topic: string, listener: EmitterListener, callback: () => void): unknown
}

/** A stored message. */
export interface PersistedPublish {
  readonly cmd: 'publish'
  readonly topic: string
  readonly payload: Buffer | string
  readonly qos: QoS
  readonly retain: boolean
  readonly dup?: boolean
  /** With `brokerCounter` the message id, the same in every queue. */
  readonly brokerId?: string | undefined
  readonly brokerCounter?: number | undefined
  /** The Packet Identifier of a sent message. */
  readonly messageId?: number | undefined
  /** The Client that published it. */
  readonly clientId?: string
  /** True if it must not be sent to that Client. */
  readonly nl?: boolean
  readonly properties?: PublishProperties | undefined
  /** When the message expires, in milliseconds since 1970. */
  readonly messageExpiry?: number | undefined
  /** Fields of a later version. They are not read, and stay in the store unchanged. */
  readonly unknownFields?: Uint8Array | undefined
}

/** The queue entry of a QoS 2 message after PUBREC. */
export interface PersistedPubrel {
  readonly cmd: 'pubrel'
  readonly messageId: number
  readonly brokerId?: string | undefined
  readonly brokerCounter?: number | undefined
}

export type PersistedPacket = PersistedPublish | PersistedPubrel

/** A subscription of a session. */
export interface PersistedSubscription {
  /** The Topic Filter. */
  readonly topic: string
  readonly qos: QoS
  /** Retain Handling. */
  readonly rh?: 0 | 1 | 2 | undefined
  /** Retain As Published. */
  readonly rap?: boolean | undefined
  /** No Local. */
  readonly nl?: boolean | undefined
  readonly subscriptionIdentifier?: number | undefined
  /** The Topic Filter that a hook returned instead of `topic`. */
  readonly grantedTopic?: string | undefined
  /** The QoS that the Client requested, if a hook granted another one. */
  readonly requestedQos?: QoS | undefined
  /** The application made the subscription, not the Client. */
  readonly byApplication?: boolean | undefined
  /** The subscription has a copy of its own of each message, also of those that other subscriptions match. */
  readonly ownCopy?: boolean | undefined
  /** Fields of a later version. They are not read, and stay in the store unchanged. */
  readonly unknownFields?: Uint8Array | undefined
}

/** A subscription that matches a Topic Name. Without its Subscription Identifier, which adapters do not keep here. */
export interface MatchedSubscription
  extends Omit<
    PersistedSubscription,
    'subscriptionIdentifier' | 'grantedTopic' | 'requestedQos' | 'byApplication' | 'ownCopy' | 'unknownFields'
  > {
  readonly clientId: string
}

/** A stored Will. */
export interface PersistedWill {
  readonly topic: string
  readonly payload: Buffer | string
  readonly qos: QoS
  readonly retain: boolean
  readonly properties?: WillProperties | undefined
  /** Milliseconds since 1970 at which it is to be published; undefined while the Client is connected. */
  readonly dueAt?: number | undefined
  /** Written by `putWill`, on its argument. */
  clientId?: string
  brokerId?: string
  /** Fields of a later version. They are not read, and stay in the store unchanged. */
  readonly unknownFields?: Uint8Array | undefined
}

/**
 * A store. A "stream" is any object that `for await` can read. The broker calls `setup` once before all other methods,
 * and calls for one Client one after another.
 */
export interface Persistence {
  setup(broker: PersistenceBroker): Promise<void>
  /** Called once, after all other methods. */
  destroy(): Promise<unknown>

  /** Keeps the message for its topic; one with an empty payload removes it. */
  storeRetained(packet: PersistedPublish): Promise<unknown>
  /** The retained messages that a Topic Filter matches. */
  createRetainedStream(topicFilter: string): AsyncIterable<PersistedPublish>
  /** The retained messages that any of the Topic Filters matches; some adapters return a message once for each filter. */
  createRetainedStreamCombi(topicFilters: readonly string[]): AsyncIterable<PersistedPublish>

  /** Adds subscriptions to the Client's session, or replaces those with the same filter. */
  addSubscriptions(client: PersistenceClient, subscriptions: readonly PersistedSubscription[]): Promise<unknown>
  removeSubscriptions(client: PersistenceClient, topicFilters: readonly string[]): Promise<unknown>
  /** Removes all subscriptions of the Client. */
  cleanSubscriptions(client: PersistenceClient): Promise<unknown>
  subscriptionsByClient(client: PersistenceClient): Promise<readonly PersistedSubscription[]>
  /** The subscriptions above QoS 0 that match a Topic Name, one for each Client and filter. */
  subscriptionsByTopic(topic: string): Promise<readonly MatchedSubscription[]>
  /** Counts subscriptions above QoS 0, and Clients that have any subscription. */
  countOffline(): Promise<{ readonly subsCount: number; readonly clientsCount: number }>
  /** The identifiers of the Clients with a subscription to exactly this filter. */
  getClientList(topicFilter: string): AsyncIterable<string>

  /** Appends a message to the queue of a Client. */
  outgoingEnqueue(target: { readonly clientId: string }, packet: PersistedPublish): Promise<unknown>
  /** Appends a message to the queue of each Client. */
  outgoingEnqueueCombi(targets: readonly { readonly clientId: string }[], packet: PersistedPublish): Promise<unknown>
  /**
   * Gives a queued message its Packet Identifier: the message is found by `brokerId` and `brokerCounter`.
   * A packet without these, such as a PUBREL, replaces the entry with its Packet Identifier.
   */
  outgoingUpdate(client: PersistenceClient, packet: PersistedPacket): Promise<unknown>
  /** Removes the entry with this Packet Identifier, and returns it. Never called without an identifier. */
  outgoingClearMessageId(
    client: PersistenceClient,
    packet: { readonly messageId: number },
  ): Promise<PersistedPacket | null | undefined>
  /** The queue of a Client in order. */
  outgoingStream(client: PersistenceClient): AsyncIterable<PersistedPacket>

  /** Keeps a QoS 2 message until its PUBREL. */
  incomingStorePacket(client: PersistenceClient, packet: PersistedPublish): Promise<unknown>
  /** Rejects if there is none. */
  incomingGetPacket(client: PersistenceClient, packet: { readonly messageId: number }): Promise<PersistedPublish>
  incomingDelPacket(client: PersistenceClient, packet: { readonly messageId: number }): Promise<unknown>

  /** Keeps the Client's Will, and writes `clientId` and `brokerId` on it. */
  putWill(client: PersistenceClient, will: PersistedWill): Promise<unknown>
  getWill(client: PersistenceClient): Promise<PersistedWill | null | undefined>
  delWill(client: PersistenceClient): Promise<PersistedWill | null | undefined>
  /** The Wills of brokers whose id is not a key of `brokers`. */
  streamWill(brokers?: Readonly<Record<string, unknown>>): AsyncIterable<PersistedWill>

  // The broker uses the following members if they exist.

  /** Promises of this store beyond the contract. */
  readonly capabilities?: PersistenceCapabilities
  /** Removes all QoS 2 messages of the Client that wait for PUBREL. In aedes-persistence since 11. */
  cleanIncoming?(client: PersistenceClient): Promise<unknown>
  /** Removes the whole queue of the Client. */
  cleanOutgoing?(client: PersistenceClient): Promise<unknown>
  /** The retained message of one topic. */
  retainedGet?(topic: string): Awaitable<PersistedPublish | undefined>
  /** Every subscription of every Client, for the start of a broker. */
  allSubscriptions?(): AsyncIterable<{ readonly clientId: string; readonly subscription: PersistedSubscription }>
  /**
   * Stores all of the list, in its order, or nothing, and resolves when that has the durability of the store. The
   * operations do not change and may be kept. Overlapping calls are stored in their order. An operation on an object that
   * is not stored changes nothing; each session begins with a `session`. After a rejection nothing of the list is
   * stored, and the store accepts the next one. A store with `commit` has `readAll`, too.
   */
  commit?(operations: readonly PersistenceOperation[]): Promise<unknown>
  /** Every session and every retained message, `$…` topics included, for the start of a broker. */
  readAll?(): AsyncIterable<PersistedState>
}

export interface PersistenceCapabilities {
  /** The store keeps `properties` and `messageExpiry` of queued messages. */
  readonly packetProperties?: boolean
  /** A queue is read in the order in which it was written. */
  readonly ordered?: boolean
  /** Several operations are atomic. */
  readonly atomic?: boolean
  /** The failure that a stored message survives: the end of the process, of the machine, or the loss of a machine. */
  readonly durable?: 'process' | 'machine' | 'replicated'
}

/** One step of `commit`. */
export type PersistenceOperation =
  | PublishOperation
  /** Creates a session, or changes its fields. */
  | { readonly kind: 'session'; readonly clientId: string; readonly session: PersistedSessionInfo }
  /** Removes a session: its subscriptions, its queue, its QoS 2 exchanges and its Will. */
  | { readonly kind: 'end session'; readonly clientId: string }
  | { readonly kind: 'subscribe'; readonly clientId: string; readonly subscriptions: readonly PersistedSubscription[] }
  | { readonly kind: 'unsubscribe'; readonly clientId: string; readonly topicFilters: readonly string[] }
  /** Gives a queued message its Packet Identifier, before it is sent. */
  | {
      readonly kind: 'send'
      readonly clientId: string
      readonly brokerId: string
      readonly brokerCounter: number
      readonly messageId: number
      readonly foreign?: ForeignMessage | undefined
    }
  /** PUBREC was received: a PUBREL replaces the message. */
  | { readonly kind: 'release'; readonly clientId: string; readonly messageId: number }
  /** The last acknowledgement was received: the entry is removed. */
  | { readonly kind: 'complete'; readonly clientId: string; readonly messageId: number }
  /** Removes all entries of a message without a Packet Identifier from these queues. */
  | {
      readonly kind: 'discard'
      readonly clientIds: readonly string[]
      readonly brokerId: string
      readonly brokerCounter: number
      readonly foreign?: ForeignMessage | undefined
    }
  /** PUBREL was received: the Packet Identifier of a message at QoS 2 from the Client is free. */
  | { readonly kind: 'incoming done'; readonly clientId: string; readonly messageId: number }
  /** The Will of the Client's session; undefined to remove it. */
  | { readonly kind: 'will'; readonly clientId: string; readonly will: PersistedWill | undefined }

/** All changes of one PUBLISH. */
export interface PublishOperation {
  readonly kind: 'publish'
  /** With `brokerId` and `brokerCounter`, its id in every queue. */
  readonly packet: PersistedPublish
  /** Its queues; may be none. */
  readonly targets: readonly PersistedTarget[]
  /** True if it becomes the retained message of its topic or, without a payload, removes it. */
  readonly retain: boolean
  /** True if a process ended during its publication: some of the queues may have it. */
  readonly isResumed?: boolean
  /**
   * The QoS 2 exchange of the publisher: the Packet Identifier stays in use until `incoming done`. The message is not
   * stored for it, so `incomingGetPacket` does not find it.
   */
  readonly incoming?: { readonly clientId: string; readonly messageId: number } | undefined
}

/** A queue of a message, with the fields that differ between queues. */
export interface PersistedTarget {
  readonly clientId: string
  readonly qos: QoS
  readonly retain: boolean
  readonly subscriptionIdentifiers?: readonly number[] | undefined
  /** The Topic Filter, with `$share/name/`, of the shared subscription for which the member was chosen. */
  readonly sharedFilter?: string | undefined
  /** Its Packet Identifier, if it is sent at once. */
  readonly messageId?: number | undefined
  /** True if another broker has the session, and stores the later changes of the entry. */
  readonly isElsewhere?: boolean | undefined
  /** Fields of a later version. They are not read, and stay in the store unchanged. */
  readonly unknownFields?: Uint8Array | undefined
}

/** A queued message that another broker stored in the shared store. */
export interface ForeignMessage {
  readonly packet: PersistedPublish
  readonly target: PersistedTarget
}

/** The fields of a session. */
export interface PersistedSessionInfo {
  /** The principal; undefined if there is none. */
  readonly owner?: string | undefined
  /** Seconds after the end of the connection; 4,294,967,295: it never ends. */
  readonly expiryInterval: number
  /** Milliseconds since 1970 at which it ends; null while its Client is connected, and if it never ends. */
  readonly expiresAt: number | null
  /** Fields of a later version. They are not read, and stay in the store unchanged. */
  readonly unknownFields?: Uint8Array | undefined
}

/** A retained message or a session of the store. */
export type PersistedState = { readonly kind: 'retained'; readonly packet: PersistedPublish } | PersistedSessionState

/** A session with all that belongs to it. */
export interface PersistedSessionState {
  readonly kind: 'session'
  readonly clientId: string
  readonly session: PersistedSessionInfo
  readonly subscriptions: readonly PersistedSubscription[]
  /** In order: inflight messages, then waiting ones. It must be read before the next session. */
  readonly queue: Iterable<PersistedQueueItem>
  /** The Packet Identifiers of QoS 2 messages from the Client that it has not released. */
  readonly incoming: readonly number[]
  readonly will: PersistedWill | undefined
}

/** A message in a queue. */
export type PersistedQueueItem =
  | { readonly packet: PersistedPublish; readonly target: PersistedTarget }
  /** A QoS 2 message after PUBREC. */
  | { readonly packet: PersistedPubrel; readonly target: undefined }

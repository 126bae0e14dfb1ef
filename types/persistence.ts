/**
 * Where sessions, queued messages, retained messages and Wills are kept: the contract of aedes-persistence 11 in its
 * promise form, so that aedes-persistence, -level, -redis and -mongodb fulfil it, and optional methods beyond it.
 * Field names are those of that contract.
 */
import type { Emitter, EmitterListener } from './emitter.ts'
import type { QoS } from './packets.ts'
import type { PublishProperties, WillProperties } from './properties.ts'

/** Something that is there at once or later. */
type Awaitable<T> = T | Promise<T>

/** The Client that a call is about. */
export interface PersistenceClient {
  /** The Client Identifier. */
  readonly id: string
  /** The broker that holds the Client's Will; some adapters need it to delete one. */
  readonly brokerId?: string
}

/** What a persistence may use of its broker. */
export interface PersistenceBroker {
  /** Different at every start, and without `:`. */
  id: string
  /** The counter of the last packet that got one. */
  counter: number
  readonly mq: Emitter
  publish(
    packet: { readonly topic: string; readonly payload?: unknown },
    callback: (error?: Error | null) => void,
  ): unknown
  subscribe(topic: string, listener: EmitterListener, callback: () => void): unknown
  unsubscribe(topic: string, listener: EmitterListener, callback: () => void): unknown
}

/** A message as it is stored. */
export interface PersistedPublish {
  readonly cmd: 'publish'
  readonly topic: string
  readonly payload: Buffer | string
  readonly qos: QoS
  readonly retain: boolean
  readonly dup?: boolean
  /** Together with `brokerCounter` the name of the message in every queue that it is in. */
  readonly brokerId?: string | undefined
  readonly brokerCounter?: number | undefined
  /** The Packet Identifier, once it has one. */
  readonly messageId?: number | undefined
  /** The Client that published it. */
  readonly clientId?: string
  /** True when it must not go back to that Client. */
  readonly nl?: boolean
  readonly properties?: PublishProperties | undefined
  /** When the message expires, in milliseconds since 1970. */
  readonly messageExpiry?: number | undefined
  /** Fields that a later version stored with it. They are not looked at, and stay in the store as they are. */
  readonly unknownFields?: Uint8Array | undefined
}

/** What stands in a queue for a QoS 2 message after PUBREC. */
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
  /** The Topic Filter that a hook put in the place of `topic`. */
  readonly grantedTopic?: string | undefined
  /** The QoS that the Client asked for, when a hook granted another one. */
  readonly requestedQos?: QoS | undefined
  /** Fields that a later version stored with it. They are not looked at, and stay in the store as they are. */
  readonly unknownFields?: Uint8Array | undefined
}

/** A subscription that matches a Topic Name. Without its Subscription Identifier, which adapters do not keep here. */
export interface MatchedSubscription
  extends Omit<PersistedSubscription, 'subscriptionIdentifier' | 'grantedTopic' | 'requestedQos' | 'unknownFields'> {
  readonly clientId: string
}

/** A Will as it is stored. */
export interface PersistedWill {
  readonly topic: string
  readonly payload: Buffer | string
  readonly qos: QoS
  readonly retain: boolean
  readonly properties?: WillProperties | undefined
  /** Milliseconds since 1970 at which it is to be sent; undefined while the Client is connected. */
  readonly dueAt?: number | undefined
  /** Written by `putWill`, on the object that it is given. */
  clientId?: string
  brokerId?: string
  /** Fields that a later version stored with it. They are not looked at, and stay in the store as they are. */
  readonly unknownFields?: Uint8Array | undefined
}

/**
 * A store. A "stream" is anything that `for await` can read. The broker calls `setup` once before anything else, and
 * the methods that are about one Client one after another.
 */
export interface Persistence {
  setup(broker: PersistenceBroker): Promise<void>
  /** Called once, after everything else. */
  destroy(): Promise<unknown>

  /** Keeps the message for its topic; one with an empty payload removes it. */
  storeRetained(packet: PersistedPublish): Promise<unknown>
  /** The retained messages that a Topic Filter matches. */
  createRetainedStream(topicFilter: string): AsyncIterable<PersistedPublish>
  /** The retained messages that any of the Topic Filters matches, some adapters give a message once per filter. */
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
   * A packet without these, such as a PUBREL, takes the place of what has its Packet Identifier.
   */
  outgoingUpdate(client: PersistenceClient, packet: PersistedPacket): Promise<unknown>
  /** Removes what has this Packet Identifier from the queue, and returns it. Never call it without an identifier. */
  outgoingClearMessageId(
    client: PersistenceClient,
    packet: { readonly messageId: number },
  ): Promise<PersistedPacket | null | undefined>
  /** The queue of a Client in order. */
  outgoingStream(client: PersistenceClient): AsyncIterable<PersistedPacket>

  /** Keeps a QoS 2 message until its PUBREL. */
  incomingStorePacket(client: PersistenceClient, packet: PersistedPublish): Promise<unknown>
  /** Rejects when there is none. */
  incomingGetPacket(client: PersistenceClient, packet: { readonly messageId: number }): Promise<PersistedPublish>
  incomingDelPacket(client: PersistenceClient, packet: { readonly messageId: number }): Promise<unknown>

  /** Keeps the Client's Will, and writes `clientId` and `brokerId` on it. */
  putWill(client: PersistenceClient, will: PersistedWill): Promise<unknown>
  getWill(client: PersistenceClient): Promise<PersistedWill | null | undefined>
  delWill(client: PersistenceClient): Promise<PersistedWill | null | undefined>
  /** The Wills of brokers whose id is not a key of `brokers`. */
  streamWill(brokers?: Readonly<Record<string, unknown>>): AsyncIterable<PersistedWill>

  // What follows is used when it is there.

  /** What this store does better than the contract asks. */
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
   * Does everything in the list, in its order, or nothing, and resolves when it is as safe as this store can make it.
   * What it is given stays as it is and may be kept. Calls may overlap: they are done in the order in which they came.
   * An operation on what is not there changes nothing; for a session there is a `session` before anything else.
   * When it rejects, nothing is done, and the next one is tried as if it were the first.
   * A store that has it has `readAll` too.
   */
  commit?(operations: readonly PersistenceOperation[]): Promise<unknown>
  /** Every session and every retained message, `$…` topics included, for the start of a broker. */
  readAll?(): AsyncIterable<PersistedState>
}

export interface PersistenceCapabilities {
  /** `properties` and `messageExpiry` of queued messages come back as they were. */
  readonly packetProperties?: boolean
  /** A queue is read in the order in which it was written. */
  readonly ordered?: boolean
  /** Several operations are done together or not at all. */
  readonly atomic?: boolean
  /** What a stored message survives: the end of the process, of the machine, or the loss of a machine. */
  readonly durable?: 'process' | 'machine' | 'replicated'
}

/** One step of `commit`. */
export type PersistenceOperation =
  | PublishOperation
  /** Makes a session, or changes what is said of it. */
  | { readonly kind: 'session'; readonly clientId: string; readonly session: PersistedSessionInfo }
  /** Removes a session: its subscriptions, its queue, its QoS 2 exchanges and its Will. */
  | { readonly kind: 'end session'; readonly clientId: string }
  | { readonly kind: 'subscribe'; readonly clientId: string; readonly subscriptions: readonly PersistedSubscription[] }
  | { readonly kind: 'unsubscribe'; readonly clientId: string; readonly topicFilters: readonly string[] }
  /** Gives a queued message its Packet Identifier: it is about to be sent. */
  | {
      readonly kind: 'send'
      readonly clientId: string
      readonly brokerId: string
      readonly brokerCounter: number
      readonly messageId: number
      readonly foreign?: ForeignMessage | undefined
    }
  /** PUBREC came: a PUBREL takes the place of the message. */
  | { readonly kind: 'release'; readonly clientId: string; readonly messageId: number }
  /** The last acknowledgement came: nothing is left of the message in this queue. */
  | { readonly kind: 'complete'; readonly clientId: string; readonly messageId: number }
  /** Takes a message out of these queues where it has no Packet Identifier, as often as it is there. */
  | {
      readonly kind: 'discard'
      readonly clientIds: readonly string[]
      readonly brokerId: string
      readonly brokerCounter: number
      readonly foreign?: ForeignMessage | undefined
    }
  /** PUBREL came: the Packet Identifier of a message at QoS 2 from the Client is free. */
  | { readonly kind: 'incoming done'; readonly clientId: string; readonly messageId: number }
  /** The Will of the Client's session; undefined when it has none any more. */
  | { readonly kind: 'will'; readonly clientId: string; readonly will: PersistedWill | undefined }

/** All that one PUBLISH changes. */
export interface PublishOperation {
  readonly kind: 'publish'
  /** With `brokerId` and `brokerCounter`, which name it in every queue. */
  readonly packet: PersistedPublish
  /** The queues that it goes to; may be none. */
  readonly targets: readonly PersistedTarget[]
  /** True when it is the retained message of its topic now, or, without a payload, when there is to be none. */
  readonly retain: boolean
  /** True when it was being handed on when a process ended: some of the queues may have it. */
  readonly isResumed?: boolean
  /**
   * The exchange at QoS 2 that it came with: the Packet Identifier stays taken until `incoming done`. The message itself
   * is not kept for it: `incomingGetPacket` does not find it.
   */
  readonly incoming?: { readonly clientId: string; readonly messageId: number } | undefined
}

/** A receiver of a queued message and what is its own about it. */
export interface PersistedTarget {
  readonly clientId: string
  readonly qos: QoS
  readonly retain: boolean
  readonly subscriptionIdentifiers?: readonly number[] | undefined
  /** The Topic Filter, with `$share/name/`, of the shared subscription that it was chosen for. */
  readonly sharedFilter?: string | undefined
  /** Its Packet Identifier, when it is sent at once. */
  readonly messageId?: number | undefined
  /** True when another broker has the session: what becomes of the message is told to the store by that one. */
  readonly isElsewhere?: boolean | undefined
  /** Fields that a later version stored with it. They are not looked at, and stay in the store as they are. */
  readonly unknownFields?: Uint8Array | undefined
}

/** A queued message that another broker has told to the store that they share, and this one has heard of only. */
export interface ForeignMessage {
  readonly packet: PersistedPublish
  readonly target: PersistedTarget
}

/** What is said of a session. */
export interface PersistedSessionInfo {
  /** Whose it is; undefined for nobody's. */
  readonly owner?: string | undefined
  /** Seconds that it outlives its connection; 4,294,967,295 is for ever. */
  readonly expiryInterval: number
  /** Milliseconds since 1970 at which it ends; null while its Client is connected, and when it never ends. */
  readonly expiresAt: number | null
  /** Fields that a later version stored with it. They are not looked at, and stay in the store as they are. */
  readonly unknownFields?: Uint8Array | undefined
}

/** One piece of everything that is kept. */
export type PersistedState = { readonly kind: 'retained'; readonly packet: PersistedPublish } | PersistedSessionState

/** All that is kept of a session. */
export interface PersistedSessionState {
  readonly kind: 'session'
  readonly clientId: string
  readonly session: PersistedSessionInfo
  readonly subscriptions: readonly PersistedSubscription[]
  /** In order: what was sent and is not complete, then what waits. To be read before the next piece is asked for. */
  readonly queue: Iterable<PersistedQueueItem>
  /** The Packet Identifiers of QoS 2 messages from the Client that it has not released. */
  readonly incoming: readonly number[]
  readonly will: PersistedWill | undefined
}

/** A message in a queue. */
export type PersistedQueueItem =
  | { readonly packet: PersistedPublish; readonly target: PersistedTarget }
  /** What is left of a QoS 2 message after PUBREC. */
  | { readonly packet: PersistedPubrel; readonly target: undefined }

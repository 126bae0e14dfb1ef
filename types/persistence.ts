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
}

/** A subscription that matches a Topic Name. Without its Subscription Identifier, which adapters do not keep here. */
export interface MatchedSubscription extends Omit<PersistedSubscription, 'subscriptionIdentifier'> {
  readonly clientId: string
}

/** A Will as it is stored. */
export interface PersistedWill {
  readonly topic: string
  readonly payload: Buffer | string
  readonly qos: QoS
  readonly retain: boolean
  readonly properties?: WillProperties | undefined
  /** Written by `putWill`, on the object that it is given. */
  clientId?: string
  brokerId?: string
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
  /** Does everything in the list or nothing, and resolves when it is as safe as this store can make it. */
  commit?(operations: readonly PersistenceOperation[]): Promise<unknown>
  /** A piece of a Client's queue, from its start or from where the last piece ended. */
  readQueue?(clientId: string, after: unknown, limit: number): Promise<PersistedQueuePiece>
  /** Takes the session for this broker; what another broker writes with an older epoch is refused. */
  openSession?(clientId: string, options: OpenPersistedSession): Promise<PersistedSession>
  /** @param expiresAt - milliseconds since 1970, or null for never. */
  closeSession?(clientId: string, epoch: number, expiresAt: number | null): Promise<unknown>
  /** The Client Identifiers of at most `limit` sessions that expired. */
  expiredSessions?(now: number, limit: number): AsyncIterable<string>
  /** The Wills whose delay is over. */
  dueWills?(now: number): AsyncIterable<PersistedWill>
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
  /** An older owner of a session cannot write any more. */
  readonly fencing?: boolean
}

/** One step of `commit`. */
export type PersistenceOperation =
  | { readonly kind: 'retain'; readonly packet: PersistedPublish }
  | { readonly kind: 'enqueue'; readonly packet: PersistedPublish; readonly targets: readonly PersistedTarget[] }
  | { readonly kind: 'update'; readonly clientId: string; readonly packet: PersistedPacket }
  | { readonly kind: 'acknowledge'; readonly clientId: string; readonly messageId: number }
  | { readonly kind: 'incoming'; readonly clientId: string; readonly packet: PersistedPublish }
  | { readonly kind: 'incoming done'; readonly clientId: string; readonly messageId: number }
  | { readonly kind: 'subscribe'; readonly clientId: string; readonly subscriptions: readonly PersistedSubscription[] }
  | { readonly kind: 'unsubscribe'; readonly clientId: string; readonly topicFilters: readonly string[] }
  | { readonly kind: 'will'; readonly clientId: string; readonly will: PersistedWill | undefined }

/** A receiver of a queued message and what is its own about it. */
export interface PersistedTarget {
  readonly clientId: string
  readonly qos: QoS
  readonly retain: boolean
  readonly subscriptionIdentifiers?: readonly number[]
}

export interface PersistedQueuePiece {
  readonly items: readonly PersistedPacket[]
  /** Where the next piece starts; undefined at the end of the queue. */
  readonly next: unknown
}

export interface OpenPersistedSession {
  /** The id of the broker that takes the session. */
  readonly brokerId: string
  readonly cleanStart: boolean
}

export interface PersistedSession {
  /** True when there was a session. */
  readonly present: boolean
  /** Goes up each time a session is opened. */
  readonly epoch: number
  readonly subscriptions: readonly PersistedSubscription[]
}

import type { Client } from './client.ts'
import type { Emitter } from './emitter.ts'
import type { QoS } from './packets.ts'
import type { Persistence } from './persistence.ts'
import type { PluginFor } from './plugin-for.ts'
import type { Storage } from './storage.ts'

/** Limits for one Client and for all Clients. Whole numbers from 0, or in the range given; Infinity is no limit. */
export interface Limits {
  /** Maximum Packet Size in bytes for Clients, 16 to 268,435,460 (section 3.2.2.3.6). Default: 4 MiB. */
  maxPacketSize: number
  /** Maximum bytes of a packet before the Client is connected, 16 to 268,435,460. Default: 64 KiB. */
  maxConnectPacketSize: number
  /** Network Connections. Default: 100,000. */
  maxConnections: number
  /** Network Connections from one address. Default: 50,000. */
  maxConnectionsPerIp: number
  /** Milliseconds from the start of a connection to its CONNECT, from 1. Default: 10,000. */
  connectTimeoutMs: number
  /** Time limit of one call of a hook in milliseconds, from 1. Default: 10,000. */
  hookTimeoutMs: number
  /** Time limit of a commit in milliseconds, from 1; then replies that wait for it are refused. Default: 10,000. */
  storeTimeoutMs: number
  /** Milliseconds without progress of a write, from 1, before the connection is closed. Default: 60,000. */
  drainTimeoutMs: number
  /** Milliseconds for which a congested subscriber may pause its publishers. Default: 500. */
  holdBackMs: number
  /** Incomplete QoS 1 and QoS 2 messages from one Client, 1 to 65,535 (section 3.2.2.3.3). Default: 1,024. */
  receiveMaximum: number
  /** Inflight messages of one Client, 1 to 65,535; its Receive Maximum may be lower. Default: 1,024. */
  maxInflight: number
  /** Queued QoS 1 and QoS 2 messages of one Client. Default: 10,000. */
  maxQueuedMessages: number
  /** Bytes of queued and inflight messages of one Client. Default: 16 MiB. */
  maxQueuedBytes: number
  /** Bytes of queued and inflight messages of all Clients; each message counts once. Default: 256 MiB. */
  maxTotalQueuedBytes: number
  /** Unsent bytes of one connection; above it QoS 0 messages are dropped. Default: 8 MiB. */
  maxOutboundBytes: number
  /** Sessions, connected or not. Default: 100,000. */
  maxSessions: number
  /** Maximum Session Expiry Interval in seconds (section 3.2.2.3.2). Default: 4,294,967,295, which is no expiry. */
  maxSessionExpiry: number
  /** Maximum Keep Alive in seconds, 0 to 65,535 (section 3.2.2.3.14); 0 also permits no keep-alive. Default: 0. */
  maxKeepAlive: number
  /** Subscriptions of one Client. Default: 10,000. */
  maxSubscriptionsPerClient: number
  /** Bytes of the Topic Filters of one Client. Default: 4 MiB. */
  maxSubscriptionBytesPerClient: number
  /** Levels of a Topic Name or Topic Filter, 1 to 65,536. Default: 128. */
  maxTopicLevels: number
  /** Retained messages. Default: 100,000. */
  maxRetained: number
  /** Bytes of retained messages. Default: 256 MiB. */
  maxRetainedBytes: number
  /** Topic Alias Maximum of the Server, 0 to 65,535 (section 3.2.2.3.8). Default: 16. */
  topicAliasMaximum: number
  /** The highest Topic Alias in PUBLISH packets to a Client, 0 to 65,535. Its own maximum may be lower. Default: 16. */
  maxOutboundTopicAliases: number
  /** User Properties of one packet. Default: 100. */
  maxUserProperties: number
  /** Messages per second from one Client, from 1; above it the connection is read more slowly. Default: Infinity. */
  messagesPerSecond: number
}

/** The clock of the broker. A test can pass one that it moves itself. */
export interface Clock {
  /** The current time in milliseconds; must not go back. */
  now(): number
  /** Milliseconds since 1970, for stored times. Default: `now`. */
  wallClock?(): number
  setTimeout(callback: () => void, milliseconds: number): unknown
  clearTimeout(handle: never): void
}

/** The target of log messages: `console`, pino and others fit. */
export interface Logger {
  debug(message: string): void
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}

/** Options of `new Broker()`; all have a default. An unknown or invalid option throws an `InvalidOptionError`. */
export interface BrokerOptions<S = unknown> {
  /** Name of this broker in `$SYS` and among its peers; not empty. Default: random. */
  readonly id?: string
  /** Plugins, called in this order. Default: none. */
  readonly plugins?: readonly PluginFor<S>[]
  /** Limits that differ from their defaults. */
  readonly limits?: Partial<Limits>
  /**
   * Whether listeners beyond loopback may be opened when no plugin has an `authenticate` hook.
   * Default: false, so that a broker is never open to the network by accident.
   */
  readonly allowAnonymous?: boolean
  /**
   * The rule for taking over a session: `user` requires the same user name or, without one, the same subject of a
   * verified certificate; `anyone` only the Client Identifier; a function must return the same name.
   * Default: `user` when a plugin has an `authenticate` hook, else `anyone`.
   */
  readonly sessionOwner?: 'user' | 'anyone' | ((client: Client<S>) => string | undefined)
  /** Accepts U+0001 to U+001F, U+007F to U+009F and non-characters in strings (section 1.5.4). Default: false. */
  readonly allowControlCharacters?: boolean
  /** Accepts MQTT 3.1 Client Identifiers of more than 23 characters, which MQTT 3.1 does not allow. Default: false. */
  readonly allowLongClientIdentifiers?: boolean
  /**
   * Maximum QoS of messages from Clients, 0, 1 or 2 (section 3.2.2.3.4). A higher QoS ends the connection; subscriptions
   * are granted this QoS at most. Default: 2.
   */
  readonly maximumQoS?: QoS
  /** Whether Clients may publish retained messages (section 3.2.2.3.5); else RETAIN ends the connection. Default: true. */
  readonly retainAvailable?: boolean
  /** Whether Clients may subscribe with wildcards (section 3.2.2.3.11). Default: true. */
  readonly wildcardSubscriptionAvailable?: boolean
  /** Whether Clients may use Subscription Identifiers (section 3.2.2.3.12). Default: true. */
  readonly subscriptionIdentifiersAvailable?: boolean
  /** Whether Clients may use shared subscriptions (section 3.2.2.3.13). Default: true. */
  readonly sharedSubscriptionAvailable?: boolean
  /**
   * Whether a message that matches several subscriptions of a Client is sent once for each of them (section 3.3.4), each
   * copy with the QoS and Subscription Identifier of its subscription; a function decides for each Client at CONNECT.
   * A session in a store of aedes gets one copy in any case. Default: false, one copy with all identifiers.
   */
  readonly copyPerSubscription?: boolean | ((client: Client<S>) => boolean)
  /** Response Information for Clients that request it (section 3.2.2.3.15). Default: none. */
  readonly responseInformation?: string | ((clientId: string) => string | undefined)
  /** Milliseconds between updates of the `$SYS` topics, from 1; false for none. Default: 10,000. */
  readonly sysInterval?: number | false
  /** An mqemitter that connects this broker with its peers. Default: an emitter of this broker alone. */
  readonly emitter?: Emitter
  /**
   * Directory of the durable store, short for `persistence: log({ dir })`.
   * Default: none, nothing outlives the process.
   */
  readonly store?: string
  /**
   * The store of sessions, queued messages, retained messages and Wills: `log({ dir })`, a `Storage` of your own, or an
   * aedes persistence such as aedes-persistence-redis. Not together with `store`. Default: none, nothing outlives the
   * process.
   */
  readonly persistence?: Storage | Persistence
  /** Receives log messages. Default: none. */
  readonly logger?: Logger
  /** A signal whose abort closes the broker. Default: none. */
  readonly signal?: AbortSignal
  /** Default: the clock of the system. */
  readonly clock?: Clock
}

import type { Client } from './client.ts'
import type { Emitter } from './emitter.ts'
import type { Plugin } from './hooks.ts'
import type { Persistence } from './persistence.ts'
import type { Storage } from './storage.ts'

/** What one Client, and all of them together, may take. Every limit holds; 0 and Infinity mean what they say. */
export interface Limits {
  /** Bytes of a packet from a Client, its fixed header included; told to MQTT 5.0 Clients. Default: 4 MiB. */
  maxPacketSize: number
  /** Bytes of a packet before the Client is connected: a CONNECT with its Will. Default: 64 KiB. */
  maxConnectPacketSize: number
  /** Network connections. Default: 100,000. */
  maxConnections: number
  /** Network connections from one address. Default: 50,000. */
  maxConnectionsPerIp: number
  /** Milliseconds from the start of a connection to its CONNECT. Default: 10,000. */
  connectTimeoutMs: number
  /** Milliseconds that one call of a hook may take. Default: 10,000. */
  hookTimeoutMs: number
  /** Milliseconds for the store to answer; then what waits for it is refused. Default: 10,000. */
  storeTimeoutMs: number
  /** Milliseconds after which a connection is ended that takes nothing of what is written to it. Default: 60,000. */
  drainTimeoutMs: number
  /** Milliseconds for which a receiver that falls behind may hold back those who publish to it. Default: 500. */
  holdBackMs: number
  /** QoS 1 and QoS 2 messages from one Client that are not complete. MQTT 5.0 Clients are told. Default: 1,024. */
  receiveMaximum: number
  /** QoS 1 and QoS 2 messages sent to one Client and not complete; its own Receive Maximum counts too. Default: 1,024. */
  maxInflight: number
  /** QoS 1 and QoS 2 messages that wait for one Client. Default: 10,000. */
  maxQueuedMessages: number
  /** Bytes of messages that wait for one Client or are sent to it and not complete. Default: 16 MiB. */
  maxQueuedBytes: number
  /** The same for all Clients together; a message that several wait for counts once. Default: 256 MiB. */
  maxTotalQueuedBytes: number
  /** Bytes written to one connection that it has not taken yet; beyond it QoS 0 messages are dropped. Default: 8 MiB. */
  maxOutboundBytes: number
  /** Sessions, connected or not. Default: 100,000. */
  maxSessions: number
  /** Seconds that a session outlives its connection; MQTT 5.0 Clients are told when they get less. Default: 4,294,967,295, for ever. */
  maxSessionExpiry: number
  /** Seconds of keep-alive; MQTT 5.0 Clients are told. 0 is no limit, so that Clients may have no keep-alive. Default: 0. */
  maxKeepAlive: number
  /** Subscriptions of one Client. Default: 10,000. */
  maxSubscriptionsPerClient: number
  /** Bytes that the Topic Filters of one Client may take. Default: 4 MiB. */
  maxSubscriptionBytesPerClient: number
  /** Levels of a Topic Name or Topic Filter. Default: 128. */
  maxTopicLevels: number
  /** Retained messages. Default: 100,000. */
  maxRetained: number
  /** Bytes of retained messages. Default: 256 MiB. */
  maxRetainedBytes: number
  /** The highest Topic Alias that is accepted from a Client, 0 to 65,535. Default: 16. */
  topicAliasMaximum: number
  /** The highest Topic Alias that is sent to a Client, 0 to 65,535. Default: 16. */
  maxOutboundTopicAliases: number
  /** User Properties of one packet. Default: 100. */
  maxUserProperties: number
  /** Messages that one Client may publish in a second; more of them wait, and then it is read more slowly. Default: Infinity. */
  messagesPerSecond: number
}

/** The time. For tests, one that stands still until it is told to move. */
export interface Clock {
  /** Milliseconds; must not go back. */
  now(): number
  /** Milliseconds since 1970, for what is stored. Default: `now`. */
  wallClock?(): number
  setTimeout(callback: () => void, milliseconds: number): unknown
  clearTimeout(handle: never): void
}

/** Where messages for the people who run the broker go: `console`, pino and others fit. */
export interface Logger {
  debug(message: string): void
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}

/** What `new Broker()` takes; everything has a default. An unknown option throws. */
export interface BrokerOptions<S = unknown> {
  /** Name of this broker, in `$SYS` and among other brokers. Default: random. */
  readonly id?: string
  /** Asked in this order. Default: none. */
  readonly plugins?: readonly Plugin<S>[]
  readonly limits?: Partial<Limits>
  /**
   * Whether listeners beyond loopback may be opened when no plugin has an `authenticate` hook.
   * Default: false, so that a broker is never open to the network by accident.
   */
  readonly allowAnonymous?: boolean
  /**
   * Who may take over a session that exists: `user`, the same user name or, without one, the same subject of a verified
   * certificate; `anyone` who has the Client Identifier; or whoever a function gives the same name.
   * Default: `user` when a plugin has an `authenticate` hook, else `anyone`.
   */
  readonly sessionOwner?: 'user' | 'anyone' | ((client: Client<S>) => string | undefined)
  /** Accept control characters (U+0001 to U+001F, U+007F to U+009F) and non-characters in strings. Default: false (section 1.5.4). */
  readonly allowControlCharacters?: boolean
  /** The basis for Response Topics, for Clients that ask for it (section 3.2.2.3.15). Default: none. */
  readonly responseInformation?: string | ((clientId: string) => string | undefined)
  /** Milliseconds between updates of the `$SYS` topics, or false for none. Default: 10,000. */
  readonly sysInterval?: number | false
  /** A mqemitter on which this broker and others share what is published. Default: one of our own. */
  readonly emitter?: Emitter
  /**
   * The directory in which what must outlive the process is kept: `persistence: log({ dir })` in short.
   * Default: nothing outlives the process.
   */
  readonly store?: string
  /**
   * Where sessions, queued messages, retained messages and Wills are kept: `log({ dir })`, a `Storage` of your own, or an
   * adapter of aedes such as aedes-persistence-redis. Not together with `store`. Default: nothing outlives the process.
   */
  readonly persistence?: Storage | Persistence
  /** Default: no log. */
  readonly logger?: Logger
  /** Aborting it closes the broker. */
  readonly signal?: AbortSignal
  /** Default: the machine's. */
  readonly clock?: Clock
}

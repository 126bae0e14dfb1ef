import type { StoreUnderTest } from './store-under-test.ts'

/** What a store may be declared to do without; the suite then checks nothing about it. */
export type PersistencePart =
  /** `commit` and `readAll`. Left out without being declared when the store has no `commit`. */
  | 'commit'
  /** The methods of aedes-persistence. Left out without being declared when the store is a `Storage` without them. */
  | 'aedes-methods'
  /** Calls about one Client that overlap. The broker makes them one after another, `commit` excepted. */
  | 'concurrency'
  /** `properties` and `messageExpiry` of queued messages and of QoS 2 messages that came in. */
  | 'packet-properties'
  /** Correlation Data that comes back as bytes. */
  | 'binary-properties'
  /** Fields that are gone when what is stored anew does not have them. */
  | 'replaced-fields'
  /** The order of a queue, a PUBREL in the place of its message included. */
  | 'order'
  /** The order of a queue with messages of two starts of a broker, whatever its ids. */
  | 'broker-order'
  /** More than 1,000 messages in a queue. */
  | 'long-queues'
  /** Packet Identifiers that belong to one queue, that can change, and that are found after a restart. */
  | 'packet-identifiers'
  /** Wildcards at the first level that do not match `$` topics [MQTT-4.7.2-1]. */
  | 'dollar-topics'
  /** `+` matches an empty level. */
  | 'empty-levels'
  /** Filters with `*`, `?`, `[` and `]` in them, which mean nothing in MQTT. */
  | 'glob-characters'
  /** Subscriptions at QoS 0 that match nothing and are not counted. */
  | 'qos-0-subscriptions'
  /** `grantedTopic` and `requestedQos` of a subscription. */
  | 'granted-filters'
  /** `cleanOutgoing` and `allSubscriptions`, of which the broker needs none. Left out too when the store has no such method. */
  | 'optional-methods'

/** One thing that a store has to do. */
export interface TestCase {
  /** A sentence. */
  readonly name: string
  /** True when it is to be repeated with a restart wherever `run` calls `store.restart()`. */
  readonly restarts?: boolean
  /** A method that not every store has; without it nothing is run. */
  readonly needs?: 'commit' | 'setup' | 'cleanOutgoing' | 'cleanIncoming' | 'allSubscriptions'
  /** Nothing is run when the store does without one of these. */
  readonly parts?: readonly PersistencePart[]
  run(store: StoreUnderTest): Promise<void>
}

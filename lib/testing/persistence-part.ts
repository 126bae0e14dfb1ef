/** A part that a store may be declared to lack; the suite then does not test it. */
export type PersistencePart =
  /** `commit` and `readAll`. Not tested, also without a declaration, if the store has no `commit`. */
  | 'commit'
  /** The methods of aedes-persistence. Not tested, also without a declaration, if a `Storage` has none of them. */
  | 'aedes-methods'
  /** Calls about one Client that overlap. The broker makes them one after another, `commit` excepted. */
  | 'concurrency'
  /** `properties` and `messageExpiry` of queued messages and of incoming QoS 2 messages. */
  | 'packet-properties'
  /** Correlation Data that comes back as bytes. */
  | 'binary-properties'
  /** Fields that a replacement without them removes. */
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
  /** Filters with `*`, `?`, `[` and `]` in them, which have no meaning in MQTT. */
  | 'glob-characters'
  /** Subscriptions at QoS 0 that match nothing and are not counted. */
  | 'qos-0-subscriptions'
  /** `grantedTopic`, `requestedQos`, `byApplication` and `ownCopy` of a subscription. */
  | 'granted-filters'
  /** `cleanOutgoing` and `allSubscriptions`, which the broker does not need. Not tested if the store has no such method. */
  | 'optional-methods'

/** Current value that goes up and down, or count since the start of the broker that only goes up. */
export type StatisticKind = 'counter' | 'gauge'

/** The numbers of `broker.stats()`; `statisticKinds` has the kind of each. All are whole numbers from 0. */
// A type instead of an interface, so that it is also a `Record<string, number>`.
export type BrokerStatistics = {
  /** Counter: network connections that were accepted. */
  readonly connections: number
  /** Counter: connections that were refused, before their CONNACK or by it. */
  readonly connectionsRefused: number
  /** Gauge: Clients that are connected. */
  readonly clientsConnected: number
  /** Gauge: the most Clients that were connected at the same time since the start. */
  readonly clientsMaximum: number
  /** Counter: MQTT packets of all types from Clients. */
  readonly messagesReceived: number
  /** Counter: MQTT packets of all types to Clients. */
  readonly messagesSent: number
  /** Counter: bytes of all packets from Clients. */
  readonly bytesReceived: number
  /** Counter: bytes of all packets to Clients. */
  readonly bytesSent: number
  /** Counter: PUBLISH packets from Clients. */
  readonly publishReceived: number
  /** Counter: PUBLISH packets to Clients. */
  readonly publishSent: number
  /** Counter: `dropped` events. */
  readonly publishDropped: number
  /** Counter: messages from Clients that a hook, a rule, a limit or the store refused, Wills at their publication included. */
  readonly publishRefused: number
  /** Counter: bytes of the payloads from Clients. */
  readonly publishBytesReceived: number
  /** Counter: bytes of the payloads to Clients. */
  readonly publishBytesSent: number
  /** Gauge: sessions, connected or not. */
  readonly sessions: number
  /** Gauge: subscriptions, shared ones included. */
  readonly subscriptions: number
  /** Gauge: shared subscriptions. */
  readonly sharedSubscriptions: number
  /** Gauge: retained messages, the `$SYS` topics included. */
  readonly retainedMessages: number
  /** Gauge: bytes of the retained messages. */
  readonly retainedBytes: number
  /** Gauge: copies of messages that wait for Clients. */
  readonly queuedMessages: number
  /** Gauge: bytes of messages that wait or are in flight, each once. */
  readonly queuedBytes: number
  /** Gauge: timers of any kind that wait. */
  readonly timers: number
}

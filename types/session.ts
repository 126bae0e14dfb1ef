import type { MessageInit } from './message.ts'
import type { QoS } from './packets.ts'
import type { Subscription } from './subscription.ts'

/** Options of a subscription that the application makes for a Client (section 3.8.3.1). */
export interface ClientSubscribeOptions {
  /** Maximum QoS of delivered messages. Default: 2. */
  readonly qos?: QoS
  /** No Local: the Client does not receive its own messages; not for a shared subscription. Default: false. */
  readonly noLocal?: boolean
  /** Retain As Published: the RETAIN flag is forwarded unchanged. Default: false. */
  readonly retainAsPublished?: boolean
  /** Retain Handling: 0 sends retained messages, 1 only if the subscription is new, 2 never. Default: 0. */
  readonly retainHandling?: 0 | 1 | 2
  /** Subscription Identifier, sent with every matching message, 1 to 268,435,455. Default: none. */
  readonly subscriptionIdentifier?: number
}

/** Changes that the application makes for one Client, without a call of `authorizeSubscribe` or `authorizePublish`. */
export interface ClientOperations {
  /**
   * Subscribes the Client, as its SUBSCRIBE would (section 3.8.4): a subscription with the same Topic Filter is replaced,
   * and retained messages are sent. Resolves when the store has it. The subscription stays until `unsubscribe`, the
   * UNSUBSCRIBE or SUBSCRIBE of the Client with this filter, or the end of the session.
   *
   * Rejects, and changes nothing: with an `MqttError` when a filter is not a Topic Filter, when the Client has too many
   * subscriptions, when it has no session, or when the store fails; with an `InvalidOptionError` for an invalid option.
   */
  subscribe(filter: string | readonly string[], options?: ClientSubscribeOptions): Promise<void>
  /**
   * Ends subscriptions of the Client, as its UNSUBSCRIBE would (section 3.10.4). Resolves with the number of those that
   * there were when the store has the change. Rejects as `subscribe` does.
   */
  unsubscribe(filter: string | readonly string[]): Promise<number>
  /**
   * Sends a message to this Client only, whatever its subscriptions are. At QoS 1 and 2 it waits in the session while
   * the Client is away or busy; at QoS 0 a Client that is away misses it. Resolves when the store has the message, not
   * when the Client has it. The hook `authorizeDeliver` is called, as for every copy.
   *
   * Rejects with an `MqttError` when the topic is not a Topic Name, when the queue is full (`quota-exceeded`), when the
   * Client has no session, or when the store fails; with an `InvalidOptionError` for an invalid field or `retain: true`.
   */
  publish(message: MessageInit): Promise<void>
}

/** The session of a Client, connected or away: its state when it was read, and what can be done with it. */
export interface ClientSession extends ClientOperations {
  /** The Client Identifier. */
  readonly clientId: string
  /** The user whose session it is, see the option `sessionOwner`; undefined if it has none. */
  readonly owner: string | undefined
  /** Whether the Client is connected. */
  readonly connected: boolean
  /** Whether the store has the session, so that it outlives the process. */
  readonly stored: boolean
  /** Name of the broker that has the session, the option `id`; undefined if that broker did not respond. */
  readonly broker: string | undefined
  /** Session Expiry Interval in seconds; 4,294,967,295 for a session that does not expire, 0 for one that ends with its connection. */
  readonly expiryInterval: number
  /** Time at which the session expires, in milliseconds since 1970; undefined while connected and if it does not expire. */
  readonly expiresAt: number | undefined
  /** Start of the last connection in milliseconds since 1970; undefined if there was none since the broker started. */
  readonly connectedAt: number | undefined
  /** Whether the session has a Will that is not published yet (section 3.1.2.5). */
  readonly hasWill: boolean
  /** The granted subscriptions. */
  readonly subscriptions: readonly Subscription[]
  /** QoS 1 and QoS 2 messages that wait for the Client; 0 if the broker of the session did not respond. */
  readonly queuedMessages: number
  /** Messages that are sent and not acknowledged; 0 if the broker of the session did not respond. */
  readonly inflightMessages: number
  /** Bytes of the messages that wait or are in flight; 0 if the broker of the session did not respond. */
  readonly queuedBytes: number
  /** Deletes the session; see `broker.deleteSession`. */
  delete(): Promise<boolean>
}

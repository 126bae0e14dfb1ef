import type { Client, ProtocolVersion } from './client.ts'
import type { ConnectionInfo } from './connection-info.ts'
import type { Message } from './message.ts'
import type { Subscription } from './subscription.ts'

/** The reason for the end of a connection. */
export interface DisconnectReason {
  /** Reason Code of the DISCONNECT packet received or sent (section 3.14.2.1); 0x80 if there was none. */
  readonly reasonCode: number
  /** True if the Client sent a DISCONNECT packet. */
  readonly byClient: boolean
  /** The error that ended the connection; undefined if there was none. */
  readonly error?: Error | undefined
}

/** The fields of a refused CONNECT, for logs; each is undefined if no CONNECT with it was read. Never the password. */
export interface RefusedConnect {
  /** The Client Identifier, assigned by the Server if the Client sent none (section 3.1.3.1). */
  readonly clientId?: string | undefined
  /** The user name, which is not verified (section 3.1.3.5). */
  readonly username?: string | undefined
  readonly protocolVersion?: ProtocolVersion | undefined
}

/** The reason why a subscriber did not receive a message. */
export type DropReason = 'queue-full' | 'expired' | 'too-large' | 'not-authorized' | 'no-member'

/** The events of a broker with their arguments. If a listener throws, the broker emits `error` and continues. */
export interface BrokerEvents<S = unknown> {
  /** A CONNACK with Reason Code 0x00 was sent to a Client. */
  clientConnected: [client: Client<S>, sessionPresent: boolean]
  /** The Network Connection of a Client is closed; its session may continue. */
  clientDisconnected: [client: Client<S>, reason: DisconnectReason]
  /** A Client violated the protocol or its stream failed. The broker has already ended the connection. */
  clientError: [error: Error, info: ConnectionInfo, client: Client<S> | undefined]
  /** A connection was refused, before or with its CONNACK. The message of the error says why; it is never empty. */
  connectionRefused: [info: ConnectionInfo, error: Error & { reasonCode?: number }, connect: RefusedConnect]
  /**
   * A message from a Client was accepted, or from the application; then `client` is undefined. `isWill` is true for a Will
   * (section 3.1.2.5); its `client` is undefined when the broker has started anew since its CONNECT.
   */
  published: [message: Message, client: Client<S> | undefined, isWill: boolean]
  /** A subscription was created or replaced. */
  subscribed: [subscription: Subscription, client: Client<S>]
  /** A Client ended a subscription with UNSUBSCRIBE. */
  unsubscribed: [topicFilter: string, client: Client<S>]
  /** A subscriber did not receive a message. */
  dropped: [message: Message, clientId: string, why: DropReason]
  /** A commit failed. Replies that depend on it are refused or wait; the broker retries. */
  storeFailed: [error: Error]
  /** The first commit after a failure succeeded. */
  storeRecovered: []
  /** A fault of a hook, a listener, a store or the broker. Without a listener it becomes a process warning. */
  error: [error: Error]
}

import type { Client } from './client.ts'
import type { ConnectionInfo } from './connection-info.ts'
import type { Message } from './message.ts'
import type { Subscription } from './subscription.ts'

/** Why a connection ended. */
export interface DisconnectReason {
  /** The Reason Code of the DISCONNECT packet that was received or sent; 0x80 when the connection just ended. */
  readonly reasonCode: number
  /** True when the Client said goodbye with a DISCONNECT packet. */
  readonly byClient: boolean
  /** What went wrong, if something did. */
  readonly error?: Error | undefined
}

/** Why a receiver did not get a message. */
export type DropReason = 'queue-full' | 'expired' | 'too-large' | 'not-authorized'

/** The events of a broker with their arguments. A listener that throws harms nobody else: its error goes to `error`. */
export interface BrokerEvents<S = unknown> {
  /** A Client got its CONNACK. */
  clientConnected: [client: Client<S>, sessionPresent: boolean]
  /** The network connection of a Client is gone; its session may live on. */
  clientDisconnected: [client: Client<S>, reason: DisconnectReason]
  /** A Client broke the protocol or its stream failed. Nothing to do: the connection is ended. */
  clientError: [error: Error, info: ConnectionInfo, client: Client<S> | undefined]
  /** A connection was refused before or by its CONNACK. */
  connectionRefused: [info: ConnectionInfo, error: Error & { reasonCode?: number }]
  /** A message was accepted from a Client, or from the application (then `client` is undefined). */
  published: [message: Message, client: Client<S> | undefined]
  /** A subscription was made or replaced. */
  subscribed: [subscription: Subscription, client: Client<S>]
  /** A subscription was ended by its Client. */
  unsubscribed: [topicFilter: string, client: Client<S>]
  /** A receiver missed a message. */
  dropped: [message: Message, clientId: string, why: DropReason]
  /** The store failed. What depends on it is refused or waits; the broker tries again by itself. */
  storeFailed: [error: Error]
  /** The store works again. */
  storeRecovered: []
  /** A fault that is not a Client's: a hook, a listener or a store failed. Without a listener it becomes a process warning. */
  error: [error: Error]
}

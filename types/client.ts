import type { ConnectionInfo } from './connection-info.ts'
import type { Message } from './message.ts'
import type { ConnectProperties, UserProperties, WillProperties } from './properties.ts'
import type { ReasonName } from './reason-codes.ts'
import type { Subscription } from './subscription.ts'

/** The versions of MQTT, as people call them. */
export type ProtocolVersion = '3.1' | '3.1.1' | '5.0'

/** A Will as the Client sent it: a message and what belongs to the Will alone. */
export interface WillMessage extends Message {
  readonly properties?: WillProperties | undefined
}

/** What a Client asks for when it connects (section 3.1). */
export interface ConnectRequest {
  /** Empty when the Client left the choice to the Server; the hooks see the identifier that it was given. */
  readonly clientId: string
  /** Undefined when the Client sent none, which is not the same as an empty one. */
  readonly username?: string | undefined
  /** Undefined when the Client sent none, which is not the same as an empty one. */
  readonly password?: Buffer | undefined
  readonly protocolVersion: ProtocolVersion
  /** Clean Start in MQTT 5.0, Clean Session in MQTT 3. */
  readonly cleanStart: boolean
  /** Seconds; 0 is none. */
  readonly keepAlive: number
  readonly will?: WillMessage | undefined
  readonly properties?: ConnectProperties | undefined
}

/** A request in enhanced authentication (section 4.12). */
export interface AuthenticationExchange {
  /** Authentication Method of the CONNECT or AUTH packet; undefined when the Client uses none. */
  readonly method?: string | undefined
  /** Authentication Data that came with it. */
  readonly data?: Buffer | undefined
  /**
   * Sends the Client an AUTH packet with Reason Code 0x18 and resolves with the Authentication Data of its answer.
   * Rejects when the connection ends first.
   */
  exchange(data?: Uint8Array): Promise<Buffer | undefined>
  /** Sets the Authentication Data that goes with the CONNACK, or with the AUTH that ends a re-authentication. */
  conclude(data: Uint8Array): void
}

/** Why the Server ends a connection. */
export interface DisconnectOptions {
  /** A text for a human (MQTT 5.0). */
  readonly reasonString?: string
  /** Another Server to use, with `use-another-server` and `server-moved` (MQTT 5.0). */
  readonly serverReference?: string
  readonly userProperties?: UserProperties
}

/** A Client that connected. `S` is what the `authenticate` hook answered. */
export interface Client<S = unknown> {
  /** The Client Identifier, assigned by the Server if the Client sent none. */
  readonly id: string
  /** Where the Client comes from. */
  readonly connection: ConnectionInfo
  /** What it asked for; the password is not kept. */
  readonly connect: ConnectRequest
  /** What the `authenticate` hook answered. */
  readonly session: S
  /** Aborted when the network connection is gone. */
  readonly signal: AbortSignal
  readonly connected: boolean
  /** As granted, by the Topic Filter that the Client asked for. */
  readonly subscriptions: ReadonlyMap<string, Subscription>
  /**
   * Ends the connection; MQTT 5.0 Clients are told why in a DISCONNECT packet (section 3.14).
   * Resolves when the network connection is closed. Default reason: `administrative-action`.
   */
  disconnect(reason?: ReasonName | number, options?: DisconnectOptions): Promise<void>
}

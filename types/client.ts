import type { ConnectionInfo } from './connection-info.ts'
import type { Message } from './message.ts'
import type { ConnectProperties, UserProperties, WillProperties } from './properties.ts'
import type { ReasonName } from './reason-codes.ts'
import type { ClientOperations } from './session.ts'
import type { Subscription } from './subscription.ts'

/** The versions of MQTT. */
export type ProtocolVersion = '3.1' | '3.1.1' | '5.0'

/** A Will as the Client sent it: a message with Will Properties (section 3.1.3.2). */
export interface WillMessage extends Message {
  readonly properties?: WillProperties | undefined
}

/** The contents of a CONNECT packet (section 3.1). */
export interface ConnectRequest {
  /** The Client Identifier. If the Client sent none, hooks see the one that the Server assigned (section 3.1.3.1). */
  readonly clientId: string
  /** Undefined when the Client sent none, which is not the same as an empty one. */
  readonly username?: string | undefined
  /** Undefined when the Client sent none, which is not the same as an empty one. */
  readonly password?: Buffer | undefined
  readonly protocolVersion: ProtocolVersion
  /** Clean Start in MQTT 5.0, Clean Session in MQTT 3. */
  readonly cleanStart: boolean
  /** Keep Alive in seconds, 0 to 65,535; 0 turns it off (section 3.1.2.10). */
  readonly keepAlive: number
  readonly will?: WillMessage | undefined
  readonly properties?: ConnectProperties | undefined
}

/** A step of enhanced authentication (section 4.12). */
export interface AuthenticationExchange {
  /** Authentication Method of the CONNECT or AUTH packet; undefined if the Client uses none. */
  readonly method?: string | undefined
  /** Authentication Data of the same packet. */
  readonly data?: Buffer | undefined
  /**
   * Sends an AUTH packet with Reason Code 0x18 and resolves with the Authentication Data of the AUTH packet that the
   * Client sends back. Rejects if the connection ends first, or with an `InvalidOptionError` if `data` is not bytes or
   * has more than 65,535.
   */
  exchange(data?: ArrayBufferView | ArrayBufferLike): Promise<Buffer | undefined>
  /**
   * Sets the Authentication Data of the CONNACK, or of the AUTH packet that completes a re-authentication: at most 65,535
   * bytes. Throws an `InvalidOptionError` for anything else.
   */
  conclude(data: ArrayBufferView | ArrayBufferLike): void
}

/** Properties of the DISCONNECT packet with which the Server ends a connection (section 3.14.2.2, MQTT 5.0). */
export interface DisconnectOptions {
  /** Reason String, for diagnosis. Default: a text for the Reason Code. */
  readonly reasonString?: string
  /** Another Server to use, with `use-another-server` and `server-moved` (section 4.11). Default: none. */
  readonly serverReference?: string
  /** User Properties. Default: none. */
  readonly userProperties?: UserProperties
}

/** A connected Client. `S` is the type of the value that the `authenticate` hook returns. */
export interface Client<S = unknown> extends ClientOperations {
  /** The Client Identifier, assigned by the Server if the Client sent none (section 3.1.3.1). */
  readonly id: string
  /** The Network Connection of the Client. */
  readonly connection: ConnectionInfo
  /** The contents of its CONNECT packet, without the password. */
  readonly connect: ConnectRequest
  /** The value that the `authenticate` hook returned. */
  readonly session: S
  /** Aborted when the Network Connection is closed. */
  readonly signal: AbortSignal
  /** True until the Network Connection is closed. */
  readonly connected: boolean
  /** The granted subscriptions, by the requested Topic Filter. */
  readonly subscriptions: ReadonlyMap<string, Subscription>
  /**
   * Ends the connection; an MQTT 5.0 Client receives a DISCONNECT packet with the reason (section 3.14).
   * Resolves when the Network Connection is closed. Default reason: `administrative-action` (0x98).
   */
  disconnect(reason?: ReasonName | number, options?: DisconnectOptions): Promise<void>
}

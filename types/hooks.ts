import type { AuthenticationExchange, Client, ConnectRequest } from './client.ts'
import type { ConnectionInfo } from './connection-info.ts'
import type { BrokerEvents } from './events.ts'
import type { LocalSubscription } from './local-subscription.ts'
import type { Message, MessageInit } from './message.ts'
import type { Subscription } from './subscription.ts'

/** A value now or later. An answer that is there now is used at once, without a turn of the event loop. */
export type MaybePromise<T> = T | Promise<T>

/** The answer of a `reauthenticate` hook: done, or one more step. */
export type ReauthenticateAnswer<S> =
  | { readonly done: true; readonly session?: S; readonly data?: Uint8Array }
  | { readonly done: false; readonly data?: Uint8Array }

/** What a plugin may do with its broker. It is the `Broker` itself, so the rest of it is there too. */
export interface PluginBroker<S = unknown> {
  readonly id: string
  readonly clients: ReadonlyMap<string, Client<S>>
  publish(message: MessageInit): Promise<void>
  subscribe(filter: string | readonly string[], listener: (message: Message) => MaybePromise<void>): LocalSubscription
  on<Name extends keyof BrokerEvents<S>>(name: Name, listener: (...values: BrokerEvents<S>[Name]) => void): unknown
}

/**
 * A plugin is a plain object with any of these hooks. Plugins are asked in the order in which they were added.
 *
 * - The first answer that is not `undefined` counts; `undefined` means "no opinion, ask the next plugin".
 * - When at least one plugin has a hook and none of them has an opinion, the answer is no.
 * - A hook that throws, rejects, answers nonsense or takes longer than `limits.hookTimeoutMs` refuses.
 *   A thrown `MqttError` says with which Reason Code; any other error is also emitted as `error`.
 */
export interface Plugin<S = unknown> {
  /** Stands in error messages. */
  readonly name: string

  /** Called once, before the broker takes connections. A function that it returns is called by `close()`. */
  setup?(broker: PluginBroker<S>): MaybePromise<void | (() => MaybePromise<void>)>

  /** Before a byte is read: address lists, rate limits. `false` closes the connection. */
  connect?(info: ConnectionInfo, signal: AbortSignal): MaybePromise<void | boolean>

  /**
   * Who is this? Any answer but `false`, `null` and `undefined` lets the Client in and becomes `client.session`.
   * For enhanced authentication `authentication.exchange()` sends AUTH and waits for the answer (section 4.12).
   */
  authenticate?(
    request: ConnectRequest,
    info: ConnectionInfo,
    signal: AbortSignal,
    authentication: AuthenticationExchange,
  ): MaybePromise<S | false | undefined>

  /** A connected Client authenticates again (section 4.12.1). */
  reauthenticate?(
    step: AuthenticationExchange,
    client: Client<S>,
    signal: AbortSignal,
  ): MaybePromise<ReauthenticateAnswer<S> | false | undefined>

  /**
   * May this Client publish this message? Also asked for a Will, when the Client connects and when the Will is sent.
   * An answered message takes the place of the one that came.
   */
  authorizePublish?(message: Message, client: Client<S>): MaybePromise<boolean | Message | undefined>

  /**
   * May this Client subscribe? Asked for each Topic Filter, and again when a stored session is resumed.
   * An answered subscription takes the place of the one that was asked for.
   */
  authorizeSubscribe?(subscription: Subscription, client: Client<S>): MaybePromise<boolean | Subscription | undefined>

  /**
   * May this Client have this message? Asked for every copy: live, retained, queued and sent again.
   * Synchronous, because it is asked so often. An answered message takes the place of the one that was to be sent.
   */
  authorizeDeliver?(message: Message, client: Client<S>): boolean | Message | undefined

  /** Look into the payload; throw an `MqttError` to refuse the message. */
  inspect?(message: Message, client: Client<S>): MaybePromise<void>
}

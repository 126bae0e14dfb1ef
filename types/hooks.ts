import type { AuthenticationExchange, Client, ConnectRequest } from './client.ts'
import type { ConnectionInfo } from './connection-info.ts'
import type { BrokerEvents } from './events.ts'
import type { LocalSubscription } from './local-subscription.ts'
import type { Message, MessageInit } from './message.ts'
import type { Subscription } from './subscription.ts'

/** A value or a promise of it. A value that is not a promise is used at once, in the same turn of the event loop. */
export type MaybePromise<T> = T | Promise<T>

/**
 * The value of an `authenticate` hook that accepts a Client. A plugin without a type for it asks nothing of
 * `client.session`, and fits a broker of every type.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- unknown would fit no other type
export type SessionOf<S> = unknown extends S ? any : S

/** The result of a `reauthenticate` hook: completed, or one more step. `data` is the Authentication Data to send. */
export type ReauthenticateAnswer<S> =
  | { readonly done: true; readonly session?: SessionOf<S>; readonly data?: ArrayBufferView | ArrayBufferLike }
  | { readonly done: false; readonly data?: ArrayBufferView | ArrayBufferLike }

/** The part of the broker that a plugin needs. The object is the `Broker` itself. */
export interface PluginBroker<S = unknown> {
  readonly id: string
  readonly clients: ReadonlyMap<string, Client<S>>
  publish(message: MessageInit): Promise<void>
  subscribe(filter: string | readonly string[], listener: (message: Message) => MaybePromise<void>): LocalSubscription
  on<Name extends keyof BrokerEvents<S>>(name: Name, listener: (...values: BrokerEvents<S>[Name]) => void): unknown
}

/**
 * A plugin is a plain object with any of these hooks. Plugins are called in the order in which they were added.
 *
 * - The first result that is not `undefined` counts; `undefined` calls the hook of the next plugin.
 * - If no plugin has the hook, the action is permitted. If every hook returns `undefined`, it is refused.
 * - A hook that throws, rejects, returns an invalid value or takes longer than `limits.hookTimeoutMs` refuses.
 *   A thrown `MqttError` sets the Reason Code; any other error is emitted as `error`, and the Client receives 0x80.
 */
export interface Plugin<S = unknown> {
  /** Name of the plugin in error messages; not empty. */
  readonly name: string

  /** Called once, before the broker accepts connections. `broker.close()` calls the function that it returns. */
  setup?(broker: PluginBroker<S>): MaybePromise<void | (() => MaybePromise<void>)>

  /** Called before a byte is read, for address lists and rate limits. `false` closes the connection. */
  connect?(info: ConnectionInfo, signal: AbortSignal): MaybePromise<void | boolean>

  /**
   * Called for each CONNECT. A value other than `false`, `null` and `undefined` accepts the Client and becomes
   * `client.session`. For enhanced authentication `authentication.exchange()` sends an AUTH packet (section 4.12).
   */
  authenticate?(
    request: ConnectRequest,
    info: ConnectionInfo,
    signal: AbortSignal,
    authentication: AuthenticationExchange,
  ): MaybePromise<SessionOf<S> | false | null | undefined>

  /** Called when a connected Client authenticates again with AUTH (section 4.12.1). `false` disconnects it. */
  reauthenticate?(
    step: AuthenticationExchange,
    client: Client<S>,
    signal: AbortSignal,
  ): MaybePromise<ReauthenticateAnswer<S> | false | undefined>

  /**
   * Decides whether a Client may publish a message. Also called for a Will: at CONNECT and before its publication.
   * A returned message replaces the original.
   */
  authorizePublish?(message: Message, client: Client<S>): MaybePromise<boolean | Message | undefined>

  /**
   * Decides whether a Client may subscribe. Called for each Topic Filter, and again when a stored session is resumed.
   * A returned subscription replaces the requested one.
   */
  authorizeSubscribe?(subscription: Subscription, client: Client<S>): MaybePromise<boolean | Subscription | undefined>

  /**
   * Decides whether a Client may receive a message. Called for every copy: live, retained, queued and sent again.
   * Synchronous, because it is called so often. A returned message replaces the original.
   */
  authorizeDeliver?(message: Message, client: Client<S>): boolean | Message | undefined

  /** Called after `authorizePublish`, to check the payload. Throws an `MqttError` to refuse the message. */
  inspect?(message: Message, client: Client<S>): MaybePromise<void>
}

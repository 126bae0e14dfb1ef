import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Client } from '../types/client.ts'
import type { CloseOptions } from '../types/close-options.ts'
import type { ConnectionInfo } from '../types/connection-info.ts'
import type { Emitter } from '../types/emitter.ts'
import type { BrokerHealth } from '../types/health.ts'
import type { MaybePromise, Plugin, PluginBroker } from '../types/hooks.ts'
import type { Listener, ListenOptionsMap, UpgradeOptions, WebSocketSettings } from '../types/listen.ts'
import type { LocalSubscription, SubscribeOptions } from '../types/local-subscription.ts'
import type { Message, MessageInit } from '../types/message.ts'
import type { BrokerOptions } from '../types/options.ts'
import type { PluginFor } from '../types/plugin-for.ts'
import type { ClientSession } from '../types/session.ts'
import type { BrokerStatistics } from '../types/statistics.ts'
import { healthOf } from './administration/health.ts'
import { readRetained } from './administration/retained-reading.ts'
import { clearRetained } from './administration/retained-removal.ts'
import { Assembly } from './assembly.ts'
import { checkCloseOptions, checkPlugin, checkSignal, parseOptions } from './options.ts'
import { reasonCodeOf } from './packets/reason-codes.ts'
import { snapshot } from './statistics.ts'
import { knownOf } from './transports/known-of.ts'
import { memoryPair } from './transports/memory.ts'
import { refuseMembersOfAedes } from './usage/aedes-members.ts'
import { BrokerEmitter } from './usage/broker-emitter.ts'
import { refuseCallback } from './usage/callbacks.ts'
import { viewOfClients } from './usage/client-map.ts'
import { checkSubscribeCall } from './usage/subscribe-call.ts'

/** Resolves when the plugins of a broker are set up and its storage is open; rejects when that fails. */
export let setUp: (broker: object) => Promise<void>

/**
 * An MQTT broker. It takes connections from its own listeners (`listen`), from HTTP servers (`attach`)
 * and from any Duplex stream (`handle`). `S` is the type of the value that the `authenticate` hook returns.
 *
 * @throws InvalidOptionError when an option is unknown or has an invalid value
 */
export class Broker<S = unknown> extends BrokerEmitter<S> implements AsyncDisposable {
  readonly #parts: Assembly
  readonly #clients: ReadonlyMap<string, Client<S>>

  static {
    refuseMembersOfAedes(Broker.prototype)
    setUp = async (broker) => await (broker as Broker).#parts.lifecycle.ready
  }

  readonly #onAbort = (): void => void this.close()

  constructor(options?: BrokerOptions<S>) {
    super(Broker)
    const settings = parseOptions(options)
    this.#parts = new Assembly(settings, this)
    this.#clients = viewOfClients(this.#parts.clients.byId) as ReadonlyMap<string, unknown> as typeof this.clients
    this.#parts.start(this.#asPluginBroker)
    settings.signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (settings.signal?.aborted === true) void this.close()
  }

  /** Only this class has the type parameter `S`, because the application chooses the type of `client.session`. */
  get #asPluginBroker(): PluginBroker<never> {
    return this as unknown as PluginBroker<never>
  }

  /** The name of this broker: the option `id`, or a random UUID. */
  get id(): string {
    return this.#parts.settings.id
  }

  /** The emitter of the options, or one of its own that carries each published message but those of `$SYS/`. */
  get emitter(): Emitter {
    return this.#parts.bus.emitter
  }

  /** The listeners that are open, those of attached servers included. */
  get openListeners(): readonly Listener[] {
    return this.#parts.listeners.open
  }

  /** The Clients that are connected, by Client Identifier. A live view, which cannot be changed. */
  get clients(): ReadonlyMap<string, Client<S>> {
    return this.#clients
  }

  /**
   * Adds a plugin; its hooks are asked after those of the plugins that were added before. Connections and listeners
   * that come later wait for its `setup`.
   *
   * @throws InvalidOptionError when it is not a plugin or has an unknown hook
   * @throws MqttError with `ERR_MQTT_SERVER_SHUTTING_DOWN` when the broker is closed
   */
  use(plugin: PluginFor<S>): this {
    checkPlugin(plugin)
    this.#parts.lifecycle.refuseClosed()
    this.#parts.addPlugin(plugin as Plugin<never>, this.#asPluginBroker)
    return this
  }

  /**
   * Opens listeners: at least one. Resolves when all of them are open. Rejects, with none of them open: with the error
   * of the system (`EADDRINUSE`, `EACCES`, …); with an `InvalidOptionError` for an unknown option or a wrong value, and
   * for a listener that other machines can reach when there is neither an `authenticate` hook nor `allowAnonymous`; with
   * the error of a plugin's `setup` or of the storage; with an `MqttError`, `ERR_MQTT_SERVER_SHUTTING_DOWN`, when the
   * broker is closed.
   *
   * @param options.signal aborted: closes these listeners
   */
  listen(what: ListenOptionsMap, options?: { signal?: AbortSignal }): Promise<Listener[]> {
    refuseCallback('broker.listen({ tcp: 1883 })', arguments)
    return this.#parts.listeners.listen(what, options)
  }

  /**
   * Takes WebSocket connections (section 6) from an HTTP server of the application. Requests for other paths are left
   * to the other listeners of `upgrade`; without such a listener the reply is 404.
   *
   * @throws InvalidOptionError when it is not an HTTP server, for a setting that is unknown or has a wrong value, and for
   * a path of this server that is attached already
   * @throws MqttError with `ERR_MQTT_SERVER_SHUTTING_DOWN` when the broker is closed
   */
  attach(server: HttpServer, settings: WebSocketSettings = {}): Listener {
    return this.#parts.listeners.attach(server, settings)
  }

  /**
   * Takes one HTTP upgrade request, whatever its path, for servers that route upgrades themselves. Bound, as `handle`.
   * A request that has a response already, from this broker or from another program, is left alone.
   *
   * @param options.origins web pages that may connect, as for `attach`. Default: pages of the same host
   * @throws InvalidOptionError when an option is unknown or has an invalid value, and for no other reason
   */
  readonly handleUpgrade = (
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    options: UpgradeOptions = {},
  ): void => {
    this.#parts.listeners.handleUpgrade(request, socket, head, options)
  }

  /**
   * Takes a connection: any Duplex stream of bytes. Bound, so that it can be given to `net.createServer` as it is.
   * Address and certificate are read from the stream, or from the HTTP request that became it, which is `info` itself or
   * one of its fields; the other fields of `info` add to them and take precedence. A closed broker destroys the stream.
   *
   * @throws InvalidOptionError when it is not a Duplex stream, and for a field that is unknown or has a wrong value
   */
  readonly handle = (stream: Duplex, info?: Partial<ConnectionInfo> | IncomingMessage): void => {
    this.#parts.acceptor.accept(stream, knownOf(stream, info))
  }

  /**
   * Makes a connection without a network. Returns the Client's end of a stream in memory. A closed broker destroys it,
   * so that a Client that reconnects sees a broker that is away.
   */
  connect(): Duplex {
    const [clientSide, serverSide] = memoryPair()
    this.#parts.acceptor.accept(serverSide, { transport: 'memory' })
    return clientSide
  }

  /**
   * Publishes a message as the application, without asking the hooks. Resolves when the sessions, the retained messages
   * and the storage have it. Rejects with an `MqttError` when the topic is not a Topic Name (section 4.7), when the
   * packet would be larger than MQTT permits (section 2.1.4), when there is no room for a retained message, when the
   * storage fails, and with `ERR_MQTT_SERVER_SHUTTING_DOWN` when the broker is closed; with an `InvalidOptionError` for
   * another wrong field. The rejection of a closed broker does not end a process that does not wait for the promise.
   *
   * The promise is back-pressure: it also waits, without ever rejecting for it, for the next turn of the event loop when
   * much was published in this one, and while a receiver has fallen behind, for `limits.holdBackMs` at most, or for as
   * long as a subscription with `overflow: 'pause'` takes. In a hook or listener it waits for no receiver that waits for
   * this hook or listener.
   *
   * @param options.signal aborted already: rejects with its reason, and nothing is published; aborted later: ends the
   *   wait for receivers
   * @throws InvalidOptionError for a callback
   */
  publish(init: MessageInit, options?: { signal?: AbortSignal }): Promise<void> {
    refuseCallback('broker.publish(message)', arguments)
    if (this.#parts.lifecycle.isClosing) return this.#parts.lifecycle.rejectClosed()
    return this.#publish(init, options)
  }

  async #publish(init: MessageInit, options: { signal?: AbortSignal } | undefined): Promise<void> {
    if (options !== undefined) checkSignal('publish.', options).signal?.throwIfAborted()
    await this.#parts.localPublisher.publish(init, options?.signal)
  }

  /**
   * Subscribes the application itself: with a listener, which gets one message at a time, or without one, to be
   * used in `for await`. Retained messages come first; shared subscriptions work too (section 4.8.2).
   *
   * @throws MqttError when a filter is not a Topic Filter (section 4.7), and with `ERR_MQTT_SERVER_SHUTTING_DOWN` when
   * the broker is closed
   * @throws InvalidOptionError when an option is unknown or has an invalid value, and for a callback
   */
  subscribe(filter: string | readonly string[], options?: SubscribeOptions): LocalSubscription
  subscribe(
    filter: string | readonly string[],
    listener: (message: Message) => MaybePromise<void>,
    options?: SubscribeOptions,
  ): LocalSubscription
  subscribe(
    filter: string | readonly string[],
    second?: SubscribeOptions | ((message: Message) => MaybePromise<void>),
    third?: SubscribeOptions,
  ): LocalSubscription {
    const [listener, options] = typeof second === 'function' ? [second, third] : [undefined, second]
    checkSubscribeCall(filter, listener, third, arguments[3])
    this.#parts.lifecycle.refuseClosed()
    const filters = typeof filter === 'string' ? [filter] : filter
    return this.#parts.localSubscriptions.subscribe(filters, listener, options ?? {})
  }

  /**
   * The retained messages that match a Topic Filter (section 3.3.1.3). Default: all but those of topics with `$`.
   *
   * @throws MqttError when the filter is not a Topic Filter (section 4.7)
   */
  retained(filter = '#'): AsyncIterableIterator<Message> {
    return readRetained(this.#parts, filter)
  }

  /**
   * The sessions of Clients, connected or away (section 4.1), of all brokers that share a store; those that begin or end
   * meanwhile may be missing. They are read in pages, so that 100,000 sessions stop neither this program nor others.
   * Throws when the broker is closed.
   */
  sessions(): AsyncIterableIterator<ClientSession> {
    return this.#parts.administration.list()
  }

  /** The session of a Client, connected or away; undefined if there is none. Rejects when the broker is closed. */
  session(clientId: string): Promise<ClientSession | undefined> {
    refuseCallback('broker.session(clientId)', arguments)
    return this.#parts.administration.get(clientId)
  }

  /**
   * Ends the session of a Client, at whichever broker it is, and deletes what is stored of it. A Client that is connected
   * is disconnected with `administrative-action` (0x98). A Will that is not published yet is published, also before
   * its Will Delay Interval (section 3.1.3.2.2). Resolves with whether there was a session, when the store has deleted it.
   * Rejects when the broker is closed; with an `MqttError` when the store fails, which then deletes it later, or when the
   * broker that has the session does not respond.
   */
  deleteSession(clientId: string): Promise<boolean> {
    refuseCallback('broker.deleteSession(clientId)', arguments)
    return this.#parts.administration.delete(clientId)
  }

  /**
   * Removes the retained messages that match a Topic Filter, by publishing a message without payload to each of their
   * topics [MQTT-3.3.1-6]: stores and other brokers remove them too, and Clients that are subscribed receive it. Those of
   * `$SYS/` stay. Resolves with the number of removed messages, when the store has the changes. Rejects when the broker
   * is closed; with an `MqttError` when the filter is not a Topic Filter (section 4.7), or when the store fails.
   */
  clearRetained(filter: string): Promise<number> {
    refuseCallback('broker.clearRetained(filter)', arguments)
    return clearRetained(this.#parts, filter)
  }

  /** Whether the broker does its work: the state of its listeners, its store and the brokers that it is joined with. */
  health(): BrokerHealth {
    return healthOf(this.#parts)
  }

  /**
   * Responds to an HTTP request with `health()` as JSON and 200, or 503 if the broker is not healthy, for a server of the
   * application. GET and HEAD; other methods get 405. Bound, so that it can be given to a router as it is. A listener of
   * the broker has the option `healthPath` instead.
   */
  readonly healthHandler = (request: IncomingMessage, response: ServerResponse): void => {
    this.#parts.respondHealth(request, response)
  }

  /** Numbers by name: counters since the start of the broker, and gauges of now; see `statisticKinds`. */
  stats(): BrokerStatistics {
    return snapshot(this.#parts.statistics, this.#parts)
  }

  /**
   * Ends the broker: no new connections; a DISCONNECT for every MQTT 5.0 Client, and `graceMs` to read it; then the
   * plugins, the storage and the emitter. Never rejects. A second call waits for the first, whose options count.
   *
   * @throws InvalidOptionError for an option that is unknown or has a wrong value, and for a callback
   */
  close(options: CloseOptions = {}): Promise<void> {
    refuseCallback('broker.close()', arguments)
    checkCloseOptions(options)
    const { leaveMs = 0, graceMs = 1000, reason = 'server-shutting-down' } = options
    this.#parts.settings.signal?.removeEventListener('abort', this.#onAbort)
    return this.#parts.close({ reasonCode: reasonCodeOf(reason), leaveMs, graceMs })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

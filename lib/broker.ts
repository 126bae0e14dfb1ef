import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import type { IncomingMessage, Server as HttpServer } from 'node:http'
import { isIPv4 } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Client as PublicClient } from '../types/client.ts'
import type { ConnectionInfo } from '../types/connection-info.ts'
import type { Emitter } from '../types/emitter.ts'
import type { BrokerEvents } from '../types/events.ts'
import type { MaybePromise, Plugin, PluginBroker } from '../types/hooks.ts'
import type { Listener, ListenOptionsMap, WebSocketSettings } from '../types/listen.ts'
import type { LocalSubscription, SubscribeOptions } from '../types/local-subscription.ts'
import type { Message as PublicMessage, MessageInit } from '../types/message.ts'
import type { BrokerOptions } from '../types/options.ts'
import type { ReasonName } from '../types/reason-codes.ts'
import type { Client } from './connection/client.ts'
import { Connection } from './connection/connection.ts'
import { Connections } from './connection/connections.ts'
import type { Core } from './core.ts'
import { createStorage } from './storage/create-storage.ts'
import { recover } from './storage/recovery.ts'
import { storageRefusal } from './storage/storage-refusal.ts'
import type { CommitQueue } from './storage/commit-queue.ts'
import { InvalidOptionError, MqttError } from './errors.ts'
import { Hooks, isPromise } from './hooks.ts'
import { Bus, OwnEmitter } from './messages/bus.ts'
import { LocalSubscriptions } from './messages/local-subscriptions.ts'
import { Message } from './messages/message.ts'
import { RetainedMessages } from './messages/retained-messages.ts'
import { Router } from './messages/router.ts'
import { Subscriptions } from './messages/subscriptions.ts'
import { SysTopics } from './messages/sys-topics.ts'
import { WillMessages } from './messages/will-messages.ts'
import { checkPlugin, parseOptions, refuseUnknown, type Settings } from './options.ts'
import { faultInMessageProperties } from './packets/properties.ts'
import { reasonCodeOf } from './packets/reason-codes.ts'
import { SessionRegistry } from './sessions/session-registry.ts'
import { Statistics } from './statistics.ts'
import { Timers } from './timers.ts'
import { hasWildcard } from './topics/topic-filter.ts'
import { isValidTopicName } from './topics/topic-name.ts'
import { connectionInfo } from './transports/info.ts'
import { memoryPair } from './transports/memory.ts'
import { listenTcp } from './transports/tcp.ts'
import { listenTls } from './transports/tls.ts'
import { attachWebSocket, listenSecureWebSocket, listenWebSocket, WebSocketEndpoint } from './transports/websocket.ts'
import { FlushScheduler } from './flush-scheduler.ts'

/** How `broker.close` ends. */
export interface CloseOptions {
  /** Milliseconds for Clients to take what is written to them. Default: 1,000. */
  readonly graceMs?: number
  /** What MQTT 5.0 Clients are told. Default: `server-shutting-down`. */
  readonly reason?: ReasonName
}

// What a WebSocket message may have beyond the largest packet: the packets that a Client puts into one message.
const WEBSOCKET_SLACK = 64 * 1024

/**
 * An MQTT broker. It takes connections from its own listeners (`listen`), from HTTP servers (`attach`)
 * and from anything that is a Duplex stream (`handle`). `S` is what the `authenticate` hook answers.
 *
 * @throws InvalidOptionError when an option is unknown or not what it must be
 */
export class Broker<S = unknown> extends EventEmitter<BrokerEvents<S>> implements AsyncDisposable {
  readonly #settings: Settings
  readonly #core: Core
  readonly #bus: Bus
  readonly #sysTopics: SysTopics | undefined
  readonly #clients = new Map<string, Client>()
  readonly #connections: Connections
  readonly #listeners = new Set<Listener>()
  readonly #local: LocalSubscriptions
  readonly #teardowns: (() => MaybePromise<void>)[] = []
  #tornDown = false
  readonly #upgrades: WebSocketEndpoint
  #ready: Promise<void> | undefined
  /** What the store has is back. */
  #restored: Promise<void> | undefined
  #isRestored = false
  #isStoreOpen = false
  #closing: Promise<void> | undefined

  constructor(options?: BrokerOptions<S>) {
    super()
    this.#settings = parseOptions(options)
    const { limits, clock } = this.#settings
    this.#connections = new Connections(limits)
    const timers = new Timers(clock, (error) => this.#reportError(error))
    const subscriptions = new Subscriptions()
    const scheduler = new FlushScheduler((error) => this.#reportError(error))
    // In the order of the starts; no name of a message may come twice.
    const bootId = `${Date.now().toString(36).padStart(9, '0')}-${randomBytes(6).toString('hex')}`
    const emitter = this.#settings.emitter ?? new OwnEmitter()
    const commits = createStorage(this.#settings, bootId, timers, {
      emitter,
      committed: (operations) => this.#bus.committed(operations),
      notify: (name, ...values) => this.#notify(name, values),
      reportError: (error) => this.#reportError(error),
    })
    const retained = new RetainedMessages(timers, limits, (topic) => commits?.forgetRetained(topic))
    const hooks = new Hooks(timers, limits.hookTimeoutMs, (error) => this.#reportError(error))
    const joinsBrokers = this.#settings.emitter !== undefined
    const router = new Router(subscriptions, retained, scheduler, commits, joinsBrokers, (message) =>
      this.#bus.publish(message),
    )
    const core = {
      settings: this.#settings,
      timers,
      scheduler,
      hooks,
      statistics: new Statistics(),
      router,
      subscriptions,
      retained,
      commits,
      bootId,
      ownership: undefined,
      connectionClosed: (connection: Connection) => this.#connections.delete(connection),
      clientConnected: (client: Client, sessionPresent: boolean) => this.#clientConnected(client, sessionPresent),
      clientDisconnected: (client: Client) => this.#clientGone(client),
      notify: <Name extends keyof BrokerEvents>(name: Name, ...values: BrokerEvents[Name]) =>
        this.#notify(name, values),
      reportError: (error: Error) => this.#reportError(error),
    } as { -readonly [Part in keyof Core]: Core[Part] }
    core.wills = new WillMessages(core)
    core.sessions = new SessionRegistry(core)
    this.#core = core
    this.#bus = new Bus(core, emitter)
    this.#local = new LocalSubscriptions(core)
    this.#upgrades = new WebSocketEndpoint({ maxPayload: limits.maxPacketSize + WEBSOCKET_SLACK }, this.#accept)
    if (commits !== undefined) {
      this.#restored = this.#open(commits)
      this.#before(() => this.#restored)
    }
    for (const plugin of this.#settings.plugins) this.#add(plugin)
    if (this.#settings.sysInterval !== false) {
      this.#sysTopics = new SysTopics(core, this.#settings.sysInterval)
      this.#sysTopics.start()
    }
    this.#settings.signal?.addEventListener('abort', () => void this.close(), { once: true })
    if (this.#settings.signal?.aborted === true) void this.close()
  }

  /** The name of this broker. */
  get id(): string {
    return this.#settings.id
  }

  /** A mqemitter that carries what is published. */
  get emitter(): Emitter {
    return this.#bus.emitter
  }

  /** The listeners that are open, those of attached servers included. */
  get openListeners(): readonly Listener[] {
    return [...this.#listeners]
  }

  /** The Clients that are connected, by Client Identifier. */
  get clients(): ReadonlyMap<string, PublicClient<S>> {
    return this.#clients as ReadonlyMap<string, unknown> as ReadonlyMap<string, PublicClient<S>>
  }

  /** Adds a plugin; it is asked after those that were there before. */
  use(plugin: Plugin<S>): this {
    checkPlugin(plugin)
    this.#add(plugin as Plugin<never>)
    return this
  }

  /**
   * Opens listeners. Resolves when all of them are open; rejects, with none of them open, when one cannot be,
   * and with an `InvalidOptionError` when it would let anybody in from other machines without `allowAnonymous`.
   */
  async listen(what: ListenOptionsMap, options: { signal?: AbortSignal } = {}): Promise<Listener[]> {
    refuseUnknown('listen.', what, ['tcp', 'tls', 'ws', 'wss'])
    this.#refuseStrangers(what)
    options.signal?.throwIfAborted()
    this.#refuseClosed()
    await this.#ready
    const maxPayload = this.#settings.limits.maxPacketSize + WEBSOCKET_SLACK
    const opened: Listener[] = []
    try {
      if (what.tcp !== undefined) opened.push(await listenTcp(what.tcp, this.#accept))
      if (what.tls !== undefined) opened.push(await listenTls(what.tls, this.#accept))
      if (what.ws !== undefined) {
        const ws = typeof what.ws === 'number' ? { port: what.ws } : what.ws
        opened.push(await listenWebSocket({ maxPayload, ...ws }, this.#accept))
      }
      if (what.wss !== undefined) opened.push(await listenSecureWebSocket({ maxPayload, ...what.wss }, this.#accept))
      this.#refuseClosed()
    } catch (error) {
      await Promise.all(opened.map((listener) => listener.close()))
      throw error
    }
    for (const listener of opened) this.#keep(listener)
    options.signal?.addEventListener('abort', () => {
      for (const listener of opened) void listener.close()
    })
    return opened
  }

  /** Takes WebSocket connections from an HTTP server of the application; requests for other paths are left alone. */
  attach(server: HttpServer, settings: WebSocketSettings = {}): Listener {
    const maxPayload = this.#settings.limits.maxPacketSize + WEBSOCKET_SLACK
    const listener = attachWebSocket(server, { maxPayload, ...settings }, this.#accept)
    this.#keep(listener)
    return listener
  }

  /** Takes one HTTP upgrade request, for servers that route upgrades themselves. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#upgrades.handleUpgrade(request, socket, head)
  }

  /**
   * Takes a connection: any Duplex stream of bytes. Bound, so that it can be given to `net.createServer` as it is.
   * What is known of the other side is read off the stream; `info` adds to it and counts more.
   */
  readonly handle = (stream: Duplex, info?: Partial<ConnectionInfo>): void => {
    // A second argument that is not ours, as from `http.Server`, is not looked at.
    this.#accept(stream, { ...connectionInfo(stream), ...(typeof info === 'object' ? info : {}) })
  }

  /** A connection without a network: the Client's side of a stream in memory. */
  connect(): Duplex {
    const [clientSide, serverSide] = memoryPair()
    this.#accept(serverSide, { transport: 'memory' })
    return clientSide
  }

  /**
   * Publishes a message as the application, without asking the hooks. Resolves when it is where it is kept.
   * Rejects with an `MqttError` when the topic is not a Topic Name, when retained messages are full, or when the store fails.
   */
  async publish(init: MessageInit, options: { signal?: AbortSignal } = {}): Promise<void> {
    options.signal?.throwIfAborted()
    this.#refuseClosed()
    if (typeof init?.topic !== 'string' || !isValidTopicName(init.topic, this.#settings.limits.maxTopicLevels)) {
      throw new MqttError(
        'topic-name-invalid',
        `expected a Topic Name, got ${JSON.stringify(init?.topic)?.slice(0, 80)}`,
      )
    }
    if (init.qos !== undefined && init.qos !== 0 && init.qos !== 1 && init.qos !== 2) {
      throw new InvalidOptionError(`qos: expected 0, 1 or 2, got ${String(init.qos)}`)
    }
    const fault = init.properties && faultInMessageProperties(init.properties)
    if (fault !== undefined) throw new InvalidOptionError(fault)
    const message = Message.of(init, undefined, this.#core.timers)
    await this.#restored
    if (message.retain && !this.#core.retained.hasRoomFor(message)) {
      throw new MqttError('quota-exceeded', 'too many retained messages')
    }
    await this.#publish(message)
  }

  async #publish(message: Message): Promise<void> {
    const { router, retained, commits } = this.#core
    const retainedBefore = message.retain ? retained.get(message.topic) : undefined
    router.publish(message)
    this.#core.notify('published', message, undefined)
    if (commits?.isInOpenBatch(message) !== true) return
    commits.markRejectable(message)
    try {
      await commits.flushed()
    } catch (error) {
      router.rollback(message, retainedBefore)
      throw storageRefusal(error as Error)
    }
  }

  /**
   * Subscribes the application itself: with a listener, which gets one message at a time, or without one, to be
   * used in `for await`. Retained messages come first; shared subscriptions work too.
   *
   * @throws MqttError when a filter is not a Topic Filter
   */
  subscribe(filter: string | readonly string[], options?: SubscribeOptions): LocalSubscription
  subscribe(
    filter: string | readonly string[],
    listener: (message: PublicMessage) => MaybePromise<void>,
    options?: SubscribeOptions,
  ): LocalSubscription
  subscribe(
    filter: string | readonly string[],
    second?: SubscribeOptions | ((message: PublicMessage) => MaybePromise<void>),
    third?: SubscribeOptions,
  ): LocalSubscription {
    const listener = typeof second === 'function' ? second : undefined
    const options = (typeof second === 'function' ? third : second) ?? {}
    const filters = typeof filter === 'string' ? [filter] : filter
    return this.#local.subscribe(filters, listener, options, this.#isRestored ? undefined : this.#restored)
  }

  /** Knows the listener until it is closed. */
  #keep(listener: Listener): void {
    const close = listener.close.bind(listener)
    this.#listeners.add(listener)
    listener.close = () => {
      this.#listeners.delete(listener)
      return close()
    }
  }

  #refuseClosed(): void {
    if (this.#closing !== undefined) throw new Error('the broker is closed')
  }

  /** The retained messages whose topics match. */
  async *retained(filter = '#'): AsyncIterableIterator<PublicMessage> {
    await this.#restored
    if (!hasWildcard(filter)) {
      const message = this.#core.retained.get(filter)
      if (message !== undefined) yield message
      return
    }
    for (const message of this.#core.retained.match(filter)) yield message
  }

  /** What is counted, from the start of the broker, and what there is now. */
  stats(): Readonly<Record<string, number>> {
    const now: Record<string, number> = {
      sessions: this.#core.sessions.size,
      subscriptions: this.#core.subscriptions.size,
      sharedSubscriptions: this.#core.subscriptions.sharedSize,
      retainedMessages: this.#core.retained.size,
      retainedBytes: this.#core.retained.bytes,
      timers: this.#core.timers.size,
    }
    return Object.assign(now, this.#core.statistics)
  }

  /**
   * Ends the broker: no new connections, then a goodbye to every Client, then time to take it, then the end of all
   * that is left. May be called more than once; resolves always.
   */
  close(options: CloseOptions = {}): Promise<void> {
    const { graceMs = 1000, reason = 'server-shutting-down' } = options
    this.#closing ??= this.#close(graceMs, reasonCodeOf(reason))
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(graceMs: number, reasonCode: number): Promise<void> {
    const stopped = Promise.all([...this.#listeners].map((listener) => listener.stopAccepting().catch(ignore)))
    await this.#connections.close(reasonCode, graceMs)
    await Promise.all([...this.#listeners].map((listener) => listener.close().catch(ignore)))
    await this.#upgrades.close().catch(ignore)
    await stopped
    this.#local.close()
    this.#tornDown = true
    for (const teardown of this.#teardowns) {
      try {
        await teardown()
      } catch (error) {
        this.#reportError(error as Error)
      }
    }
    this.#sysTopics?.stop()
    await this.#restored?.catch(ignore)
    if (this.#isStoreOpen) await this.#core.commits?.close().catch((error: Error) => this.#reportError(error))
    this.#core.timers.clear()
    await this.#bus.close().catch(ignore)
  }

  // ─── parts ───────────────────────────────────────────────────────────────────────────────────────────────────────

  readonly #accept = (stream: Duplex, info: ConnectionInfo): void => {
    if (this.#closing !== undefined || !this.#connections.hasRoomFor(info)) {
      this.#core.statistics.connectionsRefused += 1
      this.#core.notify('connectionRefused', info, new MqttError('server-busy', 'too many connections'))
      stream.on('error', ignore)
      stream.destroy()
      return
    }
    ;(stream as Partial<{ setNoDelay(on: boolean): void }>).setNoDelay?.(true)
    // A Client may end its side and wait for the answers; the connection ends ours.
    if ('allowHalfOpen' in stream) stream.allowHalfOpen = true
    const connection = new Connection(this.#core, stream, info)
    this.#connections.add(connection)
    this.#core.statistics.connections += 1
    connection.start(this.#letIn(info, stream))
  }

  /** What has to be settled before a byte of a connection is looked at; undefined when nothing has. */
  #letIn(info: ConnectionInfo, stream: Duplex): Promise<void> | undefined {
    const { hooks } = this.#core
    if (!hooks.canConnect) return this.#ready
    const gone = new AbortController()
    stream.once('close', () => gone.abort())
    return (this.#ready ?? Promise.resolve()).then(() => hooks.connect(info, gone.signal))
  }

  #clientConnected(client: Client, sessionPresent: boolean): void {
    this.#clients.set(client.id, client)
    const { statistics } = this.#core
    statistics.clientsConnected = this.#clients.size
    statistics.clientsMaximum = Math.max(statistics.clientsMaximum, this.#clients.size)
    this.#core.notify('clientConnected', client, sessionPresent)
  }

  #clientGone(client: Client): void {
    if (this.#clients.get(client.id) !== client) return
    this.#clients.delete(client.id)
    this.#core.statistics.clientsConnected = this.#clients.size
  }

  #add(plugin: Plugin<never>): void {
    this.#core.hooks.add(plugin)
    if (plugin.setup === undefined) return
    this.#before(async () => {
      const teardown = await plugin.setup?.(this as unknown as PluginBroker<never>)
      if (typeof teardown !== 'function') return
      if (this.#tornDown) await teardown()
      else this.#teardowns.push(teardown)
    })
  }

  /** Does something before the first connection is looked at, after what is to be done already. */
  #before(prepare: () => Promise<void> | undefined): void {
    this.#ready = (this.#ready ?? Promise.resolve()).then(prepare)
    this.#ready.catch(ignore) // It rejects `listen`, and every connection.
  }

  async #open(commits: CommitQueue): Promise<void> {
    await commits.open()
    this.#isStoreOpen = true
    const { shared } = commits.storage
    if (shared === undefined || this.#settings.emitter === undefined) await recover(this.#core, commits)
    else this.#core.ownership = await this.#bus.shareSessions(commits, shared)
    this.#isRestored = true
  }

  /** Without an `authenticate` hook only this machine is let in, unless the application says otherwise. */
  #refuseStrangers(what: ListenOptionsMap): void {
    if (this.#settings.allowAnonymous || this.#core.hooks.canAuthenticate) return
    for (const [name, options] of Object.entries(what) as [
      string,
      number | { host?: string; path?: string; requestCert?: boolean },
    ][]) {
      const host = typeof options === 'number' ? undefined : options.host
      if (host === undefined || isLoopback(host)) continue
      throw new InvalidOptionError(
        `listen.${name}.host: ${host} is open to other machines and no plugin has an authenticate hook; ` +
          'add one, or say allowAnonymous: true',
      )
    }
  }

  /** Calls the listeners one by one, so that one that throws or rejects keeps the event from nobody. */
  #notify<Name extends keyof BrokerEvents>(name: Name, values: BrokerEvents[Name]): void {
    if (this.listenerCount(name) === 0) return
    for (const listener of this.rawListeners(name)) {
      try {
        const result: unknown = Reflect.apply(listener, this, values)
        if (isPromise(result)) result.catch((error: Error) => this.#reportError(error))
      } catch (error) {
        this.#reportError(error as Error)
      }
    }
  }

  #reportError(error: Error): void {
    this.#settings.logger?.error(error.stack ?? error.message)
    if (this.listenerCount('error') === 0) {
      if (this.#settings.logger === undefined) process.emitWarning(error)
      return
    }
    try {
      ;(this.emit as (name: string, error: Error) => boolean).call(this, 'error', error)
    } catch (failure) {
      process.emitWarning(failure as Error)
    }
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

function ignore(): void {
  // Nobody is left to be told.
}

/** Makes a broker, sets up its plugins and opens its listeners. */
export async function createBroker<S = unknown>(
  options: BrokerOptions<S> & { listen?: ListenOptionsMap } = {},
): Promise<Broker<S>> {
  const { listen, ...rest } = options
  const broker = new Broker<S>(rest)
  try {
    await broker.listen(listen ?? {})
  } catch (error) {
    await broker.close()
    throw error
  }
  return broker
}

import { randomBytes } from 'node:crypto'
import type { BrokerEvents } from '../types/events.ts'
import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ConnectionInfo } from '../types/connection-info.ts'
import type { DropReason } from '../types/events.ts'
import type { MaybePromise, Plugin, PluginBroker } from '../types/hooks.ts'
import type { Message } from '../types/message.ts'
import type { Limits } from '../types/options.ts'
import { Administration } from './administration/administration.ts'
import { healthOf, respondHealth } from './administration/health.ts'
import { EmitterCluster } from './cluster/emitter-cluster.ts'
import { type Cluster, singleBroker } from './cluster/cluster.ts'
import { Acceptor } from './connection/acceptor.ts'
import { ConnectedClients } from './connection/connected-clients.ts'
import { Connection } from './connection/connection.ts'
import { Connections } from './connection/connections.ts'
import { Events, type Notify, type NotifyAfter } from './events.ts'
import { FlushScheduler } from './flush-scheduler.ts'
import { handlePacket } from './handlers/packet.ts'
import { Hooks } from './hooks.ts'
import { Lifecycle } from './lifecycle.ts'
import { Listeners } from './listeners.ts'
import { Bus, OwnEmitter } from './messages/bus.ts'
import { GroupDelivery } from './messages/group-delivery.ts'
import { LocalPublisher } from './messages/local-publisher.ts'
import { LocalSubscriptions } from './messages/local-subscriptions.ts'
import type { Publication } from './messages/publication.ts'
import { RetainedMessages } from './messages/retained-messages.ts'
import { Router } from './messages/router.ts'
import { Subscriptions } from './messages/subscriptions.ts'
import { SysTopics } from './messages/sys-topics.ts'
import { WillMessages } from './messages/will-messages.ts'
import type { Settings } from './options.ts'
import type { Delivery } from './sessions/delivery.ts'
import { QueueTotals } from './sessions/outbound-queue.ts'
import { QueueExpiry } from './sessions/queue-expiry.ts'
import { Predecessors } from './sessions/predecessors.ts'
import { SessionRegistry } from './sessions/session-registry.ts'
import { Session } from './sessions/session.ts'
import { storageOf } from './sessions/session-storage.ts'
import { SharedQueues } from './sessions/shared-queues.ts'
import { UndecidedConnects } from './sessions/undecided-connects.ts'
import { Statistics } from './statistics.ts'
import type { CommitQueue } from './storage/commit-queue.ts'
import { createStorage } from './storage/create-storage.ts'
import { LivingBrokers } from './storage/living-brokers.ts'
import { recover } from './storage/recovery.ts'
import { Timers } from './timers.ts'

/** How `Broker.close` ends the connections. */
interface EndOfConnections {
  readonly reasonCode: number
  /** Milliseconds for Clients to leave before the DISCONNECT. */
  readonly leaveMs: number
  /** Milliseconds after the DISCONNECT. */
  readonly graceMs: number
}

/**
 * The parts of one broker, created in the order of their dependencies; two brokers share none. No other file knows all
 * parts: each part declares an interface with those that it uses. A part may use a later one once the broker starts.
 */
export class Assembly {
  readonly settings: Settings
  readonly limits: Readonly<Limits>
  /** Identifies this start of the broker, so that message ids are unique. A later start sorts after an earlier one. */
  readonly bootId: string
  readonly statistics: Statistics = new Statistics()
  readonly hasListener: (name: keyof BrokerEvents) => boolean
  readonly notify: Notify
  readonly notifyAfter: NotifyAfter
  readonly reportError: (error: Error) => void
  readonly lifecycle: Lifecycle
  readonly timers: Timers
  readonly scheduler: FlushScheduler
  readonly hooks: Hooks

  readonly commits: CommitQueue | undefined
  readonly queueTotals: QueueTotals = new QueueTotals()
  readonly expiry: QueueExpiry
  readonly shared: SharedQueues = new SharedQueues()
  readonly subscriptions: Subscriptions = new Subscriptions()
  readonly retained: RetainedMessages
  readonly groups: GroupDelivery
  readonly router: Router
  readonly predecessors: Predecessors
  readonly undecidedConnects: UndecidedConnects = new UndecidedConnects()
  readonly wills: WillMessages
  readonly sessions: SessionRegistry
  readonly bus: Bus
  readonly cluster: Cluster
  readonly administration: Administration

  readonly connections: Connections
  readonly clients: ConnectedClients
  readonly acceptor: Acceptor
  readonly listeners: Listeners

  readonly localPublisher: LocalPublisher
  readonly localSubscriptions: LocalSubscriptions
  readonly #sysTopics: SysTopics | undefined
  /** The brokers that use the same store; undefined for a store of this broker alone. */
  #livingBrokers: LivingBrokers | undefined
  /** The storage, once it is open and must be closed. */
  #openStorage: CommitQueue | undefined

  constructor(settings: Settings, emitter: EventEmitter) {
    const { limits } = settings
    const events = new Events(emitter, settings.logger)
    const { notify, notifyAfter, reportError } = events
    this.settings = settings
    this.limits = limits
    this.bootId = `${Date.now().toString(36).padStart(9, '0')}-${randomBytes(6).toString('hex')}`
    this.hasListener = events.hasListener
    this.notify = notify
    this.notifyAfter = notifyAfter
    this.reportError = reportError
    this.lifecycle = new Lifecycle(reportError)
    this.timers = new Timers(settings.clock, reportError)
    this.expiry = new QueueExpiry(this.timers)
    this.scheduler = new FlushScheduler(reportError)
    this.hooks = new Hooks(this.timers, limits.hookTimeoutMs, reportError)

    // From storage to Clients. Commits and publications are passed to the cluster and the bus, which are made last.
    const busEmitter = settings.emitter ?? new OwnEmitter()
    this.commits = createStorage(settings, this.bootId, this.timers, {
      emitter: busEmitter,
      committed: (changes) => this.cluster.committed(changes),
      notify,
      reportError,
    })
    this.retained = new RetainedMessages(this.timers, limits, (topic) => this.commits?.forgetRetained(topic))
    const joinsBrokers = settings.emitter !== undefined
    const published = (publication: Publication): void => this.bus.publish(publication)
    this.groups = new GroupDelivery({
      subscriptions: this.subscriptions,
      shared: this.shared,
      joinsBrokers,
      published,
      dropped: (message, clientId, why) => this.dropped(message, clientId, why),
    })
    this.router = new Router({
      subscriptions: this.subscriptions,
      retained: this.retained,
      scheduler: this.scheduler,
      commits: this.commits,
      groups: this.groups,
      joinsBrokers,
      published,
    })
    this.predecessors = new Predecessors({ timers: this.timers, timeoutMs: limits.hookTimeoutMs, reportError })
    this.wills = new WillMessages(this)
    this.sessions = new SessionRegistry(
      this,
      (clientId, principal, isKept) =>
        new Session(this, clientId, principal, storageOf(this.commits, clientId, isKept)),
    )
    this.cluster = settings.emitter === undefined ? singleBroker : new EmitterCluster(this, settings.emitter)
    this.administration = new Administration(this)
    this.bus = new Bus(busEmitter, { brokerId: settings.id, cluster: this.cluster, reportError })

    this.connections = new Connections(limits)
    this.clients = new ConnectedClients(this.statistics, notify)
    this.acceptor = new Acceptor(this)
    this.listeners = new Listeners(this)

    this.localPublisher = new LocalPublisher(this)
    this.localSubscriptions = new LocalSubscriptions(this)
    this.#sysTopics = settings.sysInterval === false ? undefined : new SysTopics(this, settings.sysInterval)
  }

  // ─── from start to stop ──────────────────────────────────────────────────────────────────────────────────────────

  /** Joins the cluster, opens the storage and sets up the plugins of the options, in this order. */
  start(broker: PluginBroker<never>): void {
    const { commits } = this
    void this.cluster.start()
    if (commits !== undefined) {
      this.lifecycle.restore(() => this.#restore(commits))
      this.lifecycle.restored?.catch(this.reportError) // At once, because no listener or Client may wait for it.
    }
    for (const plugin of this.settings.plugins) this.addPlugin(plugin, broker)
    this.#sysTopics?.start()
  }

  async #restore(commits: CommitQueue): Promise<void> {
    const { storage } = commits
    await commits.open()
    this.#openStorage = commits
    if (storage.shared !== undefined) {
      const { bootId, timers, settings } = this
      this.#livingBrokers = new LivingBrokers({ bootId, timers, hasEmitter: settings.emitter !== undefined }, commits)
      await this.#livingBrokers.start()
    }
    if (storage.shared === undefined || this.cluster === singleBroker) {
      await recover(this, commits)
      return
    }
    await this.cluster.start()
    await this.cluster.shareSessions(commits, storage.shared)
  }

  /** Its hooks are called from now on; new connections wait for its setup. */
  addPlugin(plugin: Plugin<never>, broker: PluginBroker<never>): void {
    this.hooks.add(plugin)
    if (plugin.setup !== undefined) this.lifecycle.prepare(() => this.#setUp(plugin, broker))
  }

  /** A failure is reported at once, because without `listen` nothing waits for the preparation until a Client connects. */
  async #setUp(plugin: Plugin<never>, broker: PluginBroker<never>): Promise<void | (() => MaybePromise<void>)> {
    try {
      return await plugin.setup?.(broker)
    } catch (error) {
      const cause = error instanceof Error ? error : new Error(String(error))
      this.reportError(new Error(`setup of plugin ${plugin.name} failed: ${cause.message}`, { cause }))
      throw error
    }
  }

  /** Ends the parts in an order in which no part uses one that has ended. */
  close(how: EndOfConnections): Promise<void> {
    const { lifecycle } = this
    return lifecycle.close([
      () => this.#endConnections(how),
      () => this.predecessors.close(),
      () => this.localSubscriptions.close(),
      () => lifecycle.tearDown(),
      () => this.#sysTopics?.stop(),
      () => this.#livingBrokers?.stop(),
      () => lifecycle.restored?.catch(ignore),
      () => this.cluster.stopReading(),
      () => this.#openStorage?.close(),
      () => this.timers.clear(),
      () => this.bus.close().catch(ignore),
    ])
  }

  /** Closes the ports first, so that no Client reconnects, then the connections, then the other streams. */
  async #endConnections({ reasonCode, leaveMs, graceMs }: EndOfConnections): Promise<void> {
    const stopped = this.listeners.stopAccepting()
    if (leaveMs > 0) await this.connections.empty(leaveMs)
    await this.connections.close(reasonCode, graceMs)
    await this.listeners.close()
    await stopped
  }

  // ─── for other parts ─────────────────────────────────────────────────────────────────────────────────────────────

  respondHealth(request: IncomingMessage, response: ServerResponse): void {
    respondHealth(healthOf(this), request, response)
  }

  newConnection(stream: Duplex, info: ConnectionInfo): Connection {
    return new Connection(this, handlePacket, stream, info)
  }

  passOn(delivery: Delivery, clientId: string): boolean {
    return this.groups.passOn(delivery, clientId)
  }

  dropped(message: Message, clientId: string, why: DropReason): void {
    this.statistics.publishDropped += 1
    this.notify('dropped', message, clientId, why)
  }

  /** Without an `authenticate` hook only Clients of this machine may connect, unless `allowAnonymous` is set. */
  get admitsOtherMachines(): boolean {
    return this.settings.allowAnonymous || this.hooks.canAuthenticate
  }
}

function ignore(): void {
  // The error was reported when it happened.
}

import type { MessageInit } from '../../types/message.ts'
import type { ClientSubscribeOptions } from '../../types/session.ts'
import type { Cluster, RemoteSessionInfo } from '../cluster/cluster.ts'
import { InvalidOptionError, MqttError } from '../errors.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { checkMessage, checkMessageSize } from '../messages/message-fields.ts'
import { Message } from '../messages/message.ts'
import type { Session } from '../sessions/session.ts'
import { checkClientId, checkSubscriptions, filtersOf, noSession, subscriptionsOf } from './checks.ts'
import { ClientSession, type SessionOperations } from './client-session.ts'
import { LocalOperations, type LocalOperationsContext } from './local-operations.ts'
import { readRequest, responseOf, resultOf, type SessionRequest, type SessionResponse } from './session-requests.ts'
import { plainSubscription, type SessionView } from './session-view.ts'

interface AdministrationContext extends LocalOperationsContext {
  readonly lifecycle: Pick<Lifecycle, 'refuseClosed' | 'restored'>
  readonly cluster: Pick<Cluster, 'remoteSessions' | 'ownerOf' | 'askOwners' | 'settled'>
}

/** A change of one session. */
type Change = Exclude<SessionRequest, { readonly kind: 'view' }>

// Sessions that are read in one turn of the event loop, or with one request to another broker.
const PAGE = 256
// A session that moves between brokers is looked for again.
const MAX_ATTEMPTS = 4

/** Lists and changes sessions for the application: those of this broker, and those of its peers by requests to them. */
export class Administration implements SessionOperations {
  readonly #context: AdministrationContext
  readonly #local: LocalOperations

  constructor(context: AdministrationContext) {
    this.#context = context
    this.#local = new LocalOperations(context)
  }

  // ─── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** All sessions; one that begins or ends meanwhile may be missing. Other work goes on between two pages. */
  async *list(): AsyncIterableIterator<ClientSession> {
    await this.#ready()
    const seen = new Set<string>()
    let count = 0
    for (const { clientId } of this.#context.sessions.values()) {
      count += 1
      if (count % PAGE === 0) await new Promise((resolve) => setImmediate(resolve))
      const view = this.#local.view(clientId)
      if (view === undefined) continue
      seen.add(clientId)
      yield new ClientSession(view, this)
    }
    const pages = new Map<string | undefined, RemoteSessionInfo[]>()
    for (const remote of this.#context.cluster.remoteSessions()) {
      if (seen.has(remote.clientId)) continue // It was here when it was read.
      let page = pages.get(remote.ownerBroker)
      if (page === undefined) pages.set(remote.ownerBroker, (page = []))
      page.push(remote)
      if (page.length < PAGE) continue
      pages.delete(remote.ownerBroker)
      for (const view of await this.#viewsOf(page)) yield new ClientSession(view, this)
    }
    for (const page of pages.values()) for (const view of await this.#viewsOf(page)) yield new ClientSession(view, this)
  }

  async get(clientId: string): Promise<ClientSession | undefined> {
    checkClientId(clientId)
    await this.#ready()
    const view = this.#local.view(clientId) ?? (await this.#remoteView(clientId))
    return view && new ClientSession(view, this)
  }

  async #remoteView(clientId: string): Promise<SessionView | undefined> {
    for (const remote of this.#context.cluster.remoteSessions(clientId)) return (await this.#viewsOf([remote]))[0]
    // Without a store in common each broker knows its own sessions only.
    const responses = await this.#context.cluster.askOwners({ kind: 'view', clientIds: [clientId] }, undefined)
    for (const response of responses as SessionResponse[])
      if ('views' in response && response.views[0]) return response.views[0]
    return undefined
  }

  /** Sessions with the same owner broker; without its response they are as this broker knows them. */
  async #viewsOf(page: readonly RemoteSessionInfo[]): Promise<SessionView[]> {
    const owner = page[0]?.ownerBroker
    const clientIds = page.map(({ clientId }) => clientId)
    const found = new Map<string, SessionView>()
    if (owner !== undefined) {
      const responses = await this.#context.cluster.askOwners({ kind: 'view', clientIds }, owner)
      for (const response of responses as SessionResponse[]) {
        if ('views' in response) for (const view of response.views) found.set(view.clientId, withAllFields(view))
      }
    }
    return page.map((remote) => found.get(remote.clientId) ?? viewOfRemote(remote))
  }

  // ─── changes ─────────────────────────────────────────────────────────────────────────────────────────────────────

  async delete(clientId: string): Promise<boolean> {
    checkClientId(clientId)
    await this.#ready()
    return (await this.#change({ kind: 'delete', clientId })) !== undefined
  }

  async subscribe(clientId: string, filter: unknown, options: ClientSubscribeOptions | undefined): Promise<void> {
    const { settings, commits } = this.#context
    const subscriptions = subscriptionsOf(filter, options)
    await this.#ready()
    checkSubscriptions(settings.limits, commits?.storage.reserved, subscriptions)
    if ((await this.#change({ kind: 'subscribe', clientId, subscriptions })) === undefined) throw noSession(clientId)
  }

  async unsubscribe(clientId: string, filter: unknown): Promise<number> {
    const topicFilters = filtersOf(filter)
    await this.#ready()
    const count = await this.#change({ kind: 'unsubscribe', clientId, topicFilters })
    if (count === undefined) throw noSession(clientId)
    return count
  }

  async publish(clientId: string, init: MessageInit): Promise<void> {
    const { settings, timers } = this.#context
    checkMessage(init, settings.limits.maxTopicLevels)
    if (init.retain === true)
      throw new InvalidOptionError('retain: expected false, because the message is for one Client')
    const complete = Message.of(init, undefined, timers)
    checkMessageSize(complete)
    const { topic, payload, qos, retain, properties } = complete
    await this.#ready()
    const message = { topic, payload, qos, retain, properties }
    if ((await this.#change({ kind: 'publish', clientId, message })) === undefined) throw noSession(clientId)
  }

  async #ready(): Promise<void> {
    const { lifecycle } = this.#context
    lifecycle.refuseClosed()
    await lifecycle.restored
    lifecycle.refuseClosed()
  }

  /** Changes the session at the broker that has it. Returns undefined if there is none. */
  async #change(change: Change): Promise<number | undefined> {
    const { cluster } = this.#context
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
      const session = await this.#local.find(change.clientId)
      if (session !== undefined) return this.#changeHere(session, change)
      const responses = await cluster.askOwners(change, cluster.ownerOf(change.clientId))
      const [response] = responses as SessionResponse[]
      if (response !== undefined) return resultOf(response)
      // It has no owner at present, or it is on its way to this broker.
      if (!(await cluster.settled(change.clientId))) return undefined
    }
    throw new MqttError('server-busy', 'the broker that has the session does not respond')
  }

  async #changeHere(session: Session, change: Change): Promise<number> {
    switch (change.kind) {
      case 'delete':
        await this.#local.delete(session)
        return 1
      case 'subscribe':
        await this.#local.subscribe(session, change.subscriptions)
        return 1
      case 'unsubscribe':
        return this.#local.unsubscribe(session, change.topicFilters)
      case 'publish':
        await this.#local.publish(session, change.message)
        return 1
    }
  }

  /** A request of another broker. Returns undefined if this broker does not have the session. */
  async onRequest(body: unknown): Promise<SessionResponse | undefined> {
    const request = readRequest(body)
    if (request.kind === 'view') {
      const views = request.clientIds.map((clientId) => this.#local.view(clientId)).filter((view) => view !== undefined)
      return { views }
    }
    const session = await this.#local.find(request.clientId)
    if (session === undefined) return undefined
    try {
      return { result: await this.#changeHere(session, request) }
    } catch (error) {
      return responseOf(error)
    }
  }
}

function viewOfRemote({ clientId, owner, expiryInterval, connected, subscriptions }: RemoteSessionInfo): SessionView {
  return {
    clientId,
    owner,
    connected,
    stored: true,
    broker: undefined,
    expiryInterval,
    expiresAt: undefined,
    connectedAt: undefined,
    hasWill: false,
    subscriptions: Array.from(subscriptions, plainSubscription),
    queuedMessages: 0,
    inflightMessages: 0,
    queuedBytes: 0,
  }
}

/** Fields that are undefined are absent on the emitter. */
function withAllFields(view: SessionView): SessionView {
  const { owner, broker, expiresAt, connectedAt } = view
  return { ...view, owner, broker, expiresAt, connectedAt }
}

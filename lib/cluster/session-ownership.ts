import { createHash } from 'node:crypto'
import type {
  PersistedSessionInfo,
  PersistedSessionState,
  PersistedSubscription,
  PersistenceOperation,
} from '../../types/persistence.ts'
import type { Core } from '../core.ts'
import { deliveryOf, startExpiry, restoreRetained, restoreSession } from '../storage/recovery.ts'
import { storageRefusal } from '../storage/storage-refusal.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import { messageOf } from '../storage/stored-message.ts'
import { persistedSubscription } from '../storage/stored-subscription.ts'
import { MqttError } from '../errors.ts'
import type { Message } from '../messages/message.ts'
import type { Subscription } from '../messages/subscriber.ts'
import type { SharedReading } from '../../types/storage.ts'
import type { Session } from '../sessions/session.ts'
import type { Timer } from '../timers.ts'
import { type LockRequest, SessionLocks } from './session-locks.ts'
import type { Membership } from './membership.ts'
import type { RemoteSession } from './remote-session.ts'
import { RemoteSessions } from './remote-sessions.ts'

/** What a broker answers when it is asked which sessions it has. */
interface SessionInventory {
  readonly sessions: readonly (SessionNotice & { readonly session: PersistedSessionInfo })[]
  /** Sessions that are not stored, with their shared subscriptions. */
  readonly members: readonly { readonly clientId: string; readonly subscription: PersistedSubscription }[]
}

interface Adopted {
  readonly session: Session
  readonly state: PersistedSessionState
}

// Milliseconds for another broker to let go of a session.
const TAKE_OVER_MS = 2000
// Milliseconds after a loss until what was lost is looked for, so that a burst of losses costs one look.
const REPAIR_MS = 500

/**
 * Sessions that brokers with one store share. Each session is with one broker at a time, which has its queue, its
 * connection and its timers; the others have its subscriptions, as a `RemoteSession`.
 *
 *   kept by another ──its Client connects here: that one is asked to let go──▶ read from the store ──▶ kept here
 *        ▲  └──────────that broker is gone, and this one is next────────────────────┘                      │
 *        └────────────────────────────its Client connects elsewhere────────────────────────────────────────┘
 *
 * What the store has committed is told to the others in that order, so each of them knows all subscriptions.
 */
export class SessionOwnership {
  readonly #core: Core
  readonly #commits: CommitQueue
  readonly #shared: SharedReading
  readonly #membership: Membership
  readonly #id: string
  readonly #remote: RemoteSessions
  readonly #locks = new SessionLocks()
  /** What is told while the store is being read; it is newer. */
  #deferredNotices: (() => void)[] | undefined
  #repair: Timer | undefined
  #repairing: Promise<void> | undefined

  constructor(core: Core, store: CommitQueue, shared: SharedReading, cluster: Membership) {
    this.#core = core
    this.#commits = store
    this.#shared = shared
    this.#membership = cluster
    this.#id = core.bootId
    this.#remote = new RemoteSessions(core, store)
  }

  get size(): number {
    return this.#remote.size
  }

  /** Reads what is in the store; takes the sessions that nobody has. */
  async start(): Promise<void> {
    await this.#readRetained()
    await this.#compare(true)
  }

  stop(): void {
    this.#core.timers.cancel(this.#repair)
  }

  /** Nothing is being looked for. */
  async recovered(): Promise<void> {
    await this.#repairing
  }

  // ─── connections of this broker ──────────────────────────────────────────────────────────────────────────────────

  /**
   * Brings the session of a Client here, wherever it is; what is returned is called when its connection has it, or
   * will not. Throws an `MqttError` when it is somebody else's, and, for a session that is kept, when a broker that may
   * have it does not answer: what that one still tells the store would come to the session here.
   */
  async acquire(clientId: string, owner: string | undefined, isKept: boolean): Promise<() => void> {
    const claim = this.#claim()
    claim.begins = () => {
      claim.isFetching = true
    }
    const release = await this.#locks.acquire(clientId, claim)
    try {
      await this.#fetch(clientId, claim, owner, isKept)
      return release
    } catch (error) {
      release()
      throw error
    }
  }

  #claim(time: number = this.#core.timers.toWallClock(this.#core.timers.now())): LockRequest {
    return { time, isFetching: false, begins: () => undefined }
  }

  /** The Client left before it had the session that was brought here for it. */
  abandoned(clientId: string): void {
    const session = this.#core.sessions.get(clientId)
    if (session === undefined || session.connection !== undefined || session.pendingConnection !== undefined) return
    if (session.expiry === undefined) this.#core.sessions.startExpiry(session)
  }

  async #fetch(clientId: string, claim: LockRequest, owner: string | undefined, isKept: boolean): Promise<void> {
    const question = { clientId, time: claim.time, owner: owner ?? null }
    const { responses, timedOut } = await this.#membership.request('take over', question, { timeoutMs: TAKE_OVER_MS })
    claim.isFetching = false
    for (const answer of responses.values()) {
      if (answer === 'forbidden') throw new MqttError('not-authorized', 'the Client Identifier belongs to another user')
    }
    if (isKept && timedOut.some((id) => this.#membership.members.has(id))) {
      throw new MqttError('server-busy', 'a broker that may have the session does not answer')
    }
    const session = this.#core.sessions.get(clientId)
    if (session !== undefined) {
      const isAlone = timedOut.length === 0 && !Array.from(responses.values()).includes('done')
      if (isAlone || !session.isStored) return
      // Another broker had it too, or may have: notices were lost. What the store has is true.
      this.#releaseToPeer(clientId, undefined)
    }
    // Also one that this broker has not heard of: it may have been told when nobody listened.
    await this.#adopt(this.#remote.of(clientId), owner)
  }

  /** Reads the session into this broker, together with what is published meanwhile. */
  async #adopt(remote: RemoteSession, owner?: string): Promise<Adopted | undefined> {
    const { clientId } = remote
    remote.bufferedDeliveries = []
    let state: PersistedSessionState | undefined
    try {
      await this.#commits.flushed().catch(() => undefined) // What was refused is not in the store.
      state = await this.#commits.storage.readSession(clientId)
      if (owner !== undefined && this.#core.sessions.checksPrincipal && (state?.session.owner ?? owner) !== owner) {
        throw new MqttError('not-authorized', 'the Client Identifier belongs to another user')
      }
    } catch (error) {
      remote.bufferedDeliveries = undefined
      throw error instanceof MqttError ? error : storageRefusal(error as Error)
    }
    const collected = remote.bufferedDeliveries
    this.#remote.forget(clientId)
    if (state === undefined) return undefined
    const session = restoreSession(this.#core, this.#commits, state, remote.recoveredIds)
    for (const delivery of collected) session.deliverAgain(delivery)
    return { session, state }
  }

  // ─── what the others are told ────────────────────────────────────────────────────────────────────────────────────

  /** Tells what the store has now of the sessions of this broker. */
  committed(operation: PersistenceOperation): void {
    switch (operation.kind) {
      case 'session':
        return this.#tellSession(operation.clientId)
      case 'subscribe':
      case 'unsubscribe':
      case 'end session':
        return this.#membership.broadcast(operation.kind, operation)
      default:
        return undefined
    }
  }

  #tellSession(clientId: string): void {
    const session = this.#core.sessions.get(clientId)
    if (session === undefined) return // Its end comes next.
    const subscriptions = Array.from(session.subscriptions.values(), persistedSubscription)
    this.#membership.broadcast('session', { ...described(session), subscriptions })
  }

  /** A session that is not stored joined or left a shared subscription. */
  memberChanged(session: Session, subscription: Subscription, isMember: boolean): void {
    if (session.isStored || subscription.shareName === undefined) return
    const { clientId } = session
    if (isMember) this.#membership.broadcast('member', { clientId, subscription: persistedSubscription(subscription) })
    else this.#membership.broadcast('no member', { clientId, topicFilter: subscription.requested.topicFilter })
  }

  // ─── what the others tell and ask ────────────────────────────────────────────────────────────────────────────────

  onNotice(kind: string, body: unknown, from: string): void {
    const apply = (): void => this.#applyNotice(kind, body as SessionNotice, from)
    if (this.#deferredNotices === undefined) apply()
    else this.#deferredNotices.push(apply)
  }

  #applyNotice(kind: string, body: SessionNotice, from: string): void {
    const { clientId } = body
    if (typeof clientId !== 'string') return
    switch (kind) {
      case 'session': {
        if (body.session === undefined) return
        if (this.#isOurs(clientId, body.since ?? 0, from)) return this.#tellSession(clientId)
        this.#releaseToPeer(clientId, from)
        this.#know({ ...body, session: body.session }, from)
        return
      }
      case 'subscribe':
        for (const stored of body.subscriptions ?? []) this.#remote.subscribe(this.#remote.of(clientId), stored)
        return
      case 'unsubscribe':
        for (const topicFilter of body.topicFilters ?? []) this.#remote.unsubscribe(clientId, topicFilter)
        return
      case 'end session':
        return this.#remote.forget(clientId)
      case 'member': {
        const remote = this.#remote.of(clientId)
        remote.ownerBroker = from
        remote.connected = true
        if (body.subscription !== undefined) this.#remote.subscribe(remote, body.subscription)
        return
      }
      case 'no member':
        if (body.topicFilter !== undefined) this.#remote.unsubscribe(clientId, body.topicFilter)
        return
      default:
    }
  }

  /** Two brokers think that they have it, for example after they did not hear each other: the later connection counts. */
  #isOurs(clientId: string, since: number, from: string): boolean {
    const session = this.#core.sessions.get(clientId)
    return session !== undefined && (session.connectedAt > since || (session.connectedAt === since && this.#id < from))
  }

  async onRequest(kind: string, body: unknown, from: string): Promise<unknown> {
    if (kind === 'kept') return this.#inventory()
    if (kind === 'had') return this.#whoHad(body as MessageName)
    if (kind !== 'take over') throw new Error(`nobody knows what ${kind} is`)
    const { clientId, time, owner } = body as { clientId: string; time: number; owner: string | null }
    const ours = this.#locks.holder(clientId)
    // Two brokers that want the same session at once: the older claim has it first, then the other one.
    const isFirst = ours?.isFetching === true && (time < ours.time || (time === ours.time && from < this.#id))
    const release = isFirst ? () => undefined : await this.#locks.acquire(clientId, this.#claim(time), true)
    try {
      const session = this.#core.sessions.get(clientId)
      if (session === undefined) return 'none'
      if (this.#core.sessions.checksPrincipal && session.principal !== (owner ?? undefined)) return 'forbidden'
      session.connection?.sessionTakenOver()
      // Before another broker reads it the store must have all of it, however long that takes; the other one does not
      // go on without our answer.
      await new Promise<void>((resolve) => this.#commits.afterCommit(resolve))
      this.#releaseToPeer(clientId, from)
      return 'done'
    } finally {
      release()
    }
  }

  /** Clients of other brokers who have a message from when another broker was handing it on, which it did not end. */
  async whoHad({ stored }: Message): Promise<ReadonlySet<string>> {
    if (stored === undefined) return new Set()
    const { brokerId, brokerCounter } = stored
    const clientIds = new Set(this.#whoHad(stored))
    const { responses } = await this.#membership.request(
      'had',
      { brokerId, brokerCounter },
      { timeoutMs: TAKE_OVER_MS },
    )
    for (const answer of responses.values()) {
      if (Array.isArray(answer)) for (const clientId of answer as string[]) clientIds.add(clientId)
    }
    return clientIds
  }

  #whoHad({ brokerId, brokerCounter }: MessageName): string[] {
    const nothing = { cmd: 'publish', topic: '', payload: '', qos: 2, retain: false } as const
    const message = messageOf({ ...nothing, brokerId, brokerCounter }, this.#core.timers)
    const clientIds: string[] = []
    for (const session of this.#core.sessions.values()) if (session.hasSeen(message)) clientIds.push(session.clientId)
    for (const remote of this.#remote.values())
      if (remote.recoveredIds?.has(message) === true) clientIds.push(remote.clientId)
    return clientIds
  }

  #inventory(): SessionInventory {
    const sessions: SessionInventory['sessions'][number][] = []
    const members: SessionInventory['members'][number][] = []
    for (const session of this.#core.sessions.values()) {
      const subscriptions = Array.from(session.subscriptions.values(), persistedSubscription)
      if (session.isRecorded) sessions.push({ ...described(session), subscriptions })
      if (session.isStored) continue
      for (const subscription of subscriptions) {
        if (subscription.topic.startsWith('$share/')) members.push({ clientId: session.clientId, subscription })
      }
    }
    return { sessions, members }
  }

  /** Another broker has the session: what is here of it is not told to the store any more. */
  #releaseToPeer(clientId: string, to: string | undefined): void {
    const session = this.#core.sessions.get(clientId)
    if (session === undefined) return
    session.connection?.sessionTakenOver()
    session.pendingConnection?.sessionTakenOver()
    session.pendingConnection = undefined
    if (this.#core.sessions.get(clientId) !== session) return // That was its end.
    const { principal, expiryInterval } = session
    const subscriptions = [...session.subscriptions.values()]
    this.#core.sessions.releaseToPeer(session)
    if (!session.isRecorded) return
    const remote = this.#remote.of(clientId)
    remote.info = { owner: principal, expiryInterval, expiresAt: null }
    remote.ownerBroker = to
    remote.recoveredIds = session.recoveredIds
    for (const subscription of subscriptions) this.#remote.subscribe(remote, persistedSubscription(subscription))
  }

  // ─── brokers that come and go ────────────────────────────────────────────────────────────────────────────────────

  /** A broker is gone: the sessions that it had are taken by one of those that are left. */
  onLeave(id: string): void {
    for (const remote of this.#remote.values()) {
      if (remote.ownerBroker !== id) continue
      remote.ownerBroker = undefined
      remote.connected = false
      if (remote.info === undefined) this.#remote.forget(remote.clientId)
    }
    this.onGap()
  }

  /** Something was lost on the way: it is looked for in the store. */
  onGap(): void {
    for (const session of this.#core.sessions.values()) session.markStale()
    this.#repair ??= this.#core.timers.after(REPAIR_MS, () => {
      this.#repair = undefined
      this.#repairing = (this.#repairing ?? Promise.resolve())
        .then(() => this.#repairAll())
        .catch((error: Error) => {
          this.#core.reportError(error)
          this.onGap() // The store does not work just now.
        })
    })
  }

  async #repairAll(): Promise<void> {
    await this.#readRetained()
    await this.#compare(false)
    const sessions = Array.from(this.#core.sessions.values()) // Some come and go meanwhile.
    for (const session of sessions) {
      if (session.isStored && !session.ended) await this.#repairSession(session)
    }
  }

  /** Queues what is in the store and not here: another broker stored it, and its word of that was lost. */
  async #repairSession(session: Session): Promise<void> {
    await this.#commits.flushed().catch(() => undefined)
    session.startReading() // Also what came while another one was repaired.
    const state = await this.#commits.storage.readSession(session.clientId)
    if (session.ended) return
    session.deliverUnseen([...(state?.queue ?? [])].map((item) => deliveryOf(this.#core, item)))
  }

  /** What is retained is what the store has, and what was published here meanwhile. */
  async #readRetained(): Promise<void> {
    await this.#commits.flushed().catch(() => undefined)
    const { retained, timers } = this.#core
    const before = new Map<string, Message>()
    for (const message of retained.match('#')) before.set(message.topic, message)
    const gone = new Map(before)
    for await (const packet of this.#shared.readRetained()) {
      gone.delete(packet.topic)
      const here = retained.get(packet.topic)
      if (here?.stored?.brokerCounter === packet.brokerCounter && here?.stored?.brokerId === packet.brokerId) continue
      // What came or went while this was read is newer than what was read.
      if (here === before.get(packet.topic)) restoreRetained(this.#core, this.#commits, messageOf(packet, timers))
    }
    for (const [topic, message] of gone) {
      if (retained.get(topic) === message && !topic.startsWith('$')) retained.remove(topic)
    }
  }

  /** Compares what is known with what the others have, and at the start with the store; takes what nobody has. */
  async #compare(isStart: boolean): Promise<void> {
    this.#deferredNotices = []
    try {
      const { responses, timedOut } = await this.#membership.request('kept', {}, { timeoutMs: TAKE_OVER_MS })
      const doubtful = this.#compareWith(responses as Map<string, SessionInventory | undefined>)
      // Nobody is known to have these; perhaps they are just on their way, or with one that did not answer.
      if (doubtful || timedOut.length > 0) this.onGap()
      if (isStart) {
        for await (const { clientId, session, subscriptions } of this.#shared.readSessions()) {
          if (this.#remote.get(clientId)?.info !== undefined) continue
          this.#know({ clientId, session, subscriptions }, undefined)
        }
      }
      await this.#takeOrphans()
    } finally {
      const early = this.#deferredNotices
      this.#deferredNotices = undefined
      for (const apply of early ?? []) apply()
    }
  }

  /** Answers whether there are sessions that got out of sight. */
  #compareWith(answers: ReadonlyMap<string, SessionInventory | undefined>): boolean {
    const kept = new Set<string>()
    for (const [id, answer] of answers) {
      if (answer === undefined) continue // That one has not begun yet.
      for (const told of [...answer.sessions, ...answer.members]) kept.add(told.clientId)
      for (const told of answer.sessions) {
        if (this.#isOurs(told.clientId, told.since ?? 0, id)) continue
        this.#releaseToPeer(told.clientId, id)
        this.#know(told, id)
      }
      for (const told of answer.members) this.#applyNotice('member', told, id)
    }
    let doubtful = false
    for (const remote of this.#remote.values()) {
      const { ownerBroker, clientId, info } = remote
      if (ownerBroker === undefined || kept.has(clientId) || answers.get(ownerBroker) === undefined) continue
      if (info === undefined) this.#remote.forget(clientId)
      else if (remote.isUnconfirmed) {
        remote.isUnconfirmed = false
        remote.ownerBroker = undefined // Whether there still is one, the store says.
      } else {
        remote.isUnconfirmed = true
        doubtful = true
      }
    }
    return doubtful
  }

  /** A session of another broker, or of nobody, with these subscriptions and no others. */
  #know(
    { clientId, session, connected, subscriptions = [] }: SessionInventory['sessions'][number],
    keeper: string | undefined,
  ): void {
    const remote = this.#remote.of(clientId)
    remote.info = session
    remote.ownerBroker = keeper
    remote.connected = connected === true
    remote.isUnconfirmed = false
    this.#remote.replaceSubscriptions(remote, subscriptions)
  }

  /** Takes the sessions that nobody has; first all of them are here, for their Wills and shared subscriptions. */
  async #takeOrphans(): Promise<void> {
    const adopted: Adopted[] = []
    const known = Array.from(this.#remote.values()) // Some come and go meanwhile.
    for (const remote of known) {
      const { clientId, ownerBroker } = remote
      if (ownerBroker !== undefined || this.#locks.holder(clientId) !== undefined || !this.#isNextFor(clientId))
        continue
      if (this.#remote.get(clientId) !== remote) continue
      const release = await this.#locks.acquire(clientId, this.#claim())
      try {
        const taken = await this.#adopt(remote)
        if (taken !== undefined) adopted.push(taken)
      } finally {
        release()
      }
    }
    for (const { session, state } of adopted) {
      if (!session.connected && !session.ended && session.pendingConnection === undefined)
        startExpiry(this.#core, session, state)
    }
  }

  /** Each broker answers the same as long as they know the same brokers: the highest number has it. */
  #isNextFor(clientId: string): boolean {
    const own = rank(clientId, this.#id)
    for (const id of this.#membership.members) if (rank(clientId, id) > own) return false
    return true
  }
}

interface MessageName {
  readonly brokerId: string
  readonly brokerCounter: number
}

/** What brokers tell of a session; each kind has some of it. */
interface SessionNotice {
  readonly clientId: string
  readonly session?: PersistedSessionInfo
  readonly connected?: boolean
  readonly since?: number
  readonly subscriptions?: readonly PersistedSubscription[]
  readonly subscription?: PersistedSubscription
  readonly topicFilters?: readonly string[]
  readonly topicFilter?: string
}

function described(session: Session): SessionInventory['sessions'][number] {
  const { clientId, principal, expiryInterval, connectedAt } = session
  const connected = session.connected || session.pendingConnection !== undefined // Then it is about to be.
  return {
    clientId,
    session: { ...(principal !== undefined && { owner: principal }), expiryInterval, expiresAt: null },
    connected,
    since: connectedAt,
  }
}

function rank(clientId: string, id: string): string {
  return createHash('sha256').update(`${clientId}\0${id}`).digest('hex')
}

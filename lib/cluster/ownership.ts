import type { PersistedSessionState, PersistenceOperation } from '../../types/persistence.ts'
import { MqttError } from '../errors.ts'
import type { Subscription } from '../messages/subscriber.ts'
import type { Predecessors } from '../sessions/predecessors.ts'
import type { Session } from '../sessions/session.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import { LIVING_BROKERS } from '../storage/living-brokers.ts'
import { type RecoveryEnvironment, restoreSession } from '../storage/recovery.ts'
import { storageRefusal } from '../storage/storage-refusal.ts'
import { persistedSubscription } from '../storage/stored-subscription.ts'
import type { Membership } from './membership.ts'
import type { RemoteSession } from './remote-session.ts'
import type { RemoteSessions } from './remote-sessions.ts'
import { type LockRequest, lockRequest, SessionLocks } from './session-locks.ts'
import { NoticeToPeer, UndecidedAtPeer } from './undecided-at-peer.ts'
import { describe, type SessionDescription, type SessionNotice } from './session-notice.ts'

/** The parts of the broker that ownership uses. */
export interface OwnershipEnvironment extends RecoveryEnvironment {
  readonly bootId: string
  readonly predecessors: Pick<Predecessors, 'has' | 'add' | 'succeeded'>
  readonly sessions: RecoveryEnvironment['sessions'] & {
    readonly checksPrincipal: boolean
    get(clientId: string): Session | undefined
    values(): IterableIterator<Session>
    deleteEnded(clientId: string): boolean
    releaseToPeer(session: Session): void
  }
  readonly wills: RecoveryEnvironment['wills'] & {
    deleteUndecided(session: Session): void
  }
}

interface OwnershipParts {
  readonly commits: CommitQueue
  readonly peers: Membership
  readonly remote: RemoteSessions
  /** Called for a session that lacks messages: their notices were lost while it was read. */
  readonly missed: (session: Session) => void
}

/** The response to a request for a session. */
interface Release {
  /** `done`: the storage has all of the session. `none`: this broker does not have it. */
  readonly session: 'none' | 'forbidden' | 'done'
  /** Hooks have not decided on all that the connection of the Client sent. */
  readonly isUndecided: boolean
}

export interface AdoptedSession {
  readonly session: Session
  readonly state: PersistedSessionState
}

// Milliseconds for another broker to release a session.
export const TAKE_OVER_MS = 2000

/**
 * The owner broker of each session, one at a time, has its queue, its connection and its timers; the other brokers have
 * its subscriptions, as a `RemoteSession`.
 *
 *   remote ──acquire──▶ loading ──read──▶ local ──release──▶ releasing ──committed──▶ remote
 *
 * A broker acquires a session when its Client connects, or when the session has no owner and the broker is next for it.
 * The other brokers are notified of the committed changes in their order, so each knows all subscriptions.
 */
export class Ownership {
  readonly #environment: OwnershipEnvironment
  readonly #commits: CommitQueue
  readonly #peers: Membership
  readonly #remote: RemoteSessions
  readonly #missed: (session: Session) => void
  readonly #locks = new SessionLocks()
  readonly #undecided = new Set<UndecidedAtPeer>()
  /** Sessions that peers are asked for, with the peers that decided before all of them had responded. */
  readonly #decidedEarly = new Map<string, { readonly time: number; readonly peers: Set<string> }>()

  constructor(environment: OwnershipEnvironment, { commits, peers, remote, missed }: OwnershipParts) {
    this.#environment = environment
    this.#commits = commits
    this.#peers = peers
    this.#remote = remote
    this.#missed = missed
  }

  // ─── connections of this broker ──────────────────────────────────────────────────────────────────────────────────

  /**
   * Brings the session of a Client to this broker. The returned function releases the lock; it is called when the
   * connection has the session, or will not have it. Throws an `MqttError` if the session belongs to another principal
   * and, for a stored session, if a broker that may have it does not respond: changes that it still stores would come
   * to the session here.
   */
  async acquire(clientId: string, principal: string | undefined, isKept: boolean): Promise<() => void> {
    const request = lockRequest(this.#now(), 'asking peers')
    const release = await this.#locks.acquire(clientId, request)
    try {
      await this.#bring(clientId, request, principal, isKept)
      return release
    } catch (error) {
      release()
      throw error
    }
  }

  /** The Client left before it had the session that was brought here for it. */
  abandoned(clientId: string): void {
    const session = this.#environment.sessions.get(clientId)
    if (session === undefined || session.connection !== undefined || session.pendingConnection !== undefined) return
    if (session.expiry === undefined) this.#environment.sessions.startExpiry(session)
  }

  async #bring(clientId: string, request: LockRequest, principal: string | undefined, isKept: boolean): Promise<void> {
    const body = { clientId, time: request.time, owner: principal ?? null }
    const { time } = request
    const decidedEarly = new Set<string>()
    this.#decidedEarly.set(clientId, { time, peers: decidedEarly })
    const { responses, timedOut } = await this.#peers.request('take over', body, { timeoutMs: TAKE_OVER_MS })
    this.#decidedEarly.delete(clientId)
    request.state = 'opening'
    const releases = responses as ReadonlyMap<string, Release | undefined>
    for (const [id, release] of releases) {
      if (release?.isUndecided === true && !decidedEarly.has(id)) this.#waitFor(clientId, id, time)
    }
    for (const release of releases.values()) if (release?.session === 'forbidden') throw belongsToAnother()
    if (isKept && timedOut.some((id) => this.#peers.members.has(id))) {
      throw new MqttError('server-busy', 'a broker that may have the session does not respond')
    }
    const session = this.#environment.sessions.get(clientId)
    if (session !== undefined) {
      const isReleased = Array.from(releases.values()).some((release) => release?.session === 'done')
      const isAlone = timedOut.length === 0 && !isReleased
      if (isAlone || !session.storage.isDurable) return
      // A peer had it too, or may have: notices were lost. The state in the storage counts.
      this.lose(clientId, undefined)
    }
    this.#environment.sessions.deleteEnded(clientId) // It is stored for a Will only that this broker has to decide on.
    // Also a session that is not known here: its notice may have been lost.
    await this.#load(this.#remote.of(clientId), principal)
  }

  /** Reads the session, and adds the messages that are published meanwhile. */
  async #load(remote: RemoteSession, principal: string | undefined): Promise<AdoptedSession | undefined> {
    const { clientId } = remote
    remote.move('acquire')
    let stored: PersistedSessionState | undefined
    try {
      await this.#commits.flushed() // Messages that this broker stored for the session are read, too.
      stored = await this.#commits.storage.readSession(clientId)
      const isChecked = principal !== undefined && this.#environment.sessions.checksPrincipal
      if (isChecked && (stored?.session.owner ?? principal) !== principal) throw belongsToAnother()
    } catch (error) {
      remote.move('failed')
      throw error instanceof MqttError ? error : storageRefusal(error as Error)
    }
    const { state } = remote
    this.#remote.forget(clientId)
    if (stored === undefined) return undefined
    const session = restoreSession(this.#environment, this.#commits, stored, remote.recoveredIds)
    const isWithGap = state.name === 'loading' && state.hasGap
    if (isWithGap) this.#missed(session)
    for (const delivery of state.name === 'loading' ? state.bufferedDeliveries : []) {
      const { stored: id } = delivery.content
      if (id !== undefined && session.outbound.hasSeen(id)) continue
      if (!isWithGap) session.outbound.enqueue(delivery)
      else if (delivery.storage === 'none') session.storage.queued(undefined, delivery) // The others are stored.
    }
    session.outbound.sendPending()
    return { session, state: stored }
  }

  /** Adopts a session without an owner; returns undefined while a request for it waits, or when it has ended. */
  async adopt(remote: RemoteSession): Promise<AdoptedSession | undefined> {
    const { clientId } = remote
    if (this.#locks.holder(clientId) !== undefined || this.#remote.get(clientId) !== remote) return undefined
    const release = await this.#locks.acquire(clientId, lockRequest(this.#now(), 'exclusive'))
    try {
      return await this.#load(remote, undefined)
    } finally {
      release()
    }
  }

  /** Waits until no request for the session is under way. Returns whether there was one. */
  async unlocked(clientId: string): Promise<boolean> {
    if (this.#locks.holder(clientId) === undefined) return false
    const release = await this.#locks.acquire(clientId, lockRequest(this.#now(), 'exclusive'))
    release()
    return true
  }

  #now(): number {
    const { timers } = this.#environment
    return timers.toWallClock(timers.now())
  }

  // ─── sessions of other brokers ───────────────────────────────────────────────────────────────────────────────────

  /** Nothing of the next connection becomes visible before the peer has decided. */
  #waitFor(clientId: string, peer: string, time: number): void {
    const undecided = new UndecidedAtPeer({ clientId, peer, time }, () => this.#undecided.delete(undecided))
    this.#undecided.add(undecided)
    // The notice may be lost, and this connection may not be let in: the limit does not wait for the next one.
    this.#environment.predecessors.add(clientId, undecided, true)
  }

  /** A peer has decided on the packets of a Client's former connection; of all Clients, when the peer has left. */
  onDecided(peer: string, request?: { readonly clientId: string; readonly time: number }): void {
    for (const [clientId, { time, peers }] of this.#decidedEarly) {
      if (request === undefined || (request.clientId === clientId && request.time === time)) peers.add(peer)
    }
    for (const undecided of this.#undecided) {
      if (!undecided.isAt(peer, request)) continue
      this.#undecided.delete(undecided)
      undecided.onDecided()
    }
  }

  /** A peer asks for a session. If hooks have not decided yet on packets of its Client, the peer is notified later. */
  async release(body: unknown, from: string): Promise<Release> {
    const { clientId, time } = body as { clientId: string; time: number }
    const { predecessors } = this.#environment
    const session = await this.#release(body, from)
    const isUndecided = session !== 'forbidden' && predecessors.has(clientId)
    if (isUndecided) {
      predecessors.succeeded(clientId)
      predecessors.add(clientId, new NoticeToPeer(() => void this.#notifyDecided({ clientId, time }, from)))
    }
    return { session, isUndecided }
  }

  /** Decided packets are sent to the peers when they are committed; the notice follows them. */
  async #notifyDecided(request: { clientId: string; time: number }, peer: string): Promise<void> {
    await this.#commits.committed()
    this.#peers.send(peer, 'decided', request)
  }

  async #release(body: unknown, from: string): Promise<Release['session']> {
    const { clientId, time, owner } = body as { clientId: string; time: number; owner: string | null }
    const { sessions, bootId, predecessors } = this.#environment
    const holder = this.#locks.holder(clientId)
    // Two brokers request the same session at once: the older request is first.
    const isFirst = holder?.state === 'asking peers' && (time < holder.time || (time === holder.time && from < bootId))
    const unlock = isFirst ? nothing : await this.#locks.acquire(clientId, lockRequest(time, 'exclusive'), true)
    try {
      const session = sessions.get(clientId)
      if (session === undefined) {
        // The peer must not read a session that has ended and is stored for its Will only.
        if (sessions.deleteEnded(clientId)) await this.#commits.committed()
        return 'none'
      }
      if (sessions.checksPrincipal && session.principal !== (owner ?? undefined)) return 'forbidden'
      session.connection?.sessionTakenOver()
      predecessors.succeeded(clientId)
      // This broker publishes a Will that it has to decide on: the peer must not read it.
      this.#environment.wills.deleteUndecided(session)
      sessions.deleteEnded(clientId)
      // The peer continues only when the storage has all of the session, however long that takes. Until then this
      // broker is the owner, and messages still come here: if their commit fails, none is sent.
      await this.#commits.committed()
      if (sessions.get(clientId) !== session) return 'done' // It ended.
      const remote = this.#drop(session, from)
      remote?.startReleasing(session.connectedAt)
      await this.#commits.committed() // Messages that came meanwhile. After this the broker stores nothing of the session.
      remote?.move('committed')
      return 'done'
    } finally {
      unlock()
    }
  }

  /** Another broker has the session already. */
  lose(clientId: string, to: string | undefined): void {
    const session = this.#environment.sessions.get(clientId)
    if (session !== undefined) this.#drop(session, to)
  }

  /** Removes a session except its subscriptions. Returns undefined if it ended or is not stored. */
  #drop(session: Session, to: string | undefined): RemoteSession | undefined {
    const { sessions } = this.#environment
    const { clientId, principal, expiryInterval } = session
    session.connection?.sessionTakenOver()
    session.pendingConnection?.sessionTakenOver()
    session.pendingConnection = undefined
    this.#environment.predecessors.succeeded(clientId)
    if (sessions.get(clientId) !== session) return undefined // It ended.
    const subscriptions = [...session.subscriptions.values()]
    sessions.releaseToPeer(session)
    if (!session.isRecorded) return undefined
    const remote = this.#remote.of(clientId)
    remote.info = { owner: principal, expiryInterval, expiresAt: null }
    remote.ownerBroker = to
    remote.recoveredIds = session.outbound.recoveredIds
    for (const subscription of subscriptions) this.#remote.subscribe(remote, persistedSubscription(subscription))
    return remote
  }

  /** Adds a session of a peer, or without an owner, with these subscriptions and no others. */
  know({ clientId, session, connected, subscriptions = [] }: SessionDescription, owner: string | undefined): void {
    const remote = this.#remote.of(clientId)
    remote.info = session
    remote.ownerBroker = owner
    remote.connected = connected === true
    this.#remote.replaceSubscriptions(remote, subscriptions)
  }

  /** A peer has a session. After a split two brokers may have it: the later connection counts. */
  onPeerHas(description: SessionDescription, from: string): 'ours' | 'theirs' {
    if (this.#isOurs(description.clientId, description.since ?? 0, from)) return 'ours'
    this.lose(description.clientId, from)
    this.know(description, from)
    return 'theirs'
  }

  #isOurs(clientId: string, since: number, from: string): boolean {
    const { sessions, bootId } = this.#environment
    const session = sessions.get(clientId)
    if (session === undefined) return false
    const holder = this.#locks.holder(clientId)
    // A connection that is being opened is later, though the session does not show it yet.
    const ours = holder?.state === 'opening' ? Math.max(session.connectedAt, holder.time) : session.connectedAt
    return ours > since || (ours === since && bootId < from)
  }

  // ─── notices ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Notifies the peers of a committed change of a session of this broker. */
  committed(operation: PersistenceOperation): void {
    if ('clientId' in operation && operation.clientId === LIVING_BROKERS) return
    switch (operation.kind) {
      case 'session':
        return this.#describe(operation.clientId)
      case 'subscribe':
      case 'unsubscribe':
      case 'end session':
        return this.#peers.broadcast(operation.kind, operation)
      default:
        return undefined
    }
  }

  #describe(clientId: string): void {
    const session = this.#environment.sessions.get(clientId)
    if (session !== undefined) this.#peers.broadcast('session', describe(session)) // Otherwise its end comes next.
  }

  /** A session that is not stored joined or left a shared subscription. */
  memberChanged(session: Session, subscription: Subscription, isMember: boolean): void {
    if (session.storage.isDurable || subscription.shareName === undefined) return
    const { clientId } = session
    if (isMember) this.#peers.broadcast('member', { clientId, subscription: persistedSubscription(subscription) })
    else this.#peers.broadcast('no member', { clientId, topicFilter: subscription.requested.topicFilter })
  }

  onNotice(kind: string, body: SessionNotice, from: string): void {
    const { clientId, session } = body
    if (typeof clientId !== 'string') return
    switch (kind) {
      case 'session':
        if (session !== undefined && this.onPeerHas({ ...body, session }, from) === 'ours') this.#describe(clientId)
        return
      case 'subscribe':
        for (const stored of body.subscriptions ?? []) this.#remote.subscribe(this.#remote.of(clientId), stored)
        return
      case 'unsubscribe':
        for (const topicFilter of body.topicFilters ?? []) this.#remote.unsubscribe(clientId, topicFilter)
        return
      case 'end session':
        this.#remote.forget(clientId)
        return
      case 'decided':
        if (body.time !== undefined) this.onDecided(from, { clientId, time: body.time })
        return
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
}

function belongsToAnother(): MqttError {
  return new MqttError('not-authorized', 'the Client Identifier belongs to another user')
}

function nothing(): void {
  // There is no lock to release.
}

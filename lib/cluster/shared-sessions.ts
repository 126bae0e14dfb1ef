import type { MessageId } from '../messages/message-id.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import type { SharedReading } from '../../types/storage.ts'
import type { Timer } from '../timers.ts'
import type { RemoteSessionInfo } from './cluster.ts'
import { Inventory } from './inventory.ts'
import { Ownership, type OwnershipEnvironment, TAKE_OVER_MS } from './ownership.ts'
import type { Membership } from './membership.ts'
import { QueueRepair } from './queue-repair.ts'
import { RemoteSessions } from './remote-sessions.ts'
import type { Session } from '../sessions/session.ts'
import type { SessionNotice } from './session-notice.ts'

/** The parts of the broker that are used here. */
export interface SharedSessionsEnvironment extends OwnershipEnvironment {
  reportError(error: Error): void
}

// Milliseconds after a loss until the storage is read, so that a burst of losses costs one reading.
const REPAIR_MS = 500

// Sessions that are read at once.
const MAX_REPAIRS = 16

/** The notice that a broker counts as dead. */
const DEAD = 'dead'

/**
 * The sessions of brokers that share a storage: the owner broker of each (`Ownership`), whether all brokers agree on it
 * (`Inventory`), and messages whose notices were lost (`QueueRepair`).
 */
export class SharedSessions {
  readonly ownership: Ownership
  readonly repair: QueueRepair
  readonly #environment: SharedSessionsEnvironment
  readonly #shared: SharedReading
  readonly #peers: Membership
  readonly #remote: RemoteSessions
  readonly #inventory: Inventory
  /** Notices that come while the inventories are compared; they are newer. */
  #deferredNotices: (() => void)[] | undefined
  #repairTimer: Timer | undefined
  #repairing: Promise<void> = Promise.resolve()
  #isStopped = false

  constructor(environment: SharedSessionsEnvironment, commits: CommitQueue, shared: SharedReading, peers: Membership) {
    this.#environment = environment
    this.#shared = shared
    this.#peers = peers
    this.#remote = new RemoteSessions(environment, commits)
    this.repair = new QueueRepair(environment, commits, shared)
    const missed = (session: Session): void => {
      this.repair.markStale([session])
      this.#repairSoon()
    }
    this.ownership = new Ownership(environment, { commits, peers, remote: this.#remote, missed })
    this.#inventory = new Inventory(environment, this.ownership, peers, this.#remote)
  }

  /** Reads the storage; adopts the sessions that no broker has. */
  async start(): Promise<void> {
    await this.repair.readRetained()
    await this.#compare(true)
  }

  /** Reads nothing from the storage any more. */
  stop(): void {
    this.#isStopped = true
    this.#environment.timers.cancel(this.#repairTimer)
  }

  /** Returns the Client Identifiers of sessions that have a message whose broker ended during its publication. */
  async whoHad({ brokerId, brokerCounter }: MessageId): Promise<ReadonlySet<string>> {
    const id = { brokerId, brokerCounter }
    const clientIds = new Set(this.#whoHadHere(id))
    const { responses } = await this.#peers.request('had', id, { timeoutMs: TAKE_OVER_MS })
    for (const response of responses.values()) {
      if (Array.isArray(response)) for (const clientId of response as string[]) clientIds.add(clientId)
    }
    return clientIds
  }

  #whoHadHere(id: MessageId): string[] {
    const clientIds: string[] = []
    for (const { clientId, outbound } of this.#environment.sessions.values()) {
      if (outbound.hasSeen(id)) clientIds.push(clientId)
    }
    for (const { clientId, recoveredIds } of this.#remote.values()) {
      if (recoveredIds?.has(id) === true) clientIds.push(clientId)
    }
    return clientIds
  }

  *remoteSessions(clientId?: string): IterableIterator<RemoteSessionInfo> {
    const one = clientId === undefined ? undefined : this.#remote.get(clientId)
    const all = clientId === undefined ? this.#remote.values() : one === undefined ? [] : [one]
    for (const { clientId: id, info, ownerBroker, connected, subscriptions } of all) {
      if (info === undefined) continue // It is a member of a shared subscription only.
      const { owner, expiryInterval } = info
      yield { clientId: id, owner, expiryInterval, ownerBroker, connected, subscriptions: subscriptions.values() }
    }
  }

  ownerOf(clientId: string): string | undefined {
    return this.#remote.get(clientId)?.ownerBroker
  }

  /** Waits until the session is neither on its way nor without an owner. Returns false if there is none. */
  async settled(clientId: string): Promise<boolean> {
    const isMoving = await this.ownership.unlocked(clientId)
    if (this.#environment.sessions.get(clientId) !== undefined) return true
    const remote = this.#remote.get(clientId)
    if (remote?.info === undefined) return isMoving
    // One of the brokers adopts it when it has noticed that its owner is gone.
    if (remote.ownerBroker === undefined) {
      await new Promise<void>((resolve) => this.#environment.timers.after(TAKE_OVER_MS, resolve))
    }
    return !this.#isStopped
  }

  onNotice(kind: string, body: unknown, from: string): void {
    if (kind === DEAD) {
      if (this.#peers.members.has((body as { id: string }).id)) this.onGap()
      return
    }
    const apply = (): void => this.ownership.onNotice(kind, body as SessionNotice, from)
    if (this.#deferredNotices === undefined) apply()
    else this.#deferredNotices.push(apply)
  }

  async onRequest(kind: string, body: unknown, from: string): Promise<unknown> {
    switch (kind) {
      case 'kept':
        return this.#inventory.list()
      case 'had':
        return this.#whoHadHere(body as MessageId)
      case 'take over':
        return this.ownership.release(body, from)
      default:
        throw new Error(`cluster: unknown request ${kind}`)
    }
  }

  /**
   * A broker has left: its sessions are adopted by one of the others. One that has died may have stored messages of
   * which it has notified nobody; all brokers read them before they receive anything that comes after its end here.
   */
  onLeave(id: string, how: 'leave' | 'silence'): void {
    this.ownership.onDecided(id)
    this.#inventory.onLeave(id)
    if (how === 'leave') return this.#repairSoon()
    this.onGap()
    this.#peers.broadcast(DEAD, { id })
  }

  /** Packets of a peer were lost: the storage is read for their messages, the peers are asked for their sessions. */
  onGap(): void {
    if (this.#isStopped) return
    this.repair.markStale(this.#environment.sessions.values())
    for (const remote of this.#remote.values()) remote.markStale()
    this.#repairSoon()
  }

  #repairSoon(): void {
    if (this.#isStopped) return
    this.#repairTimer ??= this.#environment.timers.after(REPAIR_MS, () => {
      this.#repairTimer = undefined
      this.#repairing = this.#repairing
        .then(() => this.#repairAll())
        .catch((error: Error) => {
          if (this.#isStopped) return // The storage is closed.
          this.#environment.reportError(error)
          this.#repairSoon() // The storage fails at present.
        })
    })
  }

  async #repairAll(): Promise<void> {
    await this.repair.readRetained()
    await this.#compare(false)
    const sessions = Array.from(this.#environment.sessions.values()) // The map changes meanwhile.
    sessions.sort((one, other) => Number(other.connected) - Number(one.connected)) // Connected Clients wait.
    const left = sessions.values()
    const repairNext = async (): Promise<void> => {
      for (const session of left) {
        if (this.#isStopped) return
        await this.repair.repair(session)
      }
    }
    const results = await Promise.allSettled(Array.from({ length: MAX_REPAIRS }, repairNext))
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  async #compare(isStart: boolean): Promise<void> {
    this.#deferredNotices = []
    try {
      if (!(await this.#inventory.compare())) this.#repairSoon()
      if (isStart) await this.#inventory.readSessions(this.#shared)
      await this.#inventory.adoptOrphans()
    } finally {
      const deferred = this.#deferredNotices
      this.#deferredNotices = undefined
      for (const apply of deferred ?? []) apply()
    }
  }
}

import { LIVING_BROKERS } from '../storage/living-brokers.ts'
import { startExpiry } from '../storage/recovery.ts'
import type { SharedReading } from '../../types/storage.ts'
import { type AdoptedSession, type Ownership, type OwnershipEnvironment, TAKE_OVER_MS } from './ownership.ts'
import type { Membership } from './membership.ts'
import { isFirstFor } from './rank.ts'
import type { RemoteSessions } from './remote-sessions.ts'
import { describe, describeReleasing, type SessionDescription, type SessionInventory } from './session-notice.ts'

/** Compares the known sessions with the inventories of the peers, and adopts the sessions without an owner. */
export class Inventory {
  readonly #environment: OwnershipEnvironment
  readonly #ownership: Ownership
  readonly #peers: Membership
  readonly #remote: RemoteSessions
  /** Stored sessions that their owner did not have when it was asked last, with that owner. */
  #unconfirmed = new Map<string, string>()

  constructor(environment: OwnershipEnvironment, ownership: Ownership, peers: Membership, remote: RemoteSessions) {
    this.#environment = environment
    this.#ownership = ownership
    this.#peers = peers
    this.#remote = remote
  }

  /** The response to a peer that asks for the sessions of this broker. */
  list(): SessionInventory {
    const sessions: SessionDescription[] = []
    const members: SessionInventory['members'][number][] = []
    for (const session of this.#environment.sessions.values()) {
      const description = describe(session)
      if (session.isRecorded) sessions.push(description)
      if (session.storage.isDurable) continue
      for (const subscription of description.subscriptions ?? []) {
        if (subscription.topic.startsWith('$share/')) members.push({ clientId: session.clientId, subscription })
      }
    }
    for (const remote of this.#remote.values()) {
      const description = describeReleasing(remote)
      if (description !== undefined) sessions.push(description)
    }
    return { sessions, members }
  }

  /**
   * Compares with the inventories of the peers. Returns false when the comparison must be repeated: a session may be
   * moving between two brokers, or belong to one that did not respond.
   */
  async compare(): Promise<boolean> {
    const { responses, timedOut } = await this.#peers.request('kept', {}, { timeoutMs: TAKE_OVER_MS })
    const inventories = responses as Map<string, SessionInventory | undefined>
    const reported = new Set<string>()
    for (const [id, inventory] of inventories) {
      if (inventory === undefined) continue // That broker is starting.
      for (const { clientId } of inventory.sessions) reported.add(clientId)
      for (const { clientId } of inventory.members) reported.add(clientId)
      for (const description of inventory.sessions) this.#ownership.onPeerHas(description, id)
      for (const member of inventory.members) this.#ownership.onNotice('member', member, id)
    }
    return this.#dropUnreported(reported, inventories) && timedOut.length === 0
  }

  /** A session that its owner lacks twice in a row has no owner. Returns false after the first time. */
  #dropUnreported(reported: ReadonlySet<string>, inventories: ReadonlyMap<string, unknown>): boolean {
    const before = this.#unconfirmed
    this.#unconfirmed = new Map()
    let isSure = true
    for (const remote of this.#remote.values()) {
      const { ownerBroker, clientId, info, state } = remote
      if (ownerBroker === undefined || reported.has(clientId) || state.name === 'releasing') continue
      if (inventories.get(ownerBroker) === undefined) {
        if (before.get(clientId) === ownerBroker) this.#unconfirmed.set(clientId, ownerBroker)
      } else if (info === undefined) this.#remote.forget(clientId)
      else if (before.get(clientId) === ownerBroker) remote.ownerBroker = undefined
      else {
        this.#unconfirmed.set(clientId, ownerBroker)
        isSure = false
      }
    }
    return isSure
  }

  /** Adds the sessions of the storage that no broker has. */
  async readSessions(shared: SharedReading): Promise<void> {
    for await (const description of shared.readSessions()) {
      if (description.clientId === LIVING_BROKERS) continue
      if (this.#remote.get(description.clientId)?.info === undefined) this.#ownership.know(description, undefined)
    }
  }

  /** Adopts the sessions without an owner. Expiry and Wills start when all are restored, for shared subscriptions. */
  async adoptOrphans(): Promise<void> {
    const adopted: AdoptedSession[] = []
    const known = Array.from(this.#remote.values()) // The map changes meanwhile.
    for (const remote of known) {
      if (remote.ownerBroker !== undefined || !this.#isNextFor(remote.clientId)) continue
      const one = await this.#ownership.adopt(remote)
      if (one !== undefined) adopted.push(one)
    }
    for (const { session, state } of adopted) {
      if (!session.connected && !session.ended && session.pendingConnection === undefined) {
        startExpiry(this.#environment, session, state)
      }
    }
  }

  /** A broker has left: its sessions have no owner. */
  onLeave(id: string): void {
    for (const remote of this.#remote.values()) {
      if (remote.ownerBroker !== id) continue
      remote.ownerBroker = undefined
      remote.connected = false
      if (remote.info === undefined) this.#remote.forget(remote.clientId)
    }
  }

  /** All brokers that know the same members choose the same one. */
  #isNextFor(clientId: string): boolean {
    return isFirstFor(clientId, this.#environment.bootId, this.#peers.members)
  }
}

import type { Emitter, EmitterMessage } from '../../types/emitter.ts'
import type { PersistedPublish, PersistedTarget } from '../../types/persistence.ts'
import { asBytes } from '../packets/bytes.ts'
import type { MessageId } from '../messages/message-id.ts'
import { expiryOf } from '../messages/message.ts'
import { Publication } from '../messages/publication.ts'
import { QueuedMessage } from '../messages/queued-message.ts'
import type { Subscription } from '../messages/subscriber.ts'
import { faultInMessageProperties } from '../packets/properties.ts'
import type { Session } from '../sessions/session.ts'
import type { Change } from '../storage/commit-batch.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import type { BrokerHealth } from '../../types/health.ts'
import type { SharedReading } from '../../types/storage.ts'
import { messageFields, validFields } from '../storage/records.ts'
import { messageOf, packetOf } from '../storage/stored-message.ts'
import { isOfBroker } from '../topics/sys-topic.ts'
import { isValidTopicName } from '../topics/topic-name.ts'
import type { Cluster, RemoteSessionInfo } from './cluster.ts'
import { ForeignMessages, type ForeignRole } from './foreign-messages.ts'
import { Membership, type MembershipListener } from './membership.ts'
import { queueOf, ReplicationInfo } from '../messages/replication-info.ts'
import { isFirstFor } from './rank.ts'
import { ReplicationQueue } from './replication-queue.ts'
import { SharedSessions, type SharedSessionsEnvironment } from './shared-sessions.ts'

/** The parts of the broker that the cluster uses. */
export interface ClusterEnvironment extends SharedSessionsEnvironment {
  readonly commits: CommitQueue | undefined
  /** Responds to requests of peers about sessions of this broker. */
  readonly administration: { onRequest(body: unknown): Promise<unknown> }
  readonly router: {
    distribute(publication: Publication): unknown
    publishForeign(publication: Publication, role: ForeignRole): void
  }
}

const NO_CLIENTS: ReadonlySet<string> = new Set()
const NO_ID: MessageId = { brokerId: '', brokerCounter: 0 }

/**
 * The brokers that share an emitter. Each sends its messages to the others after the commit, and delivers those of the
 * others to its own Clients. With a shared storage, sessions move between brokers.
 */
export class EmitterCluster implements Cluster, MembershipListener {
  readonly #environment: ClusterEnvironment
  readonly #peers: Membership
  readonly #replication = new ReplicationQueue((publication, targets) => this.#send(publication, targets))
  /** Undefined while, or when, each broker has sessions of its own. */
  #sessions: SharedSessions | undefined
  readonly #foreign: ForeignMessages

  constructor(environment: ClusterEnvironment, emitter: Emitter) {
    this.#environment = environment
    this.#peers = new Membership(emitter, environment.bootId, environment.timers, this)
    this.#foreign = new ForeignMessages(environment, (topic) => this.#roleFor(topic))
  }

  get health(): BrokerHealth['brokers'] {
    return { state: this.#peers.state, peers: this.#peers.members.size }
  }

  start(): Promise<void> {
    return this.#peers.start()
  }

  async shareSessions(commits: CommitQueue, shared: SharedReading): Promise<void> {
    this.#sessions = new SharedSessions(this.#environment, commits, shared, this.#peers)
    await this.#sessions.start()
  }

  stopReading(): void {
    this.#sessions?.stop()
  }

  async stop(): Promise<void> {
    this.stopReading()
    await this.#peers.stop()
  }

  async acquire(clientId: string, principal: string | undefined, isKept: boolean): Promise<() => void> {
    return this.#sessions?.ownership.acquire(clientId, principal, isKept) ?? nothing
  }

  abandoned(clientId: string): void {
    this.#sessions?.ownership.abandoned(clientId)
  }

  memberChanged(session: Session, subscription: Subscription, isMember: boolean): void {
    this.#sessions?.ownership.memberChanged(session, subscription, isMember)
  }

  async whoHad(id: MessageId | undefined): Promise<ReadonlySet<string>> {
    return this.#sessions === undefined || id === undefined ? NO_CLIENTS : this.#sessions.whoHad(id)
  }

  remoteSessions(clientId?: string): Iterable<RemoteSessionInfo> {
    return this.#sessions?.remoteSessions(clientId) ?? []
  }

  ownerOf(clientId: string): string | undefined {
    return this.#sessions?.ownerOf(clientId)
  }

  async askOwners(request: unknown, owner: string | undefined): Promise<readonly unknown[]> {
    const { responses } = await this.#peers.request('administer', request, {
      timeoutMs: this.#environment.settings.limits.storeTimeoutMs,
      ...(owner !== undefined && { to: owner }),
    })
    return Array.from(responses.values()).filter((response) => response !== undefined)
  }

  async settled(clientId: string): Promise<boolean> {
    return this.#sessions === undefined ? false : this.#sessions.settled(clientId)
  }

  /** Sends a message to the other brokers; one that the storage must commit, after its commit. */
  publish(publication: Publication): void {
    const { topic, qos } = publication.message
    if (isOfBroker(topic)) return // Each broker has its own.
    const { commits } = this.#environment
    // A peer may store it for a session whose subscription is not known here yet; its place is this one.
    if (qos > 0 && this.#sessions !== undefined) commits?.identify(publication)
    this.#replication.push(publication, commits)
  }

  /** The storage has committed these changes. */
  committed(changes: Iterable<Change>): void {
    for (const { operation, publication } of changes) {
      if (operation.kind !== 'publish') this.#sessions?.ownership.committed(operation)
      else if (publication !== undefined) this.#replication.committed(publication, operation.targets)
    }
    if (this.#environment.commits !== undefined) this.#replication.batchCommitted(this.#environment.commits)
  }

  #send({ message, replication, replay, queued: { stored } }: Publication, targets: readonly PersistedTarget[]): void {
    const { brokerId, brokerCounter, ...fields } = stored ?? packetOf(message, NO_ID, this.#environment.timers)
    const packet = {
      ...fields,
      payload: message.payload, // That of the stored form may be a string.
      ...(stored !== undefined && { storedAs: [brokerId, brokerCounter] }),
      ...(targets.length > 0 && { storedFor: targets.map((target) => queueOf(target.clientId, target.sharedFilter)) }),
      ...(replication !== undefined && replication.sharedMembers.length > 0 && { choices: replication.sharedMembers }),
      ...(replication?.sharedOnly === true && { onlyShared: true }),
      ...(replay !== undefined && { isResumed: true }),
    }
    this.#peers.publish([packet])
  }

  // ─── received ────────────────────────────────────────────────────────────────────────────────────────────────────

  onMessage(message: EmitterMessage): void {
    const publication = this.#publicationOf(message)
    if (publication === undefined) return
    if (publication.message.retain && publication.replication?.sharedOnly !== true)
      this.#environment.retained.store(publication)
    this.#environment.router.distribute(publication)
  }

  onForeignMessage(message: EmitterMessage): void {
    this.#foreign.receive(message)
  }

  onNotice(kind: string, body: unknown, from: string): void {
    this.#sessions?.onNotice(kind, body, from)
  }

  onRequest(kind: string, body: unknown, from: string): unknown {
    if (kind === 'administer') return this.#environment.administration.onRequest(body)
    return this.#sessions?.onRequest(kind, body, from)
  }

  onGap(): void {
    this.#sessions?.onGap()
  }

  onInterruption(): void {
    this.#sessions?.onGap()
  }

  onJoin(): void {
    // The new broker sends its own requests.
  }

  onLeave(id: string, how: 'leave' | 'silence'): void {
    this.#sessions?.onLeave(id, how)
  }

  onError(error: Error): void {
    this.#environment.reportError(error)
  }

  /** With a store in common one broker acts for all; without one, each broker acts for itself. */
  #roleFor(topic: string): ForeignRole {
    if (this.#sessions === undefined) return 'each'
    return isFirstFor(topic, this.#environment.bootId, this.#peers.members) ? 'first' : 'others'
  }

  /** Checks a packet of another broker like that of a Client; returns undefined if it has no message. */
  #publicationOf(received: EmitterMessage): Publication | undefined {
    const { topic, payload, qos, retain, properties } = received
    const { settings, timers } = this.#environment
    if (!isValidTopicName(topic, settings.limits.maxTopicLevels) || isOfBroker(topic)) return undefined
    const bytes = asBytes(payload)
    if (bytes === undefined || (qos !== 0 && qos !== 1 && qos !== 2)) return undefined
    const isWithProperties = typeof properties === 'object' && properties !== null
    if (isWithProperties && faultInMessageProperties(properties) !== undefined) return undefined
    const { brokerId: _, brokerCounter: __, ...fields } = validFields(messageFields.all, received)
    const packet: PersistedPublish = { ...fields, cmd: 'publish', topic, payload: bytes, qos, retain: retain === true }
    const message = messageOf(packet, timers, expiryOf(packet.properties, timers))
    const queued = new QueuedMessage(message)
    const publication = new Publication(message, queued)
    const [brokerId, brokerCounter] = listOf(received.storedAs)
    if (typeof brokerId === 'string' && typeof brokerCounter === 'number') {
      queued.stored = { ...packet, brokerId, brokerCounter }
      if (received.isResumed === true) publication.replay = { alreadyDeliveredTo: undefined }
    }
    publication.replication = new ReplicationInfo(
      true,
      received.onlyShared === true,
      new Set(listOf(received.storedFor).filter((queue) => typeof queue === 'string')),
      listOf(received.choices).filter(isPairOfStrings),
    )
    return publication
  }
}

function nothing(): void {
  // The session is of this broker alone.
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function isPairOfStrings(value: unknown): value is [string, string] {
  return Array.isArray(value) && typeof value[0] === 'string' && typeof value[1] === 'string'
}

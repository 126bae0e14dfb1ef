import type { MessageId } from '../messages/message-id.ts'
import type { Publication } from '../messages/publication.ts'
import type { Subscription } from '../messages/subscriber.ts'
import type { Session } from '../sessions/session.ts'
import type { Change } from '../storage/commit-batch.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import type { BrokerHealth } from '../../types/health.ts'
import type { SharedReading } from '../../types/storage.ts'

/** The other brokers, as the rest of this one sees them. */
export interface Cluster {
  readonly health: BrokerHealth['brokers']
  /** Joins the other brokers; resolves when they are known. */
  start(): Promise<void>
  /** The storage is shared, so sessions are too. Resolves when the sessions without an owner are adopted. */
  shareSessions(commits: CommitQueue, shared: SharedReading): Promise<void>
  /** Gives a message to the other brokers; one that is stored, after its commit. */
  publish(publication: Publication): void
  /** The storage has committed these changes. */
  committed(changes: Iterable<Change>): void
  /**
   * Brings the session of a Client to this broker. The caller calls the returned function when the connection has the
   * session, or will not have it. Rejects with an `MqttError` if the session cannot be brought here.
   */
  acquire(clientId: string, principal: string | undefined, isKept: boolean): Promise<() => void>
  /** The Client left before it had the session that was brought here for it. */
  abandoned(clientId: string): void
  /** A session that is not stored joined or left a shared subscription. */
  memberChanged(session: Session, subscription: Subscription, isMember: boolean): void
  /** Returns the Client Identifiers of sessions of other brokers that have this message already. */
  whoHad(id: MessageId | undefined): Promise<ReadonlySet<string>>
  /** The stored sessions of peers, or the one of a Client, as this broker knows them. */
  remoteSessions(clientId?: string): Iterable<RemoteSessionInfo>
  /** The broker that has the session of a Client; undefined if it is this one, or is not known. */
  ownerOf(clientId: string): string | undefined
  /** Asks one broker, or all others, about sessions. Resolves with the responses of those that have them. */
  askOwners(request: unknown, owner: string | undefined): Promise<readonly unknown[]>
  /**
   * Waits until the session of a Client has an owner broker, for a limited time. Returns false if there is no session
   * that could have one.
   */
  settled(clientId: string): Promise<boolean>
  /** Reads nothing from the storage any more, which is about to be closed. */
  stopReading(): void
  /** Leaves the other brokers. */
  stop(): Promise<void>
}

/** A stored session of a peer. */
export interface RemoteSessionInfo {
  readonly clientId: string
  /** The user of the session. */
  readonly owner: string | undefined
  readonly expiryInterval: number
  /** The boot id of the broker that has it. */
  readonly ownerBroker: string | undefined
  readonly connected: boolean
  readonly subscriptions: Iterable<Subscription>
}

const NO_CLIENTS: ReadonlySet<string> = new Set()

/** For a broker that works alone. */
export const singleBroker: Cluster = {
  health: { state: 'alone', peers: 0 },
  start: async () => undefined,
  shareSessions: async () => undefined,
  publish: nothing,
  committed: nothing,
  acquire: async () => nothing,
  abandoned: nothing,
  memberChanged: nothing,
  whoHad: async () => NO_CLIENTS,
  remoteSessions: () => [],
  ownerOf: () => undefined,
  askOwners: async () => [],
  settled: async () => false,
  stopReading: nothing,
  stop: async () => undefined,
}

function nothing(): void {
  // There are no other brokers.
}

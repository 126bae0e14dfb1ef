import type { QoS } from '../../types/packets.ts'
import type { PersistedSessionInfo } from '../../types/persistence.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import type { Publication } from '../messages/publication.ts'
import {
  type DeliverySource,
  Readiness,
  type Refusal,
  type Subscriber,
  type Subscription,
} from '../messages/subscriber.ts'
import { Delivery } from '../sessions/delivery.ts'
import type { MessageIdSet } from '../messages/message-id-set.ts'

/**
 * The state of a stored session, as one broker sees it. A `local` session is in the session registry; in all other
 * states the broker has a `RemoteSession` of it. An event without a move changes nothing.
 */
const moves = {
  remote: { acquire: 'loading' },
  loading: { read: 'local', failed: 'remote' },
  local: { release: 'releasing' },
  releasing: { committed: 'remote', acquire: 'loading' },
} as const satisfies Record<string, Readonly<Record<string, string>>>

type Move = 'acquire' | 'failed' | 'committed'

type RemoteState =
  | { readonly name: 'remote' }
  /** The session is being read; messages for it come meanwhile. With a gap some of them were lost. */
  | { readonly name: 'loading'; readonly bufferedDeliveries: Delivery[]; readonly hasGap: boolean }
  /** A peer requested the session; the storage does not have all of it yet. Its last connection began at `since`. */
  | { readonly name: 'releasing'; readonly since: number }

const REMOTE: RemoteState = { name: 'remote' }

/**
 * The subscriptions of a session of a peer: this broker stores its messages for the session, and the owner broker sends
 * them when it is notified. A session that is not stored is only a member of shared subscriptions.
 */
export class RemoteSession implements Subscriber {
  readonly clientId: string
  readonly subscriptions: Map<string, Subscription> = new Map()
  readonly backPressure: undefined
  readonly isRemote = true
  /** The session as the storage has it; undefined when it is not stored. */
  info: PersistedSessionInfo | undefined
  /** The owner broker; undefined when there is none. */
  ownerBroker: string | undefined
  connected = false
  /** Ids of the messages that came from the storage while the session was local. */
  recoveredIds: MessageIdSet | undefined
  #state: RemoteState = REMOTE
  readonly #commits: CommitQueue

  constructor(clientId: string, commits: CommitQueue) {
    this.clientId = clientId
    this.#commits = commits
  }

  get state(): RemoteState {
    return this.#state
  }

  move(event: Move): void {
    const to = (moves[this.#state.name] as Partial<Record<Move, RemoteState['name']>>)[event]
    if (to === 'loading') this.#state = { name: 'loading', bufferedDeliveries: [], hasGap: false }
    else if (to === 'remote') this.#state = REMOTE
  }

  /** The session was local until now. */
  startReleasing(since: number): void {
    this.#state = { name: 'releasing', since }
  }

  /** Packets of a peer were lost. */
  markStale(): void {
    if (this.#state.name === 'loading') this.#state = { ...this.#state, hasGap: true }
  }

  get canSendNow(): boolean {
    return this.connected
  }

  /** A limit that the session has reached is known to its owner broker only. */
  readiness(_publication: Publication, qos: QoS): Readiness {
    if (this.connected) return Readiness.now
    return qos === 0 || this.info === undefined ? Readiness.away : Readiness.later
  }

  offer(publication: Publication, qos: QoS, retain: boolean, via: DeliverySource): Refusal | undefined {
    if (this.readiness(publication, qos) === Readiness.away) return 'away'
    this.deliver(publication, qos, retain, via)
    return undefined
  }

  deliver(publication: Publication, qos: QoS, retain: boolean, via: DeliverySource): void {
    if (qos === 0 || this.info === undefined || publication.replay?.alreadyDeliveredTo?.has(this.clientId) === true)
      return
    const { fromPeer, replication } = publication
    const delivery = new Delivery(publication.queued, qos, retain, via)
    if (!fromPeer) {
      delivery.storage = 'queued by peer'
      delivery.commitNumber = this.#commits.enqueue(publication, this.clientId, delivery, true)
    } else if (replication?.isStoredFor(this.clientId, via.sharedFilter) === true) delivery.storage = 'queued by peer'
    if (this.#state.name === 'loading') this.#state.bufferedDeliveries.push(delivery)
  }
}

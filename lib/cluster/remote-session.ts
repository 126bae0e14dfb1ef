import type { QoS } from '../../types/packets.ts'
import type { PersistedSessionInfo } from '../../types/persistence.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import type { Publication } from '../messages/publication.ts'
import type { DeliverySource, Subscriber, Subscription } from '../messages/subscriber.ts'
import { Delivery } from '../sessions/delivery.ts'
import type { MessageIdSet } from './message-id-set.ts'

/**
 * A session that another broker has, as far as this one must know it: by its subscriptions what this broker publishes
 * is stored for it. That other broker sends it, when it hears of it. Without a session in the store it is only a
 * member of shared subscriptions.
 */
export class RemoteSession implements Subscriber {
  readonly clientId: string
  readonly subscriptions: Map<string, Subscription> = new Map()
  readonly backPressure: undefined
  readonly isRemote = true
  /** What the store says of it; undefined when it is not stored. */
  info: PersistedSessionInfo | undefined
  /** The broker that has it; undefined when nobody does. */
  ownerBroker: string | undefined
  connected = false
  /** Its keeper did not have it when it was asked. */
  isUnconfirmed = false
  /** What it had from the store while it was here. */
  recoveredIds: MessageIdSet | undefined
  /** What comes while the session is read into this broker. */
  bufferedDeliveries: Delivery[] | undefined
  readonly #commits: CommitQueue | undefined

  constructor(clientId: string, keeper: string | undefined, store: CommitQueue | undefined) {
    this.clientId = clientId
    this.ownerBroker = keeper
    this.#commits = store
  }

  get canSendNow(): boolean {
    return this.connected
  }

  deliver(publication: Publication, qos: QoS, retain: boolean, via: DeliverySource): void {
    if (qos === 0 || this.info === undefined || publication.replay?.alreadyDeliveredTo?.has(this.clientId) === true)
      return
    const { fromPeer, replication } = publication
    const delivery = new Delivery(publication.queued, qos, retain, via)
    if (!fromPeer) {
      delivery.storage = 'queued by peer'
      delivery.commitNumber = this.#commits?.enqueue(publication, this.clientId, delivery, true) ?? 0
    } else if (replication?.isStoredFor(this.clientId, via.sharedFilter) === true) delivery.storage = 'queued by peer'
    this.bufferedDeliveries?.push(delivery)
  }
}

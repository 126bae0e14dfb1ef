import type { QoS } from '../../types/packets.ts'
import type { PersistedSessionInfo } from '../../types/persistence.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import type { Message } from '../messages/message.ts'
import type { Subscriber, Subscription } from '../messages/subscriber.ts'
import { Delivery } from '../sessions/delivery.ts'
import type { MessageIdSet } from './message-id-set.ts'
import type { SharedGroup } from '../topics/shared-subscriptions.ts'

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

  deliver(
    message: Message,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[] | undefined,
    group: SharedGroup<Subscription> | undefined,
  ): void {
    if (qos === 0 || this.info === undefined || message.alreadyDeliveredTo?.has(this.clientId) === true) return
    const isForeign = message.replication?.fromPeer === true
    const delivery = new Delivery(message, qos, retain, identifiers, group)
    delivery.isStored = !isForeign || message.replication?.isStoredFor(this.clientId, group) === true
    delivery.storedByPeer = true
    if (!isForeign) delivery.commitNumber = this.#commits?.enqueue(this.clientId, delivery, true) ?? 0
    this.bufferedDeliveries?.push(delivery)
  }
}

import type { QoS } from '../../types/packets.ts'
import type { PersistedSessionInfo } from '../../types/persistence.ts'
import type { Store } from '../durability/store.ts'
import type { Message } from '../messages/message.ts'
import type { Receiver, Subscription } from '../messages/receiver.ts'
import { Delivery } from '../sessions/delivery.ts'
import type { MessageNames } from '../sessions/message-names.ts'
import type { SharedGroup } from '../topics/shared-subscriptions.ts'

/**
 * A session that another broker has, as far as this one must know it: by its subscriptions what this broker publishes
 * is stored for it. That other broker sends it, when it hears of it. Without a session in the store it is only a
 * member of shared subscriptions.
 */
export class RemoteSession implements Receiver {
  readonly clientId: string
  readonly subscriptions: Map<string, Subscription> = new Map()
  readonly congestion: undefined
  readonly isElsewhere = true
  /** What the store says of it; undefined when it is not stored. */
  info: PersistedSessionInfo | undefined
  /** The broker that has it; undefined when nobody does. */
  keeper: string | undefined
  connected = false
  /** Its keeper did not have it when it was asked. */
  isOutOfSight = false
  /** What it had from the store while it was here. */
  readNames: MessageNames | undefined
  /** What comes while the session is read into this broker. */
  collected: Delivery[] | undefined
  readonly #store: Store | undefined

  constructor(clientId: string, keeper: string | undefined, store: Store | undefined) {
    this.clientId = clientId
    this.keeper = keeper
    this.#store = store
  }

  get takesNow(): boolean {
    return this.connected
  }

  deliver(
    message: Message,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[] | undefined,
    group: SharedGroup<Subscription> | undefined,
  ): void {
    if (qos === 0 || this.info === undefined || message.hadBy?.has(this.clientId) === true) return
    const isForeign = message.travel?.isForeign === true
    const delivery = new Delivery(message, qos, retain, identifiers, group)
    delivery.isStored = !isForeign || message.travel?.isStoredFor(this.clientId, group) === true
    delivery.wasElsewhere = true
    if (!isForeign) delivery.ticket = this.#store?.enqueue(this.clientId, delivery, true) ?? 0
    this.collected?.push(delivery)
  }
}

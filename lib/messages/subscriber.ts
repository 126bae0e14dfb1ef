import type { DropReason } from '../../types/events.ts'
import type { QoS } from '../../types/packets.ts'
import type { Subscription as PublicSubscription } from '../../types/subscription.ts'
import type { BackPressure } from '../sessions/back-pressure.ts'
import type { Publication } from './publication.ts'

/** A receiver of messages: the outbound side of a session, or a subscription of the application. */
export interface Subscriber {
  /** For No Local; undefined for the application, to which No Local does not apply. */
  readonly clientId: string | undefined
  readonly connected: boolean
  /** Whether a message would be sent at once, without the queue. */
  readonly canSendNow: boolean
  readonly backPressure: BackPressure | undefined
  /** A peer owns the session and sends its messages. */
  readonly isRemote?: boolean
  /** The way of a message to a subscriber. `qos` and `retain` are those of this copy. Reports a message that is dropped. */
  deliver(publication: Publication, qos: QoS, retain: boolean, via: DeliverySource): void
  /** Whether a member of a shared subscription can take this copy, and when it would be sent. */
  readiness(publication: Publication, qos: QoS): Readiness
  /** The way of a message to a member of a shared subscription. Returns the reason if the member does not take it. */
  offer(publication: Publication, qos: QoS, retain: boolean, via: DeliverySource): Refusal | undefined
}

/** How well a member of a shared subscription can take a message; the greater one is chosen. */
export const Readiness = {
  /** Not connected, and no message waits for it; such a message is not dropped. */
  away: 0,
  /** A limit is reached. */
  full: 1,
  /** The message waits until the Client is connected. */
  later: 2,
  /** The message waits behind many others. */
  congested: 3,
  /** The message waits. */
  soon: 4,
  /** The message is sent at once. */
  now: 5,
} as const
export type Readiness = (typeof Readiness)[keyof typeof Readiness]

/** The reason why a member of a shared subscription does not take a message. */
export type Refusal = DropReason | 'away'

/** The subscriptions that matched a delivery; stored with the delivery. */
export interface DeliverySource {
  /** Subscription Identifiers that the copy carries. */
  readonly identifiers: readonly number[] | undefined
  /** The shared subscription that the subscriber was chosen from, with `$share/name/`. */
  readonly sharedFilter: string | undefined
  /** The subscriptions that matched, when there are several. */
  readonly parts: readonly Subscription[] | undefined
}

/** Options for the delivery of a topic to one subscriber, from one subscription or several overlapping ones. */
export interface DeliveryOptions extends DeliverySource {
  readonly subscriber: Subscriber
  /** The granted Maximum QoS of a copy [MQTT-3.8.4-8]. */
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
}

/** A subscription as the Client requested it, or as the application made it. */
export interface RequestedSubscription extends PublicSubscription {
  /** The application made it, so that no hook is called for it when the session is resumed. */
  readonly byApplication?: boolean
  /** The subscription has a copy of its own of each message, also of those that other subscriptions match. */
  readonly ownCopy?: boolean
}

/** A subscription as granted, with the request of the Client. */
export class Subscription implements DeliveryOptions, PublicSubscription {
  // The fields that each message reads come first, so that they are together in memory.
  readonly subscriber: Subscriber
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly identifiers: readonly number[] | undefined
  /** The subscription as requested; its Topic Filter is the key for replacement and UNSUBSCRIBE. */
  readonly requested: RequestedSubscription
  /** The granted Topic Filter, with `$share/name/`. */
  readonly topicFilter: string
  /** The Topic Filter without `$share/name/`, which is compared with Topic Names. */
  readonly matchFilter: string
  readonly shareName: string | undefined
  readonly retainHandling: 0 | 1 | 2
  readonly ownCopy: boolean
  readonly subscriptionIdentifier: number | undefined

  constructor(subscriber: Subscriber, requested: RequestedSubscription, granted: PublicSubscription) {
    const { topicFilter, shareName, subscriptionIdentifier } = granted
    this.subscriber = subscriber
    this.qos = granted.qos
    this.noLocal = granted.noLocal ?? false
    this.retainAsPublished = granted.retainAsPublished ?? false
    this.identifiers = subscriptionIdentifier === undefined ? undefined : [subscriptionIdentifier]
    this.requested = requested === granted ? this : requested // Mostly equal, so one object saves memory.
    this.topicFilter = topicFilter
    this.matchFilter = shareName === undefined ? topicFilter : topicFilter.slice(`$share/${shareName}/`.length)
    this.shareName = shareName
    this.retainHandling = granted.retainHandling ?? 0
    this.ownCopy = requested.ownCopy === true
    this.subscriptionIdentifier = subscriptionIdentifier
  }

  get sharedFilter(): string | undefined {
    return this.shareName === undefined ? undefined : this.topicFilter
  }

  get parts(): undefined {
    return undefined
  }

  withOwnCopy(ownCopy: boolean): Subscription {
    const { topicFilter, qos, noLocal, retainAsPublished, retainHandling, subscriptionIdentifier, shareName } = this
    const granted = { topicFilter, qos, noLocal, retainAsPublished, retainHandling, subscriptionIdentifier, shareName }
    const requested = this.requested === this ? granted : this.requested
    return new Subscription(this.subscriber, { ...requested, ownCopy }, granted)
  }

  /** Whether the granted options are equal. */
  isAs(granted: PublicSubscription): boolean {
    return (
      this.topicFilter === granted.topicFilter &&
      this.qos === granted.qos &&
      this.noLocal === (granted.noLocal ?? false) &&
      this.retainAsPublished === (granted.retainAsPublished ?? false) &&
      this.subscriptionIdentifier === granted.subscriptionIdentifier
    )
  }
}

/** Combines overlapping subscriptions into one delivery: maximum QoS, all identifiers [MQTT-3.3.4-2] [MQTT-3.3.4-4]. */
export function combine(subscriber: Subscriber, subscriptions: readonly Subscription[]): DeliveryOptions | undefined {
  const [first] = subscriptions
  if (first === undefined || subscriptions.length === 1) return first
  let qos: QoS = 0
  let noLocal = false
  let retainAsPublished = false
  const identifiers: number[] = []
  for (const subscription of subscriptions) {
    if (subscription.qos > qos) qos = subscription.qos
    noLocal ||= subscription.noLocal
    retainAsPublished ||= subscription.retainAsPublished
    if (subscription.subscriptionIdentifier !== undefined) identifiers.push(subscription.subscriptionIdentifier)
  }
  return {
    subscriber,
    qos,
    noLocal,
    retainAsPublished,
    identifiers: identifiers.length === 0 ? undefined : identifiers,
    sharedFilter: undefined,
    parts: subscriptions,
  }
}

import type { QoS } from '../../types/packets.ts'
import type { Subscription as PublicSubscription } from '../../types/subscription.ts'
import type { BackPressure } from '../sessions/back-pressure.ts'
import type { Publication } from './publication.ts'

/** A receiver of messages: the outbound side of a session, or a subscription of the application. */
export interface Subscriber {
  /** For No Local; undefined for the application, which is never its own echo. */
  readonly clientId: string | undefined
  readonly connected: boolean
  /** Whether a message would be sent at once. */
  readonly canSendNow: boolean
  readonly backPressure: BackPressure | undefined
  /** Another broker has the session and sends to it. */
  readonly isRemote?: boolean
  /** The one way for a message to a subscriber. `qos` and `retain` are those of this copy. */
  deliver(publication: Publication, qos: QoS, retain: boolean, via: DeliverySource): void
}

/** By what a message reached a subscriber; a copy of it remembers this as long as it lives. */
export interface DeliverySource {
  /** Subscription Identifiers that the copy carries. */
  readonly identifiers: readonly number[] | undefined
  /** The shared subscription that the subscriber was chosen from, with `$share/name/`. */
  readonly sharedFilter: string | undefined
  /** The subscriptions that matched, when there are several. */
  readonly parts: readonly Subscription[] | undefined
}

/** How the messages of a topic are delivered to one subscriber: by one subscription, or by several that overlap. */
export interface DeliveryOptions extends DeliverySource {
  readonly subscriber: Subscriber
  /** Granted: a copy is sent at this QoS at most [MQTT-3.8.4-8]. */
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
}

/** A subscription in the tree: what the application granted of what a Client asked for. */
export class Subscription implements DeliveryOptions, PublicSubscription {
  // First what each message asks for, so that it lies together in memory.
  readonly subscriber: Subscriber
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly identifiers: readonly number[] | undefined
  /** As the Client asked for it: by its Topic Filter it is replaced and ended. */
  readonly requested: PublicSubscription
  /** With `$share/name/`. */
  readonly topicFilter: string
  /** The filter that topics are matched with: the Topic Filter without `$share/name/`. */
  readonly matchFilter: string
  readonly shareName: string | undefined
  readonly retainHandling: 0 | 1 | 2
  readonly subscriptionIdentifier: number | undefined

  constructor(subscriber: Subscriber, requested: PublicSubscription, granted: PublicSubscription) {
    const { topicFilter, shareName, subscriptionIdentifier } = granted
    this.subscriber = subscriber
    this.qos = granted.qos
    this.noLocal = granted.noLocal ?? false
    this.retainAsPublished = granted.retainAsPublished ?? false
    this.identifiers = subscriptionIdentifier === undefined ? undefined : [subscriptionIdentifier]
    this.requested = requested === granted ? this : requested // Mostly the same, and then kept once.
    this.topicFilter = topicFilter
    this.matchFilter = shareName === undefined ? topicFilter : topicFilter.slice(`$share/${shareName}/`.length)
    this.shareName = shareName
    this.retainHandling = granted.retainHandling ?? 0
    this.subscriptionIdentifier = subscriptionIdentifier
  }

  get sharedFilter(): string | undefined {
    return this.shareName === undefined ? undefined : this.topicFilter
  }

  get parts(): undefined {
    return undefined
  }

  /** Whether this is what is granted now. */
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

/** One delivery for all matching subscriptions of a subscriber: the highest QoS, every identifier [MQTT-3.3.4-2] [MQTT-3.3.4-4]. */
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

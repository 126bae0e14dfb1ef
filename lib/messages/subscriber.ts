import type { QoS } from '../../types/packets.ts'
import type { Subscription as PublicSubscription } from '../../types/subscription.ts'
import type { SharedGroup } from '../topics/shared-subscriptions.ts'
import type { BackPressure } from '../sessions/back-pressure.ts'
import type { Message } from './message.ts'

/** Who gets messages: a session, or a listener of the application. */
export interface Subscriber {
  /** For No Local; undefined for the application, which is never its own echo. */
  readonly clientId: string | undefined
  readonly connected: boolean
  /** Whether a message would not have to wait. */
  readonly canSendNow: boolean
  readonly backPressure: BackPressure | undefined
  /** Another broker has it, and sends it what it gets. */
  readonly isRemote?: boolean
  /**
   * The one way for a message to a receiver. `qos` and `retain` are those of this copy;
   * `group` is set when the receiver was chosen from a shared subscription.
   */
  deliver(
    message: Message,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[] | undefined,
    group: SharedGroup<Subscription> | undefined,
  ): void
}

/** What a topic's messages are to be done with for one receiver: one subscription, or several that overlap. */
export interface DeliveryOptions {
  readonly subscriber: Subscriber
  /** Granted: a copy is sent at this QoS at most [MQTT-3.8.4-8]. */
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly identifiers: readonly number[] | undefined
  /** The parts, when it stands for several subscriptions and some of them want nothing local. */
  readonly overlapping: readonly Subscription[] | undefined
}

/** A subscription in the tree: what the application granted of what a Client asked for. */
export class Subscription implements DeliveryOptions, PublicSubscription {
  // First what each message asks for, so that it lies together in memory.
  readonly subscriber: Subscriber
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly identifiers: readonly number[] | undefined
  readonly overlapping: undefined
  /** As the Client asked for it: by its Topic Filter it is replaced and ended. */
  readonly requested: PublicSubscription
  /** With `$share/name/`. */
  readonly topicFilter: string
  /** What topics are matched with: the Topic Filter without `$share/name/`. */
  readonly matchFilter: string
  readonly shareName: string | undefined
  readonly retainHandling: 0 | 1 | 2
  readonly subscriptionIdentifier: number | undefined

  constructor(receiver: Subscriber, requested: PublicSubscription, granted: PublicSubscription) {
    const { topicFilter, shareName, subscriptionIdentifier } = granted
    this.subscriber = receiver
    this.qos = granted.qos
    this.noLocal = granted.noLocal ?? false
    this.retainAsPublished = granted.retainAsPublished ?? false
    this.identifiers = subscriptionIdentifier === undefined ? undefined : [subscriptionIdentifier]
    this.overlapping = undefined
    this.requested = requested === granted ? this : requested // Mostly the same, and then kept once.
    this.topicFilter = topicFilter
    this.matchFilter = shareName === undefined ? topicFilter : topicFilter.slice(`$share/${shareName}/`.length)
    this.shareName = shareName
    this.retainHandling = granted.retainHandling ?? 0
    this.subscriptionIdentifier = subscriptionIdentifier
  }

  /** Whether it is what is granted now. */
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

/** One target for all the subscriptions of a receiver that match: the highest QoS, every identifier [MQTT-3.3.4-2] [MQTT-3.3.4-4]. */
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
    overlapping: noLocal ? subscriptions : undefined,
  }
}

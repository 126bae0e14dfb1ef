import type { PersistedSubscription } from '../../types/persistence.ts'
import type { Subscription as PublicSubscription } from '../../types/subscription.ts'
import { type Subscriber, Subscription } from '../messages/subscriber.ts'
import { parseTopicFilter } from '../topics/topic-filter.ts'

/** The stored form of a subscription; its key is the requested Topic Filter. */
export function persistedSubscription(subscription: Subscription): PersistedSubscription {
  const { requested, topicFilter, qos, retainHandling, retainAsPublished, noLocal, subscriptionIdentifier } =
    subscription
  return {
    topic: requested.topicFilter,
    qos,
    rh: retainHandling,
    rap: retainAsPublished,
    nl: noLocal,
    ...(subscriptionIdentifier !== undefined && { subscriptionIdentifier }),
    ...(requested.topicFilter !== topicFilter && { grantedTopic: topicFilter }),
    ...(requested.qos !== qos && { requestedQos: requested.qos }),
    ...(requested.byApplication === true && { byApplication: true }),
    ...(subscription.ownCopy && { ownCopy: true }),
  }
}

/** The subscription of a stored form; undefined if its Topic Filter is invalid, because another program stored it. */
export function subscriptionOf(
  receiver: Subscriber,
  stored: PersistedSubscription,
  maxTopicLevels: number,
): Subscription | undefined {
  const { topic, qos, rh, rap, nl, subscriptionIdentifier, grantedTopic, requestedQos, byApplication } = stored
  const topicFilter = grantedTopic ?? topic
  const parsed = parseTopicFilter(topicFilter, maxTopicLevels)
  if (parsed === undefined) return undefined
  const granted: PublicSubscription = {
    topicFilter,
    qos,
    noLocal: nl ?? false,
    retainAsPublished: rap ?? false,
    retainHandling: rh ?? 0,
    subscriptionIdentifier,
    shareName: parsed.shareName,
  }
  const ownCopy = stored.ownCopy === true
  if (byApplication === true) return new Subscription(receiver, { ...granted, byApplication, ownCopy }, granted)
  const isAsRequested = topicFilter === topic && (requestedQos ?? qos) === qos
  const requested = isAsRequested ? granted : { ...granted, topicFilter: topic, qos: requestedQos ?? qos }
  return new Subscription(receiver, ownCopy ? { ...requested, ownCopy } : requested, granted)
}

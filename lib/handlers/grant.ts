import type { Subscription } from '../../types/subscription.ts'
import { MqttError } from '../errors.ts'
import { parseTopicFilter } from '../topics/topic-filter.ts'
import type { BrokerContext } from './broker-context.ts'

/** The subscription with its ShareName, when its Topic Filter is one; throws an `MqttError` otherwise. */
export function grant({ settings, commits }: BrokerContext, subscription: Subscription): Subscription {
  const parsed = parseTopicFilter(subscription.topicFilter, settings.limits.maxTopicLevels)
  const reserved = commits?.storage.reserved
  if (parsed === undefined || (reserved !== undefined && parsed.topicFilter.startsWith(reserved))) {
    throw new MqttError('topic-filter-invalid')
  }
  return { ...subscription, shareName: parsed.shareName }
}

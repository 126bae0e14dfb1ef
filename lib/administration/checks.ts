import type { Limits } from '../../types/options.ts'
import type { ClientSubscribeOptions } from '../../types/session.ts'
import type { Subscription as PublicSubscription } from '../../types/subscription.ts'
import { InvalidOptionError, MqttError } from '../errors.ts'
import { refuseUnknown } from '../options.ts'
import { parseTopicFilter } from '../topics/topic-filter.ts'

const MAX_SUBSCRIPTION_IDENTIFIER = 268_435_455

const isValid: Record<keyof ClientSubscribeOptions, readonly [expected: string, (value: unknown) => boolean]> = {
  qos: ['0, 1 or 2', (value) => value === 0 || value === 1 || value === 2],
  noLocal: ['true or false', (value) => typeof value === 'boolean'],
  retainAsPublished: ['true or false', (value) => typeof value === 'boolean'],
  retainHandling: ['0, 1 or 2', (value) => value === 0 || value === 1 || value === 2],
  subscriptionIdentifier: [
    `a whole number from 1 to ${MAX_SUBSCRIPTION_IDENTIFIER}`,
    (value) => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= MAX_SUBSCRIPTION_IDENTIFIER,
  ],
}

const optionNames = Object.keys(isValid) as (keyof ClientSubscribeOptions)[] // The table has these keys and no others.

/** Returns the filters as a list. Throws an `InvalidOptionError` if it is neither a string nor a list of strings. */
export function filtersOf(filter: unknown): readonly string[] {
  const filters: unknown[] = Array.isArray(filter) ? filter : [filter]
  if (filters.length === 0 || filters.some((one) => typeof one !== 'string')) {
    throw new InvalidOptionError('filter: expected a Topic Filter, or a list of Topic Filters that is not empty')
  }
  return filters as string[]
}

/** The subscriptions of a call of `subscribe`. Throws an `InvalidOptionError` for an unknown or wrong option. */
export function subscriptionsOf(filter: unknown, options: ClientSubscribeOptions = {}): readonly PublicSubscription[] {
  const filters = filtersOf(filter)
  if (typeof options !== 'object' || options === null) throw new InvalidOptionError('options: expected an object')
  refuseUnknown('subscribe.', options, optionNames)
  for (const name of optionNames) {
    const [expected, check] = isValid[name]
    if (options[name] !== undefined && !check(options[name])) {
      throw new InvalidOptionError(`subscribe.${name}: expected ${expected}`)
    }
  }
  return filters.map((topicFilter) => ({ qos: 2, ...options, topicFilter }))
}

/** Returns the subscriptions with their ShareNames. Throws for one that a Client could not make. */
export function checkSubscriptions(
  { maxTopicLevels }: Readonly<Limits>,
  reserved: string | undefined,
  subscriptions: readonly PublicSubscription[],
): PublicSubscription[] {
  return subscriptions.map((subscription) => {
    const { topicFilter, noLocal } = subscription
    const parsed = parseTopicFilter(topicFilter, maxTopicLevels)
    if (parsed === undefined || (reserved !== undefined && parsed.topicFilter.startsWith(reserved))) {
      throw new MqttError(
        'topic-filter-invalid',
        `expected a Topic Filter, got ${JSON.stringify(topicFilter).slice(0, 80)}`,
      )
    }
    if (noLocal === true && parsed.shareName !== undefined) {
      throw new InvalidOptionError('subscribe.noLocal: not for a shared subscription') // [MQTT-3.8.3-4]
    }
    return { ...subscription, shareName: parsed.shareName }
  })
}

export function checkClientId(clientId: unknown): asserts clientId is string {
  if (typeof clientId !== 'string') throw new InvalidOptionError('clientId: expected a string')
}

export function noSession(clientId: string): MqttError {
  return new MqttError('unspecified', `there is no session of the Client ${JSON.stringify(clientId).slice(0, 80)}`)
}

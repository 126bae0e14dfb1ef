import type { QoS } from '../../types/packets.ts'
import type { ConnackProperties } from '../../types/properties.ts'
import type { Subscription } from '../../types/subscription.ts'
import { MqttError } from '../errors.ts'
import type { Settings } from '../options.ts'
import { hasWildcard } from '../topics/topic-filter.ts'

// The optional parts of MQTT that a Server may not offer to its Clients (section 3.2.2.3). The application may use all.

/** The options for these parts; each has the name of its Property. */
export type Capabilities = Pick<
  Settings,
  | 'maximumQoS'
  | 'retainAvailable'
  | 'wildcardSubscriptionAvailable'
  | 'subscriptionIdentifiersAvailable'
  | 'sharedSubscriptionAvailable'
>

/** Adds to the CONNACK what is not offered [MQTT-3.2.2-9]. */
export function announce(capabilities: Capabilities, properties: ConnackProperties): void {
  if (capabilities.maximumQoS < 2) properties.maximumQoS = capabilities.maximumQoS as 0 | 1
  if (!capabilities.retainAvailable) properties.retainAvailable = 0
  if (!capabilities.wildcardSubscriptionAvailable) properties.wildcardSubscriptionAvailable = 0
  if (!capabilities.subscriptionIdentifiersAvailable) properties.subscriptionIdentifiersAvailable = 0
  if (!capabilities.sharedSubscriptionAvailable) properties.sharedSubscriptionAvailable = 0
}

/** The fault of a message or Will that needs more than is offered; undefined if there is none. */
export function faultOfMessage(
  { maximumQoS, retainAvailable }: Capabilities,
  { qos, retain }: { readonly qos: QoS; readonly retain: boolean },
): MqttError | undefined {
  if (qos > maximumQoS) return new MqttError('qos-not-supported', `the Maximum QoS is ${maximumQoS}`) // [MQTT-3.2.2-12]
  if (!retain || retainAvailable) return undefined
  return new MqttError('retain-not-supported', 'retained messages are not available') // [MQTT-3.2.2-13]
}

/** The same for a subscription as requested. Every QoS may be requested [MQTT-3.2.2-10]. */
export function faultOfSubscription(
  capabilities: Capabilities,
  { topicFilter, subscriptionIdentifier }: Subscription,
): MqttError | undefined {
  if (!capabilities.wildcardSubscriptionAvailable && hasWildcard(topicFilter)) {
    return new MqttError('wildcard-subscriptions-not-supported', 'wildcards are not available')
  }
  if (!capabilities.sharedSubscriptionAvailable && topicFilter.startsWith('$share/')) {
    return new MqttError('shared-subscriptions-not-supported', 'shared subscriptions are not available')
  }
  if (!capabilities.subscriptionIdentifiersAvailable && subscriptionIdentifier !== undefined) {
    return new MqttError('subscription-identifiers-not-supported', 'Subscription Identifiers are not available')
  }
  return undefined
}

/** A granted subscription with no more than is offered. */
export function limited({ maximumQoS }: Capabilities, granted: Subscription): Subscription {
  return granted.qos > maximumQoS ? { ...granted, qos: maximumQoS } : granted
}

/** Whether stored subscriptions may need more than is offered. */
export function limitsSubscriptions(capabilities: Capabilities): boolean {
  const { maximumQoS, wildcardSubscriptionAvailable, sharedSubscriptionAvailable } = capabilities
  const offersAll = maximumQoS === 2 && wildcardSubscriptionAvailable && sharedSubscriptionAvailable
  return !(offersAll && capabilities.subscriptionIdentifiersAvailable)
}

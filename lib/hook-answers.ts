import type { Message } from '../types/message.ts'
import type { Subscription } from '../types/subscription.ts'
import { isTooLarge } from './packets/publish-size.ts'
import { faultIn, faultInMessageProperties } from './packets/properties.ts'

/** Whether a hook returned a message that can be published and sent. Its topic is checked where the message is used. */
export function isMessage(value: unknown): boolean {
  const message = value as Partial<Message> | null
  return (
    typeof message === 'object' &&
    message !== null &&
    typeof message.topic === 'string' &&
    message.payload instanceof Uint8Array &&
    isQoS(message.qos) &&
    (message.retain === undefined || typeof message.retain === 'boolean') &&
    (message.properties === undefined || faultInMessageProperties(message.properties) === undefined) &&
    !isTooLarge(message as Message)
  )
}

/** Whether a hook returned a subscription. Its Topic Filter is checked where the subscription is used. */
export function isSubscription(value: unknown): boolean {
  const subscription = value as Partial<Subscription> | null
  return (
    typeof subscription === 'object' &&
    subscription !== null &&
    typeof subscription.topicFilter === 'string' &&
    isQoS(subscription.qos) &&
    [undefined, 0, 1, 2].includes(subscription.retainHandling) &&
    (subscription.subscriptionIdentifier === undefined ||
      faultIn({ subscriptionIdentifier: subscription.subscriptionIdentifier }, 'subscribe') === undefined)
  )
}

function isQoS(value: unknown): boolean {
  return value === 0 || value === 1 || value === 2
}

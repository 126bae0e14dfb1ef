import type { Message } from '../types/message.ts'
import type { Subscription } from '../types/subscription.ts'
import { asBytes } from './packets/bytes.ts'
import { isTooLarge } from './packets/publish-size.ts'
import { InvalidOptionError } from './errors.ts'
import { faultIn, faultInMessageProperties, MAX_BINARY_BYTES } from './packets/properties.ts'

/**
 * The message that a hook returned, with a payload that is a Buffer; undefined if it cannot be published and sent. Its
 * topic is checked where the message is used.
 */
export function messageIn(value: unknown): Message | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const message = value as Message
  const payload = asBytes(message.payload)
  if (payload === undefined) return undefined
  const { topic, qos, retain, properties } = message
  const complete = payload === message.payload ? message : { topic, payload, qos, retain, properties }
  const isValid =
    typeof topic === 'string' &&
    isQoS(qos) &&
    [undefined, true, false].includes(retain) &&
    (properties === undefined || faultInMessageProperties(properties) === undefined) &&
    !isTooLarge(complete)
  return isValid ? complete : undefined
}

/** The subscription that a hook returned; undefined if it is none. Its Topic Filter is checked where it is used. */
export function subscriptionIn(value: unknown): Subscription | undefined {
  return isSubscription(value) ? (value as Subscription) : undefined
}

function isSubscription(value: unknown): boolean {
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

/** The Authentication Data that a hook gave, as a Buffer. Throws for what an AUTH or CONNACK cannot carry. */
export function authenticationDataOf(data: unknown): Buffer {
  const bytes = asBytes(data)
  if (bytes !== undefined && bytes.length <= MAX_BINARY_BYTES) return bytes
  const got = bytes === undefined ? typeof data : bytes.length
  throw new InvalidOptionError(`data: expected at most 65,535 bytes, such as a Buffer or Uint8Array, got ${got}`)
}

function isQoS(value: unknown): boolean {
  return value === 0 || value === 1 || value === 2
}

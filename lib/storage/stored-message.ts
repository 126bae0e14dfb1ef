import type { PersistedPublish } from '../../types/persistence.ts'
import { Message } from '../messages/message.ts'
import type { Timers } from '../timers.ts'

/** A message as it is stored, with the name that it has in every queue. */
export type StoredPacket = PersistedPublish & { readonly brokerId: string; readonly brokerCounter: number }

export function packetOf(
  message: Message,
  { brokerId, brokerCounter }: { readonly brokerId: string; readonly brokerCounter: number },
  timers: Timers,
): StoredPacket {
  return {
    cmd: 'publish',
    topic: message.topic,
    payload: message.payload,
    qos: message.qos,
    retain: message.retain,
    brokerId,
    brokerCounter,
    ...(message.publisher !== undefined && { clientId: message.publisher }),
    ...(message.properties !== undefined && { properties: message.properties }),
    ...(message.expiresAt !== Infinity && { messageExpiry: timers.toWallClock(message.expiresAt) }),
  }
}

/** A stored message as it goes on; its Message Expiry Interval is what it was when it came. */
export function messageOf(packet: PersistedPublish, timers: Timers): Message {
  const { topic, payload, qos, retain, properties, clientId, messageExpiry, brokerId, brokerCounter } = packet
  const message = new Message(
    topic,
    typeof payload === 'string' ? Buffer.from(payload) : payload,
    qos,
    retain,
    withoutIdentifiers(properties),
    clientId,
    messageExpiry === undefined ? Infinity : timers.fromWallClock(messageExpiry),
  )
  if (brokerId !== undefined && brokerCounter !== undefined) message.stored = { ...packet, brokerId, brokerCounter }
  return message
}

/** Subscription Identifiers belong to a receiver, not to the message. */
function withoutIdentifiers(properties: PersistedPublish['properties']): Message['properties'] {
  if (properties?.subscriptionIdentifiers === undefined) return properties
  const { subscriptionIdentifiers: _, ...rest } = properties
  return Object.keys(rest).length === 0 ? undefined : rest
}

import type { PersistedPublish } from '../../types/persistence.ts'
import { Message } from '../messages/message.ts'
import type { MessageId, StoredPacket } from '../messages/message-id.ts'
import { QueuedMessage } from '../messages/queued-message.ts'
import type { Timers } from '../timers.ts'

export function packetOf(message: Message, { brokerId, brokerCounter }: MessageId, timers: Timers): StoredPacket {
  const { topic, payload, qos, retain, properties, publisher, expiresAt } = message
  return {
    cmd: 'publish',
    topic,
    payload,
    qos,
    retain,
    brokerId,
    brokerCounter,
    ...(publisher !== undefined && { clientId: publisher }),
    ...(properties !== undefined && { properties }),
    ...(expiresAt !== Infinity && { messageExpiry: timers.toWallClock(expiresAt) }),
  }
}

/**
 * The message of a stored packet; its Message Expiry Interval is the one that the publisher sent. `expiresAt` is for a
 * packet without the time of its expiry.
 */
export function messageOf(packet: PersistedPublish, timers: Timers, expiresAt: number = Infinity): Message {
  const { topic, payload, qos, retain, clientId, messageExpiry } = packet
  const fields = {
    topic,
    payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
    qos,
    retain,
    properties: withoutIdentifiers(packet.properties),
  }
  return new Message(fields, clientId, messageExpiry === undefined ? expiresAt : timers.fromWallClock(messageExpiry))
}

/** The same as a queued message with its stored form, which the outbound queues share. */
export function queuedMessageOf(packet: PersistedPublish, timers: Timers): QueuedMessage {
  const queued = new QueuedMessage(messageOf(packet, timers))
  const { brokerId, brokerCounter } = packet
  if (brokerId !== undefined && brokerCounter !== undefined) queued.stored = { ...packet, brokerId, brokerCounter }
  return queued
}

/** Removes Subscription Identifiers, which belong to a subscriber, not to the message. */
function withoutIdentifiers(properties: PersistedPublish['properties']): Message['properties'] {
  if (properties?.subscriptionIdentifiers === undefined) return properties
  const { subscriptionIdentifiers: _, ...rest } = properties
  return Object.keys(rest).length === 0 ? undefined : rest
}

import type { Client } from '../../types/client.ts'
import type { DropReason } from '../../types/events.ts'
import type { Message } from '../messages/message.ts'
import type { OutgoingPublish } from '../messages/outgoing-publish.ts'
import type { Publication } from '../messages/publication.ts'
import { type DeliverySource, Readiness, type Refusal } from '../messages/subscriber.ts'
import type { Delivery } from './delivery.ts'
import type { SessionConnection } from './session-connection.ts'
import type { SessionEnvironment } from './session-environment.ts'

// These functions write every copy of a message, so that permission, expiry and size are checked in one place.

/** The session that receives a copy. */
interface Recipient {
  readonly clientId: string
  readonly client: Client | undefined
}

/** Whether the message has expired [MQTT-3.3.2-5]. `isLive`: it was not queued, so its interval may be 0. */
function hasExpired({ timers }: SessionEnvironment, message: Message, isLive: boolean): boolean {
  if (message.expiresAt === Infinity || message.expiresAt > timers.now()) return false
  return !(isLive && message.expiresAtOnce)
}

/** The same; reports an expired message as dropped. */
export function isExpired(
  environment: SessionEnvironment,
  { clientId }: Recipient,
  message: Message,
  isLive: boolean,
): boolean {
  if (!hasExpired(environment, message, isLive)) return false
  environment.dropped(message, clientId, 'expired')
  return true
}

export function qos0Readiness(connection: SessionConnection | undefined): Readiness {
  if (connection === undefined) return Readiness.away
  if (connection.outboundFull) return Readiness.full
  return connection.outboundBusy ? Readiness.congested : Readiness.now
}

/** A Client does not receive a message: another member of the shared subscription does, or it is dropped. */
export function reportRefused(
  environment: SessionEnvironment,
  { clientId }: Recipient,
  delivery: Delivery,
  reason: Refusal | undefined,
): void {
  if (reason === undefined || reason === 'away') return
  const { via, qos, sentBefore, message } = delivery
  // A QoS 2 message that was sent must not be sent to another member [MQTT-4.8.2-5].
  const isOfAnyone = via.sharedFilter !== undefined && reason !== 'expired' && !(qos === 2 && sentBefore)
  if (isOfAnyone && environment.passOn(delivery, clientId)) return
  environment.dropped(message, clientId, reason)
}

/** Writes a copy at QoS 0. Returns the reason if the Client does not receive it. */
export function writeQos0(
  environment: SessionEnvironment,
  { client }: Recipient,
  connection: SessionConnection,
  publication: Publication,
  retain: boolean,
  via: DeliverySource,
): DropReason | undefined {
  const { message, encodings } = publication
  if (hasExpired(environment, message, true)) return 'expired'
  const permitted = authorized(environment, client, message)
  if (permitted === undefined) return 'not-authorized'
  const shared = permitted === message ? encodings : undefined
  return connection.publishQos0(permitted, retain, via.identifiers, shared) ? undefined : 'too-large'
}

/**
 * Writes a delivery with a Packet Identifier, for the first time or again. Returns the reason if it is not sent. A sent
 * message does not expire [MQTT-4.3.3-7], but a Client that lost its permission does not receive it.
 */
export function writeDelivery(
  environment: SessionEnvironment,
  { client }: Recipient,
  connection: SessionConnection,
  delivery: Delivery,
): DropReason | 'rejected' | undefined {
  const { content } = delivery
  const { message } = content
  const permitted = authorized(environment, client, message)
  if (permitted === undefined) return 'not-authorized'
  if (content.isRejected) return 'rejected'
  return connection.publish(permitted === message ? delivery : replaced(delivery, permitted)) ? undefined : 'too-large'
}

function authorized(
  { hooks, timers }: SessionEnvironment,
  client: Client | undefined,
  message: Message,
): Message | undefined {
  if (!hooks.checksDeliver || client === undefined) return message
  const permitted = hooks.authorizeDeliver(message, client)
  if (permitted === undefined) return undefined
  return permitted === message ? message : message.replacedBy(permitted, timers)
}

/** A delivery with the message that a hook returned instead of the original. */
function replaced(delivery: Delivery, message: Message): OutgoingPublish {
  const { qos, retain, dup, packetId, subscriptionIdentifiers } = delivery
  return { message, qos, retain, dup, packetId, subscriptionIdentifiers, encodings: undefined }
}

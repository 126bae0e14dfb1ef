import type { Client } from '../../types/client.ts'
import type { Message } from '../messages/message.ts'
import type { OutgoingPublish } from '../messages/outgoing-publish.ts'
import type { Publication } from '../messages/publication.ts'
import type { DeliverySource } from '../messages/subscriber.ts'
import type { Delivery } from './delivery.ts'
import type { SessionConnection } from './session-connection.ts'
import type { SessionEnvironment } from './session-environment.ts'

// These functions write every copy of a message, so that permission, expiry and size are checked in one place.

/** The session that receives a copy. */
interface Recipient {
  readonly clientId: string
  readonly client: Client | undefined
}

/** Whether the message has expired [MQTT-3.3.2-5]. Reports an expired message as dropped. */
export function isExpired(environment: SessionEnvironment, { clientId }: Recipient, message: Message): boolean {
  if (message.expiresAt === Infinity || message.expiresAt > environment.timers.now()) return false
  environment.dropped(message, clientId, 'expired')
  return true
}

/** Writes a copy at QoS 0, or drops it. */
export function writeQos0(
  environment: SessionEnvironment,
  recipient: Recipient,
  connection: SessionConnection,
  publication: Publication,
  retain: boolean,
  via: DeliverySource,
): void {
  const { message, encodings } = publication
  if (isExpired(environment, recipient, message)) return
  const permitted = authorized(environment, recipient, message)
  if (permitted === undefined) return
  const shared = permitted === message ? encodings : undefined
  if (connection.publishQos0(permitted, retain, via.identifiers, shared)) return
  environment.dropped(message, recipient.clientId, 'too-large')
}

/**
 * Writes a delivery with a Packet Identifier, for the first time or again; returns false if it is not sent. A sent
 * message does not expire [MQTT-4.3.3-7], but a Client that lost its permission does not receive it.
 */
export function writeDelivery(
  environment: SessionEnvironment,
  recipient: Recipient,
  connection: SessionConnection,
  delivery: Delivery,
): boolean {
  const { content } = delivery
  const { message } = content
  const permitted = authorized(environment, recipient, message)
  if (permitted === undefined || content.isRejected) return false
  if (connection.publish(permitted === message ? delivery : replaced(delivery, permitted))) return true
  environment.dropped(message, recipient.clientId, 'too-large')
  return false
}

function authorized(environment: SessionEnvironment, recipient: Recipient, message: Message): Message | undefined {
  const { hooks } = environment
  if (!hooks.checksDeliver) return message
  const { client, clientId } = recipient
  if (client === undefined) return message
  const permitted = hooks.authorizeDeliver(message, client)
  if (permitted === undefined) {
    environment.dropped(message, clientId, 'not-authorized')
    return undefined
  }
  return permitted === message ? message : message.replacedBy(permitted, environment.timers)
}

/** A delivery with the message that a hook returned instead of the original. */
function replaced(delivery: Delivery, message: Message): OutgoingPublish {
  const { qos, retain, dup, packetId, subscriptionIdentifiers } = delivery
  return { message, qos, retain, dup, packetId, subscriptionIdentifiers, encodings: undefined }
}

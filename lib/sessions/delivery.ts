import type { QoS } from '../../types/packets.ts'
import type { Encodings } from '../messages/encodings.ts'
import type { Message } from '../messages/message.ts'
import type { OutgoingPublish } from '../messages/outgoing-publish.ts'
import type { QueuedMessage } from '../messages/queued-message.ts'
import type { DeliverySource } from '../messages/subscriber.ts'

/**
 * One copy of a message for one session, from the queue to its last acknowledgement.
 *
 *   phase     queued ──sent──▶ awaiting PUBACK, or awaiting PUBREC ──▶ awaiting PUBCOMP
 *   storage   none ──▶ queued ──Packet Identifier──▶ sent
 *                      queued by peer ──────────────▶ sent
 */
export class Delivery implements OutgoingPublish {
  readonly content: QueuedMessage
  readonly qos: QoS
  readonly retain: boolean
  /** The subscription that it came by. */
  readonly via: DeliverySource
  phase: 'queued' | 'awaiting puback' | 'awaiting pubrec' | 'awaiting pubcomp' = 'queued'
  /** How far the storage knows of it. `queued by peer`: another broker stored it, and this one only heard of it. */
  storage: 'none' | 'queued' | 'queued by peer' | 'sent' = 'none'
  /** It was written once, on whichever connection, so it is written again as a duplicate [MQTT-3.3.1-1]. */
  sentBefore = false
  /** 0 until it is sent. */
  packetId = 0
  /** Goes up with each that is sent, so that they are sent again in their order. */
  sendSequence = 0
  /** It is written when this commit is done; 0 when at once. */
  commitNumber = 0

  constructor(content: QueuedMessage, qos: QoS, retain: boolean, via: DeliverySource) {
    this.content = content
    this.qos = qos
    this.retain = retain
    this.via = via
  }

  get message(): Message {
    return this.content.message
  }

  get dup(): boolean {
    return this.sentBefore
  }

  get subscriptionIdentifiers(): readonly number[] | undefined {
    return this.via.identifiers
  }

  get encodings(): Encodings | undefined {
    return this.content.encodings
  }
}

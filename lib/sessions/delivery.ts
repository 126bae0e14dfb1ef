import type { QoS } from '../../types/packets.ts'
import type { Encodings } from '../messages/encodings.ts'
import { Message } from '../messages/message.ts'
import type { OutgoingPublish } from '../messages/outgoing-publish.ts'
import { QueuedMessage } from '../messages/queued-message.ts'
import type { DeliverySource } from '../messages/subscriber.ts'

const NO_MESSAGE = { topic: '', payload: Buffer.alloc(0), qos: 0, retain: false, properties: undefined } as const
const NO_CONTENT = new QueuedMessage(new Message(NO_MESSAGE, undefined, Infinity))

/**
 * A copy of a message for one session, from the queue to the last acknowledgement.
 *
 *   phase     new ──▶ queued ──▶ new ──sent──▶ awaiting PUBACK, or awaiting PUBREC ──▶ awaiting PUBCOMP
 *                     queued ──removed from the middle of the queue──▶ removed
 *   storage   none ──▶ queued ──Packet Identifier──▶ sent
 *                      queued by peer ──────────────▶ sent
 */
export class Delivery implements OutgoingPublish {
  content: QueuedMessage
  readonly qos: QoS
  readonly retain: boolean
  /** The matching subscription. */
  readonly via: DeliverySource
  /** `queued` only while it is in an outbound queue. */
  phase: 'new' | 'queued' | 'removed' | 'awaiting puback' | 'awaiting pubrec' | 'awaiting pubcomp' = 'new'
  /** State in the storage. `queued by peer`: another broker stored the message and published it on the emitter. */
  storage: 'none' | 'queued' | 'queued by peer' | 'sent' = 'none'
  /** The PUBLISH was sent on this or an earlier connection, so DUP is set when it is sent again [MQTT-3.3.1-1]. */
  sentBefore = false
  /** Packet Identifier; 0 until the message is sent. */
  packetId = 0
  /** Position in the order of sending, in which messages are sent again. While it is queued: its place in the queue of its
   * shared subscription. */
  sendSequence = 0
  /** The PUBLISH is sent after this commit; 0 if no commit is needed. */
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

  /** The same delivery as a new object, because the queue still refers to this one. */
  successor(): Delivery {
    const successor = new Delivery(this.content, this.qos, this.retain, this.via)
    successor.storage = this.storage
    successor.commitNumber = this.commitNumber
    this.releaseContent()
    return successor
  }

  /** A removed delivery stays in its queue for a while; its message does not stay in memory with it. */
  releaseContent(): void {
    this.content = NO_CONTENT
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

import type { QoS } from '../../types/packets.ts'
import type { Message } from '../messages/message.ts'
import type { Subscription } from '../messages/subscriber.ts'
import type { SharedGroup } from '../topics/shared-subscriptions.ts'

/** One copy of a message for one session, from the queue to its last acknowledgement. */
export class Delivery {
  readonly message: Message
  readonly qos: QoS
  readonly retain: boolean
  readonly identifiers: readonly number[] | undefined
  /** The shared subscription it was chosen for. */
  readonly group: SharedGroup<Subscription> | undefined
  /** 0 until it is sent. */
  packetId = 0
  /** Goes up with each that is sent, so that they can be sent again in their order. */
  sendSequence = 0
  phase: 'queued' | 'awaiting puback' | 'awaiting pubrec' | 'awaiting pubcomp' = 'queued'
  /** Sent on the present connection, so that it counts against the send quota. */
  countsAgainstQuota = false
  /** It was written once, on whichever connection, so that it is written again as a duplicate [MQTT-3.3.1-1]. */
  sentBefore = false
  /** It stands in the store, in the queue of its session. */
  isStored = false
  /** It was put there while another broker had the session, so the store does not know what became of it. */
  storedByPeer = false
  /** It is written when this ticket of the store is safe; 0 when at once. */
  commitNumber = 0

  constructor(
    message: Message,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[] | undefined,
    group: SharedGroup<Subscription> | undefined,
  ) {
    this.message = message
    this.qos = qos
    this.retain = retain
    this.identifiers = identifiers
    this.group = group
  }
}

import type { QoS } from '../../types/packets.ts'
import type { Encodings } from './encodings.ts'
import type { Message } from './message.ts'

/** A PUBLISH packet to one Client, before it is written. */
export interface OutgoingPublish {
  readonly message: Message
  /** The QoS of this copy, not of the message; `retain` likewise. */
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  /** Packet Identifier; 0 at QoS 0. */
  readonly packetId: number
  readonly subscriptionIdentifiers: readonly number[] | undefined
  /** Encoded packets that are shared with other subscribers. */
  readonly encodings: Encodings | undefined
}

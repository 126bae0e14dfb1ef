import type { QoS } from '../../types/packets.ts'
import type { Encodings } from './encodings.ts'
import type { Message } from './message.ts'

/** A PUBLISH packet to one Client, before it is written. */
export interface OutgoingPublish {
  readonly message: Message
  /** Of this copy, not of the message. */
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  /** 0 at QoS 0. */
  readonly packetId: number
  readonly subscriptionIdentifiers: readonly number[] | undefined
  /** Packets that other subscribers get too. */
  readonly encodings: Encodings | undefined
}

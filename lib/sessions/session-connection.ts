import type { Encodings } from '../messages/encodings.ts'
import type { Message } from '../messages/message.ts'
import type { OutgoingPublish } from '../messages/outgoing-publish.ts'

/** The part of a Network Connection that the outbound side of a session uses. */
export interface SessionConnection {
  /** Maximum number of inflight QoS 1 and QoS 2 messages that the Client accepts. */
  readonly receiveMaximum: number
  /** The output has so many unwritten bytes that QoS 0 messages are dropped. */
  readonly outboundFull: boolean
  /** The output has so many unwritten bytes that QoS 1 and QoS 2 messages stay in the queue. */
  readonly outboundBusy: boolean
  /** Writes a PUBLISH; returns false if it is larger than the Client accepts. Does not retain the object. */
  publish(outgoing: OutgoingPublish): boolean
  /** The same at QoS 0, without an object for the copy. */
  publishQos0(
    message: Message,
    retain: boolean,
    subscriptionIdentifiers: readonly number[] | undefined,
    encodings: Encodings | undefined,
  ): boolean
  pubrel(packetId: number): void
  /** Another connection takes over the session [MQTT-3.1.4-3]. */
  sessionTakenOver(): void
}

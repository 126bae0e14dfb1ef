import type { OutgoingPublish } from '../messages/outgoing-publish.ts'

/** The Network Connection, as the outbound side of a session uses it. */
export interface SessionConnection {
  /** QoS 1 and 2 messages that the Client takes at once. */
  readonly receiveMaximum: number
  /** So much is waiting to be written that QoS 0 messages are dropped. */
  readonly outboundFull: boolean
  /** So much is waiting to be written that the session keeps what can wait. */
  readonly outboundBusy: boolean
  /** Writes a PUBLISH; false when it is larger than the Client accepts. The object is read before it returns. */
  publish(outgoing: OutgoingPublish): boolean
  pubrel(packetId: number): void
  /** Another connection has the session now [MQTT-3.1.4-3]. */
  sessionTakenOver(): void
}

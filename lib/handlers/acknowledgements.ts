import type { PubackPacket, PubcompPacket, PubrecPacket } from '../../types/packets.ts'
import type { Connection } from '../connection/connection.ts'
import { ReasonCode } from '../packets/reason-codes.ts'

// The acknowledgements of messages to the Client; the phases are in `sessions/inflight-messages`.

/** PUBACK (section 3.4) completes a QoS 1 message, with any Reason Code [MQTT-4.4.0-2]. */
export function handlePuback(connection: Connection, packet: PubackPacket): void {
  connection.session?.outbound.onPuback(packet.packetId)
}

/** PUBREC (section 3.5): the Client has the message. PUBREL follows, unless the Client refused it. */
export function handlePubrec(connection: Connection, packet: PubrecPacket): void {
  const { session } = connection
  if (session === undefined) return
  const refused = packet.reasonCode >= 0x80
  const outcome = session.outbound.onPubrec(packet.packetId, refused)
  if (outcome === 'continues') {
    // [MQTT-4.3.3-4]. After the PUBREL, a PUBLISH with this identifier is a new message for the Client.
    connection.replies.acknowledge('pubrel', packet.packetId, ReasonCode.success)
  }
  if (outcome !== 'unknown' || refused) return
  const reasonCode = connection.protocolLevel === 5 ? ReasonCode.packetIdentifierNotFound : ReasonCode.success
  // In the order of the PUBRECs [MQTT-4.6.0-4].
  connection.replies.afterOthers(() => connection.sender.acknowledge('pubrel', packet.packetId, reasonCode))
}

/** PUBCOMP (section 3.7) completes a QoS 2 message. */
export function handlePubcomp(connection: Connection, packet: PubcompPacket): void {
  connection.session?.outbound.onPubcomp(packet.packetId)
}

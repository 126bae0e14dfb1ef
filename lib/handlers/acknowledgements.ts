import type { PubackPacket, PubcompPacket, PubrecPacket } from '../../types/packets.ts'
import type { Connection } from '../connection/connection.ts'
import { ReasonCode } from '../packets/reason-codes.ts'

// The acknowledgements of messages that the Client was sent: the moves of `sessions/inflight-messages`.

/** PUBACK (section 3.4) completes a message at QoS 1, with whatever Reason Code [MQTT-4.4.0-2]. */
export function handlePuback(connection: Connection, packet: PubackPacket): void {
  connection.session?.outbound.onPuback(packet.packetId)
}

/** PUBREC (section 3.5): the Client has the message; PUBREL lets it go on, unless it was refused. */
export function handlePubrec(connection: Connection, packet: PubrecPacket): void {
  const { session } = connection
  if (session === undefined) return
  const refused = packet.reasonCode >= 0x80
  const outcome = session.outbound.onPubrec(packet.packetId, refused)
  if (outcome === 'continues') {
    // [MQTT-4.3.3-4]; a Client that has the PUBREL takes a PUBLISH with this identifier for a new message.
    connection.replies.acknowledge('pubrel', packet.packetId, ReasonCode.success)
  }
  if (outcome !== 'unknown' || refused) return
  const reasonCode = connection.protocolLevel === 5 ? ReasonCode.packetIdentifierNotFound : ReasonCode.success
  // In the order of the PUBRECs [MQTT-4.6.0-4].
  connection.replies.afterOthers(() => connection.sender.acknowledge('pubrel', packet.packetId, reasonCode))
}

/** PUBCOMP (section 3.7) completes a message at QoS 2. */
export function handlePubcomp(connection: Connection, packet: PubcompPacket): void {
  connection.session?.outbound.onPubcomp(packet.packetId)
}

import type { PubrelPacket } from '../../types/packets.ts'
import type { Connection } from '../connection/connection.ts'
import { ReasonCode } from '../packets/reason-codes.ts'

/** PUBREL (section 3.6) frees the Packet Identifier; the reply is always PUBCOMP [MQTT-4.3.3-11]. */
export function handlePubrel(connection: Connection, packet: PubrelPacket): void {
  const { session } = connection
  if (session === undefined) return
  const known = session.incoming.release(packet.packetId)
  session.storage.receivedReleased(packet.packetId)
  // A message that arrived on an earlier connection is not counted on this one.
  if (known && connection.openExchanges > 0) connection.openExchanges -= 1
  const reasonCode = known || connection.protocolLevel !== 5 ? ReasonCode.success : ReasonCode.packetIdentifierNotFound
  // After the commit: the Client may use the identifier for a new message, which must not be a duplicate after a crash.
  connection.replies.acknowledge('pubcomp', packet.packetId, reasonCode)
}

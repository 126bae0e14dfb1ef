import type { PubrelPacket } from '../../types/packets.ts'
import type { Connection } from '../connection/connection.ts'
import { ReasonCode } from '../packets/reason-codes.ts'

/** PUBREL (section 3.6) frees the Packet Identifier and is always answered with PUBCOMP [MQTT-4.3.3-11]. */
export function handlePubrel(connection: Connection, packet: PubrelPacket): void {
  const { session } = connection
  if (session === undefined) return
  const known = session.incoming.release(packet.packetId)
  session.storage.receivedReleased(packet.packetId)
  // One that an earlier connection began was never counted on this one.
  if (known && connection.openExchanges > 0) connection.openExchanges -= 1
  const reasonCode = known || connection.protocolLevel !== 5 ? ReasonCode.success : ReasonCode.packetIdentifierNotFound
  // Stored first: the Client may use the identifier again, and that message must not be taken for this one after a crash.
  connection.replies.acknowledge('pubcomp', packet.packetId, reasonCode)
}

import type { PubackPacket, PubcompPacket, PubrecPacket } from '../../types/packets.ts'
import type { Connection } from '../connection.ts'
import { ReasonCode } from '../packets/reason-codes.ts'

// What a Client answers to the messages that it is sent: the moves of `sessions/outgoing-exchanges`.

/** PUBACK (section 3.4) completes a message at QoS 1, with whatever Reason Code [MQTT-4.4.0-2]. */
export function handlePuback(connection: Connection, packet: PubackPacket): void {
  const { session } = connection
  if (session?.outgoing.puback(packet.packetId) !== undefined) session.flow()
}

/** PUBREC (section 3.5): the Client has the message; PUBREL lets it go on, unless it was refused. */
export function handlePubrec(connection: Connection, packet: PubrecPacket): void {
  const { session } = connection
  if (session === undefined) return
  const outcome = session.outgoing.pubrec(packet.packetId, packet.reasonCode >= 0x80)
  if (outcome === 'continues') {
    connection.pubrel(packet.packetId) // [MQTT-4.3.3-4]
  } else if (outcome === 'complete') {
    session.flow()
  } else if (packet.reasonCode < 0x80) {
    connection.acknowledge(
      'pubrel',
      packet.packetId,
      connection.protocolLevel === 5 ? ReasonCode.packetIdentifierNotFound : 0,
    )
  }
}

/** PUBCOMP (section 3.7) completes a message at QoS 2. */
export function handlePubcomp(connection: Connection, packet: PubcompPacket): void {
  const { session } = connection
  if (session?.outgoing.pubcomp(packet.packetId) !== undefined) session.flow()
}

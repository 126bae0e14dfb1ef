import type { DisconnectPacket } from '../../types/packets.ts'
import type { Connection } from '../connection/connection.ts'
import { ProtocolError } from '../errors.ts'
import { ReasonCode } from '../packets/reason-codes.ts'

// The other Reason Codes of DISCONNECT are for Servers only (section 3.14.2.1).
const fromClients = new Set<number>([
  ReasonCode.success,
  ReasonCode.disconnectWithWill,
  ReasonCode.unspecified,
  ReasonCode.malformedPacket,
  ReasonCode.protocolError,
  ReasonCode.implementationSpecific,
  ReasonCode.topicNameInvalid,
  ReasonCode.receiveMaximumExceeded,
  ReasonCode.topicAliasInvalid,
  ReasonCode.packetTooLarge,
  ReasonCode.messageRateTooHigh,
  ReasonCode.quotaExceeded,
  ReasonCode.administrativeAction,
  ReasonCode.payloadFormatInvalid,
])

/** DISCONNECT (section 3.14): ends the connection, and may change the Session Expiry Interval. */
export function handleDisconnect(connection: Connection, packet: DisconnectPacket): void {
  const { session, broker } = connection
  if (session === undefined) return
  if (!fromClients.has(packet.reasonCode)) {
    throw new ProtocolError(ReasonCode.protocolError, 'a Reason Code that only a Server may send')
  }
  if (packet.properties?.serverReference !== undefined) {
    throw new ProtocolError(ReasonCode.protocolError, 'a Server Reference from a Client')
  }
  const expiry = packet.properties?.sessionExpiryInterval
  if (expiry !== undefined) {
    if (expiry > 0 && connection.sessionExpiryInterval === 0) {
      throw new ProtocolError(ReasonCode.protocolError, 'a session that was to end with its connection cannot be kept')
    }
    session.expiryInterval = Math.min(expiry, broker.settings.limits.maxSessionExpiry)
  }
  connection.disconnected(packet.reasonCode)
}

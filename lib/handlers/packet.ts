import type { Packet } from '../../types/packets.ts'
import type { Connection } from '../connection/connection.ts'
import { ProtocolError } from '../errors.ts'
import { PINGRESP } from '../packets/ping.ts'
import { ReasonCode } from '../packets/reason-codes.ts'
import { handleAuth } from './auth.ts'
import { handleConnect } from './connect.ts'
import { handleDisconnect } from './disconnect.ts'
import { handlePuback, handlePubcomp, handlePubrec } from './acknowledgements.ts'
import { handlePublish } from './publish.ts'
import { handlePubrel } from './pubrel.ts'
import { handleSubscribe } from './subscribe.ts'
import { handleUnsubscribe } from './unsubscribe.ts'

/** Handles each packet by its type. A promise means that the packets behind it have to wait. */
export function handlePacket(connection: Connection, packet: Packet): void | Promise<void> {
  if (connection.state !== 'connected') return handleUnconnected(connection, packet)
  switch (packet.type) {
    case 'publish':
      return handlePublish(connection, packet)
    case 'puback':
      return handlePuback(connection, packet)
    case 'pubrec':
      return handlePubrec(connection, packet)
    case 'pubrel':
      return handlePubrel(connection, packet)
    case 'pubcomp':
      return handlePubcomp(connection, packet)
    case 'subscribe':
      return handleSubscribe(connection, packet)
    case 'unsubscribe':
      return handleUnsubscribe(connection, packet)
    case 'pingreq':
      connection.send(PINGRESP) // [MQTT-3.12.4-1]
      return undefined
    case 'disconnect':
      return handleDisconnect(connection, packet)
    case 'auth':
      return handleAuth(connection, packet)
    case 'connect':
      throw new ProtocolError(ReasonCode.protocolError, 'a second CONNECT') // [MQTT-3.1.0-2]
    case 'connack':
    case 'suback':
    case 'unsuback':
    case 'pingresp':
      throw new ProtocolError(ReasonCode.protocolError, `${packet.type.toUpperCase()} from a Client`)
  }
}

function handleUnconnected(connection: Connection, packet: Packet): void | Promise<void> {
  if (connection.state === 'draining') return handleRemaining(connection, packet)
  if (connection.state === 'new') {
    if (packet.type === 'connect') return handleConnect(connection, packet)
    throw new ProtocolError(ReasonCode.protocolError, 'the first packet is not CONNECT') // [MQTT-3.1.0-1]
  }
  // Before CONNACK only enhanced authentication has further packets [MQTT-3.1.2-30].
  if (packet.type === 'auth' && connection.authentication !== undefined)
    return connection.authentication.continue(packet)
  if (packet.type === 'disconnect') return connection.disconnected(packet.reasonCode)
  throw new ProtocolError(ReasonCode.protocolError, `${packet.type.toUpperCase()} before the CONNACK`)
}

/**
 * Handles the last packets of a connection that has ended: PUBLISH and DISCONNECT. The other packets were never
 * acknowledged, so the Client sends them again on the next connection.
 */
function handleRemaining(connection: Connection, packet: Packet): void | Promise<void> {
  if (packet.type === 'publish') return handlePublish(connection, packet)
  if (packet.type !== 'disconnect') return undefined
  const { session, client, broker } = connection
  const removesWill = packet.reasonCode === ReasonCode.success && session !== undefined && client !== undefined
  if (removesWill) broker.wills.withdraw(session, client) // [MQTT-3.14.4-3]
  connection.drained()
  return undefined
}

import type { ConnackPacket, ProtocolLevel } from '../../types/packets.ts'
import { PacketTypeCode } from './packet-types.ts'
import { readProperties, writeProperties } from './properties.ts'
import { readReasonCode, reasonCodesOf } from './reason-code-lists.ts'
import type { Reader } from './reader.ts'
import { malformedPacket } from './violation.ts'
import type { Writer } from './writer.ts'

export function decodeConnack(reader: Reader, level: ProtocolLevel): ConnackPacket {
  const flags = reader.uint8('Connect Acknowledge Flags')
  // MQTT 3.1 has no Session Present; it reserves the whole byte.
  if (level > 3 && flags > 1) throw malformedPacket('Connect Acknowledge Flags: a reserved flag is set') // [MQTT-3.2.2-1]
  const reasonCode = readReasonCode(reader, level === 5 ? reasonCodesOf.connack : reasonCodesOf.connectReturn)
  const properties = level === 5 ? readProperties(reader, 'connack') : undefined
  return { type: 'connack', sessionPresent: level > 3 && flags === 1, reasonCode, properties }
}

export function writeConnack(writer: Writer, packet: ConnackPacket, level: ProtocolLevel): void {
  writer.uint8(PacketTypeCode.connack << 4)
  const start = writer.beginLength()
  writer.uint8(level > 3 && packet.sessionPresent ? 1 : 0)
  writer.uint8(packet.reasonCode)
  if (level === 5) writeProperties(writer, packet.properties, 'connack')
  writer.endLength(start)
}

import type { ProtocolLevel, PubackPacket, PubcompPacket, PubrecPacket, PubrelPacket } from '../../types/packets.ts'
import type { AcknowledgementProperties } from '../../types/properties.ts'
import { PacketTypeCode } from './packet-types.ts'
import { readProperties, writeProperties } from './properties.ts'
import { readReasonCode, reasonCodesOf } from './reason-code-lists.ts'
import type { Reader } from './reader.ts'
import type { Writer } from './writer.ts'

/** PUBACK, PUBREC, PUBREL and PUBCOMP have one layout (sections 3.4 to 3.7). */
export type AcknowledgementPacket = PubackPacket | PubrecPacket | PubrelPacket | PubcompPacket

export function decodeAcknowledgement<Type extends AcknowledgementPacket['type']>(
  reader: Reader,
  level: ProtocolLevel,
  type: Type,
): Extract<AcknowledgementPacket, { type: Type }> {
  const packetId = reader.packetId()
  let reasonCode = 0
  let properties: AcknowledgementProperties | undefined
  // A packet without a Reason Code means success; a packet without a Property Length has no Properties.
  if (level === 5 && reader.remaining > 0) {
    reasonCode = readReasonCode(reader, reasonCodesOf[type])
    if (reader.remaining > 0) properties = readProperties(reader, type)
  }
  return { type, packetId, reasonCode, properties } as Extract<AcknowledgementPacket, { type: Type }>
}

export function writeAcknowledgement(writer: Writer, packet: AcknowledgementPacket, level: ProtocolLevel): void {
  const { packetId, reasonCode, properties } = packet
  const firstByte = (PacketTypeCode[packet.type] << 4) | (packet.type === 'pubrel' ? 2 : 0) // [MQTT-3.6.1-1]
  // The shortest form, for success without Properties. Nearly all acknowledgements are these four bytes.
  if (level < 5 || (reasonCode === 0 && properties === undefined)) {
    writer.reserve(4)
    const { buffer, length } = writer
    buffer[length] = firstByte
    buffer[length + 1] = 2
    buffer[length + 2] = packetId >>> 8
    buffer[length + 3] = packetId
    writer.length = length + 4
    return
  }
  writer.uint8(firstByte)
  const start = writer.beginLength()
  writer.uint16(packetId)
  writer.uint8(reasonCode)
  if (properties !== undefined) writeProperties(writer, properties, packet.type)
  writer.endLength(start)
}

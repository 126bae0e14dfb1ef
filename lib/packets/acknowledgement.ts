import type { ProtocolLevel, PubackPacket, PubcompPacket, PubrecPacket, PubrelPacket } from '../../types/packets.ts'
import type { AcknowledgementProperties } from '../../types/properties.ts'
import { PacketTypeCode } from './packet-types.ts'
import { readProperties, writeProperties } from './properties.ts'
import { readReasonCode, reasonCodesOf } from './reason-code-lists.ts'
import type { Reader } from './reader.ts'
import type { Writer } from './writer.ts'

/** PUBACK, PUBREC, PUBREL and PUBCOMP look the same (sections 3.4 to 3.7). */
export type AcknowledgementPacket = PubackPacket | PubrecPacket | PubrelPacket | PubcompPacket

export function decodeAcknowledgement<Type extends AcknowledgementPacket['type']>(
  reader: Reader,
  level: ProtocolLevel,
  type: Type,
): Extract<AcknowledgementPacket, { type: Type }> {
  const packetId = reader.packetId()
  let reasonCode = 0
  let properties: AcknowledgementProperties | undefined
  // Without a Reason Code it is success, without a Property Length there are no Properties.
  if (level === 5 && reader.remaining > 0) {
    reasonCode = readReasonCode(reader, reasonCodesOf[type])
    if (reader.remaining > 0) properties = readProperties(reader, type)
  }
  return { type, packetId, reasonCode, properties } as Extract<AcknowledgementPacket, { type: Type }>
}

export function writeAcknowledgement(writer: Writer, packet: AcknowledgementPacket, level: ProtocolLevel): void {
  writer.uint8((PacketTypeCode[packet.type] << 4) | (packet.type === 'pubrel' ? 2 : 0)) // [MQTT-3.6.1-1]
  const start = writer.beginLength()
  writer.uint16(packet.packetId)
  if (level === 5) writeReason(writer, packet)
  writer.endLength(start)
}

/** The Reason Code and the Properties in their shortest form: neither when there is nothing to say. */
function writeReason(writer: Writer, packet: AcknowledgementPacket): void {
  if (packet.properties === undefined) {
    if (packet.reasonCode !== 0) writer.uint8(packet.reasonCode)
    return
  }
  writer.uint8(packet.reasonCode)
  writeProperties(writer, packet.properties, packet.type)
}

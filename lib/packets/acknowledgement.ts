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
  const { type, packetId, reasonCode, properties } = packet
  if (level < 5 || properties === undefined) return writePlainAcknowledgement(writer, type, packetId, reasonCode, level)
  writer.uint8(firstByteOf(type))
  const start = writer.beginLength()
  writer.uint16(packetId)
  writer.uint8(reasonCode)
  writeProperties(writer, properties, type)
  writer.endLength(start)
}

/** Writes an acknowledgement without Properties, 4 or 5 bytes. Nearly all acknowledgements are so. */
export function writePlainAcknowledgement(
  writer: Writer,
  type: AcknowledgementPacket['type'],
  packetId: number,
  reasonCode: number,
  level: ProtocolLevel,
): void {
  const hasReasonCode = level === 5 && reasonCode !== 0
  writer.reserve(5)
  const { buffer, length } = writer
  buffer[length] = firstByteOf(type)
  buffer[length + 1] = hasReasonCode ? 3 : 2
  buffer[length + 2] = packetId >>> 8
  buffer[length + 3] = packetId
  if (hasReasonCode) buffer[length + 4] = reasonCode
  writer.length = length + (hasReasonCode ? 5 : 4)
}

function firstByteOf(type: AcknowledgementPacket['type']): number {
  return (PacketTypeCode[type] << 4) | (type === 'pubrel' ? 2 : 0) // [MQTT-3.6.1-1]
}

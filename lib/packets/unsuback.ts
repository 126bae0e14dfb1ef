import type { ProtocolLevel, UnsubackPacket } from '../../types/packets.ts'
import { PacketTypeCode } from './packet-types.ts'
import { readProperties, writeProperties } from './properties.ts'
import { readReasonCode, reasonCodesOf } from './reason-code-lists.ts'
import type { Reader } from './reader.ts'
import { protocolError } from './violation.ts'
import type { Writer } from './writer.ts'

export function decodeUnsuback(reader: Reader, level: ProtocolLevel): UnsubackPacket {
  const packetId = reader.packetId()
  const reasonCodes: number[] = []
  if (level < 5) return { type: 'unsuback', packetId, reasonCodes, properties: undefined }
  const properties = readProperties(reader, 'unsuback')
  if (reader.remaining === 0) throw protocolError('UNSUBACK: expected at least one Reason Code')
  while (reader.remaining > 0) reasonCodes.push(readReasonCode(reader, reasonCodesOf.unsuback))
  return { type: 'unsuback', packetId, reasonCodes, properties }
}

export function writeUnsuback(writer: Writer, packet: UnsubackPacket, level: ProtocolLevel): void {
  writer.uint8(PacketTypeCode.unsuback << 4)
  const start = writer.beginLength()
  writer.uint16(packet.packetId)
  if (level === 5) {
    writeProperties(writer, packet.properties, 'unsuback')
    for (const reasonCode of packet.reasonCodes) writer.uint8(reasonCode)
  }
  writer.endLength(start)
}

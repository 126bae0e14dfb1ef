import type { ProtocolLevel, SubackPacket } from '../../types/packets.ts'
import { PacketTypeCode } from './packet-types.ts'
import { readProperties, writeProperties } from './properties.ts'
import { readReasonCode, reasonCodesOf } from './reason-code-lists.ts'
import type { Reader } from './reader.ts'
import { protocolError } from './violation.ts'
import type { Writer } from './writer.ts'

export function decodeSuback(reader: Reader, level: ProtocolLevel): SubackPacket {
  const packetId = reader.packetId()
  const properties = level === 5 ? readProperties(reader, 'suback') : undefined
  if (reader.remaining === 0) throw protocolError('SUBACK: expected at least one Reason Code')
  const codes = level === 5 ? reasonCodesOf.suback : reasonCodesOf.subackReturn
  const reasonCodes: number[] = []
  while (reader.remaining > 0) reasonCodes.push(readReasonCode(reader, codes))
  return { type: 'suback', packetId, reasonCodes, properties }
}

export function writeSuback(writer: Writer, packet: SubackPacket, level: ProtocolLevel): void {
  writer.uint8(PacketTypeCode.suback << 4)
  const start = writer.beginLength()
  writer.uint16(packet.packetId)
  if (level === 5) writeProperties(writer, packet.properties, 'suback')
  for (const reasonCode of packet.reasonCodes) writer.uint8(reasonCode)
  writer.endLength(start)
}

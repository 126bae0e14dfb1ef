import type { DisconnectPacket, ProtocolLevel } from '../../types/packets.ts'
import type { DisconnectProperties } from '../../types/properties.ts'
import { PacketTypeCode } from './packet-types.ts'
import { readProperties, writeProperties } from './properties.ts'
import { readReasonCode, reasonCodesOf } from './reason-code-lists.ts'
import type { Reader } from './reader.ts'
import type { Writer } from './writer.ts'

export function decodeDisconnect(reader: Reader, level: ProtocolLevel): DisconnectPacket {
  let reasonCode = 0
  let properties: DisconnectProperties | undefined
  // A packet without a Reason Code is a normal disconnection; without a Property Length it has no Properties.
  if (level === 5 && reader.remaining > 0) {
    reasonCode = readReasonCode(reader, reasonCodesOf.disconnect)
    if (reader.remaining > 0) properties = readProperties(reader, 'disconnect')
  }
  return { type: 'disconnect', reasonCode, properties }
}

export function writeDisconnect(writer: Writer, packet: DisconnectPacket, level: ProtocolLevel): void {
  writer.uint8(PacketTypeCode.disconnect << 4)
  const start = writer.beginLength()
  if (level === 5) {
    if (packet.reasonCode !== 0 || packet.properties !== undefined) writer.uint8(packet.reasonCode)
    if (packet.properties !== undefined) writeProperties(writer, packet.properties, 'disconnect')
  }
  writer.endLength(start)
}

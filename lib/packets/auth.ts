import type { AuthPacket } from '../../types/packets.ts'
import { PacketTypeCode } from './packet-types.ts'
import { readProperties, writeProperties } from './properties.ts'
import { readReasonCode, reasonCodesOf } from './reason-code-lists.ts'
import type { Reader } from './reader.ts'
import type { Writer } from './writer.ts'

export function decodeAuth(reader: Reader): AuthPacket {
  // An empty packet is success without Properties; a Reason Code alone is not allowed (section 3.15.2.1).
  if (reader.remaining === 0) return { type: 'auth', reasonCode: 0, properties: undefined }
  const reasonCode = readReasonCode(reader, reasonCodesOf.auth)
  return { type: 'auth', reasonCode, properties: readProperties(reader, 'auth') }
}

export function writeAuth(writer: Writer, packet: AuthPacket): void {
  writer.uint8(PacketTypeCode.auth << 4)
  const start = writer.beginLength()
  if (packet.reasonCode !== 0 || packet.properties !== undefined) {
    writer.uint8(packet.reasonCode)
    writeProperties(writer, packet.properties, 'auth')
  }
  writer.endLength(start)
}

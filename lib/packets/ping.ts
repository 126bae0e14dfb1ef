import type { PingreqPacket, PingrespPacket } from '../../types/packets.ts'
import { PacketTypeCode } from './packet-types.ts'
import type { Writer } from './writer.ts'

/** PINGREQ has no fields, so one object serves all. */
export const PINGREQ: PingreqPacket = { type: 'pingreq' }
/** PINGRESP has no fields, so one object serves all. */
export const PINGRESP: PingrespPacket = { type: 'pingresp' }

export function writePing(writer: Writer, packet: PingreqPacket | PingrespPacket): void {
  writer.uint8(PacketTypeCode[packet.type] << 4)
  writer.uint8(0)
}

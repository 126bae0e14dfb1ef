import type { PingreqPacket, PingrespPacket } from '../../types/packets.ts'
import { PacketTypeCode } from './packet-types.ts'
import type { Writer } from './writer.ts'

/** Every PINGREQ is this one: it says nothing else. */
export const PINGREQ: PingreqPacket = { type: 'pingreq' }
/** Every PINGRESP is this one. */
export const PINGRESP: PingrespPacket = { type: 'pingresp' }

export function writePing(writer: Writer, packet: PingreqPacket | PingrespPacket): void {
  writer.uint8(PacketTypeCode[packet.type] << 4)
  writer.uint8(0)
}

import type { ProtocolLevel } from '../../types/packets.ts'
import { PacketTypeCode } from './packet-types.ts'
import { malformedPacket, protocolError } from './violation.ts'

/** Checks the first byte of a packet: its type and its flags (section 2.1). Those of PUBLISH are its own matter. */
export function checkFirstByte(firstByte: number, level: ProtocolLevel | undefined): void {
  const type = firstByte >> 4
  if (level === undefined && type !== PacketTypeCode.connect) {
    throw protocolError('expected CONNECT as the first packet') // [MQTT-3.1.0-1]
  }
  switch (type) {
    case 0:
      throw malformedPacket('packet type 0 is reserved')
    case PacketTypeCode.publish:
      return
    case PacketTypeCode.pubrel:
    case PacketTypeCode.subscribe:
    case PacketTypeCode.unsubscribe:
      // MQTT 3.1 has QoS 1 and DUP there, and RETAIN is not used.
      if ((firstByte & (level === 3 ? 0x07 : 0x0f)) !== 2)
        throw malformedPacket('expected the reserved flags to be 0010')
      return
    case PacketTypeCode.auth:
      if (level !== 5) throw protocolError('AUTH: expected MQTT 5.0')
  }
  if ((firstByte & 0x0f) !== 0) throw malformedPacket('expected the reserved flags to be 0000') // [MQTT-2.1.3-1]
}

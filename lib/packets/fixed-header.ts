import type { ProtocolLevel } from '../../types/packets.ts'
import { PacketTypeCode } from './packet-types.ts'
import { malformedPacket, protocolError } from './violation.ts'

/** Checks packet type and flags in the first byte (section 2.1). `decodePublish` checks the flags of PUBLISH. */
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
      // In MQTT 3.1 these bits are QoS 1 and DUP; RETAIN is unused.
      if ((firstByte & (level === 3 ? 0x07 : 0x0f)) !== 2)
        throw malformedPacket('expected the reserved flags to be 0010')
      return
    case PacketTypeCode.auth:
      if (level !== 5) throw protocolError('AUTH: expected MQTT 5.0')
  }
  if ((firstByte & 0x0f) !== 0) throw malformedPacket('expected the reserved flags to be 0000') // [MQTT-2.1.3-1]
}

import type { ProtocolLevel, UnsubscribePacket } from '../../types/packets.ts'
import { PacketTypeCode } from './packet-types.ts'
import { readProperties, writeProperties } from './properties.ts'
import type { Reader } from './reader.ts'
import { protocolError } from './violation.ts'
import type { Writer } from './writer.ts'

export function decodeUnsubscribe(reader: Reader, level: ProtocolLevel): UnsubscribePacket {
  const packetId = reader.packetId()
  const properties = level === 5 ? readProperties(reader, 'unsubscribe') : undefined
  if (reader.remaining === 0) throw protocolError('UNSUBSCRIBE: expected at least one Topic Filter') // [MQTT-3.10.3-2]
  const topicFilters: string[] = []
  while (reader.remaining > 0) topicFilters.push(reader.string('Topic Filter'))
  return { type: 'unsubscribe', packetId, topicFilters, properties }
}

export function writeUnsubscribe(writer: Writer, packet: UnsubscribePacket, level: ProtocolLevel): void {
  writer.uint8((PacketTypeCode.unsubscribe << 4) | 2) // [MQTT-3.10.1-1]
  const start = writer.beginLength()
  writer.uint16(packet.packetId)
  if (level === 5) writeProperties(writer, packet.properties, 'unsubscribe')
  for (const topicFilter of packet.topicFilters) writer.string(topicFilter)
  writer.endLength(start)
}

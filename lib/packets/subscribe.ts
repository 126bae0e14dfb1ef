import type { ProtocolLevel, QoS, SubscribePacket, SubscriptionRequest } from '../../types/packets.ts'
import { PacketTypeCode } from './packet-types.ts'
import { readProperties, writeProperties } from './properties.ts'
import type { Reader } from './reader.ts'
import { malformedPacket, protocolError } from './violation.ts'
import type { Writer } from './writer.ts'

// The Subscription Options (section 3.8.3.1).
const NO_LOCAL = 0x04
const RETAIN_AS_PUBLISHED = 0x08
const RETAIN_HANDLING_SHIFT = 4
const RESERVED = 0xc0
const RESERVED_MQTT_3 = 0xfc

export function decodeSubscribe(reader: Reader, level: ProtocolLevel): SubscribePacket {
  const packetId = reader.packetId()
  const properties = level === 5 ? readProperties(reader, 'subscribe') : undefined
  if (reader.remaining === 0) throw protocolError('SUBSCRIBE: expected at least one Topic Filter') // [MQTT-3.8.3-2]
  const subscriptions: SubscriptionRequest[] = []
  while (reader.remaining > 0) subscriptions.push(decodeSubscription(reader, level))
  return { type: 'subscribe', packetId, subscriptions, properties }
}

function decodeSubscription(reader: Reader, level: ProtocolLevel): SubscriptionRequest {
  const topicFilter = reader.string('Topic Filter')
  const options = reader.uint8('Subscription Options')
  if (options & (level === 5 ? RESERVED : RESERVED_MQTT_3)) {
    throw malformedPacket('Subscription Options: a reserved bit is set') // [MQTT-3.8.3-5]
  }
  const qos = options & 3
  const retainHandling = (options >> RETAIN_HANDLING_SHIFT) & 3
  if (qos === 3) throw protocolError('Subscription Options: expected a QoS of 0, 1 or 2, got 3')
  if (retainHandling === 3) throw protocolError('Subscription Options: expected a Retain Handling of 0, 1 or 2, got 3')
  return {
    topicFilter,
    qos: qos as QoS,
    noLocal: (options & NO_LOCAL) !== 0,
    retainAsPublished: (options & RETAIN_AS_PUBLISHED) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
  }
}

export function writeSubscribe(writer: Writer, packet: SubscribePacket, level: ProtocolLevel): void {
  writer.uint8((PacketTypeCode.subscribe << 4) | 2) // [MQTT-3.8.1-1]
  const start = writer.beginLength()
  writer.uint16(packet.packetId)
  if (level === 5) writeProperties(writer, packet.properties, 'subscribe')
  for (const { topicFilter, qos, noLocal, retainAsPublished, retainHandling } of packet.subscriptions) {
    writer.string(topicFilter)
    let options: number = qos
    if (level === 5) {
      if (noLocal) options |= NO_LOCAL
      if (retainAsPublished) options |= RETAIN_AS_PUBLISHED
      options |= retainHandling << RETAIN_HANDLING_SHIFT
    }
    writer.uint8(options)
  }
  writer.endLength(start)
}

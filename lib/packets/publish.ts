import type { ProtocolLevel, PublishPacket, QoS } from '../../types/packets.ts'
import type { PublishProperties } from '../../types/properties.ts'
import { PacketTypeCode } from './packet-types.ts'
import { propertiesSize, readProperties, writeProperties } from './properties.ts'
import type { Reader } from './reader.ts'
import { malformedPacket, protocolError } from './violation.ts'
import { variableByteIntegerSize, type Writer } from './writer.ts'

// The flags of the fixed header (section 3.3.1).
const RETAIN = 0x01
const QOS_SHIFT = 1
const DUP = 0x08

export function decodePublish(reader: Reader, level: ProtocolLevel, flags: number): PublishPacket {
  const qos = (flags >> QOS_SHIFT) & 3
  if (qos === 3) throw malformedPacket('PUBLISH: expected a QoS of 0, 1 or 2, got 3') // [MQTT-3.3.1-4]
  if (qos === 0 && flags & DUP) throw malformedPacket('PUBLISH: DUP is set with QoS 0') // [MQTT-3.3.1-2]
  const topic = reader.topicName()
  const packetId = qos === 0 ? 0 : reader.packetId()
  const properties = level === 5 ? readProperties(reader, 'publish') : undefined
  if (topic.length === 0 && properties?.topicAlias === undefined) {
    throw protocolError('PUBLISH: expected a Topic Name or a Topic Alias')
  }
  return {
    type: 'publish',
    topic,
    payload: reader.rest(),
    qos: qos as QoS,
    retain: (flags & RETAIN) !== 0,
    dup: (flags & DUP) !== 0,
    packetId,
    properties,
  }
}

/** The size in bytes of the whole PUBLISH packet, fixed header included. */
export function encodedPublishSize(
  protocolLevel: ProtocolLevel,
  topic: string,
  payload: Uint8Array,
  qos: QoS,
  properties: PublishProperties | undefined,
): number {
  const remaining = remainingLength(protocolLevel, Buffer.byteLength(topic), payload, qos, properties)
  return 1 + variableByteIntegerSize(remaining) + remaining
}

function remainingLength(
  protocolLevel: ProtocolLevel,
  topicBytes: number,
  payload: Uint8Array,
  qos: QoS,
  properties: PublishProperties | undefined,
): number {
  const length = 2 + topicBytes + (qos === 0 ? 0 : 2) + payload.length
  if (protocolLevel < 5) return length
  if (properties === undefined) return length + 1
  const size = propertiesSize(properties, 'publish')
  return length + variableByteIntegerSize(size) + size
}

/**
 * Writes a PUBLISH packet. Returns where in the writer its Packet Identifier is, or -1 at QoS 0, which has none,
 * so that the bytes can be copied for another receiver and only the identifier changed.
 */
export function writePublish(
  writer: Writer,
  protocolLevel: ProtocolLevel,
  topic: string,
  payload: Uint8Array,
  qos: QoS,
  retain: boolean,
  dup: boolean,
  packetId: number,
  properties: PublishProperties | undefined,
): number {
  const ascii = isAscii(topic)
  const topicBytes = ascii ? topic.length : Buffer.byteLength(topic)
  if (topicBytes > 0xffff) throw new RangeError(`Topic Name: expected at most 65535 bytes, got ${topicBytes}`)
  const remaining = remainingLength(protocolLevel, topicBytes, payload, qos, properties)
  const isInserted = writer.inserts(payload)
  writer.reserve(5 + remaining - (isInserted ? payload.length : 0))
  // From here on with plain variables: there is room for everything, and a call per field costs as much as the field.
  const { buffer } = writer
  let position = writer.length
  buffer[position++] = (PacketTypeCode.publish << 4) | (dup ? DUP : 0) | (qos << QOS_SHIFT) | (retain ? RETAIN : 0)
  let left = remaining
  while (left > 0x7f) {
    buffer[position++] = 0x80 | (left & 0x7f)
    left >>>= 7
  }
  buffer[position++] = left
  buffer[position++] = topicBytes >>> 8
  buffer[position++] = topicBytes
  if (ascii) for (let index = 0; index < topicBytes; index += 1) buffer[position++] = topic.charCodeAt(index)
  else position += buffer.write(topic, position)
  let identifierAt = -1
  if (qos !== 0) {
    identifierAt = position
    buffer[position++] = packetId >>> 8
    buffer[position++] = packetId
  }
  if (protocolLevel === 5) {
    if (properties === undefined) {
      buffer[position++] = 0
    } else {
      writer.length = position
      writeProperties(writer, properties, 'publish')
      position = writer.length
    }
  }
  if (isInserted) {
    writer.length = position
    writer.insert(payload)
    return identifierAt
  }
  if (payload.length > SMALL_PAYLOAD) buffer.set(payload, position)
  else for (let index = 0; index < payload.length; index += 1) buffer[position + index] = payload[index]!
  writer.length = position + payload.length
  return identifierAt
}

// Up to here a loop over the bytes is done before a call into Node's own copying would have begun.
const SMALL_PAYLOAD = 32

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) if (text.charCodeAt(index) > 0x7f) return false
  return true
}

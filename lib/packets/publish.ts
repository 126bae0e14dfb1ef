import type { ProtocolLevel, PublishPacket, QoS } from '../../types/packets.ts'
import { PacketTypeCode } from './packet-types.ts'
import { PropertyIdentifier, readProperties } from './properties.ts'
import type { Reader } from './reader.ts'
import { malformedPacket, protocolError } from './violation.ts'
import { putVariableByteInteger, variableByteIntegerSize, type Writer } from './writer.ts'

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

/** The Properties of one copy of a message; the Properties of the message itself are encoded once for all copies. */
export interface OwnProperties {
  messageExpiryInterval: number | undefined
  subscriptionIdentifiers: readonly number[] | undefined
  /** 0 when there is none. */
  topicAlias: number
}

/** The size in bytes of the whole PUBLISH packet, fixed header included. */
export function encodedPublishSize(
  protocolLevel: ProtocolLevel,
  topic: string,
  payload: Uint8Array,
  qos: QoS,
  properties: Uint8Array,
  own?: OwnProperties,
): number {
  const propertyLength = properties.length + ownSize(own)
  const remaining = remainingLength(protocolLevel, Buffer.byteLength(topic), payload, qos, propertyLength)
  return 1 + variableByteIntegerSize(remaining) + remaining
}

function remainingLength(
  protocolLevel: ProtocolLevel,
  topicBytes: number,
  payload: Uint8Array,
  qos: QoS,
  propertyLength: number,
): number {
  const length = 2 + topicBytes + (qos === 0 ? 0 : 2) + payload.length
  return protocolLevel < 5 ? length : length + variableByteIntegerSize(propertyLength) + propertyLength
}

function ownSize(own: OwnProperties | undefined): number {
  if (own === undefined) return 0
  let size = (own.messageExpiryInterval === undefined ? 0 : 5) + (own.topicAlias === 0 ? 0 : 3)
  for (const identifier of own.subscriptionIdentifiers ?? []) size += 1 + variableByteIntegerSize(identifier)
  return size
}

/**
 * Writes a PUBLISH packet. Returns the position of its Packet Identifier in the writer, or -1 at QoS 0, which has none,
 * so that the bytes can be copied for another subscriber and only the identifier changed.
 *
 * @param properties - the Properties of the message, from `encodeProperties`
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
  properties: Uint8Array,
  own?: OwnProperties,
): number {
  const ascii = isAscii(topic)
  const topicBytes = ascii ? topic.length : Buffer.byteLength(topic)
  if (topicBytes > 0xffff) throw new RangeError(`Topic Name: expected at most 65535 bytes, got ${topicBytes}`)
  const propertyLength = protocolLevel < 5 ? 0 : properties.length + ownSize(own)
  const remaining = remainingLength(protocolLevel, topicBytes, payload, qos, propertyLength)
  const isInserted = writer.inserts(payload)
  writer.reserve(5 + remaining - (isInserted ? payload.length : 0))
  // From here on plain variables: the buffer has room for the whole packet, and a call per field doubles the cost.
  const { buffer } = writer
  let position = writer.length
  buffer[position++] = (PacketTypeCode.publish << 4) | (dup ? DUP : 0) | (qos << QOS_SHIFT) | (retain ? RETAIN : 0)
  position = putVariableByteInteger(buffer, position, remaining)
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
    position = putVariableByteInteger(buffer, position, propertyLength)
    if (propertyLength > 0) {
      if (own !== undefined) position = putOwn(buffer, position, own)
      position = putBytes(buffer, position, properties)
    }
  }
  if (isInserted) {
    writer.length = position
    writer.insert(payload)
    return identifierAt
  }
  writer.length = putBytes(buffer, position, payload)
  return identifierAt
}

/** Returns the position after the last byte written. */
function putOwn(buffer: Buffer, at: number, own: OwnProperties): number {
  const { messageExpiryInterval, subscriptionIdentifiers, topicAlias } = own
  let position = at
  if (messageExpiryInterval !== undefined) {
    buffer[position++] = PropertyIdentifier.messageExpiryInterval
    position = buffer.writeUInt32BE(messageExpiryInterval, position)
  }
  if (subscriptionIdentifiers !== undefined) {
    for (const identifier of subscriptionIdentifiers) {
      buffer[position++] = PropertyIdentifier.subscriptionIdentifier
      position = putVariableByteInteger(buffer, position, identifier)
    }
  }
  if (topicAlias !== 0) {
    buffer[position++] = PropertyIdentifier.topicAlias
    buffer[position++] = topicAlias >>> 8
    buffer[position++] = topicAlias
  }
  return position
}

function putBytes(buffer: Buffer, at: number, bytes: Uint8Array): number {
  if (bytes.length > MAX_LOOP_BYTES) buffer.set(bytes, at)
  else for (let index = 0; index < bytes.length; index += 1) buffer[at + index] = bytes[index]!
  return at + bytes.length
}

// Up to this many bytes a loop is faster than a call of Node's own copy.
const MAX_LOOP_BYTES = 32

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) if (text.charCodeAt(index) > 0x7f) return false
  return true
}

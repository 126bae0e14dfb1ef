import { ProtocolError } from '../errors.ts'
import type { ProtocolVersion } from '../../types/client.ts'
import type { ConnectPacket, ProtocolLevel, QoS, Will } from '../../types/packets.ts'
import { PacketTypeCode } from './packet-types.ts'
import { isTopicName, readProperties, writeProperties } from './properties.ts'
import type { Reader } from './reader.ts'
import { ReasonCode } from './reason-codes.ts'
import { malformedPacket, protocolError } from './violation.ts'
import type { Writer } from './writer.ts'

/** The version of each Protocol Level (section 3.1.2.2). */
export const protocolVersions: Readonly<Record<ProtocolLevel, ProtocolVersion>> = { 3: '3.1', 4: '3.1.1', 5: '5.0' }

// The Connect Flags (section 3.1.2.3).
const RESERVED = 0x01
const CLEAN_START = 0x02
const WILL = 0x04
const WILL_QOS_SHIFT = 3
const WILL_RETAIN = 0x20
const PASSWORD = 0x40
const USER_NAME = 0x80

// Bridges of mosquitto set this bit of the Protocol Level of MQTT 3.
const BRIDGE_MODE = 0x80

/** The Protocol Name and Protocol Level, with which a CONNECT packet begins. */
export function decodeProtocolLevel(reader: Reader): Pick<ConnectPacket, 'protocolLevel' | 'bridgeMode'> {
  const name = reader.string('Protocol Name')
  if (name !== 'MQTT' && name !== 'MQIsdp') throw protocolError('Protocol Name: expected MQTT or MQIsdp') // [MQTT-3.1.2-1]
  const level = reader.uint8('Protocol Level')
  if (name === 'MQTT' ? level === 4 || level === 5 : level === 3) return { protocolLevel: level as ProtocolLevel }
  const bridgeLevel = name === 'MQTT' ? 4 : 3
  if (level === (BRIDGE_MODE | bridgeLevel)) return { protocolLevel: bridgeLevel, bridgeMode: true }
  throw new ProtocolError(
    ReasonCode.unsupportedProtocolVersion,
    `Protocol Level: expected ${name === 'MQTT' ? '4 or 5' : '3'} with ${name}, got ${level}`, // [MQTT-3.1.2-2]
  )
}

/** The fields that say who sends a CONNECT, as far as they are read. */
export interface ConnectIdentity {
  readonly protocolLevel: ProtocolLevel
  readonly bridgeMode?: true
  clientId: string
  username: string | undefined
}

/** The CONNECT packet from the Connect Flags on. Fills in `identity` even if the rest of the packet is malformed. */
export function decodeConnect(reader: Reader, identity: ConnectIdentity): ConnectPacket {
  const level = identity.protocolLevel
  const flags = reader.uint8('Connect Flags')
  if (flags & RESERVED) throw malformedPacket('Connect Flags: the reserved flag is set') // [MQTT-3.1.2-3]
  if (!(flags & WILL) && flags & ((3 << WILL_QOS_SHIFT) | WILL_RETAIN)) {
    throw malformedPacket('Connect Flags: Will QoS or Will Retain without a Will') // [MQTT-3.1.2-11] [MQTT-3.1.2-13]
  }
  if (((flags >> WILL_QOS_SHIFT) & 3) === 3) throw malformedPacket('Will QoS: expected 0, 1 or 2, got 3') // [MQTT-3.1.2-12]
  if (level < 5 && flags & PASSWORD && !(flags & USER_NAME)) {
    throw malformedPacket('Connect Flags: a password without a user name') // [MQTT-3.1.2-22] of 3.1.1
  }
  const keepAlive = reader.uint16('Keep Alive')
  const properties = level === 5 ? readProperties(reader, 'connect') : undefined
  const clientId = reader.string('Client Identifier') // [MQTT-3.1.3-1]: in this order
  identity.clientId = clientId
  const will = flags & WILL ? decodeWill(reader, level, flags) : undefined
  // MQTT 3.1: where the packet ends first, the flag does not count.
  const hasUsername = (flags & USER_NAME) !== 0 && (level > 3 || reader.remaining > 0)
  const username = hasUsername ? reader.string('User Name') : undefined
  identity.username = username
  const hasPassword = (flags & PASSWORD) !== 0 && (level > 3 || reader.remaining > 0)
  const password = hasPassword ? reader.binary('Password') : undefined
  return {
    type: 'connect',
    protocolLevel: level,
    ...(identity.bridgeMode === true && { bridgeMode: true }),
    cleanStart: (flags & CLEAN_START) !== 0,
    keepAlive,
    clientId,
    will,
    username,
    password,
    properties,
  }
}

function decodeWill(reader: Reader, level: ProtocolLevel, flags: number): Will {
  const properties = level === 5 ? readProperties(reader, 'will') : undefined
  const topic = reader.string('Will Topic')
  if (!isTopicName(topic)) {
    throw new ProtocolError(ReasonCode.topicNameInvalid, 'Will Topic: expected a Topic Name without wildcards')
  }
  return {
    topic,
    payload: reader.binary('Will Payload'),
    qos: ((flags >> WILL_QOS_SHIFT) & 3) as QoS, // 3 was refused with the flags
    retain: (flags & WILL_RETAIN) !== 0,
    properties,
  }
}

export function writeConnect(writer: Writer, packet: ConnectPacket): void {
  const { protocolLevel, will, username, password } = packet
  writer.uint8(PacketTypeCode.connect << 4)
  const start = writer.beginLength()
  writer.string(protocolLevel === 3 ? 'MQIsdp' : 'MQTT')
  writer.uint8(packet.bridgeMode === true ? protocolLevel | BRIDGE_MODE : protocolLevel)
  let flags = packet.cleanStart ? CLEAN_START : 0
  if (will !== undefined) flags |= WILL | (will.qos << WILL_QOS_SHIFT) | (will.retain ? WILL_RETAIN : 0)
  if (username !== undefined) flags |= USER_NAME
  if (password !== undefined) flags |= PASSWORD
  writer.uint8(flags)
  writer.uint16(packet.keepAlive)
  if (protocolLevel === 5) writeProperties(writer, packet.properties, 'connect')
  writer.string(packet.clientId)
  if (will !== undefined) {
    if (protocolLevel === 5) writeProperties(writer, will.properties, 'will')
    writer.string(will.topic)
    writer.binary(will.payload)
  }
  if (username !== undefined) writer.string(username)
  if (password !== undefined) writer.binary(password)
  writer.endLength(start)
}

/** The packets of a load generator, encoded in advance and without the codec of this library. */

export type Version = 4 | 5
export type Qos = 0 | 1 | 2

/** Every payload starts with stream number, sequence number and time of sending. */
export const STAMP_BYTES = 16

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

function variableByteInteger(value: number): Buffer {
  const bytes = []
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) return Buffer.from([...bytes, rest])
    bytes.push((rest & 127) | 128)
  }
}

function packet(firstByte: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([firstByte]), variableByteInteger(body.length), body])
}

const uint16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255])

function properties(version: Version, ...parts: Buffer[]): Buffer {
  if (version === 4) return Buffer.alloc(0)
  const all = Buffer.concat(parts)
  return Buffer.concat([variableByteInteger(all.length), all])
}

export function connectPacket(clientId: string, version: Version, cleanStart: boolean): Buffer {
  const sessionExpiry = cleanStart ? Buffer.alloc(0) : Buffer.from([0x11, 0, 0, 255, 255])
  const topicAliasMaximum = Buffer.from([0x22, 0, 16])
  const flags = Buffer.from([version, cleanStart ? 2 : 0, 0, 0])
  return packet(0x10, text('MQTT'), flags, properties(version, sessionExpiry, topicAliasMaximum), text(clientId))
}

export function subscribePacket(packetId: number, filters: readonly string[], qos: Qos, version: Version): Buffer {
  const entries = filters.map((filter) => Buffer.concat([text(filter), Buffer.from([qos])]))
  return packet(0x82, uint16(packetId), properties(version), ...entries)
}

export interface Publication {
  readonly topic: string
  readonly qos: Qos
  readonly payloadBytes: number
  readonly version: Version
  readonly packetId: number
  readonly stream: number
  readonly retain?: boolean
  /** MQTT 5.0: the alias that the packet sets (with a topic) or uses (with an empty one). */
  readonly topicAlias?: number
}

/** A PUBLISH packet; its stamp is `payloadBytes` before its end. */
export function publishPacket(publication: Publication): Buffer {
  const { topic, qos, payloadBytes, version, packetId, stream, retain, topicAlias } = publication
  const payload = Buffer.alloc(payloadBytes, 0x78)
  if (payloadBytes >= STAMP_BYTES) {
    payload.writeUInt32BE(stream, 0)
    payload.writeUInt32BE(0, 4)
  }
  const ordinary = [
    Buffer.from([0x01, 0]), // Payload Format Indicator
    Buffer.from([0x02, 0, 0, 14, 16]), // Message Expiry Interval: one hour
    Buffer.concat([Buffer.from([0x03]), text('text/plain')]), // Content Type
    Buffer.concat([Buffer.from([0x26]), text('trace'), text('00-4bf92f3577b34da6a3ce929d0e0e4736-01')]), // User Property
  ]
  if (topicAlias !== undefined) ordinary.push(Buffer.concat([Buffer.from([0x23]), uint16(topicAlias)]))
  return packet(
    0x30 | (qos << 1) | (retain === true ? 1 : 0),
    text(topic),
    qos > 0 ? uint16(packetId) : Buffer.alloc(0),
    properties(version, ...ordinary),
    payload,
  )
}

export const PINGREQ: Buffer = Buffer.from([0xc0, 0])
export const DISCONNECT: Buffer = Buffer.from([0xe0, 0])

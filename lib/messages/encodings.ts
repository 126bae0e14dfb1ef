import type { ProtocolLevel, QoS } from '../../types/packets.ts'
import { encodeProperties } from '../packets/properties.ts'
import { writePublish } from '../packets/publish.ts'
import { Writer } from '../packets/writer.ts'
import type { Message } from './message.ts'

/** An encoded PUBLISH packet without its Packet Identifier. */
export interface Frame {
  readonly bytes: Buffer
  /** Position of the Packet Identifier; -1 at QoS 0. */
  readonly packetIdOffset: number
}

const NO_BYTES = Buffer.alloc(0)

/** The Properties that are equal for all subscribers of this version: all but the Message Expiry Interval. */
export function encodePropertiesOf(message: Message, protocolLevel: ProtocolLevel): Buffer {
  const { properties } = message
  if (protocolLevel < 5 || properties === undefined) return NO_BYTES
  return encodeProperties(properties, 'publish', message.expiresAt === Infinity ? undefined : 'messageExpiryInterval')
}

/** The encoded PUBLISH packets of a message with several subscribers; equal packets are encoded once. */
export class Encodings {
  /** A connected subscriber queued the message and will send the same packets later. */
  isQueued = false
  #propertyBytes: Buffer | undefined
  #frames: (Frame | undefined)[] | undefined

  propertyBytes(message: Message, protocolLevel: ProtocolLevel): Buffer {
    if (protocolLevel < 5 || message.properties === undefined) return NO_BYTES
    this.#propertyBytes ??= encodePropertiesOf(message, protocolLevel)
    return this.#propertyBytes
  }

  /** The PUBLISH packet for this version, QoS and RETAIN flag. */
  frame(message: Message, protocolLevel: ProtocolLevel, qos: QoS, retain: boolean): Frame {
    this.#frames ??= []
    const index = (protocolLevel === 5 ? 8 : 0) | (qos << 1) | (retain ? 1 : 0)
    let frame = this.#frames[index]
    if (frame === undefined) {
      const { topic, payload } = message
      const writer = new Writer(payload.length + topic.length + 64)
      const properties = this.propertyBytes(message, protocolLevel)
      const packetIdOffset = writePublish(writer, protocolLevel, topic, payload, qos, retain, false, 0, properties)
      frame = { bytes: writer.take(), packetIdOffset }
      this.#frames[index] = frame
    }
    return frame
  }
}

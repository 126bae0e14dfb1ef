import { ReasonCode } from './reason-codes.ts'
import { ProtocolError } from '../errors.ts'
import { classesOfBytes, decodeString, WILDCARD } from './strings.ts'
import { malformedPacket, protocolError } from './violation.ts'

const NOTHING = Buffer.alloc(0)
const MAX_CACHED_TOPIC_BYTES = 256

/**
 * Reads the fields of one packet in order and never past its end.
 * A reader serves all packets of a connection. `what` names the field in errors.
 */
export class Reader {
  position = 0
  end = 0
  #bytes: Buffer = NOTHING
  #userPropertiesLeft = 0
  #lastTopic = ''
  readonly #allowControlCharacters: boolean
  readonly #maximumUserProperties: number

  constructor(allowControlCharacters: boolean, maximumUserProperties: number) {
    this.#allowControlCharacters = allowControlCharacters
    this.#maximumUserProperties = maximumUserProperties
  }

  /** Starts a packet; its bytes after the fixed header are those from `position` to `end`. */
  open(bytes: Buffer, position: number, end: number): void {
    this.#bytes = bytes
    this.position = position
    this.end = end
    this.#userPropertiesLeft = this.#maximumUserProperties
  }

  /** Releases the bytes. */
  close(): void {
    this.#bytes = NOTHING
  }

  get remaining(): number {
    return this.end - this.position
  }

  /** Moves past `length` bytes and returns their start. */
  #take(length: number, what: string): number {
    const start = this.position
    if (length > this.end - start) {
      throw malformedPacket(`${what}: expected ${length} bytes, got ${this.end - start}`)
    }
    this.position = start + length
    return start
  }

  uint8(what: string): number {
    return this.#bytes[this.#take(1, what)]!
  }

  uint16(what: string): number {
    const start = this.#take(2, what)
    return (this.#bytes[start]! << 8) | this.#bytes[start + 1]!
  }

  uint32(what: string): number {
    return this.#bytes.readUInt32BE(this.#take(4, what))
  }

  /** Variable Byte Integer (section 1.5.5); an encoding that is longer than necessary is refused. [MQTT-1.5.5-1] */
  variableByteInteger(what: string): number {
    let value = 0
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.uint8(what)
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) throw malformedPacket(`${what}: expected the shortest encoding`)
        return value
      }
    }
    throw malformedPacket(`${what}: expected at most 4 bytes`)
  }

  /** The Packet Identifier. [MQTT-2.2.1-3] */
  packetId(): number {
    const packetId = this.uint16('Packet Identifier')
    if (packetId === 0) throw protocolError('Packet Identifier: expected 1 to 65535, got 0')
    return packetId
  }

  string(what: string): string {
    const length = this.uint16(what)
    const start = this.#take(length, what)
    const classes = classesOfBytes(this.#bytes, start, this.position)
    return decodeString(this.#bytes, start, this.position, classes, this.#allowControlCharacters, what)
  }

  /** The Topic Name of a PUBLISH packet; it may be empty, with a Topic Alias. */
  topicName(): string {
    const length = this.uint16('Topic Name')
    const start = this.#take(length, 'Topic Name')
    // Clients often publish to the same topic again: then no scan and no new string are needed.
    if (this.#isLastTopic(start, length)) return this.#lastTopic
    const classes = classesOfBytes(this.#bytes, start, this.position)
    if (classes & WILDCARD) {
      throw new ProtocolError(ReasonCode.topicNameInvalid, 'Topic Name: contains a wildcard') // [MQTT-3.3.2-2]
    }
    const topic = decodeString(this.#bytes, start, this.position, classes, this.#allowControlCharacters, 'Topic Name')
    if (length <= MAX_CACHED_TOPIC_BYTES) this.#lastTopic = topic
    return topic
  }

  /** True only for ASCII strings: a byte of a longer UTF-8 character is never equal to a character code below 128. */
  #isLastTopic(start: number, length: number): boolean {
    const topic = this.#lastTopic
    if (topic.length !== length) return false
    const bytes = this.#bytes
    for (let index = 0; index < length; index += 1) {
      const byte = bytes[start + index]!
      if (byte > 0x7f || topic.charCodeAt(index) !== byte) return false
    }
    return true
  }

  /** Binary Data (section 1.5.6), as a view of the bytes received. */
  binary(what: string): Buffer {
    const length = this.uint16(what)
    const start = this.#take(length, what)
    return this.#bytes.subarray(start, this.position)
  }

  /** All bytes up to the end of the packet, as a view of the bytes received. */
  rest(): Buffer {
    const start = this.position
    this.position = this.end
    return this.#bytes.subarray(start, this.end)
  }

  /** Counts a User Property of this packet and throws above the maximum. */
  countUserProperty(): void {
    this.#userPropertiesLeft -= 1
    if (this.#userPropertiesLeft < 0) {
      throw new ProtocolError(
        ReasonCode.quotaExceeded,
        `User Properties: expected at most ${this.#maximumUserProperties}`,
      )
    }
  }
}

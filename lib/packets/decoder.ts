import { ProtocolError } from '../errors.ts'
import type { Packet, ProtocolLevel } from '../../types/packets.ts'
import { decodeAcknowledgement } from './acknowledgement.ts'
import { decodeAuth } from './auth.ts'
import { decodeConnack } from './connack.ts'
import { type ConnectIdentity, decodeConnect, decodeProtocolLevel } from './connect.ts'
import { decodeDisconnect } from './disconnect.ts'
import { checkFirstByte } from './fixed-header.ts'
import { PacketTypeCode } from './packet-types.ts'
import { PINGREQ, PINGRESP } from './ping.ts'
import { decodePublish } from './publish.ts'
import { Reader } from './reader.ts'
import { ReasonCode } from './reason-codes.ts'
import { decodeSuback } from './suback.ts'
import { decodeSubscribe } from './subscribe.ts'
import { decodeUnsuback } from './unsuback.ts'
import { decodeUnsubscribe } from './unsubscribe.ts'
import { keepsFarMore } from './views.ts'
import { malformedPacket } from './violation.ts'

export interface DecoderOptions {
  /** Maximum packet size in bytes, fixed header included. @defaultValue 268435460, the maximum of the standard */
  maximumPacketSize?: number
  /** The Protocol Level, if it is known before a CONNECT packet, as in a Client. */
  protocolLevel?: ProtocolLevel
  /** Accepts control characters and Unicode non-characters in strings (section 1.5.4). @defaultValue false */
  allowControlCharacters?: boolean
  /** Maximum number of User Properties in one packet. @defaultValue 1000 */
  maximumUserProperties?: number
}

const NOTHING = Buffer.alloc(0)
const MAX_PACKET_BYTES = 268_435_460
// A buffer for the beginning of a packet may always have this size.
const MIN_CAPACITY = 512
// Shared by all decoders, because a new Error costs a tenth of a whole connection.
const CLOSED = new Error('the decoder is closed')

/**
 * Makes packets from a stream of bytes, which may be split at any place.
 * Payloads and other binary data are views of the chunks given to `push`: code that stores them must copy them.
 */
export class Decoder {
  /** May be changed at any time. */
  maximumPacketSize: number
  /** Set as soon as the Protocol Level of a CONNECT packet is read, even if the rest of the packet is malformed. */
  protocolLevel: ProtocolLevel | undefined
  /** The known fields of the sender of a CONNECT, even if the rest of the packet is malformed. */
  connect: ConnectIdentity | undefined = undefined
  readonly #reader: Reader
  // The unread bytes are #bytes from #start to #end. Only a buffer that the decoder allocated has room after #end.
  #bytes: Buffer = NOTHING
  #start = 0
  #end = 0
  /** The rest of a chunk whose first bytes completed the packet in #bytes. */
  #next: Buffer | undefined
  /** The size of the incomplete packet at #start if it is known, otherwise 0. */
  #wanted = 0
  #failure: unknown

  constructor(options: DecoderOptions = {}) {
    this.maximumPacketSize = options.maximumPacketSize ?? MAX_PACKET_BYTES
    this.protocolLevel = options.protocolLevel
    this.#reader = new Reader(options.allowControlCharacters ?? false, options.maximumUserProperties ?? 1000)
  }

  /** Bytes that were pushed but are not yet returned in packets. */
  get bufferedBytes(): number {
    return this.#end - this.#start + (this.#next?.length ?? 0)
  }

  /** Adds received bytes, and copies a borrowed chunk. The caller then calls `next` until it returns undefined. */
  push(chunk: Buffer, isBorrowed = false): void {
    if (this.#failure !== undefined || chunk.length === 0) return
    // Most chunks end on a packet boundary, so usually no byte is left over.
    if (this.#start === this.#end) {
      this.#open(isBorrowed ? Buffer.from(chunk) : chunk)
      return
    }
    if (this.#next !== undefined) {
      this.#append(this.#next, this.#next.length)
      this.#next = undefined
    }
    const missing = this.#wanted - (this.#end - this.#start)
    if (missing > 0 && missing < chunk.length) {
      this.#append(chunk, missing)
      const next = chunk.subarray(missing)
      this.#next = isBorrowed ? Buffer.from(next) : next
    } else {
      this.#append(chunk, chunk.length)
    }
  }

  #open(chunk: Buffer): void {
    this.#bytes = chunk
    this.#start = 0
    this.#end = chunk.length
  }

  /** Copies the first `length` bytes of a chunk behind #end. */
  #append(chunk: Buffer, length: number): void {
    const unread = this.#end - this.#start
    const needed = unread + length
    if (this.#end + length > this.#bytes.length) {
      // At most twice the bytes received: a Client must not allocate memory by a large Remaining Length alone.
      const capacity = needed <= this.#wanted ? Math.min(2 * needed, this.#wanted) : 2 * needed
      const larger = Buffer.allocUnsafeSlow(capacity)
      this.#bytes.copy(larger, 0, this.#start, this.#end)
      this.#bytes = larger
      this.#start = 0
      this.#end = unread
    }
    // Returned packets may be views of the bytes before #start, so those bytes are never overwritten.
    chunk.copy(this.#bytes, this.#end, 0, length)
    this.#end += length
  }

  /**
   * Returns the next complete packet, or undefined if more bytes are needed.
   * Throws a ProtocolError, and the same one at every later call: after an error the stream cannot be read further.
   */
  next(): Packet | undefined {
    if (this.#failure !== undefined) throw this.#failure
    try {
      return this.#decode()
    } catch (error) {
      this.#failure = error
      this.#release()
      throw error
    }
  }

  #decode(): Packet | undefined {
    const bytes = this.#bytes
    const end = this.#end
    let position = this.#start
    if (position === end) return undefined
    const firstByte = bytes[position]!
    checkFirstByte(firstByte, this.protocolLevel)
    position += 1

    let remainingLength = 0
    for (let shift = 0; ; shift += 7) {
      if (position === end) return this.#waitForMore(0)
      const byte = bytes[position]!
      position += 1
      remainingLength |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) throw malformedPacket('Remaining Length: expected the shortest encoding')
        break
      }
      if (shift === 21) throw malformedPacket('Remaining Length: expected at most 4 bytes')
    }

    const packetEnd = position + remainingLength
    const size = packetEnd - this.#start
    if (size > this.maximumPacketSize) {
      throw new ProtocolError(
        ReasonCode.packetTooLarge,
        `packet: expected at most ${this.maximumPacketSize} bytes, got ${size}`,
      )
    }
    if (packetEnd > end) return this.#waitForMore(size)

    const reader = this.#reader
    reader.open(bytes, position, packetEnd)
    const packet = this.#decodeBody(firstByte)
    if (reader.position !== packetEnd) {
      throw malformedPacket(`${packet.type}: ${packetEnd - reader.position} bytes after its end`)
    }
    this.#wanted = 0
    this.#start = packetEnd
    if (packetEnd === end) this.#advance()
    return packet
  }

  /** Waits for the rest of the packet at #start; `size` is its size if known, otherwise 0. */
  #waitForMore(size: number): undefined {
    this.#wanted = size
    this.#reader.close()
    const unread = this.#end - this.#start
    // The rest may never come, so a large chunk must not stay in memory because of a few bytes.
    if (!keepsFarMore(this.#bytes, Math.max(unread, MIN_CAPACITY))) return
    // The copy usually has room for the rest of the packet.
    const own = Buffer.allocUnsafeSlow(Math.max(unread, Math.min(size, MIN_CAPACITY)))
    this.#bytes.copy(own, 0, this.#start, this.#end)
    this.#bytes = own
    this.#start = 0
    this.#end = unread
  }

  /** All of #bytes is read: continues with the rest of the chunk, or releases the buffer. */
  #advance(): void {
    const next = this.#next
    if (next === undefined) {
      this.#release()
    } else {
      this.#next = undefined
      this.#open(next)
    }
  }

  /** Releases all bytes. Later calls of `push` do nothing. */
  close(): void {
    this.#failure ??= CLOSED
    this.#release()
  }

  #release(): void {
    this.#bytes = NOTHING
    this.#start = 0
    this.#end = 0
    this.#next = undefined
    this.#wanted = 0
    this.#reader.close()
  }

  #decodeBody(firstByte: number): Packet {
    const reader = this.#reader
    const type = firstByte >> 4
    if (type === PacketTypeCode.connect) {
      const version = decodeProtocolLevel(reader)
      this.protocolLevel ??= version.protocolLevel
      this.connect = { ...version, clientId: '', username: undefined }
      return decodeConnect(reader, this.connect)
    }
    const level = this.protocolLevel! // Defined: before CONNECT every other packet is refused at its first byte.
    switch (type) {
      case PacketTypeCode.publish:
        return decodePublish(reader, level, firstByte & 0x0f)
      case PacketTypeCode.puback:
        return decodeAcknowledgement(reader, level, 'puback')
      case PacketTypeCode.pubrec:
        return decodeAcknowledgement(reader, level, 'pubrec')
      case PacketTypeCode.pubrel:
        return decodeAcknowledgement(reader, level, 'pubrel')
      case PacketTypeCode.pubcomp:
        return decodeAcknowledgement(reader, level, 'pubcomp')
      case PacketTypeCode.subscribe:
        return decodeSubscribe(reader, level)
      case PacketTypeCode.unsubscribe:
        return decodeUnsubscribe(reader, level)
      case PacketTypeCode.pingreq:
        return PINGREQ
      case PacketTypeCode.pingresp:
        return PINGRESP
      case PacketTypeCode.disconnect:
        return decodeDisconnect(reader, level)
      case PacketTypeCode.connack:
        return decodeConnack(reader, level)
      case PacketTypeCode.suback:
        return decodeSuback(reader, level)
      case PacketTypeCode.unsuback:
        return decodeUnsuback(reader, level)
      default:
        return decodeAuth(reader)
    }
  }
}

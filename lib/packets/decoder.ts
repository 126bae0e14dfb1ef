import { ProtocolError } from '../errors.ts'
import type { Packet, ProtocolLevel } from '../../types/packets.ts'
import { decodeAcknowledgement } from './acknowledgement.ts'
import { decodeAuth } from './auth.ts'
import { decodeConnack } from './connack.ts'
import { decodeConnect, decodeProtocolLevel } from './connect.ts'
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
  /** The largest packet in bytes, fixed header included. @defaultValue 268435460, the largest there can be */
  maximumPacketSize?: number
  /** Where it is known before a CONNECT packet comes, as on the side of a Client. */
  protocolLevel?: ProtocolLevel
  /** Takes control characters and Unicode non-characters in strings (section 1.5.4). @defaultValue false */
  allowControlCharacters?: boolean
  /** User Properties in one packet. @defaultValue 1000 */
  maximumUserProperties?: number
}

const NOTHING = Buffer.alloc(0)
const LARGEST_PACKET = 268_435_460
// A buffer for the beginning of a packet may have as much.
const LEAST_CAPACITY = 512
// Made once: to make an Error costs as much as a tenth of a connection.
const CLOSED = new Error('the decoder is closed')

/**
 * Makes packets out of bytes, however these are cut.
 * Payloads and other binary data are views of the chunks given to `push`: who keeps them long copies them.
 */
export class Decoder {
  /** May be changed at any time. */
  maximumPacketSize: number
  /** Set once the Protocol Level of a CONNECT packet was read, even if the rest of that packet is wrong. */
  protocolLevel: ProtocolLevel | undefined
  readonly #reader: Reader
  // The bytes not yet read are #bytes from #start to #end. Behind #end there is room only in a buffer of our own:
  // a chunk that was pushed is full.
  #bytes: Buffer = NOTHING
  #start = 0
  #end = 0
  /** The bytes after those, of the same chunk that completed a packet in them. */
  #next: Buffer | undefined
  /** The size of the packet at #start where it is known and incomplete, otherwise 0. */
  #wanted = 0
  #failure: unknown

  constructor(options: DecoderOptions = {}) {
    this.maximumPacketSize = options.maximumPacketSize ?? LARGEST_PACKET
    this.protocolLevel = options.protocolLevel
    this.#reader = new Reader(options.allowControlCharacters ?? false, options.maximumUserProperties ?? 1000)
  }

  /** Bytes that were pushed and not yet returned as packets. */
  get bufferedBytes(): number {
    return this.#end - this.#start + (this.#next?.length ?? 0)
  }

  /** Takes the bytes that came, a copy of them when the chunk is only borrowed. Ask `next` for packets until it has none. */
  push(chunk: Buffer, isBorrowed = false): void {
    if (this.#failure !== undefined || chunk.length === 0) return
    // Most chunks end on a packet boundary, so that nothing is left when the next one comes.
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
    const kept = this.#end - this.#start
    const needed = kept + length
    if (this.#end + length > this.#bytes.length) {
      // It grows to twice what came at most, whatever size the packet says it has.
      const capacity = needed <= this.#wanted ? Math.min(2 * needed, this.#wanted) : 2 * needed
      const larger = Buffer.allocUnsafeSlow(capacity)
      this.#bytes.copy(larger, 0, this.#start, this.#end)
      this.#bytes = larger
      this.#start = 0
      this.#end = kept
    }
    // Packets already returned may be views of what is before #start, and nothing is ever written there.
    chunk.copy(this.#bytes, this.#end, 0, length)
    this.#end += length
  }

  /**
   * The next complete packet, or undefined when more bytes are needed.
   * Throws a ProtocolError, and the same one from then on: there is no way back into the stream of bytes.
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

  /** The packet at #start, of `size` bytes where that is known, is not complete. */
  #waitForMore(size: number): undefined {
    this.#wanted = size
    this.#reader.close()
    const kept = this.#end - this.#start
    // Its rest may never come, and nothing else is to be kept for so long.
    if (!keepsFarMore(this.#bytes, Math.max(kept, LEAST_CAPACITY))) return
    // Mostly with room for the rest, which then needs no further buffer.
    const own = Buffer.allocUnsafeSlow(Math.max(kept, Math.min(size, LEAST_CAPACITY)))
    this.#bytes.copy(own, 0, this.#start, this.#end)
    this.#bytes = own
    this.#start = 0
    this.#end = kept
  }

  /** All of #bytes is read: goes on with what is behind it, or holds nothing. */
  #advance(): void {
    const next = this.#next
    if (next === undefined) {
      this.#release()
    } else {
      this.#next = undefined
      this.#open(next)
    }
  }

  /** Holds no bytes any more and takes none. */
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
      const level = decodeProtocolLevel(reader)
      this.protocolLevel ??= level
      return decodeConnect(reader, level)
    }
    const level = this.protocolLevel! // any other packet was refused with its first byte while this was undefined
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

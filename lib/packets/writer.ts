import { keepsFarMore } from './views.ts'

const NOTHING = Buffer.alloc(0)
const LARGEST_STRING = 0xffff
// Up to here a loop over the characters is done before a call into Node's own encoder would have begun.
const SHORT_TEXT = 64

/** How many bytes a variable byte integer takes (section 1.5.5). */
export function variableByteIntegerSize(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  return value < 0x200000 ? 3 : 4
}

/** Writes one where there is room for it; answers where the next byte goes. */
export function putVariableByteInteger(buffer: Buffer, at: number, value: number): number {
  let position = at
  let left = value
  while (left > 0x7f) {
    buffer[position++] = 0x80 | (left & 0x7f)
    left >>>= 7
  }
  buffer[position++] = left
  return position
}

/** Where a writer gets its buffers from. */
export interface BufferSupply {
  /** A buffer of that size or larger. */
  take(size: number): Buffer
  /** It is not used any more. */
  giveBack(buffer: Buffer): void
  /** So much room is made at once where it is likely to be needed; beyond that it grows with what is written. */
  readonly mostAtOnce: number
}

// To make a buffer of 4 KiB or more costs far more than to make a smaller one.
const newBuffers: BufferSupply = { take: Buffer.allocUnsafe, giveBack: () => undefined, mostAtOnce: 4000 }

/** An output buffer that grows as it is written to. Large payloads may stand in between without a copy. */
export class Writer {
  buffer: Buffer = NOTHING
  /** How much of the buffer is written. */
  length = 0
  readonly #initialCapacity: number
  /** What the next buffer is likely to need. */
  #likely: number
  readonly #largePayload: number
  readonly #buffers: BufferSupply
  readonly #inserted: { readonly payload: Uint8Array; readonly position: number }[] = []
  #insertedBytes = 0

  /** Payloads of `largePayload` bytes and more are inserted rather than copied; with these, {@link takeChunks} is to be used. */
  constructor(initialCapacity = 1024, largePayload: number = Infinity, buffers: BufferSupply = newBuffers) {
    this.#initialCapacity = initialCapacity
    this.#likely = initialCapacity
    this.#largePayload = largePayload
    this.#buffers = buffers
  }

  /** Bytes that were written, and those that were inserted. */
  get size(): number {
    return this.length + this.#insertedBytes
  }

  /** Makes room for that many bytes more. */
  reserve(bytes: number): void {
    const needed = this.length + bytes
    if (needed <= this.buffer.length) return
    const larger = this.#buffers.take(Math.max(this.#likely, this.buffer.length * 2, needed))
    if (this.length > 0) this.buffer.copy(larger, 0, 0, this.length)
    this.#buffers.giveBack(this.buffer)
    this.buffer = larger
  }

  uint8(value: number): void {
    this.reserve(1)
    this.buffer[this.length] = value
    this.length += 1
  }

  uint16(value: number): void {
    this.reserve(2)
    this.buffer[this.length] = value >>> 8
    this.buffer[this.length + 1] = value
    this.length += 2
  }

  uint32(value: number): void {
    this.reserve(4)
    this.length = this.buffer.writeUInt32BE(value, this.length)
  }

  variableByteInteger(value: number): void {
    this.reserve(variableByteIntegerSize(value))
    this.length = putVariableByteInteger(this.buffer, this.length, value)
  }

  /** A UTF-8 string after its length (section 1.5.4). */
  string(text: string): void {
    if (text.length <= SHORT_TEXT && this.#asciiString(text)) return
    const bytes = Buffer.byteLength(text)
    if (bytes > LARGEST_STRING) throw new RangeError(`a string in a packet: expected at most 65535 bytes, got ${bytes}`)
    this.uint16(bytes)
    this.reserve(bytes)
    this.length += this.buffer.write(text, this.length)
  }

  /** False when the text has other characters than those of ASCII; then nothing is written that counts. */
  #asciiString(text: string): boolean {
    this.reserve(2 + text.length)
    const { buffer, length } = this
    let seen = 0
    for (let index = 0; index < text.length; index += 1) {
      const code = text.charCodeAt(index)
      seen |= code
      buffer[length + 2 + index] = code
    }
    if (seen > 0x7f) return false
    buffer[length] = 0
    buffer[length + 1] = text.length
    this.length = length + 2 + text.length
    return true
  }

  /** Binary Data after its length (section 1.5.6). */
  binary(data: Uint8Array): void {
    if (data.length > LARGEST_STRING) {
      throw new RangeError(`binary data in a packet: expected at most 65535 bytes, got ${data.length}`)
    }
    this.uint16(data.length)
    this.bytes(data)
  }

  bytes(data: Uint8Array): void {
    this.reserve(data.length)
    this.buffer.set(data, this.length)
    this.length += data.length
  }

  /** Whether a payload is worth inserting. */
  inserts(payload: Uint8Array): boolean {
    return payload.length >= this.#largePayload && !keepsFarMore(payload)
  }

  /** Puts a payload behind what is written, without a copy. */
  insert(payload: Uint8Array): void {
    this.#inserted.push({ payload, position: this.length })
    this.#insertedBytes += payload.length
  }

  /** Leaves one byte for the length of what follows; {@link endLength} is called with the position returned. */
  beginLength(): number {
    this.uint8(0)
    return this.length
  }

  /** Puts the number of bytes written since `start` before them; they move when it takes more than the one byte. */
  endLength(start: number): void {
    const end = this.length
    const more = variableByteIntegerSize(end - start) - 1
    if (more > 0) {
      this.reserve(more)
      this.buffer.copyWithin(start + more, start, end)
    }
    this.length = start - 1
    this.variableByteInteger(end - start)
    this.length = end + more
  }

  /** What was written. The writer starts over and shares nothing with it. */
  take(): Buffer {
    const written = this.buffer.subarray(0, this.length)
    this.#likely = Math.max(this.#initialCapacity, Math.min(this.length + (this.length >> 2), this.#buffers.mostAtOnce))
    this.buffer = NOTHING
    this.length = 0
    return written
  }

  /** The same with what was inserted, in order. */
  takeChunks(): Uint8Array[] {
    const written = this.take()
    if (this.#insertedBytes === 0) return [written]
    const chunks: Uint8Array[] = []
    let start = 0
    for (const { payload, position } of this.#inserted) {
      chunks.push(written.subarray(start, position), payload)
      start = position
    }
    if (start < written.length) chunks.push(written.subarray(start))
    this.#inserted.length = 0
    this.#insertedBytes = 0
    return chunks
  }
}

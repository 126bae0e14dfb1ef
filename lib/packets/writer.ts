import { keepsFarMore } from './views.ts'

const NOTHING = Buffer.alloc(0)
const MAX_STRING_BYTES = 0xffff
// Up to this length a loop over the characters is faster than a call of Node's own encoder.
const MAX_LOOP_CHARACTERS = 64

/** Size of a Variable Byte Integer in bytes (section 1.5.5). */
export function variableByteIntegerSize(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  return value < 0x200000 ? 3 : 4
}

/** Writes a Variable Byte Integer into a buffer with enough room. Returns the position after it. */
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

/** The source of a writer's buffers. */
export interface BufferSupply {
  /** Returns a buffer of at least `size` bytes. */
  take(size: number): Buffer
  /** The writer no longer uses the buffer. */
  giveBack(buffer: Buffer): void
  /** Maximum bytes that the writer reserves in advance; above it the buffer grows with the bytes written. */
  readonly mostAtOnce: number
}

// Node allocates a buffer of 4 KiB or more outside its pool, which costs far more.
const newBuffers: BufferSupply = { take: Buffer.allocUnsafe, giveBack: () => undefined, mostAtOnce: 4000 }

/** An output buffer that grows. Large payloads can be inserted without a copy. */
export class Writer {
  buffer: Buffer = NOTHING
  /** Bytes written to the buffer. */
  length = 0
  readonly #initialCapacity: number
  /** Expected size of the next buffer in bytes. */
  #likely: number
  readonly #largePayload: number
  readonly #buffers: BufferSupply
  readonly #inserted: { readonly payload: Uint8Array; readonly position: number }[] = []
  #insertedBytes = 0

  /** Payloads of at least `largePayload` bytes are inserted without a copy; the caller then uses {@link takeChunks}. */
  constructor(initialCapacity = 1024, largePayload: number = Infinity, buffers: BufferSupply = newBuffers) {
    this.#initialCapacity = initialCapacity
    this.#likely = initialCapacity
    this.#largePayload = largePayload
    this.#buffers = buffers
  }

  /** Bytes written and bytes inserted, together. */
  get size(): number {
    return this.length + this.#insertedBytes
  }

  /** Makes room for `bytes` more bytes. */
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
  string(value: string): void {
    if (value.length <= MAX_LOOP_CHARACTERS && this.#asciiString(value)) return
    const bytes = Buffer.byteLength(value)
    if (bytes > MAX_STRING_BYTES)
      throw new RangeError(`a string in a packet: expected at most 65535 bytes, got ${bytes}`)
    this.uint16(bytes)
    this.reserve(bytes)
    this.length += this.buffer.write(value, this.length)
  }

  /** Returns false, and leaves `length` unchanged, if the string has characters outside ASCII. */
  #asciiString(value: string): boolean {
    this.reserve(2 + value.length)
    const { buffer, length } = this
    let seen = 0
    for (let index = 0; index < value.length; index += 1) {
      const code = value.charCodeAt(index)
      seen |= code
      buffer[length + 2 + index] = code
    }
    if (seen > 0x7f) return false
    buffer[length] = 0
    buffer[length + 1] = value.length
    this.length = length + 2 + value.length
    return true
  }

  /** Binary Data after its length (section 1.5.6). */
  binary(data: Uint8Array): void {
    if (data.length > MAX_STRING_BYTES) {
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

  /** Whether a payload is inserted instead of copied. */
  inserts(payload: Uint8Array): boolean {
    return payload.length >= this.#largePayload && !keepsFarMore(payload)
  }

  /** Inserts a payload after the bytes written, without a copy. */
  insert(payload: Uint8Array): void {
    this.#inserted.push({ payload, position: this.length })
    this.#insertedBytes += payload.length
  }

  /** Reserves one byte for a length. The caller passes the position returned to {@link endLength}. */
  beginLength(): number {
    this.uint8(0)
    return this.length
  }

  /** Writes the number of bytes since `start` before them, and moves them if the number takes more than one byte. */
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

  /** Returns the bytes written and resets the writer, which no longer shares memory with them. */
  take(): Buffer {
    const written = this.buffer.subarray(0, this.length)
    this.#likely = Math.max(this.#initialCapacity, Math.min(this.length + (this.length >> 2), this.#buffers.mostAtOnce))
    this.buffer = NOTHING
    this.length = 0
    return written
  }

  /** The same with the inserted payloads, in order. */
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

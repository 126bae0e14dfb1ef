// Bytes from this number on are passed on without a copy.
const MIN_UNCOPIED_BYTES = 16 * 1024
// Up to this number of bytes a loop is faster than a copy by the runtime.
const MAX_LOOPED_BYTES = 48
const NOTHING: Buffer = Buffer.alloc(0)

// First byte of a frame (RFC 6455, section 5.2).
const FINAL = 0x80
const BINARY = 0x02
const CONTINUATION = 0x00

/**
 * Makes the WebSocket frames of the packets to one Client: each packet is a message. A message may also have a part of a
 * packet or several packets [MQTT-6.0.0-2], but some Clients expect one packet, for example those of Paho for C.
 *
 * A packet whose last bytes are not there yet is sent in fragments, so that a control frame can come between them.
 */
export class PacketFrames {
  /** Bytes of the packet in fragments that are still to come. */
  #missing = 0
  /** The first bytes of a fixed header. */
  #incomplete = NOTHING

  /** Returns the bytes to write for these chunks, in few parts. */
  frame(chunks: readonly Buffer[]): readonly Buffer[] {
    const isUsual = chunks.length === 1 && this.#missing === 0 && this.#incomplete.length === 0
    const framed = isUsual ? wholePackets(chunks[0]!) : undefined
    return framed === undefined ? this.#parts(chunks) : [framed]
  }

  #parts(chunks: readonly Buffer[]): readonly Buffer[] {
    const input = new Input(this.#incomplete, chunks)
    const output = new Output()
    this.#incomplete = NOTHING
    while (input.available > 0) {
      const isContinued = this.#missing > 0
      const packetSize = isContinued ? this.#missing : sizeOfPacket(input.peek(), 0)
      if (packetSize === 0) {
        this.#incomplete = Buffer.from(input.peek())
        break
      }
      const size = Math.min(packetSize, input.available)
      this.#missing = packetSize - size
      const header = Buffer.allocUnsafe(sizeOfHeader(size))
      writeHeader(header, 0, (isContinued ? CONTINUATION : BINARY) | (this.#missing === 0 ? FINAL : 0), size)
      output.add(header)
      input.read(size, output)
    }
    return output.end()
  }
}

/** Returns a buffer with a frame for each packet; undefined unless the chunk has whole packets only. */
function wholePackets(chunk: Buffer): Buffer | undefined {
  const end = chunk.length
  let framedSize = end
  for (let position = 0; position < end; ) {
    const size = sizeOfPacket(chunk, position)
    position += size
    if (size === 0 || position > end) return undefined
    framedSize += sizeOfHeader(size)
  }
  const framed = Buffer.allocUnsafe(framedSize)
  let target = 0
  for (let position = 0; position < end; ) {
    const size = sizeOfPacket(chunk, position)
    target = writeHeader(framed, target, FINAL | BINARY, size)
    if (size <= MAX_LOOPED_BYTES) {
      for (let index = 0; index < size; index += 1) framed[target + index] = chunk[position + index]!
    } else chunk.copy(framed, target, position, position + size)
    position += size
    target += size
  }
  return framed
}

/** Returns the bytes of the packet that begins here (section 2.1.4); 0 if its fixed header is not complete. */
function sizeOfPacket(bytes: Buffer, start: number): number {
  let length = 0
  let factor = 1
  for (let position = start + 1; position < bytes.length; position += 1) {
    const byte = bytes[position]!
    length += (byte & 0x7f) * factor
    if (byte < 0x80 || position - start === 4) return position + 1 - start + length
    factor *= 128
  }
  return 0
}

function sizeOfHeader(size: number): number {
  return size < 126 ? 2 : size < 65_536 ? 4 : 10
}

/** Returns the position after the header. */
function writeHeader(target: Buffer, position: number, firstByte: number, size: number): number {
  target[position] = firstByte
  if (size < 126) {
    target[position + 1] = size
    return position + 2
  }
  if (size < 65_536) {
    target[position + 1] = 126
    return target.writeUInt16BE(size, position + 2)
  }
  target[position + 1] = 127
  target.writeUInt32BE(0, position + 2) // A packet has fewer bytes than 2 to the power of 32.
  return target.writeUInt32BE(size, position + 6)
}

/** Several chunks, read as one. */
class Input {
  available = 0
  readonly #chunks: readonly Buffer[]
  #index = 0
  #position = 0

  constructor(first: Buffer, chunks: readonly Buffer[]) {
    this.#chunks = first.length === 0 ? chunks : [first, ...chunks]
    for (const chunk of this.#chunks) this.available += chunk.length
  }

  /** Returns the next bytes, at least five of them if there are so many. */
  peek(): Buffer {
    const chunk = this.#chunks[this.#index]!.subarray(this.#position)
    return chunk.length >= 5 || chunk.length === this.available
      ? chunk
      : Buffer.concat([chunk, ...this.#chunks.slice(this.#index + 1)], Math.min(5, this.available))
  }

  read(size: number, output: Output): void {
    this.available -= size
    for (let missing = size; missing > 0; ) {
      const chunk = this.#chunks[this.#index]!
      const part = chunk.subarray(this.#position, this.#position + missing)
      output.add(part)
      missing -= part.length
      this.#position += part.length
      if (this.#position < chunk.length) continue
      this.#index += 1
      this.#position = 0
    }
  }
}

/** Joins short parts, because each part costs a write. */
class Output {
  readonly #parts: Buffer[] = []
  #short: Buffer[] = []

  add(part: Buffer): void {
    if (part.length < MIN_UNCOPIED_BYTES) {
      this.#short.push(part)
      return
    }
    this.end()
    this.#parts.push(part)
  }

  end(): readonly Buffer[] {
    if (this.#short.length > 0) this.#parts.push(Buffer.concat(this.#short))
    this.#short = []
    return this.#parts
  }
}

/**
 * Finds packets in the bytes from a broker by their fixed headers. A small packet that spans chunks is joined; of a
 * large one only the first 512 bytes are stored, which contain all that is checked.
 */
const KEPT = 512

/** `start` is the position of the fixed header, `body` the one after it. `bytes` may lack the end of a large packet. */
export type OnPacket = (bytes: Buffer, start: number, body: number) => void

export class PacketReader {
  readonly #onPacket: OnPacket
  readonly #kept = Buffer.alloc(KEPT)
  #keptLength = 0
  /** Bytes of a large packet that are still missing. */
  #skip = 0
  // Results of the last call of #measure.
  #body = 0
  #size = 0

  constructor(onPacket: OnPacket) {
    this.#onPacket = onPacket
  }

  /** Returns false if the fixed header is not complete. */
  #measure(bytes: Buffer, start: number, end: number): boolean {
    let length = 0
    let offset = start + 1
    for (let shift = 0; offset < end; shift += 7) {
      const byte = bytes[offset++]!
      length += (byte & 127) << shift
      if (byte < 128) {
        this.#body = offset
        this.#size = offset - start + length
        return true
      }
    }
    return false
  }

  read(bytes: Buffer, start: number, end: number): void {
    let offset = start
    if (this.#skip > 0) {
      const passed = Math.min(this.#skip, end - offset)
      this.#skip -= passed
      if (this.#skip > 0) return
      offset += passed
      this.#emitKept()
    } else if (this.#keptLength > 0) {
      offset = this.#join(bytes, start, end)
      if (this.#keptLength > 0) return
    }
    while (offset < end) {
      if (!this.#measure(bytes, offset, end) || offset + this.#size > end) return this.#keep(bytes, offset, end)
      this.#onPacket(bytes, offset, this.#body)
      offset += this.#size
    }
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const available = end - start
    this.#keptLength = Math.min(available, KEPT)
    bytes.copy(this.#kept, 0, start, start + this.#keptLength)
    if (available >= KEPT) this.#skip = this.#size - available
  }

  /** Adds bytes to the stored ones; returns the position of the next packet. */
  #join(bytes: Buffer, start: number, end: number): number {
    const before = this.#keptLength
    const length = before + bytes.copy(this.#kept, before, start, Math.min(end, start + KEPT - before))
    this.#keptLength = length
    if (!this.#measure(this.#kept, 0, length)) return end
    if (this.#size <= length) {
      const next = start + this.#size - before
      this.#emitKept()
      return next
    }
    if (length < KEPT) return end
    const next = start + this.#size - before
    if (next <= end) {
      this.#emitKept()
      return next
    }
    this.#skip = next - end
    return end
  }

  #emitKept(): void {
    this.#keptLength = 0
    this.#measure(this.#kept, 0, KEPT)
    this.#onPacket(this.#kept, 0, this.#body)
  }
}

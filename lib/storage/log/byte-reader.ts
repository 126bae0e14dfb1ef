const MAX_KEPT_STRINGS = 4096 // a power of 2
const MAX_KEPT_STRING_BYTES = 128

/** Reads numbers, strings and bytes of a chunk of a segment. */
export class ByteReader {
  position = 0
  protected bytes: Buffer = Buffer.alloc(0)
  readonly #strings: string[] = Array.from({ length: MAX_KEPT_STRINGS }, () => '')

  open(bytes: Buffer, position: number): void {
    this.bytes = bytes
    this.position = position
  }

  uint8(): number {
    return this.bytes[this.position++]!
  }

  uint16(): number {
    const value = this.bytes.readUInt16BE(this.position)
    this.position += 2
    return value
  }

  uint32(): number {
    const value = this.bytes.readUInt32BE(this.position)
    this.position += 4
    return value
  }

  double(): number {
    const value = this.bytes.readDoubleBE(this.position)
    this.position += 8
    return value
  }

  /** An integer that is stored as a double; a small one needs no object on the heap. */
  integer(): number {
    const value = this.double()
    const small = value | 0
    return small === value ? small : value
  }

  /** A few Clients and topics repeat, so recently read strings are reused. */
  string(): string {
    const length = this.uint16()
    const start = this.position
    this.position += length
    if (length > MAX_KEPT_STRING_BYTES) return this.bytes.toString('utf8', start, this.position)
    const place = this.#hash(start, length)
    const known = this.#strings[place]!
    if (this.#isAt(known, start, length)) return known
    const string = this.bytes.toString('utf8', start, this.position)
    this.#strings[place] = string
    return string
  }

  #hash(start: number, length: number): number {
    let hash = length
    // From the end, where names differ most.
    for (let index = start + length - 1; index >= start && index > start + length - 9; index -= 1) {
      hash = (hash * 31 + this.bytes[index]!) | 0
    }
    return hash & (MAX_KEPT_STRINGS - 1)
  }

  /** True only for ASCII, where a character is a byte. */
  #isAt(string: string, start: number, length: number): boolean {
    if (string.length !== length) return false
    const { bytes } = this
    for (let index = 0; index < length; index += 1) {
      const byte = bytes[start + index]!
      if (byte > 0x7f || string.charCodeAt(index) !== byte) return false
    }
    return true
  }

  strings(): string[] {
    const list: string[] = []
    for (let left = this.uint32(); left > 0; left -= 1) list.push(this.string())
    return list
  }

  /** A copy, because the chunk is large and is overwritten. */
  binary(length: number): Buffer {
    const start = this.position
    this.position += length
    const copy = Buffer.allocUnsafe(length)
    this.bytes.copy(copy, 0, start, this.position)
    return copy
  }

  payload(isString: boolean): Buffer | string {
    const bytes = this.binary(this.uint32())
    return isString ? bytes.toString() : bytes
  }
}

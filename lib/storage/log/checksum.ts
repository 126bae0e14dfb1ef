import * as zlib from 'node:zlib'

let table: Uint32Array | undefined

function makeTable(): Uint32Array {
  const values = new Uint32Array(256)
  for (let index = 0; index < 256; index += 1) {
    let value = index
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1
    values[index] = value
  }
  return values
}

/** The same as `zlib.crc32`, which Node.js has since 20.15. */
export function crc32ByTable(bytes: Uint8Array, seed: number): number {
  table ??= makeTable()
  let crc = ~seed
  for (let index = 0; index < bytes.length; index += 1) crc = table[(crc ^ bytes[index]!) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}

export const crc32: (bytes: Uint8Array, seed: number) => number =
  (zlib as { crc32?: typeof zlib.crc32 }).crc32 ?? crc32ByTable

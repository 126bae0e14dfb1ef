import type { BufferSupply } from '../packets/writer.ts'

// From 4 KiB on a buffer is memory of its own outside of V8's heap, which makes V8 collect garbage. Up to 2 KiB one is a
// part of a pool of Node.js; between them one of 4 KiB is taken.
const SMALLEST_BITS = 12
const LARGEST_BITS = 18
const KEPT_BYTES_A_SIZE = 512 * 1024

// By size, which is a power of two; at most 3.5 MiB in all.
const unused: Buffer[][] = Array.from({ length: LARGEST_BITS - SMALLEST_BITS + 1 }, () => [])

/** Buffers for what is written to sockets, which are used again once the system has taken what was in them. */
export const outputBuffers: BufferSupply = {
  mostAtOnce: 16 * 1024, // A Client that stops reading may hold as much for a few bytes.

  take(size) {
    if (size <= 1 << (SMALLEST_BITS - 1) || size > 1 << LARGEST_BITS) return Buffer.allocUnsafe(size)
    const bits = Math.max(32 - Math.clz32(size - 1), SMALLEST_BITS)
    return unused[bits - SMALLEST_BITS]!.pop() ?? Buffer.allocUnsafeSlow(1 << bits)
  },

  giveBack(buffer) {
    const bits = 31 - Math.clz32(buffer.length)
    const kept = unused[bits - SMALLEST_BITS]
    const isWhole = buffer.length === 1 << bits && buffer.buffer.byteLength === buffer.length
    if (kept !== undefined && isWhole && (kept.length + 1) << bits <= KEPT_BYTES_A_SIZE) kept.push(buffer)
  },
}

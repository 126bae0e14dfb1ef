import type { BufferSupply } from '../packets/writer.ts'

// From 4 KiB on a buffer has separate memory outside of the heap of V8, which makes V8 collect garbage. Up to 2 KiB it
// is part of a pool of Node.js; for the sizes in between a buffer of 4 KiB is used.
const MIN_SIZE_BITS = 12
const MAX_SIZE_BITS = 18
const MAX_UNUSED_BYTES_PER_SIZE = 512 * 1024

// By size, which is a power of two; at most 3.5 MiB in all.
const unused: Buffer[][] = Array.from({ length: MAX_SIZE_BITS - MIN_SIZE_BITS + 1 }, () => [])

/** Buffers for the output of sockets. A buffer is used again when the system has its content. */
export const outputBuffers: BufferSupply = {
  mostAtOnce: 16 * 1024, // The output of a Client that stops reading may retain this much for a few bytes.

  take(size) {
    if (size <= 1 << (MIN_SIZE_BITS - 1) || size > 1 << MAX_SIZE_BITS) return Buffer.allocUnsafe(size)
    const bits = Math.max(32 - Math.clz32(size - 1), MIN_SIZE_BITS)
    return unused[bits - MIN_SIZE_BITS]!.pop() ?? Buffer.allocUnsafeSlow(1 << bits)
  },

  giveBack(buffer) {
    const bits = 31 - Math.clz32(buffer.length)
    const buffers = unused[bits - MIN_SIZE_BITS]
    const isWhole = buffer.length === 1 << bits && buffer.buffer.byteLength === buffer.length
    if (buffers !== undefined && isWhole && (buffers.length + 1) << bits <= MAX_UNUSED_BYTES_PER_SIZE)
      buffers.push(buffer)
  },
}

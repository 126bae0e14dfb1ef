// A separate buffer costs 200 bytes beside its content, so small copies share a buffer of this size.
const SHARED_BYTES = 2048
const MAX_SMALL_BYTES = SHARED_BYTES / 8

let shared = Buffer.alloc(0)
let used = 0

/**
 * A copy of bytes that are stored for long. A copy by `Buffer.from` may be part of a pool of up to 64 KiB, which it
 * retains as a whole; this copy retains at most 2 KiB, shared with other copies.
 */
export function detachedCopy(bytes: Uint8Array): Buffer {
  const copy = bytes.length > MAX_SMALL_BYTES ? Buffer.allocUnsafeSlow(bytes.length) : partOfShared(bytes.length)
  copy.set(bytes)
  return copy
}

function partOfShared(length: number): Buffer {
  if (used + length > shared.length) {
    shared = Buffer.allocUnsafeSlow(SHARED_BYTES)
    used = 0
  }
  used += length
  return shared.subarray(used - length, used)
}

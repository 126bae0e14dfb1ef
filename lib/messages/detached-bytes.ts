// A buffer of its own costs 200 bytes beside its content, so small things share one of this size.
const SHARED_SIZE = 2048
const SMALL = SHARED_SIZE / 8

let shared = Buffer.alloc(0)
let used = 0

/**
 * A copy of bytes that are to be kept for long. What `Buffer.from` makes may stand in a pool of up to 64 KiB, beside
 * chunks that were read, and keeps all of it; this one keeps 2 KiB at most, of what others keep, too.
 */
export function detachedCopy(bytes: Uint8Array): Buffer {
  const copy = bytes.length > SMALL ? Buffer.allocUnsafeSlow(bytes.length) : partOfShared(bytes.length)
  copy.set(bytes)
  return copy
}

function partOfShared(length: number): Buffer {
  if (used + length > shared.length) {
    shared = Buffer.allocUnsafeSlow(SHARED_SIZE)
    used = 0
  }
  used += length
  return shared.subarray(used - length, used)
}

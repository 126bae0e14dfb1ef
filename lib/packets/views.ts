const MAX_RATIO = 4

/** Whether a view retains a buffer far larger than `size` bytes, so that a copy saves memory. */
export function keepsFarMore(bytes: Uint8Array, size: number = bytes.length): boolean {
  return bytes.buffer.byteLength > MAX_RATIO * size
}

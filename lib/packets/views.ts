const MOST_TIMES = 4

/** Whether bytes that are a view of a larger buffer keep alive far more than `size`, so that a copy is worth it. */
export function keepsFarMore(bytes: Uint8Array, size: number = bytes.length): boolean {
  return bytes.buffer.byteLength > MOST_TIMES * size
}

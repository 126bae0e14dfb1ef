/** The part of WebSocket (RFC 6455) that a benchmark client needs: one binary frame per write, no fragments. */

export function handshake(port: number): string {
  return [
    'GET /mqtt HTTP/1.1',
    `Host: 127.0.0.1:${port}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Protocol: mqtt',
    '\r\n',
  ].join('\r\n')
}

/** A masked frame. The mask is zero, so that only the broker spends time on XOR. */
export function frame(bytes: Uint8Array): Buffer {
  const { length } = bytes
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8
  const result = Buffer.allocUnsafe(6 + extended + length)
  result[0] = 0x82
  if (extended === 0) result[1] = 0x80 | length
  else if (extended === 2) {
    result[1] = 0x80 | 126
    result.writeUInt16BE(length, 2)
  } else {
    result[1] = 0x80 | 127
    result.writeBigUInt64BE(BigInt(length), 2)
  }
  result.fill(0, 2 + extended, 6 + extended)
  result.set(bytes, 6 + extended)
  return result
}

/** Removes the frames of a server and passes on their content. Supports neither ping nor close frames. */
export class FrameReader {
  readonly #onContent: (bytes: Buffer, start: number, end: number) => void
  readonly #header = Buffer.alloc(10)
  #headerLength = 0
  #remaining = 0

  constructor(onContent: (bytes: Buffer, start: number, end: number) => void) {
    this.#onContent = onContent
  }

  read(bytes: Buffer, start: number, end: number): void {
    let offset = start
    while (offset < end) {
      if (this.#remaining === 0) {
        this.#header[this.#headerLength++] = bytes[offset++]!
        const size = this.#header[1]! & 127
        const extended = size === 126 ? 2 : size === 127 ? 8 : 0
        if (this.#headerLength < 2 + extended) continue
        this.#headerLength = 0
        this.#remaining =
          extended === 0
            ? size
            : extended === 2
              ? this.#header.readUInt16BE(2)
              : Number(this.#header.readBigUInt64BE(2))
        this.#header[1] = 0
        continue
      }
      const take = Math.min(this.#remaining, end - offset)
      this.#remaining -= take
      this.#onContent(bytes, offset, offset + take)
      offset += take
    }
  }
}

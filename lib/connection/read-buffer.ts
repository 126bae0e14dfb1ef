import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

// The size of one read of Node.js.
const SIZE_BYTES = 64 * 1024

type Inside = Record<symbol, unknown> & { readonly _handle?: { useUserBuffer?: unknown } | null }

/** The buffer, and the properties in which a socket of Node.js has the values of its option `onread`. */
interface ReadBuffer {
  readonly buffer: Buffer
  readonly bufferKey: symbol
  readonly callbackKey: symbol
}

let shared: ReadBuffer | undefined
let wasSearched = false

/** Whether a chunk is a view of the read buffer, which the next read overwrites. */
export function isBorrowed(chunk: Buffer): boolean {
  return shared !== undefined && chunk.buffer === shared.buffer.buffer
}

/** Whether the stream is a socket that reads into the read buffer. */
export function usesReadBuffer(stream: Duplex): boolean {
  return shared !== undefined && (stream as unknown as Inside)[shared.bufferKey] === shared.buffer
}

/**
 * Makes an accepted socket read into one buffer that all sockets share. By default Node.js allocates a buffer of 64 KiB
 * for each read, and a read with a single message takes an eighth longer.
 *
 * Node.js has the option `onread` for this, but only for sockets that connect. So this function sets the properties
 * that the option sets; if they are not found, the socket reads as by default.
 *
 * One buffer is enough: libuv requests it when data is available, and calls back before it reads from another socket,
 * on Windows too.
 */
export function readIntoSharedBuffer(socket: Socket): void {
  const inside = socket as unknown as Inside
  const { _handle: handle } = inside
  if (typeof handle?.useUserBuffer !== 'function') return
  if (!wasSearched) shared = findKeys()
  wasSearched = true
  if (shared === undefined) return
  const { buffer, bufferKey, callbackKey } = shared
  if (inside[bufferKey] !== null || inside[callbackKey] !== null) return
  inside[bufferKey] = buffer
  // False stops reading: without a listener, a socket buffers no more than by default.
  inside[callbackKey] = (length: number): boolean => {
    const chunk = buffer.subarray(0, length)
    return socket.emit('data', chunk) || socket.push(Buffer.from(chunk))
  }
  handle.useUserBuffer(buffer)
}

function findKeys(): ReadBuffer | undefined {
  const buffer = Buffer.allocUnsafeSlow(SIZE_BYTES)
  const callback = (): boolean => true
  const example = new Socket({ onread: { buffer, callback } } as object)
  const inside = example as unknown as Inside
  const keys = Object.getOwnPropertySymbols(example)
  example.destroy()
  const bufferKey = keys.find((key) => inside[key] === buffer)
  const callbackKey = keys.find((key) => inside[key] === callback)
  return bufferKey && callbackKey && { buffer, bufferKey, callbackKey }
}

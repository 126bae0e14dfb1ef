import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

// As much as Node.js reads at once by itself.
const SIZE = 64 * 1024

type Inside = Record<symbol, unknown> & { readonly _handle?: { useUserBuffer?: unknown } | null }

/** The buffer, and where a socket of Node.js has what its option `onread` was given. */
interface ReadBuffer {
  readonly buffer: Buffer
  readonly bufferKey: symbol
  readonly callbackKey: symbol
}

let shared: ReadBuffer | undefined
let isLookedFor = false

/** Whether a chunk is a view of the read buffer: it is good for this call only, and who keeps a part of it copies it. */
export function isBorrowed(chunk: Buffer): boolean {
  return shared !== undefined && chunk.buffer === shared.buffer.buffer
}

/** Whether it is a socket of a TCP listener that reads into the read buffer. */
export function usesReadBuffer(stream: Duplex): boolean {
  return shared !== undefined && (stream as unknown as Inside)[shared.bufferKey] === shared.buffer
}

/**
 * Lets an accepted socket read into one buffer that all of them share. By itself Node.js makes a buffer of 64 KiB for
 * each read, cuts it to size and leaves it to the garbage collector: a message that comes alone costs an eighth more.
 *
 * This is what `onread` does, which Node.js offers to sockets that connect but not to those that are accepted. So we
 * look where it puts what it is given; where it is not found, the socket reads as always.
 *
 * One buffer is enough: libuv asks for it when there is something to read, and calls back before it reads from another
 * socket, on Windows too.
 */
export function readIntoSharedBuffer(socket: Socket): void {
  const inside = socket as unknown as Inside
  const { _handle: handle } = inside
  if (typeof handle?.useUserBuffer !== 'function') return
  if (!isLookedFor) shared = findKeys()
  isLookedFor = true
  if (shared === undefined) return
  const { buffer, bufferKey, callbackKey } = shared
  if (inside[bufferKey] !== null || inside[callbackKey] !== null) return
  inside[bufferKey] = buffer
  // False stops reading: while nobody listens, no more is kept than by any other socket.
  inside[callbackKey] = (length: number): boolean => {
    const chunk = buffer.subarray(0, length)
    return socket.emit('data', chunk) || socket.push(Buffer.from(chunk))
  }
  handle.useUserBuffer(buffer)
}

function findKeys(): ReadBuffer | undefined {
  const buffer = Buffer.allocUnsafeSlow(SIZE)
  const callback = (): boolean => true
  const example = new Socket({ onread: { buffer, callback } } as object)
  const inside = example as unknown as Inside
  const keys = Object.getOwnPropertySymbols(example)
  example.destroy()
  const bufferKey = keys.find((key) => inside[key] === buffer)
  const callbackKey = keys.find((key) => inside[key] === callback)
  return bufferKey && callbackKey && { buffer, bufferKey, callbackKey }
}

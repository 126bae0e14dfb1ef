import { types } from 'node:util'

/**
 * The bytes of a value of the application: Buffer, typed array, DataView, ArrayBuffer or SharedArrayBuffer, also those of
 * another realm, such as a vm context. Memory that threads share is copied, because it may change. Returns undefined
 * if the value is none of them, or its memory was transferred to another thread.
 */
export function asBytes(value: unknown): Buffer | undefined {
  // Nearly all payloads are a Buffer with memory of its own; one without bytes may have lost its memory.
  if (Buffer.isBuffer(value) && value.length > 0 && value.buffer instanceof ArrayBuffer) return value
  if (ArrayBuffer.isView(value)) return bytesIn(value.buffer, value)
  return types.isAnyArrayBuffer(value) ? bytesIn(value, undefined) : undefined
}

function bytesIn(memory: ArrayBufferLike, view: ArrayBufferView | undefined): Buffer | undefined {
  if (isDetached(memory)) return undefined
  if (Buffer.isBuffer(view) && !types.isSharedArrayBuffer(memory)) return view
  const { byteOffset = 0, byteLength } = view ?? { byteLength: memory.byteLength }
  const bytes = Buffer.from(memory as ArrayBuffer, byteOffset, byteLength)
  return types.isSharedArrayBuffer(memory) ? Buffer.from(bytes) : bytes
}

/** Only memory that was transferred cannot have a view. Node.js 20 has no `ArrayBuffer.prototype.detached`. */
function isDetached(memory: ArrayBufferLike): boolean {
  if (memory.byteLength > 0) return false
  try {
    return new Uint8Array(memory).length > 0
  } catch {
    return true
  }
}

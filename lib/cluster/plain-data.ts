/** Data as it travels between brokers: strings, numbers, Buffers, lists and objects of them. */
import { bytesOfBinary } from './emitters/index.ts'

const MAXIMUM_DEPTH = 32
// Enough for what brokers tell each other, and an end for what refers to itself.
const MAXIMUM_VALUES = 1_000_000

/**
 * A copy that shares only Buffers with the original, so that neither side sees what the other does to it later.
 * Emitters differ in what they keep: by reference, MessagePack, BSON. After this they do not: a field that is
 * undefined, null or a function is absent, in a list it is null, and bytes are a Buffer.
 * @throws TypeError for what is too deep, too large or refers to itself.
 */
export function copyPlainData(value: unknown): unknown {
  return copy(value, 0, { left: MAXIMUM_VALUES })
}

function copy(value: unknown, depth: number, count: { left: number }): unknown {
  if (typeof value === 'function' || typeof value === 'symbol' || value === null) return undefined
  if (typeof value !== 'object') return value
  if (value instanceof Uint8Array) {
    return Buffer.isBuffer(value) ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  }
  if (depth === MAXIMUM_DEPTH) throw new TypeError(`plain data: expected at most ${MAXIMUM_DEPTH} levels`)
  if (Array.isArray(value)) {
    take(count, value.length)
    return value.map((item) => copy(item, depth + 1, count) ?? null)
  }
  const bytes = bytesOfBinary(value)
  if (bytes !== undefined) return bytes
  const keys = Object.keys(value)
  take(count, keys.length)
  const copied: Record<string, unknown> = {}
  for (const key of keys) {
    if (key === '__proto__') continue // Would become what the copy inherits from.
    const field = copy((value as Record<string, unknown>)[key], depth + 1, count)
    if (field !== undefined) copied[key] = field
  }
  return copied
}

function take(count: { left: number }, values: number): void {
  count.left -= values
  if (count.left < 0) throw new TypeError(`plain data: expected at most ${MAXIMUM_VALUES} values`)
}

/** Data that brokers send each other: strings, numbers, Buffers, lists and objects of them. */
import { asBytes } from '../packets/bytes.ts'
import { bytesOfBinary } from './emitters/index.ts'

const MAX_DEPTH = 32
// Enough for packets between brokers, and an end for an object that refers to itself.
const MAX_VALUES = 1_000_000

/**
 * A copy that shares only Buffers with the original, so that neither side sees later changes of the other. Emitters
 * pass references, MessagePack or BSON. After the copy all are equal: a field that is undefined, null or a function is
 * absent, in a list it is null, and bytes are a Buffer.
 * @throws TypeError if the value is too deep, too large or refers to itself.
 */
export function copyPlainData(value: unknown): unknown {
  return copy(value, 0, { left: MAX_VALUES })
}

function copy(value: unknown, depth: number, count: { left: number }): unknown {
  if (typeof value === 'function' || typeof value === 'symbol' || value === null) return undefined
  if (typeof value !== 'object') return value
  const ownBytes = asBytes(value)
  if (ownBytes !== undefined) return ownBytes
  if (depth === MAX_DEPTH) throw new TypeError(`plain data: expected at most ${MAX_DEPTH} levels`)
  if (Array.isArray(value)) {
    countValues(count, value.length)
    return value.map((item) => copy(item, depth + 1, count) ?? null)
  }
  const bytes = bytesOfBinary(value)
  if (bytes !== undefined) return bytes
  const keys = Object.keys(value)
  countValues(count, keys.length)
  const copied: Record<string, unknown> = {}
  for (const key of keys) {
    if (key === '__proto__') continue // It would become the prototype of the copy.
    const field = copy((value as Record<string, unknown>)[key], depth + 1, count)
    if (field !== undefined) copied[key] = field
  }
  return copied
}

function countValues(count: { left: number }, values: number): void {
  count.left -= values
  if (count.left < 0) throw new TypeError(`plain data: expected at most ${MAX_VALUES} values`)
}

/** Bytes, as the driver of MongoDB returns them. */
interface BsonBinary {
  readonly _bsontype: 'Binary'
  readonly buffer: Uint8Array
  readonly position: number
}

/**
 * Returns a value of a store in its original form: BSON `Binary` and other views of bytes as Buffers, and objects
 * without fields that are null. Dates stay.
 */
export function plainValue(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return value ?? undefined
  if (Buffer.isBuffer(value)) return value
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (isBsonBinary(value)) return plainValue(value.buffer.subarray(0, value.position))
  if (Array.isArray(value)) return value.map(plainValue)
  if (value instanceof Date) return value
  const plain: Record<string, unknown> = {}
  for (const [key, part] of Object.entries(value)) {
    const inside = plainValue(part)
    // Defined, not assigned: `__proto__` is a key like others.
    if (inside !== undefined) {
      Object.defineProperty(plain, key, { value: inside, enumerable: true, writable: true, configurable: true })
    }
  }
  return plain
}

function isBsonBinary(value: object): value is BsonBinary {
  const { _bsontype: type } = value as Partial<BsonBinary>
  return type === 'Binary'
}

/** Returns the fields of a stored object; none if the value is not an object. */
export function fieldsOf(value: unknown): Record<string, unknown> {
  const plain = plainValue(value)
  return typeof plain === 'object' && plain !== null && !Array.isArray(plain) ? (plain as Record<string, unknown>) : {}
}

export function stringOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Returns a number, also of a string; undefined for 0, which stands for no value. */
export function numberOf(value: unknown): number | undefined {
  const number = typeof value === 'string' ? Number(value) : value
  return typeof number === 'number' && number > 0 ? number : undefined
}

export function qosOf(value: unknown): 0 | 1 | 2 {
  return value === 1 || value === 2 ? value : 0
}

export function bytesOf(value: unknown): Buffer {
  if (Buffer.isBuffer(value)) return value
  return typeof value === 'string' ? Buffer.from(value) : Buffer.alloc(0)
}

/** What the drivers of data bases make of bytes. */
interface BsonBinary {
  readonly _bsontype: 'Binary'
  readonly buffer: Uint8Array
  readonly position: number
}

/**
 * What was stored, as it was before: Binary of BSON and other views of bytes are Buffers, null is undefined
 * and its key is not there. Objects that are not plain, such as dates, stay.
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

/** The fields of something that was stored; of what is no object, none. */
export function fieldsOf(value: unknown): Record<string, unknown> {
  const plain = plainValue(value)
  return typeof plain === 'object' && plain !== null && !Array.isArray(plain) ? (plain as Record<string, unknown>) : {}
}

export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** A number, also when it comes as text; 0 is how none is written. */
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

/**
 * The form of a payload with the fields that a store would lose:
 * `00 4D 51 35`, the length of the JSON as four bytes, the JSON, then the payload.
 */
const magic = Buffer.from([0x00, 0x4d, 0x51, 0x35])

export function putIntoEnvelope(fields: Readonly<Record<string, unknown>>, payload: Buffer): Buffer {
  const head = Buffer.from(JSON.stringify(fields, encodeBytes))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(head.length)
  return Buffer.concat([magic, length, head, payload])
}

/** Returns undefined if the payload has no envelope. */
export function openEnvelope(stored: Buffer): { fields: Record<string, unknown>; payload: Buffer } | undefined {
  if (stored.length < 8 || !stored.subarray(0, 4).equals(magic)) return undefined
  const end = 8 + stored.readUInt32BE(4)
  if (end > stored.length) return undefined
  try {
    const fields: unknown = JSON.parse(stored.toString('utf8', 8, end), decodeBytes)
    if (typeof fields !== 'object' || fields === null) return undefined
    return { fields: fields as Record<string, unknown>, payload: stored.subarray(end) }
  } catch {
    return undefined // A payload with the same first bytes.
  }
}

// `JSON.stringify` calls this after Buffer.toJSON, which returns { type: 'Buffer', data: […] }.
function encodeBytes(_key: string, value: unknown): unknown {
  const { type, data } = (value ?? {}) as { type?: unknown; data?: unknown }
  if (type === 'Buffer' && Array.isArray(data)) return { bytes: Buffer.from(data).toString('base64') }
  return value
}

function decodeBytes(_key: string, value: unknown): unknown {
  const { bytes } = (value ?? {}) as { bytes?: unknown }
  return typeof bytes === 'string' ? Buffer.from(bytes, 'base64') : value
}

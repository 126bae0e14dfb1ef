/** mqemitter-mongodb finds the callback of a message by this field, but gives it none. */
const CALLBACK_ID = '_stringId'

export function addCallbackId(packet: Record<string, unknown>, id: string): void {
  packet[CALLBACK_ID] = id
}

/** The bytes of a BSON `Binary`: mqemitter-mongodb makes one of a Buffer below the first level. */
export function bytesOfBinary(value: object): Buffer | undefined {
  const { _bsontype, buffer, position } = value as { _bsontype?: unknown; buffer?: unknown; position?: unknown }
  if (_bsontype !== 'Binary' || !(buffer instanceof Uint8Array) || typeof position !== 'number') return undefined
  return Buffer.from(buffer.subarray(0, position))
}

/**
 * The stored fields of a message, its place in a queue, a subscription, a session and a Will: one row for each field.
 * The log writes, reads and counts by these rows; the adapters and the cluster copy by them. A new field needs its
 * declaration in types/persistence.ts, one row here (the compiler asks for it), and the code that uses it.
 */
import type {
  PersistedPublish,
  PersistedSessionInfo,
  PersistedSubscription,
  PersistedTarget,
  PersistedWill,
} from '../../types/persistence.ts'
import type { PublishProperties, WillProperties } from '../../types/properties.ts'

/** The type of a stored value. A payload is bytes or a string; unknown fields are the bytes of a later version. */
export type FieldKind =
  | 'boolean'
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'double'
  | 'string'
  | 'bytes'
  | 'payload'
  | 'list of uint32'
  | 'list of string pairs'
  | 'properties'
  | 'unknown fields'

interface Row {
  readonly kind: FieldKind
  /**
   * The number of an optional field, from 1 to 31. A number is never used for another field. Fields without a number
   * have a place of their own in the form of the object: its reader and writer name them.
   */
  readonly tag?: number
  /** The value that a field has when it is not stored. Default: undefined. */
  readonly default?: unknown
}

/** A row with its key. */
export interface Field {
  readonly name: string
  readonly kind: FieldKind
  readonly tag: number
  readonly default: unknown
  /** The byte before the value: the number of the field, and in the upper bits the form of its length. */
  readonly key: number
}

/** The fields of one kind of object. */
export interface FieldTable {
  readonly all: readonly Field[]
  /** The fields with a number. */
  readonly tagged: readonly Field[]
  /** The same by their key. */
  readonly byKey: readonly (Field | undefined)[]
}

/** The length of a value. The reader skips unknown fields by it, so a form never changes its meaning. */
export const LengthForm = { byte: 0, twoBytes: 1, fourBytes: 2, eightBytes: 3, shortLength: 4, longLength: 5 } as const

export const TAG_BITS = 5
const MAX_TAG = (1 << TAG_BITS) - 1

const formOf: Readonly<Record<FieldKind, number>> = {
  boolean: LengthForm.byte,
  uint8: LengthForm.byte,
  uint16: LengthForm.twoBytes,
  uint32: LengthForm.fourBytes,
  double: LengthForm.eightBytes,
  string: LengthForm.shortLength,
  bytes: LengthForm.shortLength,
  payload: LengthForm.longLength,
  'list of uint32': LengthForm.longLength,
  'list of string pairs': LengthForm.longLength,
  properties: LengthForm.longLength,
  'unknown fields': LengthForm.longLength,
}

type Rows<T> = { readonly [Name in keyof Required<T>]: Row }

function tableOf<T>(rows: Rows<T>): FieldTable {
  const all = Object.entries<Row>(rows).map(([name, { kind, tag = 0, default: value }]): Field => {
    if (tag > MAX_TAG) throw new RangeError(`${name}: expected a number up to ${MAX_TAG}, got ${tag}`)
    return { name, kind, tag, default: value, key: (formOf[kind] << TAG_BITS) | tag }
  })
  const tagged = all.filter(({ tag }) => tag > 0)
  const byKey: (Field | undefined)[] = Array.from({ length: 256 }, () => undefined)
  for (const field of tagged) byKey[field.key] = field
  return { all, tagged, byKey }
}

/** A message, which several queues may share. */
export const messageFields: FieldTable = tableOf<Omit<PersistedPublish, 'cmd'>>({
  topic: { kind: 'string' },
  payload: { kind: 'payload' },
  qos: { kind: 'uint8' },
  retain: { kind: 'boolean' },
  brokerId: { kind: 'string' },
  brokerCounter: { kind: 'double' },
  clientId: { kind: 'string' },
  dup: { kind: 'boolean', tag: 1 },
  messageId: { kind: 'uint16', tag: 2 },
  nl: { kind: 'boolean', tag: 3 },
  properties: { kind: 'properties', tag: 4 },
  messageExpiry: { kind: 'double', tag: 5 },
  unknownFields: { kind: 'unknown fields' },
})

/** The place of a message in a queue. Whether a peer has the session is not stored. */
export const targetFields: FieldTable = tableOf<Omit<PersistedTarget, 'isElsewhere'>>({
  clientId: { kind: 'string' },
  qos: { kind: 'uint8' },
  retain: { kind: 'boolean' },
  messageId: { kind: 'uint16' },
  subscriptionIdentifiers: { kind: 'list of uint32', tag: 1 },
  sharedFilter: { kind: 'string', tag: 2 },
  unknownFields: { kind: 'unknown fields' },
})

export const subscriptionFields: FieldTable = tableOf<PersistedSubscription>({
  topic: { kind: 'string' },
  qos: { kind: 'uint8' },
  rh: { kind: 'uint8', tag: 1 },
  rap: { kind: 'boolean', tag: 2 },
  nl: { kind: 'boolean', tag: 3 },
  subscriptionIdentifier: { kind: 'uint32', tag: 4 },
  grantedTopic: { kind: 'string', tag: 5 },
  requestedQos: { kind: 'uint8', tag: 6 },
  byApplication: { kind: 'boolean', tag: 7 },
  ownCopy: { kind: 'boolean', tag: 8 },
  unknownFields: { kind: 'unknown fields' },
})

export const sessionFields: FieldTable = tableOf<PersistedSessionInfo>({
  expiryInterval: { kind: 'double' },
  owner: { kind: 'string', tag: 1 },
  expiresAt: { kind: 'double', tag: 2, default: null },
  unknownFields: { kind: 'unknown fields' },
})

export const willFields: FieldTable = tableOf<PersistedWill>({
  topic: { kind: 'string' },
  payload: { kind: 'payload' },
  qos: { kind: 'uint8' },
  retain: { kind: 'boolean' },
  clientId: { kind: 'string', tag: 1 },
  brokerId: { kind: 'string', tag: 2 },
  properties: { kind: 'properties', tag: 3 },
  dueAt: { kind: 'double', tag: 4 },
  unknownFields: { kind: 'unknown fields' },
})

/** The Properties of a message or a Will. Properties of a later version are unknown fields of the object. */
export const propertyFields: FieldTable = tableOf<PublishProperties & WillProperties>({
  payloadFormatIndicator: { kind: 'uint8', tag: 1 },
  messageExpiryInterval: { kind: 'uint32', tag: 2 },
  contentType: { kind: 'string', tag: 3 },
  responseTopic: { kind: 'string', tag: 4 },
  correlationData: { kind: 'bytes', tag: 5 },
  userProperties: { kind: 'list of string pairs', tag: 6 },
  subscriptionIdentifiers: { kind: 'list of uint32', tag: 7 },
  topicAlias: { kind: 'uint16', tag: 8 },
  willDelayInterval: { kind: 'uint32', tag: 9 },
})

/** One of the objects above, by the names of its fields. */
export type FieldValues = Readonly<Record<string, unknown>>

/** Returns the fields with a number and the unknown fields that an object has; undefined if it has none. */
export function optionalFields(table: FieldTable, object: object): Record<string, unknown> | undefined {
  const values = object as FieldValues
  let found: Record<string, unknown> | undefined
  for (const { name } of table.tagged) {
    const value = values[name]
    if (value !== undefined) (found ??= {})[name] = value
  }
  if (values.unknownFields !== undefined) (found ??= {}).unknownFields = values.unknownFields
  return found
}

/** Returns the fields that an object of another program has, without those whose value is not of their kind. */
export function validFields(fields: readonly Field[], object: object): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  for (const { name, kind } of fields) {
    const value = (object as FieldValues)[name]
    if (value !== undefined && isOfKind(kind, value)) found[name] = value
  }
  return found
}

/** Whether a value, which may come from another program, is of this kind. */
export function isOfKind(kind: FieldKind, value: unknown): boolean {
  switch (kind) {
    case 'boolean':
      return typeof value === 'boolean'
    case 'uint8':
      return isInteger(value, 0xff)
    case 'uint16':
      return isInteger(value, 0xffff)
    case 'uint32':
      return isInteger(value, 0xffff_ffff)
    case 'double':
      return typeof value === 'number'
    case 'string':
      return isShortString(value)
    case 'bytes':
      return value instanceof Uint8Array && value.length <= 0xffff
    case 'payload':
      return typeof value === 'string' || value instanceof Uint8Array
    case 'list of uint32':
      return Array.isArray(value) && value.every((each) => isInteger(each, 0xffff_ffff))
    case 'list of string pairs':
      return (
        Array.isArray(value) &&
        value.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every(isShortString))
      )
    case 'properties':
      return typeof value === 'object' && value !== null && hasKinds(propertyFields, value)
    case 'unknown fields':
      return value instanceof Uint8Array && isFieldList(value)
  }
}

/** Whether the values of these fields are of the kinds in the rows. Other fields are ignored. */
export function hasKinds({ all }: FieldTable, object: object): boolean {
  return all.every(({ name, kind, default: absent }) => {
    const value = (object as FieldValues)[name]
    return value === undefined || value === absent || isOfKind(kind, value)
  })
}

function isInteger(value: unknown, highest: number): boolean {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= highest
}

function isShortString(value: unknown): boolean {
  return typeof value === 'string' && Buffer.byteLength(value) <= 0xffff
}

/**
 * Returns the number of bytes after the key of a field, its length included; undefined if they would not end by `end`,
 * or if this version does not know the form of their length.
 */
export function fieldSize(bytes: Buffer, key: number, position: number, end: number): number | undefined {
  const size = sizeByForm(bytes, key >> TAG_BITS, position, end)
  return size === undefined || position + size > end ? undefined : size
}

function sizeByForm(bytes: Buffer, form: number, position: number, end: number): number | undefined {
  switch (form) {
    case LengthForm.byte:
    case LengthForm.twoBytes:
    case LengthForm.fourBytes:
    case LengthForm.eightBytes:
      return 1 << form
    case LengthForm.shortLength:
      return position + 2 > end ? undefined : 2 + bytes.readUInt16BE(position)
    case LengthForm.longLength:
      return position + 4 > end ? undefined : 4 + bytes.readUInt32BE(position)
  }
  return undefined
}

/** Whether bytes are a list of fields and nothing else. */
export function isFieldList(list: Uint8Array): boolean {
  const bytes = Buffer.from(list.buffer, list.byteOffset, list.length)
  let position = 0
  while (position < bytes.length) {
    const key = bytes[position]!
    const size = key === 0 ? undefined : fieldSize(bytes, key, position + 1, bytes.length)
    if (size === undefined) return false
    position += 1 + size
  }
  return true
}

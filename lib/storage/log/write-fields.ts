import type { UserProperty } from '../../../types/properties.ts'
import type { Writer } from '../../packets/writer.ts'
import { type Field, type FieldTable, type FieldValues, isFieldList, propertyFields } from '../records.ts'

/** Writes the fields with a number that an object has, and its fields of a later version. */
export function writeFields(writer: Writer, table: FieldTable, object: object): void {
  const values = object as FieldValues
  for (const field of table.tagged) {
    const value = values[field.name]
    if (value !== undefined && value !== field.default) writeField(writer, field, value)
  }
  const { unknownFields } = values
  if (unknownFields !== undefined) writeUnknown(writer, unknownFields as Uint8Array)
}

/** Refuses bytes that are no fields, since they would make the whole record unreadable. */
function writeUnknown(writer: Writer, fields: Uint8Array): void {
  if (!isFieldList(fields)) throw new TypeError('unknownFields: expected fields, one after another')
  writer.bytes(fields)
}

// The types of the objects ensure that each value is of the kind of its row.
function writeField(writer: Writer, { key, kind }: Field, value: unknown): void {
  writer.uint8(key)
  switch (kind) {
    case 'boolean':
      return writer.uint8(value === true ? 1 : 0)
    case 'uint8':
      return writer.uint8(value as number)
    case 'uint16':
      return writer.uint16(value as number)
    case 'uint32':
      return writer.uint32(value as number)
    case 'double':
      return writeDouble(writer, value as number)
    case 'string':
      return writer.string(value as string)
    case 'bytes':
      return writer.binary(value as Uint8Array)
    default: {
      writer.uint32(0)
      const start = writer.length
      writeLong(writer, kind, value)
      writer.buffer.writeUInt32BE(writer.length - start, start - 4)
    }
  }
}

function writeLong(writer: Writer, kind: Field['kind'], value: unknown): void {
  switch (kind) {
    case 'list of uint32':
      for (const number of value as readonly number[]) writer.uint32(number)
      return
    case 'list of string pairs':
      for (const [name, string] of value as readonly UserProperty[]) {
        writer.string(name)
        writer.string(string)
      }
      return
    case 'properties':
      return writeFields(writer, propertyFields, value as object)
    default:
      throw new TypeError(`a field of kind ${kind}: expected one that has a number`)
  }
}

export function writeDouble(writer: Writer, value: number): void {
  writer.reserve(8)
  writer.length = writer.buffer.writeDoubleBE(value, writer.length)
}

/** The approximate bytes of these fields: a character counts as one. */
export function fieldBytes(table: FieldTable, object: object): number {
  const values = object as FieldValues
  let bytes = 0
  for (const field of table.tagged) {
    const value = values[field.name]
    if (value !== undefined && value !== field.default) bytes += 1 + valueBytes(field, value)
  }
  const { unknownFields } = values
  return unknownFields === undefined ? bytes : bytes + (unknownFields as Uint8Array).length
}

function valueBytes({ kind }: Field, value: unknown): number {
  switch (kind) {
    case 'boolean':
    case 'uint8':
      return 1
    case 'uint16':
      return 2
    case 'uint32':
      return 4
    case 'double':
      return 8
    case 'list of uint32':
      return 4 + 4 * (value as readonly number[]).length
    case 'list of string pairs': {
      let bytes = 4
      for (const [name, string] of value as readonly UserProperty[]) bytes += 4 + name.length + string.length
      return bytes
    }
    case 'properties':
      return 4 + fieldBytes(propertyFields, value as object)
    default:
      return 2 + (value as string | Uint8Array).length
  }
}

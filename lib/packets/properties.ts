import { asBytes } from './bytes.ts'
import { ProtocolError } from '../errors.ts'
import type { Properties, UserProperty } from '../../types/properties.ts'
import { PacketTypeCode } from './packet-types.ts'
import type { Reader } from './reader.ts'
import { ReasonCode } from './reason-codes.ts'
import { malformedPacket, protocolError } from './violation.ts'
import { Writer } from './writer.ts'

/** A packet type that has Properties, or the Will inside a CONNECT packet. */
export type PropertyOwner = Exclude<keyof typeof PacketTypeCode, 'pingreq' | 'pingresp'> | 'will'

type PropertyType =
  | 'boolean'
  | 'uint16'
  | 'uint32'
  | 'variable byte integer'
  | 'string'
  | 'topic name'
  | 'binary'
  | 'string pair'

interface Property {
  readonly identifier: number
  readonly name: keyof Properties
  readonly type: PropertyType
  readonly owners: readonly PropertyOwner[]
  /** The Property may occur more than once; its value is an array. */
  readonly many?: true
  /** The Reason Code for the value 0, if 0 is not allowed. */
  readonly zero?: number
}

/** Binary Data has a length of two bytes (section 1.5.6). */
export const MAX_BINARY_BYTES = 0xffff

const NOTHING: Buffer = Buffer.alloc(0)

/** Identifiers of Properties that `writePublish` also writes. */
export const PropertyIdentifier = {
  messageExpiryInterval: 0x02,
  subscriptionIdentifier: 0x0b,
  topicAlias: 0x23,
} as const

const acknowledgements = ['puback', 'pubrec', 'pubrel', 'pubcomp', 'suback', 'unsuback'] as const
const message = ['publish', 'will'] as const
const zero = ReasonCode.protocolError

// All Properties and the packets that may carry each one (section 2.2.2.2).
const properties: readonly Property[] = [
  { identifier: 0x01, name: 'payloadFormatIndicator', type: 'boolean', owners: message },
  {
    identifier: PropertyIdentifier.messageExpiryInterval,
    name: 'messageExpiryInterval',
    type: 'uint32',
    owners: message,
  },
  { identifier: 0x03, name: 'contentType', type: 'string', owners: message },
  { identifier: 0x08, name: 'responseTopic', type: 'topic name', owners: message },
  { identifier: 0x09, name: 'correlationData', type: 'binary', owners: message },
  {
    identifier: PropertyIdentifier.subscriptionIdentifier,
    name: 'subscriptionIdentifier',
    type: 'variable byte integer',
    owners: ['subscribe'],
    zero,
  },
  {
    identifier: PropertyIdentifier.subscriptionIdentifier,
    name: 'subscriptionIdentifiers',
    type: 'variable byte integer',
    owners: ['publish'],
    many: true,
    zero,
  },
  {
    identifier: 0x11,
    name: 'sessionExpiryInterval',
    type: 'uint32',
    owners: ['connect', 'connack', 'disconnect'],
  },
  { identifier: 0x12, name: 'assignedClientIdentifier', type: 'string', owners: ['connack'] },
  { identifier: 0x13, name: 'serverKeepAlive', type: 'uint16', owners: ['connack'] },
  { identifier: 0x15, name: 'authenticationMethod', type: 'string', owners: ['connect', 'connack', 'auth'] },
  { identifier: 0x16, name: 'authenticationData', type: 'binary', owners: ['connect', 'connack', 'auth'] },
  { identifier: 0x17, name: 'requestProblemInformation', type: 'boolean', owners: ['connect'] },
  { identifier: 0x18, name: 'willDelayInterval', type: 'uint32', owners: ['will'] },
  { identifier: 0x19, name: 'requestResponseInformation', type: 'boolean', owners: ['connect'] },
  { identifier: 0x1a, name: 'responseInformation', type: 'string', owners: ['connack'] },
  { identifier: 0x1c, name: 'serverReference', type: 'string', owners: ['connack', 'disconnect'] },
  {
    identifier: 0x1f,
    name: 'reasonString',
    type: 'string',
    owners: [...acknowledgements, 'connack', 'disconnect', 'auth'],
  },
  { identifier: 0x21, name: 'receiveMaximum', type: 'uint16', owners: ['connect', 'connack'], zero },
  { identifier: 0x22, name: 'topicAliasMaximum', type: 'uint16', owners: ['connect', 'connack'] },
  {
    identifier: PropertyIdentifier.topicAlias,
    name: 'topicAlias',
    type: 'uint16',
    owners: ['publish'],
    zero: ReasonCode.topicAliasInvalid, // [MQTT-3.3.2-8]
  },
  { identifier: 0x24, name: 'maximumQoS', type: 'boolean', owners: ['connack'] },
  { identifier: 0x25, name: 'retainAvailable', type: 'boolean', owners: ['connack'] },
  {
    identifier: 0x26,
    name: 'userProperties',
    type: 'string pair',
    owners: [...message, ...acknowledgements, 'connect', 'connack', 'subscribe', 'unsubscribe', 'disconnect', 'auth'],
    many: true,
  },
  { identifier: 0x27, name: 'maximumPacketSize', type: 'uint32', owners: ['connect', 'connack'], zero },
  { identifier: 0x28, name: 'wildcardSubscriptionAvailable', type: 'boolean', owners: ['connack'] },
  { identifier: 0x29, name: 'subscriptionIdentifiersAvailable', type: 'boolean', owners: ['connack'] },
  { identifier: 0x2a, name: 'sharedSubscriptionAvailable', type: 'boolean', owners: ['connack'] },
]

const known = new Set(properties.map((property) => property.identifier))

interface OwnedProperties {
  readonly byIdentifier: readonly (Property | undefined)[]
  readonly byName: ReadonlyMap<string, Property>
}

function ownedBy(owner: PropertyOwner): OwnedProperties {
  const owned = properties.filter((property) => property.owners.includes(owner))
  const byIdentifier: (Property | undefined)[] = Array.from({ length: 0x2b }, () => undefined)
  for (const property of owned) byIdentifier[property.identifier] = property
  return { byIdentifier, byName: new Map(owned.map((property) => [property.name, property])) }
}

const propertiesOf: Readonly<Record<PropertyOwner, OwnedProperties>> = {
  connect: ownedBy('connect'),
  will: ownedBy('will'),
  connack: ownedBy('connack'),
  publish: ownedBy('publish'),
  puback: ownedBy('puback'),
  pubrec: ownedBy('pubrec'),
  pubrel: ownedBy('pubrel'),
  pubcomp: ownedBy('pubcomp'),
  subscribe: ownedBy('subscribe'),
  suback: ownedBy('suback'),
  unsubscribe: ownedBy('unsubscribe'),
  unsuback: ownedBy('unsuback'),
  disconnect: ownedBy('disconnect'),
  auth: ownedBy('auth'),
}

type Value = number | string | Uint8Array | UserProperty
type Values = { [name in keyof Properties]?: Value | Value[] }

/** Reads the Property Length and the Properties after it; returns undefined if there are none. */
export function readProperties(reader: Reader, owner: PropertyOwner): Properties | undefined {
  const length = reader.variableByteInteger('Property Length')
  if (length === 0) return undefined
  if (length > reader.remaining) {
    throw malformedPacket(`Property Length: expected at most ${reader.remaining}, got ${length}`)
  }
  const { byIdentifier } = propertiesOf[owner]
  const packetEnd = reader.end
  const end = reader.position + length
  const values: Values = {}
  reader.end = end // No Property may extend beyond the Property Length.
  while (reader.position < end) {
    const identifier = reader.uint8('Property Identifier')
    const property = byIdentifier[identifier]
    if (property === undefined) {
      const hexadecimal = `0x${identifier.toString(16).padStart(2, '0')}`
      const fault = known.has(identifier) ? `not allowed in ${owner}` : 'not known'
      throw malformedPacket(`Property Identifier: ${hexadecimal} is ${fault}`) // Section 2.2.2.2.
    }
    const value = readValue(reader, property)
    const before = values[property.name]
    if (property.many) {
      if (before === undefined) values[property.name] = [value]
      else (before as Value[]).push(value)
    } else {
      if (before !== undefined) throw protocolError(`${property.name}: expected once`)
      values[property.name] = value
    }
  }
  reader.end = packetEnd
  if (values.authenticationData !== undefined && values.authenticationMethod === undefined) {
    throw protocolError('authenticationData: expected an authenticationMethod beside it')
  }
  // The table guarantees the type of each value, and that this packet may carry each Property.
  return values as Properties
}

function readValue(reader: Reader, property: Property): Value {
  const { name } = property
  switch (property.type) {
    case 'boolean': {
      const value = reader.uint8(name)
      if (value > 1) throw protocolError(`${name}: expected 0 or 1, got ${value}`)
      return value
    }
    case 'uint16':
      return allowed(reader.uint16(name), property)
    case 'uint32':
      return allowed(reader.uint32(name), property)
    case 'variable byte integer':
      return allowed(reader.variableByteInteger(name), property)
    case 'string':
      return reader.string(name)
    case 'topic name': {
      const topic = reader.string(name)
      // [MQTT-3.3.2-14]
      if (!isTopicName(topic)) throw protocolError(`${name}: expected a Topic Name without wildcards`)
      return topic
    }
    case 'binary':
      return reader.binary(name)
    default: // a string pair
      reader.countUserProperty()
      return [reader.string(name), reader.string(name)]
  }
}

function allowed(value: number, property: Property): number {
  if (value === 0 && property.zero !== undefined) {
    throw new ProtocolError(property.zero, `${property.name}: expected at least 1, got 0`)
  }
  return value
}

/** Whether the string is a valid Topic Name: not empty and without wildcards (section 4.7). */
export function isTopicName(topic: string): boolean {
  return topic.length > 0 && !topic.includes('+') && !topic.includes('#')
}

/**
 * Writes the Property Length and the Properties that this packet may carry.
 * A Property whose value is too long for its length field is left out: the application may set such a Reason String.
 */
export function writeProperties(writer: Writer, values: Properties | undefined, owner: PropertyOwner): void {
  const start = writer.beginLength()
  if (values !== undefined) writeEach(writer, values, owner, undefined)
  writer.endLength(start)
}

/** The bytes that {@link writeProperties} writes after the Property Length, without the Property `without`. */
export function encodeProperties(
  values: Properties | undefined,
  owner: PropertyOwner,
  without?: keyof Properties,
): Buffer {
  if (values === undefined) return NOTHING
  const writer = new Writer(128)
  writeEach(writer, values, owner, without)
  return writer.take()
}

function writeEach(
  writer: Writer,
  values: Properties,
  owner: PropertyOwner,
  without: keyof Properties | undefined,
): void {
  const { byName } = propertiesOf[owner]
  for (const name in values) {
    const property = byName.get(name)
    const value = values[name as keyof Properties]
    if (property === undefined || value === undefined || name === without) continue
    if (!property.many) writeValue(writer, property, value as Value)
    else for (const each of value as Value[]) writeValue(writer, property, each)
  }
}

function writeValue(writer: Writer, property: Property, value: Value): void {
  if (!hasRoomFor(value)) return
  writer.uint8(property.identifier)
  switch (property.type) {
    case 'boolean':
      return writer.uint8(value as number)
    case 'uint16':
      return writer.uint16(value as number)
    case 'uint32':
      return writer.uint32(value as number)
    case 'variable byte integer':
      return writer.variableByteInteger(value as number)
    case 'string':
    case 'topic name':
      return writer.string(value as string)
    case 'binary':
      return writer.binary(value as Uint8Array)
    case 'string pair':
      writer.string((value as UserProperty)[0])
      writer.string((value as UserProperty)[1])
  }
}

/** Checks Properties from the application for this packet. Returns the fault, or undefined if there is none. */
export function faultIn(values: unknown, owner: PropertyOwner): string | undefined {
  if (typeof values !== 'object' || values === null) return 'properties: expected an object'
  const { byName } = propertiesOf[owner]
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) continue
    const property = byName.get(name)
    if (property === undefined) return `properties.${name}: no such Property in ${owner.toUpperCase()}`
    if (
      property.many !== true
        ? isValue(property, value)
        : Array.isArray(value) && value.every((each) => isValue(property, each))
    )
      continue
    return `properties.${name}: expected ${expectedOf[property.type]}${property.many === true ? ' in an array' : ''}`
  }
  return undefined
}

/** The same for the Properties of a message, which must not have Properties of one connection or one subscription. */
export function faultInMessageProperties(values: unknown): string | undefined {
  if (typeof values === 'object' && values !== null) {
    for (const name of ['topicAlias', 'subscriptionIdentifiers']) {
      if (name in values) return `properties.${name}: not a Property of a message`
    }
  }
  return faultIn(values, 'publish')
}

const expectedOf: Readonly<Record<PropertyType, string>> = {
  boolean: '0 or 1',
  uint16: 'an integer from 0 to 65,535',
  uint32: 'an integer from 0 to 4,294,967,295',
  'variable byte integer': 'an integer from 1 to 268,435,455',
  string: 'a string of at most 65,535 bytes without U+0000',
  'topic name': 'a Topic Name',
  binary: 'at most 65,535 bytes, such as a Buffer or Uint8Array',
  'string pair': 'pairs [name, value] of strings',
}

function isValue(property: Property, value: unknown): boolean {
  const isInteger = (from: number, to: number): boolean =>
    Number.isInteger(value) && Number(value) >= from && Number(value) <= to
  switch (property.type) {
    case 'boolean':
      return value === 0 || value === 1
    case 'uint16':
      return isInteger(property.zero === undefined ? 0 : 1, 0xffff)
    case 'uint32':
      return isInteger(property.zero === undefined ? 0 : 1, 0xffff_ffff)
    case 'variable byte integer':
      return isInteger(1, 268_435_455)
    case 'string':
      return isText(value)
    case 'topic name':
      return isText(value) && isTopicName(value)
    case 'binary':
      return (asBytes(value)?.length ?? Infinity) <= MAX_BINARY_BYTES
    case 'string pair':
      return Array.isArray(value) && value.length === 2 && value.every(isText)
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && hasRoomFor(value) && !value.includes('\0') && value.isWellFormed()
}

/** Whether the length fits into two bytes (sections 1.5.4 and 1.5.6). */
function hasRoomFor(value: Value): boolean {
  if (typeof value === 'number') return true
  // No character of a JavaScript string takes more than three bytes.
  if (typeof value === 'string') return value.length <= 0xffff / 3 || Buffer.byteLength(value) <= 0xffff
  if (ArrayBuffer.isView(value)) return value.byteLength <= MAX_BINARY_BYTES
  return hasRoomFor(value[0]) && hasRoomFor(value[1])
}

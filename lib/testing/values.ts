/** The values that the tests store, and functions to compare them. */
import type {
  PersistedPacket,
  PersistedPublish,
  PersistedSubscription,
  PersistedWill,
} from '../../types/persistence.ts'
import type { PublishProperties } from '../../types/properties.ts'
import type { StoreUnderTest } from './store-under-test.ts'

export const BROKER_ID = 'boot0'

/** Client Identifiers that a store confuses if it concatenates keys or uses plain objects. */
export const STRANGE_NAMES: readonly string[] = [
  '__proto__',
  'constructor',
  'toString',
  'a',
  'a:b',
  'a:b:c',
  'ab',
  'a/b',
  'a!b',
  '*?[',
  '[a]',
  '🦟',
  ' ',
  '..',
  '%61',
  '\u00e9',
  'e\u0301',
  'A',
  'x'.repeat(1000),
]

export const USER_PROPERTIES: readonly (readonly [string, string])[] = [
  ['b', '1'],
  ['a', '2'],
  ['b', '3'],
  ['b', '3'],
  ['__proto__', 'x'],
  ['10', 'ten'],
  ['9', 'nine'],
  ['', ''],
]

/** Every property that a stored PUBLISH can have. */
export const ALL_PROPERTIES: PublishProperties = {
  payloadFormatIndicator: 1,
  messageExpiryInterval: 4_294_967_295,
  contentType: 'text/plain; charset=utf-8',
  responseTopic: 'answers/here',
  correlationData: Buffer.from([0, 255, 128, 10]),
  userProperties: USER_PROPERTIES,
}

export function publish(fields: Partial<PersistedPublish> = {}): PersistedPublish {
  return {
    cmd: 'publish',
    topic: 'a',
    payload: Buffer.from('x'),
    qos: 1,
    retain: false,
    dup: false,
    brokerId: BROKER_ID,
    brokerCounter: 1,
    ...fields,
  }
}

export function subscription(topic: string, fields: Partial<PersistedSubscription> = {}): PersistedSubscription {
  return { topic, qos: 1, rh: 0, rap: false, nl: false, ...fields }
}

export function will(topic: string, fields: Partial<PersistedWill> = {}): PersistedWill {
  return { topic, payload: Buffer.from('gone'), qos: 1, retain: false, ...fields }
}

export async function listOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

/** Without the fields that are null or undefined, and with every kind of bytes as a Buffer. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).filter(([, field]) => field !== undefined && field !== null)
  return Object.fromEntries(fields.map(([name, field]) => [name, plain(field)]))
}

/** The fields of a message that a store must return. */
export function comparable(store: StoreUnderTest, packet: PersistedPacket | null | undefined): unknown {
  if (packet === undefined || packet === null) return undefined
  if (packet.cmd === 'pubrel') return { cmd: packet.cmd, messageId: packet.messageId }
  const expires = !store.lacks('packet-properties')
  return plain({
    ...contentOf(packet, store.lacks('binary-properties')),
    messageId: packet.messageId,
    ...(expires ? {} : { properties: undefined, messageExpiry: undefined }),
  })
}

/** The fields of a retained message that a store must return. */
export function comparableRetained(store: StoreUnderTest, packet: PersistedPublish | undefined): unknown {
  return packet === undefined ? undefined : plain(contentOf(packet, store.lacks('binary-properties')))
}

/** All fields of a message but its Packet Identifier. */
export function contentOf(packet: PersistedPublish, withoutBinary = false): Record<string, unknown> {
  const { topic, payload, qos, retain, dup, brokerId, brokerCounter, clientId, nl, messageExpiry } = packet
  return {
    topic,
    payload: Buffer.from(payload as string), // a string or a Buffer: `Buffer.from` takes both
    qos,
    retain,
    dup: dup ?? false,
    brokerId,
    brokerCounter,
    clientId,
    nl,
    messageExpiry,
    properties: propertiesOf(packet.properties, withoutBinary),
  }
}

export function comparableWill(store: StoreUnderTest, stored: PersistedWill | null | undefined): unknown {
  if (stored === undefined || stored === null) return undefined
  return plain(willContent(stored, store.lacks('binary-properties')))
}

/** All fields of a Will but its Client and broker. */
export function willContent(stored: PersistedWill, withoutBinary = false): Record<string, unknown> {
  const { topic, payload, qos, retain, dueAt } = stored
  return {
    topic,
    payload: Buffer.from(payload as string),
    qos,
    retain,
    dueAt,
    properties: propertiesOf(stored.properties, withoutBinary),
  }
}

function propertiesOf(properties: object | null | undefined, withoutBinary: boolean): object | undefined {
  if (properties === undefined || properties === null || Object.keys(properties).length === 0) return undefined
  return withoutBinary ? { ...properties, correlationData: undefined } : properties
}

/** Sorts names that a store returns in any order. */
export function sorted(names: Iterable<string>): string[] {
  return [...names].toSorted()
}

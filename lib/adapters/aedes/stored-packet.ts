import { createHash } from 'node:crypto'
import type { PersistedPublish, PersistedTarget } from '../../../types/persistence.ts'
import type { PublishProperties } from '../../../types/properties.ts'
import { messageFields, targetFields, validFields } from '../../storage/records.ts'
import { openEnvelope, putIntoEnvelope } from './envelope.ts'
import { bytesOf, fieldsOf, numberOf, qosOf, stringOf } from './plain-value.ts'
import { RESERVED, storedTopic, topicOf } from './stored-topic.ts'

/** The stored message id of a message in a queue. */
export interface MessageName {
  readonly brokerId: string
  readonly brokerCounter: number
}

/** A packet with every key, so that a store that overwrites only given fields cannot leave an old value. */
export interface StoredPacket extends MessageName {
  readonly cmd: 'publish'
  readonly topic: string
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly dup: boolean
  readonly messageId: number | undefined
  readonly clientId: string
  readonly nl: boolean
  readonly properties: PublishProperties
  readonly messageExpiry: number
}

/** The fields of a message that differ between queues. */
type Target = Omit<PersistedTarget, 'clientId'>

/** The fields for which adapters have no place; they are stored among the Properties. */
interface Ours {
  /** The QoS of the message, if the delivery has a lower one. */
  readonly qos?: number
  /** RETAIN of the message, if the delivery has another. */
  readonly retain?: boolean
  /** The other fields of the message. */
  readonly message?: object
  /** Marks a packet that haltere stored, not aedes. */
  readonly haltere: true
  /** The other fields of the target, under their names. */
  readonly [field: string]: unknown
}

/** A packet of aedes has a place for these; Subscription Identifiers are among its Properties. */
const placesOfMessage = [
  'topic',
  'payload',
  'qos',
  'retain',
  'dup',
  'brokerId',
  'brokerCounter',
  'messageId',
  'clientId',
  'nl',
  'properties',
  'messageExpiry',
]
const placesOfTarget = ['clientId', 'qos', 'retain', 'messageId', 'subscriptionIdentifiers']
const otherFieldsOfMessage = messageFields.all.filter(({ name }) => !placesOfMessage.includes(name))
const otherFieldsOfTarget = targetFields.all.filter(({ name }) => !placesOfTarget.includes(name))

/** Replaces a message after PUBREC, in a store that cannot replace it by a PUBREL. */
const releasedTopic = `${RESERVED}released`
/** Replaces a QoS 2 message from a Client after its publication. */
const acceptedTopic = `${RESERVED}accepted`
/** Marks the end of a queue, to see whether a store returns all of it. */
export const endTopic: string = `${RESERVED}end`

/** The name of a message; aedes stored some without one. */
export function nameOf({ brokerId = '', brokerCounter = 0 }: PersistedPublish): MessageName {
  return { brokerId, brokerCounter }
}

export function nameKey({ brokerId, brokerCounter }: MessageName): string {
  return `${brokerId}/${brokerCounter}`
}

const queueMark = /~[\w-]{16}(?:~\d+)?$/

/**
 * The stored broker id of a message in the queue of one Client. Redis stores one packet for each broker id and counter,
 * and with it one Packet Identifier and QoS for all queues: so the name differs for each queue.
 */
export function queueBrokerId(brokerId: string, clientId: string, copy = 0): string {
  const mark = createHash('sha256').update(clientId).digest('base64url').slice(0, 16)
  return copy === 0 ? `${brokerId}~${mark}` : `${brokerId}~${mark}~${copy}`
}

export function originalBrokerId(brokerId: string): string {
  return brokerId.replace(queueMark, '')
}

/** @param enveloped - true when the store keeps neither Properties nor the expiry. */
export function toStored(
  packet: PersistedPublish,
  name: MessageName,
  enveloped: boolean,
  target?: Target,
  messageId?: number,
): StoredPacket {
  const others = validFields(otherFieldsOfMessage, packet)
  const ours: Ours = {
    haltere: true,
    ...(target !== undefined && target.qos !== packet.qos && { qos: packet.qos }),
    ...(target !== undefined && target.retain !== packet.retain && { retain: packet.retain }),
    ...(target !== undefined && validFields(otherFieldsOfTarget, target)),
    ...(Object.keys(others).length > 0 && { message: others }),
  }
  const identifiers = target?.subscriptionIdentifiers ?? packet.properties?.subscriptionIdentifiers
  const properties: PublishProperties & { ours: Ours } = {
    ...packet.properties,
    ...(packet.properties?.correlationData !== undefined && {
      correlationData: Buffer.from(packet.properties.correlationData),
    }),
    ...(identifiers !== undefined && { subscriptionIdentifiers: identifiers }),
    ours,
  }
  const payload = Buffer.isBuffer(packet.payload) ? packet.payload : Buffer.from(packet.payload)
  return {
    cmd: 'publish',
    brokerId: name.brokerId,
    brokerCounter: name.brokerCounter,
    topic: packet.topic,
    payload: enveloped ? putIntoEnvelope({ properties, messageExpiry: packet.messageExpiry }, payload) : payload,
    qos: target?.qos ?? packet.qos,
    retain: target?.retain ?? packet.retain,
    dup: packet.dup ?? false,
    messageId,
    clientId: packet.clientId ?? '',
    nl: packet.nl ?? false,
    properties: enveloped ? {} : properties,
    messageExpiry: enveloped ? 0 : (packet.messageExpiry ?? 0),
  }
}

/** A PUBLISH that marks a state and is not a message. */
function placeholder(topic: string, name: MessageName, messageId: number): StoredPacket {
  return toStored({ cmd: 'publish', topic, payload: '', qos: 2, retain: false }, name, false, undefined, messageId)
}

export function releasedPlaceholder(name: MessageName, messageId: number): StoredPacket {
  return placeholder(releasedTopic, name, messageId)
}

export function acceptedPlaceholder(name: MessageName, messageId: number): StoredPacket {
  return placeholder(acceptedTopic, name, messageId)
}

/** A packet of a store. */
export interface ReadPacket {
  /** `released` and `pubrel` are the same to the broker: PUBREC was received. */
  readonly kind: 'message' | 'pubrel' | 'released' | 'accepted' | 'end'
  /** The stored name. */
  readonly stored: MessageName
  readonly packet: PersistedPublish
  readonly target: Target
  readonly messageId: number | undefined
  /** False for a packet of aedes. */
  readonly isOurs: boolean
}

export function fromStored(raw: unknown): ReadPacket {
  const fields = fieldsOf(raw)
  const stored = storedName(fields)
  const outside = fieldsOf(fields.properties)
  let payload = bytesOf(fields.payload)
  // A packet with Properties has no envelope, whatever its first bytes are.
  const envelope = Object.keys(outside).length === 0 ? openEnvelope(payload) : undefined
  if (envelope !== undefined) payload = envelope.payload
  const { ours, ...properties } = envelope === undefined ? outside : fieldsOf(envelope.fields.properties)
  const extra = fieldsOf(ours)
  const messageExpiry = numberOf((envelope?.fields ?? fields).messageExpiry)
  const { subscriptionIdentifiers, ...messageProperties } = properties as PublishProperties
  const messageId = numberOf(fields.messageId)
  const qos = qosOf(fields.qos)
  const retain = fields.retain === true
  const topic = topicOf(stringOf(fields.topic) ?? '')
  const clientId = stringOf(fields.clientId)
  const packet: PersistedPublish = {
    cmd: 'publish',
    topic,
    payload,
    qos: extra.qos === undefined ? qos : qosOf(extra.qos),
    retain: typeof extra.retain === 'boolean' ? extra.retain : retain,
    brokerId: originalBrokerId(stored.brokerId),
    brokerCounter: stored.brokerCounter,
    ...(fields.dup === true && { dup: true }),
    ...(clientId !== undefined && { clientId }),
    ...(fields.nl === true && { nl: true }),
    ...(Object.keys(messageProperties).length > 0 && { properties: messageProperties }),
    ...(messageExpiry !== undefined && { messageExpiry }),
    ...validFields(otherFieldsOfMessage, fieldsOf(extra.message)),
  }
  const target: Target = {
    qos,
    retain,
    ...(subscriptionIdentifiers !== undefined && { subscriptionIdentifiers }),
    ...validFields(otherFieldsOfTarget, extra),
    ...(messageId !== undefined && { messageId }),
  }
  return { kind: kindOf(fields.cmd, topic), stored, packet, target, messageId, isOurs: extra.haltere === true }
}

function kindOf(cmd: unknown, topic: string): ReadPacket['kind'] {
  if (cmd === 'pubrel') return 'pubrel'
  if (topic === releasedTopic) return 'released'
  if (topic === acceptedTopic) return 'accepted'
  return topic === endTopic ? 'end' : 'message'
}

/**
 * A PUBREL that replaces the packet with its Packet Identifier. Most adapters replace by identifier only if there is no
 * broker id, so the counter has the name as a string.
 */
export function pubrelByIdentifier(name: MessageName, messageId: number): MessageName & { messageId: number } {
  const pubrel = { cmd: 'pubrel', messageId, brokerId: '', brokerCounter: nameKey(name) }
  return pubrel as unknown as MessageName & { messageId: number } // The counter is a string here, and only here.
}

function storedName(fields: Readonly<Record<string, unknown>>): MessageName {
  const { brokerId, brokerCounter } = fields
  if (typeof brokerId === 'string' && brokerId !== '') return { brokerId, brokerCounter: numberOf(brokerCounter) ?? 0 }
  const name = typeof brokerCounter === 'string' ? brokerCounter : ''
  const slash = name.lastIndexOf('/')
  if (slash === -1) return { brokerId: '', brokerCounter: numberOf(brokerCounter) ?? 0 }
  return { brokerId: name.slice(0, slash), brokerCounter: Number(name.slice(slash + 1)) }
}

/** The stored form of a retained message, whose topic must fit into a trie. */
export function toRetained(packet: PersistedPublish, enveloped: boolean): StoredPacket {
  const stored = {
    ...toStored(packet, nameOf(packet), enveloped && packet.payload.length > 0),
    topic: storedTopic(packet.topic),
  }
  return { ...stored, retain: true }
}

import type { EmitterMessage } from '../../types/emitter.ts'
import { carriesTopic, isOfEmitter } from './emitters/index.ts'
import { copyPlainData } from './plain-data.ts'

/**
 * The version of these packets. All brokers on one emitter must have the same; a packet without one has version 1. It
 * goes up with every change that an earlier broker would misunderstand.
 */
export const PROTOCOL_VERSION = 2

/**
 * The packets that brokers send each other. On the emitter, `brokerId` is the origin and `cmd` says whether the packet
 * is a message (`publish`) or a control packet (`haltere`), so that no message of a Client passes for a control packet.
 *
 * A packet with a `sequence` has a place in the order of its origin. The others have `last`, the latest place that
 * their origin has given, so that each of them shows a loss before it.
 */
export type ClusterPacket =
  | (Sequenced & { readonly type: 'message'; readonly message: EmitterMessage })
  | (Sequenced & {
      readonly type: 'notice'
      readonly kind: string
      readonly body: unknown
      /** The peer that is notified; all when absent. */
      readonly to: string | undefined
    })
  | (Sequenced & {
      readonly type: 'request'
      readonly kind: string
      readonly body: unknown
      readonly request: number
      /** The peer that is asked; all when absent. */
      readonly to: string | undefined
    })
  | (Unsequenced & {
      readonly type: 'response'
      readonly to: string
      readonly request: number
      readonly body: unknown
      readonly failed: boolean
    })
  /** The response to a join has the `members` that the broker knows. A broker that is starting omits them. */
  | (Unsequenced & { readonly type: 'heartbeat'; readonly members: readonly string[] | undefined })
  | (Unsequenced & { readonly type: 'join' })
  | (Unsequenced & { readonly type: 'leave' })
  /** From a program that is not haltere: a broker with an id, or a program without one. */
  | { readonly type: 'foreign message'; readonly message: EmitterMessage }
  /** From a broker with another version of these packets; nothing else of it is read. */
  | { readonly type: 'other version'; readonly from: string; readonly version: number }

/** A packet with a place in the order of its origin, or with the latest place. */
export type MemberPacket = Exclude<ClusterPacket, { readonly type: 'foreign message' | 'other version' }>

interface Sequenced {
  readonly from: string
  readonly sequence: number
}

interface Unsequenced {
  readonly from: string
  readonly last: number
}

/** A packet for the emitter, which may add fields to it. */
export interface PacketOnEmitter {
  topic: string
  [field: string]: unknown
}

const RESERVED = '$haltere/'
const MAX_ID_LENGTH = 1_024
export const MAX_MEMBERS = 1_024

/** A message as it is on the emitter: the packet of aedes, with its place in the order of its origin. */
export function messageOnEmitter(message: { readonly topic: string }, from: string, sequence: number): PacketOnEmitter {
  const fields = copyPlainData(message) as PacketOnEmitter
  fields.cmd = 'publish'
  fields.brokerId = from
  fields.sequence = sequence
  fields.version = PROTOCOL_VERSION
  if (carriesTopic(message.topic)) return fields
  return { ...controlOnEmitter('message', from, { sequence }), message: fields }
}

/** A control packet as it is on the emitter. */
export function controlOnEmitter(
  type: MemberPacket['type'],
  from: string,
  fields: Record<string, unknown>,
): PacketOnEmitter {
  return { ...fields, topic: RESERVED + type, cmd: 'haltere', brokerId: from, version: PROTOCOL_VERSION }
}

export function isFrom(received: EmitterMessage, id: string): boolean {
  try {
    return (received as EmitterMessage | null | undefined)?.brokerId === id
  } catch {
    return false
  }
}

/** Reads a packet from the emitter, which may carry anything; undefined when it is not for this broker. */
export function readClusterPacket(received: EmitterMessage, self: string): ClusterPacket | undefined {
  if (typeof received !== 'object' || received === null) return undefined
  let from: unknown
  let fields: Record<string, unknown>
  try {
    from = received.brokerId
    if (from === self || (from !== undefined && from !== null && !isId(from))) return undefined
    fields = copyPlainData(received) as Record<string, unknown>
  } catch {
    return undefined // Too deep, without end, or not readable.
  }
  if (fields.cmd === undefined || (fields.cmd === 'publish' && fields.sequence === undefined))
    return readForeign(fields)
  if (!isId(from)) return undefined
  if (fields.cmd === 'publish') return otherVersion(fields, from) ?? readMessage(fields, from)
  if (fields.cmd !== 'haltere' || typeof fields.topic !== 'string' || !fields.topic.startsWith(RESERVED))
    return undefined
  return otherVersion(fields, from) ?? readControl(fields.topic.slice(RESERVED.length), fields, from)
}

function otherVersion({ version = 1 }: Record<string, unknown>, from: string): ClusterPacket | undefined {
  if (version === PROTOCOL_VERSION) return undefined
  return { type: 'other version', from, version: isCount(version) ? version : Number.NaN }
}

function readForeign(fields: Record<string, unknown>): ClusterPacket | undefined {
  const { topic } = fields
  if (typeof topic !== 'string' || topic.startsWith(RESERVED) || isOfEmitter(topic)) return undefined
  return { type: 'foreign message', message: fields as EmitterMessage }
}

function readMessage(fields: Record<string, unknown>, from: string): ClusterPacket | undefined {
  if (typeof fields.topic !== 'string') return undefined
  const { sequence } = fields
  if (!isCount(sequence) || sequence === 0) return undefined
  return { type: 'message', from, sequence, message: fields as EmitterMessage }
}

function readControl(type: string, fields: Record<string, unknown>, from: string): ClusterPacket | undefined {
  const { sequence, last, kind, body, request, to, message } = fields
  switch (type) {
    case 'message':
      if (typeof message !== 'object') return undefined
      return readMessage({ ...message, cmd: 'publish', brokerId: from, sequence: sequence ?? 0 }, from)
    case 'notice':
      if (!isCount(sequence) || sequence === 0 || typeof kind !== 'string') return undefined
      if (to !== undefined && !isId(to)) return undefined
      return { type, from, sequence, kind, body, to }
    case 'request':
      if (!isCount(sequence) || sequence === 0 || typeof kind !== 'string' || !isCount(request)) return undefined
      if (to !== undefined && !isId(to)) return undefined
      return { type, from, sequence, kind, body, request, to }
    case 'response':
      if (!isCount(last) || !isId(to) || !isCount(request)) return undefined
      return { type, from, last, to, request, body, failed: fields.failed === true }
    case 'heartbeat':
      return isCount(last) ? { type, from, last, members: readMembers(fields.members) } : undefined
    case 'join':
    case 'leave':
      return isCount(last) ? { type, from, last } : undefined
    default:
      return undefined
  }
}

function readMembers(members: unknown): readonly string[] | undefined {
  if (!Array.isArray(members) || members.length > MAX_MEMBERS) return undefined
  return members.filter(isId)
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= MAX_ID_LENGTH
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

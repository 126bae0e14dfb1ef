import type { EmitterMessage } from '../../types/emitter.ts'
import { copyPlainData } from './plain-data.ts'

/**
 * What brokers say to each other. On the emitter, `brokerId` is the origin and `cmd` says whether it is a message of
 * MQTT (`publish`) or ours (`haltere`), so that nothing that a Client publishes can be taken for ours.
 *
 * A packet with a `sequence` has a place in the order of its origin. The others have `last`, the latest place that
 * their origin has given, so that each of them tells of a loss before it.
 */
export type ClusterPacket =
  | (Sequenced & { readonly type: 'message'; readonly message: EmitterMessage })
  | (Sequenced & { readonly type: 'notice'; readonly kind: string; readonly body: unknown })
  | (Sequenced & {
      readonly type: 'question'
      readonly kind: string
      readonly body: unknown
      readonly question: number
      /** Who is asked; all when absent. */
      readonly to: string | undefined
    })
  | (Unsequenced & {
      readonly type: 'answer'
      readonly to: string
      readonly question: number
      readonly body: unknown
      readonly failed: boolean
    })
  /** With `members`, whom it knows, as the answer to a hello. A broker that is still starting leaves them out. */
  | (Unsequenced & { readonly type: 'heartbeat'; readonly members: readonly string[] | undefined })
  | (Unsequenced & { readonly type: 'hello' })
  | (Unsequenced & { readonly type: 'goodbye' })
  /** From a broker of another kind. */
  | { readonly type: 'foreign message'; readonly from: string; readonly message: EmitterMessage }

interface Sequenced {
  readonly from: string
  readonly sequence: number
}

interface Unsequenced {
  readonly from: string
  readonly last: number
}

/** What is put onto the emitter. It is nobody else's, so that more fields may be added. */
export interface PacketOnEmitter {
  topic: string
  [field: string]: unknown
}

const RESERVED = '$haltere/'
// mqemitter throws for more than 100 levels, mqemitter-redis does so in whoever receives, and a prefix has levels too.
const MAXIMUM_LEVELS = 64
const MAXIMUM_ID_LENGTH = 1_024
export const MAXIMUM_MEMBERS = 1_024

/** A message as it is put onto the emitter: as aedes has it, with its place in our order. */
export function messageOnEmitter(message: { readonly topic: string }, from: string, sequence: number): PacketOnEmitter {
  const fields = copyPlainData(message) as PacketOnEmitter
  fields.cmd = 'publish'
  fields.brokerId = from
  fields.sequence = sequence
  if (canBeTopicOfEmitter(message.topic)) return fields
  return { ...controlOnEmitter('message', from, { sequence }), message: fields }
}

/** One of our own, as it is put onto the emitter. */
export function controlOnEmitter(
  type: Exclude<ClusterPacket['type'], 'foreign message'>,
  from: string,
  fields: Record<string, unknown>,
): PacketOnEmitter {
  return { ...fields, topic: RESERVED + type, cmd: 'haltere', brokerId: from }
}

export function isFrom(received: EmitterMessage, id: string): boolean {
  try {
    return (received as EmitterMessage | null | undefined)?.brokerId === id
  } catch {
    return false
  }
}

/** Reads what came from the emitter, where anybody may put anything; undefined when it is nothing for us. */
export function readClusterPacket(received: EmitterMessage, self: string): ClusterPacket | undefined {
  let from: unknown
  let fields: Record<string, unknown>
  try {
    from = (received as EmitterMessage | null | undefined)?.brokerId
    if (from === self || !isId(from)) return undefined
    fields = copyPlainData(received) as Record<string, unknown>
  } catch {
    return undefined // Too deep, without end, or not to be read at all.
  }
  if (fields.cmd === 'publish') return readMessage(fields, from)
  if (fields.cmd !== 'haltere' || typeof fields.topic !== 'string' || !fields.topic.startsWith(RESERVED))
    return undefined
  return readControl(fields.topic.slice(RESERVED.length), fields, from)
}

function readMessage(fields: Record<string, unknown>, from: string): ClusterPacket | undefined {
  if (typeof fields.topic !== 'string') return undefined
  const message = fields as EmitterMessage
  const { sequence } = fields
  if (sequence === undefined) return { type: 'foreign message', from, message }
  return isCount(sequence) && sequence > 0 ? { type: 'message', from, sequence, message } : undefined
}

function readControl(type: string, fields: Record<string, unknown>, from: string): ClusterPacket | undefined {
  const { sequence, last, kind, body, question, to, message } = fields
  switch (type) {
    case 'message':
      if (typeof message !== 'object') return undefined
      return readMessage({ ...message, cmd: 'publish', brokerId: from, sequence: sequence ?? 0 }, from)
    case 'notice':
      if (!isCount(sequence) || sequence === 0 || typeof kind !== 'string') return undefined
      return { type, from, sequence, kind, body }
    case 'question':
      if (!isCount(sequence) || sequence === 0 || typeof kind !== 'string' || !isCount(question)) return undefined
      if (to !== undefined && !isId(to)) return undefined
      return { type, from, sequence, kind, body, question, to }
    case 'answer':
      if (!isCount(last) || !isId(to) || !isCount(question)) return undefined
      return { type, from, last, to, question, body, failed: fields.failed === true }
    case 'heartbeat':
      return isCount(last) ? { type, from, last, members: readMembers(fields.members) } : undefined
    case 'hello':
    case 'goodbye':
      return isCount(last) ? { type, from, last } : undefined
    default:
      return undefined
  }
}

function readMembers(members: unknown): readonly string[] | undefined {
  if (!Array.isArray(members) || members.length > MAXIMUM_MEMBERS) return undefined
  return members.filter(isId)
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= MAXIMUM_ID_LENGTH
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function canBeTopicOfEmitter(topic: string): boolean {
  if (topic === '__sentinel__:hello') return false // mqemitter-redis takes it for something else.
  let levels = 1
  for (let slash = topic.indexOf('/'); slash !== -1; slash = topic.indexOf('/', slash + 1)) levels += 1
  return levels <= MAXIMUM_LEVELS
}

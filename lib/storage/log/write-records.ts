import type { Writer } from '../../packets/writer.ts'
import type {
  PersistedPublish,
  PersistedPubrel,
  PersistedSubscription,
  PersistedTarget,
  PersistedWill,
  PersistenceOperation,
} from '../../../types/persistence.ts'
import type { Entry } from '../memory/stored-queue.ts'
import type { StoredState } from '../memory/stored-state.ts'
import { messageFields, sessionFields, subscriptionFields, targetFields, willFields } from '../records.ts'
import { MessageFlag, RecordKind, TargetFlag, UNKNOWN, WillFlag } from './record-kinds.ts'
import { writeDouble, writeFields } from './write-fields.ts'

/** A change that can be written. Changes of the methods of aedes are only in journals of version 1. */
export type WrittenChange =
  | PersistenceOperation
  /** A Packet Identifier without its PUBLISH, which is not needed any more. */
  | { readonly kind: 'incoming'; readonly clientId: string; readonly messageId: number }

/**
 * `order` is the first order number of the change. With a state, the order of a message in a queue is written beside
 * its message id: a journal that is read later may lack the message, and must not search for it.
 */
export function writeChange(writer: Writer, change: WrittenChange, order: number, state?: StoredState): void {
  const start = beginRecord(writer, RecordKind[change.kind])
  switch (change.kind) {
    case 'publish':
      writeDouble(writer, order)
      writer.uint8((change.retain ? 1 : 0) | (change.incoming === undefined ? 0 : 2))
      if (change.incoming !== undefined) {
        writer.string(change.incoming.clientId)
        writer.uint16(change.incoming.messageId)
      }
      writer.uint32(change.targets.length)
      for (const target of change.targets) writeTarget(writer, target.clientId, target, target.messageId)
      writePublish(writer, change.packet)
      break
    case 'session':
      writeDouble(writer, order)
      writer.string(change.clientId)
      writeDouble(writer, change.session.expiryInterval)
      writeFields(writer, sessionFields, change.session)
      writer.uint8(0)
      break
    case 'subscribe':
      writeDouble(writer, order)
      writer.string(change.clientId)
      writer.uint32(change.subscriptions.length)
      for (const subscription of change.subscriptions) writeSubscription(writer, subscription)
      break
    case 'unsubscribe':
      writer.string(change.clientId)
      writer.uint32(change.topicFilters.length)
      for (const topicFilter of change.topicFilters) writer.string(topicFilter)
      break
    case 'send':
      writer.string(change.clientId)
      writer.string(change.brokerId)
      writeDouble(writer, change.brokerCounter)
      writer.uint16(change.messageId)
      writeDouble(
        writer,
        state?.outgoing.get(change.clientId)?.waitingOrder(change.brokerId, change.brokerCounter) ?? UNKNOWN,
      )
      break
    case 'release':
    case 'complete':
    case 'incoming done':
      writer.string(change.clientId)
      writer.uint16(change.messageId)
      break
    case 'discard':
      writer.string(change.brokerId)
      writeDouble(writer, change.brokerCounter)
      writer.uint32(change.clientIds.length)
      for (const clientId of change.clientIds) {
        writer.string(clientId)
        const [entry] = state?.outgoing.get(clientId)?.namedAll(change.brokerId, change.brokerCounter) ?? []
        writeDouble(writer, entry?.order ?? UNKNOWN)
      }
      break
    case 'incoming':
      writeDouble(writer, order)
      writer.string(change.clientId)
      writer.uint16(change.messageId)
      break
    case 'will':
      writeDouble(writer, order)
      writer.string(change.clientId)
      writer.uint8(change.will === undefined ? 0 : 1)
      if (change.will !== undefined) writeWill(writer, change.will)
      break
    case 'end session':
      writer.string(change.clientId)
  }
  endRecord(writer, start)
}

/** Writes a message with its remaining places in queues. */
export function writeKept(
  writer: Writer,
  packet: PersistedPublish,
  order: number,
  retained: boolean,
  entries: readonly { readonly clientId: string; readonly entry: Entry }[],
): void {
  const start = beginRecord(writer, RecordKind.kept)
  writeDouble(writer, order)
  writer.uint8(retained ? 1 : 0)
  writer.uint32(entries.length)
  for (const { clientId, entry } of entries) {
    writeDouble(writer, entry.order)
    writeTarget(writer, clientId, entry.own, entry.messageId)
  }
  writePublish(writer, packet)
  endRecord(writer, start)
}

export function writeKeptPubrel(writer: Writer, clientId: string, entry: Entry, pubrel: PersistedPubrel): void {
  const start = beginRecord(writer, RecordKind['kept pubrel'])
  writeDouble(writer, entry.order)
  writeTarget(writer, clientId, entry.own, entry.messageId)
  writePubrel(writer, pubrel)
  endRecord(writer, start)
}

function beginRecord(writer: Writer, kind: number): number {
  writer.uint8(kind)
  writer.uint32(0)
  return writer.length
}

function endRecord(writer: Writer, start: number): void {
  writer.buffer.writeUInt32BE(writer.length - start, start - 4)
}

type Own = Omit<PersistedTarget, 'clientId' | 'messageId'>

function writeTarget(writer: Writer, clientId: string, own: Own, messageId: number | undefined): void {
  writer.string(clientId)
  const flagsAt = writer.length
  writer.uint8(own.qos | (own.retain ? TargetFlag.retain : 0) | (messageId === undefined ? 0 : TargetFlag.messageId))
  if (messageId !== undefined) writer.uint16(messageId)
  const start = writer.length
  writeFields(writer, targetFields, own)
  if (writer.length > start) endFields(writer, flagsAt, TargetFlag.fields)
}

/** Most targets and messages have no fields, so a flag marks those that have some. */
function endFields(writer: Writer, flagsAt: number, flag: number): void {
  writer.uint8(0)
  writer.buffer[flagsAt]! |= flag
}

function writePayload(writer: Writer, payload: Buffer | string): void {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
  writer.uint32(bytes.length)
  writer.bytes(bytes)
}

function writePublish(writer: Writer, packet: PersistedPublish): void {
  const { brokerId, brokerCounter, clientId, payload } = packet
  writer.string(packet.topic)
  const flagsAt = writer.length
  writer.uint8(
    packet.qos |
      (packet.retain ? MessageFlag.retain : 0) |
      (typeof payload === 'string' ? MessageFlag.stringPayload : 0) |
      (brokerId === undefined ? 0 : MessageFlag.brokerId) |
      (brokerCounter === undefined ? 0 : MessageFlag.brokerCounter) |
      (clientId === undefined ? 0 : MessageFlag.clientId),
  )
  if (brokerId !== undefined) writer.string(brokerId)
  if (brokerCounter !== undefined) writeDouble(writer, brokerCounter)
  if (clientId !== undefined) writer.string(clientId)
  writePayload(writer, payload)
  const start = writer.length
  writeFields(writer, messageFields, packet)
  if (writer.length > start) endFields(writer, flagsAt, MessageFlag.fields)
}

function writePubrel(writer: Writer, { messageId, brokerId, brokerCounter }: PersistedPubrel): void {
  writer.uint16(messageId)
  writer.uint8((brokerId === undefined ? 0 : 1) | (brokerCounter === undefined ? 0 : 2))
  if (brokerId !== undefined) writer.string(brokerId)
  if (brokerCounter !== undefined) writeDouble(writer, brokerCounter)
}

function writeSubscription(writer: Writer, subscription: PersistedSubscription): void {
  writer.string(subscription.topic)
  writer.uint8(subscription.qos)
  writeFields(writer, subscriptionFields, subscription)
  writer.uint8(0)
}

function writeWill(writer: Writer, will: PersistedWill): void {
  writer.string(will.topic)
  writer.uint8(
    will.qos | (will.retain ? WillFlag.retain : 0) | (typeof will.payload === 'string' ? WillFlag.stringPayload : 0),
  )
  writePayload(writer, will.payload)
  writeFields(writer, willFields, will)
  writer.uint8(0)
}

import type { Writer } from '../../packets/writer.ts'
import type { PersistedSubscription } from '../../../types/persistence.ts'
import { type Entry, packetIn, SharedMessage, type StoredMessage } from '../memory/stored-queue.ts'
import type { StoredState } from '../memory/stored-state.ts'
import type { RecordReader } from './record-reader.ts'
import { RecordKind } from './record-kinds.ts'
import { writeChange, writeKept, writeKeptPubrel } from './write-records.ts'

/** Larger records would block the event loop for too long. */
const MAX_RECORD_ENTRIES = 2000

interface Place {
  readonly clientId: string
  readonly entry: Entry
}

/**
 * Writes the live objects of a record again, as they are now. A journal without the old record then has the same state:
 * changes in between do not find the object, and the new record has it with all these changes.
 */
export function rewriteRecord(reader: RecordReader, state: StoredState, writer: Writer): void {
  const kind = reader.begin()
  switch (kind) {
    case RecordKind.publish:
    case RecordKind.kept:
      rewriteMessage(reader, kind === RecordKind.kept, state, writer)
      break
    case RecordKind['kept pubrel']: {
      const order = reader.integer()
      const { clientId } = reader.target()
      const entry = state.outgoing.get(clientId)?.find(order)
      if (entry !== undefined) writePlaces(writer, [{ clientId, entry }])
      break
    }
    case RecordKind.session: {
      const order = reader.integer()
      const clientId = reader.string()
      const session = state.sessions.get(clientId)
      if (session?.order === order) writeChange(writer, { kind: 'session', clientId, session: session.value }, order)
      break
    }
    case RecordKind.subscribe: {
      const order = reader.integer()
      const clientId = reader.string()
      const stored = state.subscriptions.get(clientId)
      const subscriptions: PersistedSubscription[] = []
      for (let left = stored === undefined ? 0 : reader.uint32(); left > 0; left -= 1) {
        const now = stored?.get(reader.subscription().topic)
        if (now?.order === order) subscriptions.push(now.subscription)
      }
      if (subscriptions.length > 0) writeChange(writer, { kind: 'subscribe', clientId, subscriptions }, order)
      break
    }
    case RecordKind.incoming: {
      const order = reader.integer()
      rewriteIncoming(reader.string(), reader.uint16(), order, state, writer)
      break
    }
    case RecordKind.will: {
      const order = reader.integer()
      const clientId = reader.string()
      const will = state.wills.get(clientId)
      if (will?.order === order) writeChange(writer, { kind: 'will', clientId, will: will.value }, order)
    }
  }
  reader.skip()
}

function rewriteMessage(reader: RecordReader, isKept: boolean, state: StoredState, writer: Writer): void {
  const order = reader.integer()
  const { retain, incoming } = reader.publishHead()
  if (incoming !== undefined) rewriteIncoming(incoming.clientId, incoming.messageId, order, state, writer)
  const places: Place[] = []
  const count = reader.uint32()
  for (let index = 0; index < count; index += 1) {
    const entryOrder = isKept ? reader.integer() : order + index
    const { clientId } = reader.target()
    const entry = state.outgoing.get(clientId)?.find(entryOrder)
    if (entry !== undefined) places.push({ clientId, entry })
  }
  const retained = retain ? state.retained.get(reader.string()) : undefined
  const isRetained = retained?.order === order
  writePlaces(writer, places, isRetained ? retained.value : undefined, order)
}

function rewriteIncoming(clientId: string, messageId: number, order: number, state: StoredState, writer: Writer): void {
  const incoming = state.incoming.get(clientId)?.get(messageId)
  if (incoming?.order !== order) return
  writeChange(writer, { kind: 'incoming', clientId, messageId }, order)
}

function writePlaces(writer: Writer, places: readonly Place[], retained?: StoredMessage, order = 0): void {
  const byMessage = new Map<StoredMessage, Place[]>()
  if (retained !== undefined) byMessage.set(retained, [])
  for (const place of places) {
    const { content } = place.entry
    if (!(content instanceof SharedMessage) && content.cmd === 'pubrel') {
      writeKeptPubrel(writer, place.clientId, place.entry, content)
      continue
    }
    const same = byMessage.get(content)
    if (same === undefined) byMessage.set(content, [place])
    else same.push(place)
  }
  for (const [message, same] of byMessage) {
    for (let from = 0; from === 0 || from < same.length; from += MAX_RECORD_ENTRIES) {
      const isRetained = message === retained && from === 0
      writeKept(writer, packetIn(message), order, isRetained, same.slice(from, from + MAX_RECORD_ENTRIES))
    }
  }
}

/**
 * The form of a change in the journal, version 2. Numbers are big-endian, a string is a length of two bytes and UTF-8,
 * `order` is a double: each stored object has an order number, so that it is still the same when it is written again.
 *
 *     record        kind(1) length(4) body
 *     publish       order flags(1: 1 retain, 2 incoming) [Client Identifier, Packet Identifier(2)] count(4) targets message
 *     kept          order flags(1) count(4) (order target)… message
 *     kept pubrel   order target Packet Identifier(2) flags(1: 1 broker id, 2 counter) [broker id] [counter(8)]
 *     session       order Client Identifier, expiry interval(8) fields
 *     subscribe     order Client Identifier, count(4) subscriptions
 *     will          order Client Identifier, 1 if there is one(1) [Will]
 *     incoming      order Client Identifier, Packet Identifier(2)
 *     …             others: see write-records.ts
 *
 *     message       topic flags(1) [broker id] [counter(8)] [Client Identifier] payload [fields]
 *     target        Client Identifier, flags(1) [Packet Identifier(2)] [fields]
 *     subscription  topic QoS(1) fields
 *     Will          topic flags(1) payload fields
 *     payload       length(4) bytes
 *     fields        (key(1) value)… 0(1)
 *
 * A key has the number of the field (records.ts) in its lower five bits and the form of the value in the upper three:
 * 1, 2, 4 or 8 bytes, or a length of two or four bytes before them. A field that this version does not know is
 * skipped; it stays with the object as `unknownFields`, and a compaction writes it again with the object. At the end of
 * a record there may be more fields, without the 0: they are skipped and not written again.
 */
import type { LogRecord } from '../memory/stored-state.ts'

/** The kinds of records. A number is never used for another kind: that would be another version of the format. */
export const RecordKind: Readonly<Record<LogRecord['kind'] | 'kept' | 'kept pubrel', number>> = {
  publish: 1,
  session: 2,
  'end session': 3,
  subscribe: 4,
  unsubscribe: 5,
  send: 6,
  release: 7,
  complete: 8,
  discard: 9,
  incoming: 10,
  'incoming done': 11,
  will: 12,
  // These four are in version 1 only.
  update: 13,
  'clean subscriptions': 14,
  'clean outgoing': 15,
  'clean incoming': 16,
  /** A message that compaction wrote: each target has an order number of its own. */
  kept: 17,
  /** A PUBREL in a queue that compaction wrote. */
  'kept pubrel': 18,
}

/** No order number. */
export const UNKNOWN = -1

/** Kind and length. */
export const RECORD_HEADER = 5

/** The flags of a message, beside the QoS in the lowest two bits. */
export const MessageFlag = {
  retain: 4,
  /** The payload was a string. */
  stringPayload: 8,
  brokerId: 16,
  brokerCounter: 32,
  clientId: 64,
  fields: 128,
} as const

/** The flags of a target, beside the QoS. */
export const TargetFlag = { retain: 4, messageId: 8, fields: 16 } as const

/** The flags of a Will, beside the QoS. */
export const WillFlag = { retain: 4, stringPayload: 8 } as const

/**
 * What a change looks like in the journal: its kind, the length of the rest, and the rest. Numbers are big-endian; all
 * that is kept carries its order number, so that it can be written down again later and is still the same.
 */
import type { LogRecord } from '../memory/log-record.ts'

/** The kinds of records. A number is never used for something else: that would be another version of the format. */
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
  update: 13,
  'clean subscriptions': 14,
  'clean outgoing': 15,
  'clean incoming': 16,
  /** A message that was written down again: each of its targets has an order number of its own. */
  kept: 17,
  /** A PUBREL in a queue that was written down again. */
  'kept pubrel': 18,
}

/** No order number. */
export const UNKNOWN = -1

/** Kind and length. */
export const RECORD_HEADER = 5

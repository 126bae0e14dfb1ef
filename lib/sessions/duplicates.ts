import type { MessageIdSet } from '../messages/message-id-set.ts'
import { type MessageId, messageIdText } from '../messages/message-id.ts'
import type { Publication } from '../messages/publication.ts'
import type { Delivery } from './delivery.ts'

/** Whether one of the deliveries has this message id. */
export function isAmong(deliveries: Iterable<Delivery>, id: MessageId): boolean {
  const text = messageIdText(id)
  for (const { content } of deliveries) {
    if (content.stored !== undefined && messageIdText(content.stored) === text) return true
  }
  return false
}

/** Whether a session has already received this replayed message, or this message of a peer. */
export function isDuplicate(
  { queued, replay, fromPeer }: Publication,
  session: { readonly recoveredIds: MessageIdSet | undefined; hasSeen(id: MessageId): boolean },
): boolean {
  const { stored } = queued
  if (stored === undefined) return false
  if (replay !== undefined) return session.hasSeen(stored)
  return fromPeer && session.recoveredIds?.has(stored) === true
}

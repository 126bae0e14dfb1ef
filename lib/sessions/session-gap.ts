import type { MessageId } from '../messages/message-id.ts'
import type { Publication } from '../messages/publication.ts'
import type { Refusal } from '../messages/subscriber.ts'
import type { Delivery } from './delivery.ts'
import type { SessionStorage } from './session-storage.ts'

/**
 * Set for a session that may lack messages that a peer stored for it, until its queue is read again from the storage.
 * Only the cluster sets it.
 */
export interface SessionGap {
  /** A delivery that is stored. It must not be sent before the messages that may be lacking [MQTT-4.6.0-6]. */
  defer(delivery: Delivery): void
  /** The message has left the session. */
  finished(id: MessageId | undefined): void
}

interface SessionWithGap {
  readonly gap: SessionGap | undefined
  hasRoomFor(publication: Publication, isSentNow: boolean): boolean
}

/** Stores the message as a peer would, because messages that may be lacking come before it. */
export function deferToGap(
  session: SessionWithGap,
  storage: SessionStorage,
  publication: Publication,
  delivery: Delivery,
): Refusal | undefined {
  if (delivery.storage === 'none') {
    if (!session.hasRoomFor(publication, false)) return 'queue-full'
    storage.queuedAsByPeer(publication, delivery)
  }
  session.gap?.defer(delivery)
  return undefined
}

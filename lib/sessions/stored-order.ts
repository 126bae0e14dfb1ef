import { Publication } from '../messages/publication.ts'
import type { QueuedMessage } from '../messages/queued-message.ts'
import type { Delivery } from './delivery.ts'
import type { SessionStorage } from './session-storage.ts'

// A queue can have two copies of a message, from two subscriptions. The storage discards by message id, so both of them.

/** Whether `last`, the delivery just before in the queue, is of the same message. */
export function isSecondCopy(
  { content, via }: Delivery,
  last: Delivery | undefined,
  { isDurable }: SessionStorage,
): boolean {
  return isDurable && via.sharedFilter !== undefined && last?.content === content
}

/** Gives a second copy a message id of its own, so that the storage can discard one without the other. */
export function separate(
  delivery: Delivery,
  queue: { addSize(content: QueuedMessage): void; removeSize(content: QueuedMessage): void },
): Publication {
  const publication = Publication.copyOf(delivery)
  queue.removeSize(delivery.content)
  delivery.content = publication.queued
  queue.addSize(delivery.content)
  return publication
}

/**
 * These deliveries were discarded. To preserve the order, all messages from the first one on that the storage has
 * discarded too are stored again.
 */
export function storeInOrder(storage: SessionStorage, queue: Iterable<Delivery>, orphans: readonly Delivery[]): void {
  const removed = new Set(orphans.map(({ content }) => content))
  const queued = [...queue]
  const first = queued.findIndex(({ content }) => removed.has(content))
  if (first === -1) return
  const rest = queued.slice(first)
  const discarded = new Set(removed)
  for (const delivery of rest) {
    if (!discarded.has(delivery.content)) storage.discarded(delivery)
    discarded.add(delivery.content)
  }
  for (const delivery of rest) storage.queued(undefined, delivery)
}

import type { Subscription } from '../messages/subscriber.ts'
import type { SessionRegistry } from './session-registry.ts'
import type { Session } from './session.ts'

/** A subscription that is not committed, and the one that it replaced. */
export interface NewSubscription {
  readonly subscription: Subscription
  readonly previous: Subscription | undefined
}

// The subscriptions before rejected ones, which later ones of the same Client have replaced already.
const before = new WeakMap<Subscription, Subscription | undefined>()

/** Whether the retained messages are sent (section 3.8.3.1). */
export function sendsRetained({ subscription, previous }: NewSubscription): boolean {
  if (subscription.shareName !== undefined) return false // No retained messages (section 4.8.2).
  return subscription.retainHandling === 0 || (subscription.retainHandling === 1 && previous === undefined)
}

/** The commit failed: removes the new subscriptions and restores those that they replaced. */
export function removeRejected(
  sessions: Pick<SessionRegistry, 'subscribe' | 'unsubscribe'>,
  session: Session,
  made: readonly NewSubscription[],
): void {
  for (const { subscription, previous } of made) {
    const { topicFilter } = subscription.requested
    const kept = previous !== undefined && before.has(previous) ? before.get(previous) : previous
    before.set(subscription, kept)
    if (session.subscriptions.get(topicFilter) !== subscription) continue // It was replaced or removed meanwhile.
    if (kept === undefined) sessions.unsubscribe(session, topicFilter)
    else sessions.subscribe(session, kept)
  }
}

import type { ClientSession } from '../../types/session.ts'
import type { Subscription as PublicSubscription } from '../../types/subscription.ts'
import type { Session } from '../sessions/session.ts'
import { NEVER_EXPIRES } from '../sessions/session-registry.ts'
import type { Timers } from '../timers.ts'

/** The fields of a `ClientSession`. */
export type SessionView = Omit<ClientSession, 'subscribe' | 'unsubscribe' | 'publish' | 'delete'>

/** The state of a session of this broker. */
export function viewOf(session: Session, broker: string, timers: Timers): SessionView {
  const { clientId, principal, outbound, expiryInterval, expiry, connectedAt } = session
  const isExpiring = !session.connected && expiry !== undefined && expiryInterval !== NEVER_EXPIRES
  return {
    clientId,
    owner: principal,
    connected: session.connected,
    stored: session.storage.isDurable,
    broker,
    expiryInterval,
    expiresAt: isExpiring ? timers.toWallClock(expiry.due) : undefined,
    connectedAt: connectedAt === 0 ? undefined : connectedAt,
    hasWill: session.will !== undefined,
    subscriptions: Array.from(session.subscriptions.values(), plainSubscription),
    queuedMessages: outbound.queuedCount,
    inflightMessages: outbound.inflight.size,
    queuedBytes: outbound.queuedBytes,
  }
}

/** A copy without the internal fields. */
export function plainSubscription(subscription: PublicSubscription): PublicSubscription {
  const { topicFilter, qos, noLocal, retainAsPublished, retainHandling, subscriptionIdentifier, shareName } =
    subscription
  return {
    topicFilter,
    qos,
    noLocal: noLocal ?? false,
    retainAsPublished: retainAsPublished ?? false,
    retainHandling: retainHandling ?? 0,
    ...(subscriptionIdentifier !== undefined && { subscriptionIdentifier }),
    ...(shareName !== undefined && { shareName }),
  }
}

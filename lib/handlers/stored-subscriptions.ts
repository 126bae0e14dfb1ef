import type { MaybePromise } from '../../types/hooks.ts'
import type { Subscription as PublicSubscription } from '../../types/subscription.ts'
import type { Client } from '../connection/client.ts'
import { MqttError } from '../errors.ts'
import type { Session } from '../sessions/session.ts'
import type { BrokerContext } from './broker-context.ts'
import { faultOfSubscription, limited, limitsSubscriptions } from './capabilities.ts'
import { grant, newSubscription } from './subscribe.ts'

/** A stored subscription that was authorized again. */
export interface Change {
  readonly requested: PublicSubscription
  /** Replaces the stored subscription; undefined if it is refused. */
  readonly granted: PublicSubscription | undefined
}

/**
 * Authorizes every stored subscription again, as requested, because the permission may have been removed, or the options
 * offer less now. Subscription Identifiers that are not available any more are removed.
 */
export function authorizeStored(broker: BrokerContext, client: Client): MaybePromise<Change[]> {
  const stored = broker.sessions.get(client.id)
  if (stored === undefined || !(broker.hooks.checksSubscribe || limitsSubscriptions(broker.settings))) return []
  return authorizeAgain(broker, client, stored)
}

async function authorizeAgain(broker: BrokerContext, client: Client, stored: Session): Promise<Change[]> {
  const { settings } = broker
  const changes: Change[] = []
  for (const { requested } of stored.subscriptions.values()) {
    if (requested.byApplication === true) continue // No hook was called for it.
    let granted: PublicSubscription | undefined
    try {
      const fault = faultOfSubscription(settings, { ...requested, subscriptionIdentifier: undefined })
      if (fault !== undefined) throw fault
      const answer = await broker.hooks.authorizeSubscribe(requested, client)
      granted = limited(settings, grant(broker, answer))
      if (!settings.subscriptionIdentifiersAvailable) granted = { ...granted, subscriptionIdentifier: undefined }
    } catch (error) {
      if (!(error instanceof MqttError)) throw error
    }
    changes.push({ requested, granted })
  }
  return changes
}

/** Replaces the stored subscriptions that changed. */
export function applyChanges({ sessions }: BrokerContext, session: Session, changes: readonly Change[]): void {
  for (const { requested, granted } of changes) {
    const stored = session.subscriptions.get(requested.topicFilter)
    if (stored === undefined || (granted !== undefined && stored.isAs(granted))) continue
    if (granted === undefined) sessions.unsubscribe(session, requested.topicFilter)
    else sessions.subscribe(session, newSubscription(session, requested, granted))
  }
}

/**
 * Sets for the subscriptions of the session, stored and later ones, whether each has a copy of its own, unless the store
 * cannot keep several copies of a message.
 */
export function useCopies({ sessions, commits }: BrokerContext, session: Session, isWanted: boolean): void {
  const canStore = !session.storage.isDurable || commits?.storage.oneCopyPerQueue !== true
  const copyPerSubscription = isWanted && canStore
  session.copyPerSubscription = copyPerSubscription
  for (const stored of session.subscriptions.values()) {
    if (stored.ownCopy !== copyPerSubscription) sessions.subscribe(session, stored.withOwnCopy(copyPerSubscription))
  }
}

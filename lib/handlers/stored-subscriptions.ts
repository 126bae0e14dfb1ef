import type { MaybePromise } from '../../types/hooks.ts'
import type { Subscription as PublicSubscription } from '../../types/subscription.ts'
import type { Client } from '../connection/client.ts'
import { MqttError } from '../errors.ts'
import { Subscription } from '../messages/subscriber.ts'
import type { Session } from '../sessions/session.ts'
import type { BrokerContext } from './broker-context.ts'
import { grant } from './subscribe.ts'

/** A stored subscription that was authorized again. */
export interface Change {
  readonly requested: PublicSubscription
  /** Replaces the stored subscription; undefined if it is refused. */
  readonly granted: PublicSubscription | undefined
}

/** Authorizes every stored subscription again, as requested, because the permission may have been removed. */
export function authorizeStored(broker: BrokerContext, client: Client): MaybePromise<Change[]> {
  const stored = broker.sessions.get(client.id)
  if (stored === undefined || !broker.hooks.checksSubscribe) return []
  return authorizeAgain(broker, client, stored)
}

async function authorizeAgain(broker: BrokerContext, client: Client, stored: Session): Promise<Change[]> {
  const changes: Change[] = []
  for (const { requested } of stored.subscriptions.values()) {
    if (requested.byApplication === true) continue // No hook was called for it.
    let granted: PublicSubscription | undefined
    try {
      const answer = await broker.hooks.authorizeSubscribe(requested, client)
      granted = grant(broker, answer)
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
    else sessions.subscribe(session, new Subscription(session.outbound, requested, granted))
  }
}

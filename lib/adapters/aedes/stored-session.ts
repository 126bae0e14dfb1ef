import type { PersistedSessionInfo, PersistedSubscription } from '../../../types/persistence.ts'
import { fieldsOf, numberOf, qosOf, stringOf } from './plain-value.ts'
import { RESERVED, storedTopic, topicOf } from './stored-topic.ts'

/**
 * Adapters do not store sessions, so a session is a subscription that no Client can make: its Retain Handling is the
 * expiry interval, its Subscription Identifier the time of expiry. Clients can be listed only by a subscription, so
 * this one also lists the sessions. Adapters store strings in topics only, so the owner is in a topic.
 */
export const SESSION_TOPIC: string = `${RESERVED}session`
const OWNER = `${RESERVED}owner/`

/** A subscription with every key, so that a store that overwrites only given fields cannot leave an old value. */
export interface StoredSubscription {
  readonly topic: string
  readonly qos: 0 | 1 | 2
  readonly rh: unknown
  readonly rap: boolean
  readonly nl: boolean
  readonly subscriptionIdentifier: number
  readonly grantedTopic: string
  /** -1 for none, because 0 is a QoS. */
  readonly requestedQos: number
  readonly byApplication: boolean
  readonly ownCopy: boolean
}

const noMoreFields = {
  rap: false,
  nl: false,
  grantedTopic: '',
  requestedQos: -1,
  byApplication: false,
  ownCopy: false,
} as const

export function sessionRecord(session: PersistedSessionInfo): StoredSubscription {
  const { expiryInterval, expiresAt } = session
  return { ...noMoreFields, topic: SESSION_TOPIC, qos: 1, rh: expiryInterval, subscriptionIdentifier: expiresAt ?? 0 }
}

export function ownerTopic(owner: string | undefined): string | undefined {
  return owner === undefined ? undefined : OWNER + Buffer.from(owner).toString('base64url')
}

/** @param writtenAt - the owner that was written last counts, if the process ended between two calls. */
export function ownerRecord(topic: string, writtenAt: number): StoredSubscription {
  return { ...noMoreFields, topic, qos: 1, rh: 0, subscriptionIdentifier: writtenAt }
}

/** @param keepsAllFields - false for a store that keeps only the fields that aedes has, but any value in them. */
export function toStoredSubscription(subscription: PersistedSubscription, keepsAllFields: boolean): StoredSubscription {
  const { grantedTopic, requestedQos, byApplication, ownCopy, rh = 0 } = subscription
  const isMarked = byApplication === true || ownCopy === true
  const hasMore = grantedTopic !== undefined || requestedQos !== undefined || isMarked
  return {
    topic: storedTopic(subscription.topic),
    qos: subscription.qos,
    rh: hasMore && !keepsAllFields ? { rh, grantedTopic, requestedQos, byApplication, ownCopy } : rh,
    rap: subscription.rap ?? false,
    nl: subscription.nl ?? false,
    subscriptionIdentifier: subscription.subscriptionIdentifier ?? 0,
    grantedTopic: grantedTopic ?? '',
    requestedQos: requestedQos ?? -1,
    byApplication: byApplication ?? false,
    ownCopy: ownCopy ?? false,
  }
}

/** The session and subscriptions of a Client. */
export interface ReadSession {
  /** Undefined for a session of aedes. */
  readonly session: PersistedSessionInfo | undefined
  readonly ownerTopics: readonly string[]
  readonly subscriptions: readonly PersistedSubscription[]
}

export function fromStoredSubscriptions(raw: readonly unknown[]): ReadSession {
  const subscriptions: PersistedSubscription[] = []
  const owners: { topic: string; writtenAt: number }[] = []
  let record: Omit<PersistedSessionInfo, 'owner'> | undefined
  for (const item of raw) {
    const fields = fieldsOf(item)
    const topic = stringOf(fields.topic)
    const number = numberOf(fields.subscriptionIdentifier)
    if (topic === undefined) continue
    if (topic === SESSION_TOPIC) {
      record = { expiryInterval: numberOf(fields.rh) ?? 0, expiresAt: number ?? null }
    } else if (topic.startsWith(OWNER)) owners.push({ topic, writtenAt: number ?? 0 })
    else subscriptions.push(subscriptionOf(topicOf(topic), fields))
  }
  const ownerTopics = owners.toSorted((a, b) => b.writtenAt - a.writtenAt).map(({ topic }) => topic)
  const [owner] = ownerTopics
  return {
    session: record && {
      ...record,
      ...(owner !== undefined && { owner: Buffer.from(owner.slice(OWNER.length), 'base64url').toString() }),
    },
    ownerTopics,
    subscriptions,
  }
}

function subscriptionOf(topic: string, fields: Readonly<Record<string, unknown>>): PersistedSubscription {
  const inside = typeof fields.rh === 'object' ? fieldsOf(fields.rh) : fields
  const subscriptionIdentifier = numberOf(fields.subscriptionIdentifier)
  const grantedTopic = stringOf(inside.grantedTopic)
  const requested = inside.requestedQos
  return {
    topic,
    qos: qosOf(fields.qos),
    rh: qosOf(inside.rh), // It has the same three values.
    rap: fields.rap === true || fields.rap === 1,
    nl: fields.nl === true || fields.nl === 1,
    ...(subscriptionIdentifier !== undefined && { subscriptionIdentifier }),
    ...(grantedTopic !== undefined && { grantedTopic }),
    ...(typeof requested === 'number' && requested >= 0 && { requestedQos: qosOf(requested) }),
    ...((inside.byApplication === true || inside.byApplication === 1) && { byApplication: true }),
    ...((inside.ownCopy === true || inside.ownCopy === 1) && { ownCopy: true }),
  }
}

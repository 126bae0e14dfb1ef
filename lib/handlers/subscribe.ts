import type { SubscribePacket, SubscriptionRequest } from '../../types/packets.ts'
import type { Subscription as PublicSubscription } from '../../types/subscription.ts'
import type { Connection } from '../connection/connection.ts'
import { MqttError, ProtocolError } from '../errors.ts'
import { storageRefusal } from '../storage/storage-refusal.ts'
import { isPromise } from '../promises.ts'
import { type RequestedSubscription, Subscription } from '../messages/subscriber.ts'
import { refusalCodeFor } from '../packets/reason-code-lists.ts'
import { ReasonCode } from '../packets/reason-codes.ts'
import { type NewSubscription, removeRejected, sendsRetained } from '../sessions/new-subscription.ts'
import type { Session } from '../sessions/session.ts'
import { parseTopicFilter } from '../topics/topic-filter.ts'
import type { BrokerContext } from './broker-context.ts'
import { faultOfSubscription, limited } from './capabilities.ts'
import { checkTopicFilter } from './topic-filters.ts'

/** The result for one Topic Filter. */
type Answer =
  | { readonly requested: PublicSubscription; readonly granted: PublicSubscription }
  | { readonly refusal: MqttError }

/** SUBSCRIBE (section 3.8): check and authorize each filter, then subscribe, reply once and send retained messages. */
export function handleSubscribe(connection: Connection, packet: SubscribePacket): void | Promise<void> {
  const identifier = packet.properties?.subscriptionIdentifier
  for (const request of packet.subscriptions) {
    checkTopicFilter(connection, request.topicFilter)
    if (connection.protocolLevel === 5) checkCapabilities(connection, request, identifier)
    if (request.noLocal && request.topicFilter.startsWith('$share/')) {
      throw new ProtocolError(ReasonCode.protocolError, 'No Local on a shared subscription') // [MQTT-3.8.3-4]
    }
  }
  const answers: Answer[] = []
  const rest = answerFrom(connection, packet.subscriptions, identifier, answers, 0)
  return rest === undefined
    ? subscribe(connection, packet, answers)
    : rest.then(() => subscribe(connection, packet, answers))
}

/** The Client was told in CONNACK what is not available, so its request is a Protocol Error. */
function checkCapabilities({ broker }: Connection, request: SubscriptionRequest, identifier: number | undefined): void {
  const fault = faultOfSubscription(broker.settings, { ...request, subscriptionIdentifier: identifier })
  if (fault !== undefined) throw new ProtocolError(fault.reasonCode, fault.message)
}

/** Fills `answers`; returns a promise if a hook returns one. */
function answerFrom(
  connection: Connection,
  requests: readonly SubscriptionRequest[],
  identifier: number | undefined,
  answers: Answer[],
  from: number,
): Promise<void> | undefined {
  for (let index = from; index < requests.length; index += 1) {
    const answer = answerTo(connection, {
      ...(requests[index] as SubscriptionRequest),
      ...(connection.bridgeMode && { noLocal: true, retainAsPublished: true }),
      subscriptionIdentifier: identifier,
    })
    if (isPromise(answer)) {
      return answer.then((value) => {
        answers.push(value)
        return answerFrom(connection, requests, identifier, answers, index + 1)
      })
    }
    answers.push(answer)
  }
  return undefined
}

function answerTo(connection: Connection, request: PublicSubscription): Answer | Promise<Answer> {
  const { broker, client } = connection
  if (client === undefined) return { refusal: new MqttError('unspecified') }
  try {
    const asked = grant(broker, request)
    const fault = faultOfSubscription(broker.settings, request)
    if (fault !== undefined) return { refusal: fault }
    const permitted = broker.hooks.authorizeSubscribe(asked, client)
    if (!isPromise(permitted)) return answerOf(broker, asked, permitted)
    return permitted.then((answer) => answerOf(broker, asked, answer)).catch(refusalOf)
  } catch (error) {
    return refusalOf(error)
  }
}

function answerOf(broker: BrokerContext, asked: PublicSubscription, permitted: PublicSubscription): Answer {
  const granted = permitted === asked ? asked : grant(broker, permitted)
  return { requested: asked, granted: limited(broker.settings, granted) }
}

/** Returns the subscription with its ShareName; throws an `MqttError` if its Topic Filter is invalid. */
export function grant({ settings, commits }: BrokerContext, subscription: PublicSubscription): PublicSubscription {
  const parsed = parseTopicFilter(subscription.topicFilter, settings.limits.maxTopicLevels)
  const reserved = commits?.storage.reserved
  if (parsed === undefined || (reserved !== undefined && parsed.topicFilter.startsWith(reserved))) {
    throw new MqttError('topic-filter-invalid')
  }
  return { ...subscription, shareName: parsed.shareName }
}

/** `ownCopy` only where it is set, because requested and granted subscription are mostly one object. */
export function newSubscription(
  session: Session,
  requested: RequestedSubscription,
  granted: PublicSubscription,
): Subscription {
  const subscription = new Subscription(session.outbound, requested, granted)
  return session.copyPerSubscription ? subscription.withOwnCopy(true) : subscription
}

function refusalOf(error: unknown): Answer {
  if (error instanceof MqttError) return { refusal: error }
  throw error
}

function subscribe(connection: Connection, packet: SubscribePacket, answers: readonly Answer[]): void {
  const { broker, session, client } = connection
  if (session === undefined || client === undefined || !connection.isOpen) return
  const reasonCodes: number[] = []
  const made: NewSubscription[] = []
  let refusal: MqttError | undefined
  for (const [index, answer] of answers.entries()) {
    if (session.ended) return // A listener of `subscribed` ended the session.
    if ('granted' in answer && hasRoom(connection, answer.requested)) {
      const subscription = newSubscription(session, answer.requested, answer.granted)
      made.push({ subscription, previous: broker.sessions.subscribe(session, subscription) })
      reasonCodes.push(subscription.qos) // [MQTT-3.8.4-7]
      broker.notify('subscribed', answer.granted, client)
      continue
    }
    refusal = 'refusal' in answer ? answer.refusal : new MqttError('quota-exceeded', 'too many subscriptions')
    reasonCodes.push(refusalCode(connection, refusal, packet.subscriptions[index] as SubscriptionRequest))
  }
  const properties = refusal && connection.sender.reasonPropertiesOf(refusal)
  connection.replies.reply(
    () => {
      connection.send({ type: 'suback', packetId: packet.packetId, reasonCodes, properties })
      if (!connection.isOpen) return
      if (broker.retained.size > 0) deliverRetained(session, made)
      else if (!broker.shared.isEmpty) session.outbound.sendPending() // Messages wait for any member.
    },
    (error) => rollback(connection, packet, made, reasonCodes, error),
  )
}

function deliverRetained(session: Session, made: readonly NewSubscription[]): void {
  for (const one of made) if (sendsRetained(one)) session.outbound.deliverRetained(one.subscription)
  session.outbound.sendPending()
}

/** The commit failed: removes the new subscriptions and refuses them. */
function rollback(
  connection: Connection,
  packet: SubscribePacket,
  made: readonly NewSubscription[],
  reasonCodes: readonly number[],
  error: Error,
): void {
  const { broker, session } = connection
  if (session === undefined) return
  removeRejected(broker.sessions, session, made)
  const refusal = storageRefusal(error)
  const { packetId } = packet
  const refused = refusalCodeFor('suback', refusal.reasonCode)
  const codes = reasonCodes.map((code) => (code < 0x80 ? (connection.protocolLevel === 5 ? refused : 0x80) : code))
  const properties = connection.sender.reasonPropertiesOf(refusal)
  if (connection.protocolLevel === 3) connection.fail(refusal)
  else connection.send({ type: 'suback', packetId, reasonCodes: codes, properties })
}

function hasRoom(connection: Connection, requested: PublicSubscription): boolean {
  const { session } = connection
  const { maxSubscriptionsPerClient, maxSubscriptionBytesPerClient } = connection.broker.settings.limits
  if (session === undefined) return false
  if (session.subscriptions.has(requested.topicFilter)) return true
  return (
    session.subscriptions.size < maxSubscriptionsPerClient && session.subscriptionBytes < maxSubscriptionBytesPerClient
  )
}

// Refusals of MQTT 3.1 that are the same for every Client and at any time.
const endsMqtt31 = new Set<number>([
  ReasonCode.topicFilterInvalid,
  ReasonCode.wildcardSubscriptionsNotSupported,
  ReasonCode.sharedSubscriptionsNotSupported,
])

/** MQTT 3.1.1 has one code for all refusals. MQTT 3.1 has none: an invalid filter ends the connection. */
function refusalCode(connection: Connection, refusal: MqttError, request: SubscriptionRequest): number {
  if (connection.protocolLevel === 5) return refusalCodeFor('suback', refusal.reasonCode) // [MQTT-3.9.3-2]
  if (connection.protocolLevel === 4) return 0x80
  if (endsMqtt31.has(refusal.reasonCode)) throw new ProtocolError(refusal.reasonCode, 'a Topic Filter that is refused')
  return request.qos
}

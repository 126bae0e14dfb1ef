import type { PublishPacket } from '../../types/packets.ts'
import type { MessageProperties } from '../../types/properties.ts'
import type { Message as PublicMessage } from '../../types/message.ts'
import type { Connection } from '../connection/connection.ts'
import type { Session } from '../sessions/session.ts'
import { MqttError, ProtocolError } from '../errors.ts'
import { isPromise } from '../promises.ts'
import { storageRefusal } from '../storage/storage-refusal.ts'
import { queuedMessageOf } from '../storage/stored-message.ts'
import { expiryOf, Message } from '../messages/message.ts'
import { Publication } from '../messages/publication.ts'
import { faultOfMessage } from './capabilities.ts'
import { refusalCodeFor } from '../packets/reason-code-lists.ts'
import { ReasonCode } from '../packets/reason-codes.ts'
import { checkPublishedTopic, checkRewrittenTopic } from '../messages/published-topic.ts'

/** PUBLISH (section 3.3): check, authorize, publish, acknowledge. */
export function handlePublish(connection: Connection, packet: PublishPacket): void | Promise<void> {
  const { broker, session, client } = connection
  if (session === undefined || client === undefined) return undefined
  if (packet.qos === 2 && session.incoming.isInDoubt(packet.packetId)) return afterInquiry(connection, packet)
  broker.statistics.publishReceived += 1
  broker.statistics.publishBytesReceived += packet.payload.length
  connection.publishRate?.count()

  const { settings } = broker
  if (packet.qos > settings.maximumQoS || (packet.retain && !settings.retainAvailable))
    throw unsupported(connection, packet)
  const { clientId } = session
  const message =
    packet.properties === undefined
      ? new Message(packet, clientId, Infinity)
      : messageOf(connection, packet, packet.properties, clientId)
  if (packet.qos === 2 && session.incoming.has(packet.packetId)) return acceptedBefore(connection, packet)
  if (packet.qos > 0 && connection.openExchanges > 0) checkReceiveMaximum(connection)
  try {
    checkPublishedTopic(broker, message.topic, clientId)
  } catch (error) {
    return refuseTopic(connection, packet, error)
  }
  try {
    if (!broker.hooks.checksPublish) return accept(connection, packet, message, message)
    const permitted = broker.hooks.authorizePublish(message, client)
    if (!isPromise(permitted)) return accept(connection, packet, message, permitted)
    return acceptLater(connection, packet, message, permitted)
  } catch (error) {
    return refuse(connection, packet, error)
  }
}

/** The Client was told of it in CONNACK. MQTT 3 has neither this nor a refusal, so its connection is closed, too. */
function unsupported({ broker }: Connection, packet: PublishPacket): Error {
  const fault = faultOfMessage(broker.settings, packet) ?? new MqttError('unspecified')
  return new ProtocolError(fault.reasonCode, fault.message)
}

/** MQTT 3 has no Receive Maximum. */
function checkReceiveMaximum({ broker, openExchanges, protocolLevel }: Connection): void {
  if (protocolLevel < 5 || openExchanges < broker.settings.limits.receiveMaximum) return
  throw new ProtocolError(ReasonCode.receiveMaximumExceeded, 'more messages at once than the Receive Maximum')
}

/** Returns the message of a packet with Properties. */
function messageOf(
  connection: Connection,
  packet: PublishPacket,
  properties: NonNullable<PublishPacket['properties']>,
  publisher: string,
): Message {
  const topic = topicOf(connection, packet, properties)
  const expiresAt = expiryOf(properties, connection.broker.timers)
  const carried = messageProperties(properties)
  const isAsSent = topic === packet.topic && carried === properties
  return new Message(isAsSent ? packet : { ...packet, topic, properties: carried }, publisher, expiresAt)
}

/** Returns the Topic Name of the packet or of its alias (section 3.3.2.3.4). */
function topicOf(
  connection: Connection,
  packet: PublishPacket,
  { topicAlias, subscriptionIdentifiers }: NonNullable<PublishPacket['properties']>,
): string {
  if (subscriptionIdentifiers !== undefined) {
    throw new ProtocolError(ReasonCode.protocolError, 'a Subscription Identifier from a Client') // [MQTT-3.3.4-6]
  }
  if (topicAlias === undefined) return packet.topic
  if (topicAlias > connection.broker.settings.limits.topicAliasMaximum) {
    throw new ProtocolError(ReasonCode.topicAliasInvalid, 'a Topic Alias above the maximum') // [MQTT-3.3.2-9]
  }
  if (packet.topic !== '') {
    connection.inboundAliases?.set(topicAlias, packet.topic)
    return packet.topic
  }
  const topic = connection.inboundAliases?.get(topicAlias)
  if (topic === undefined) throw new ProtocolError(ReasonCode.protocolError, 'a Topic Alias that stands for nothing')
  return topic
}

/** Omits the Topic Alias, which applies to this connection only [MQTT-3.3.2-7]. */
function messageProperties(properties: NonNullable<PublishPacket['properties']>): MessageProperties | undefined {
  if (properties.topicAlias === undefined) return properties
  const { topicAlias: _, ...rest } = properties
  return Object.keys(rest).length === 0 ? undefined : rest
}

/** Publishes the message, so that each subscriber has its copy, and then acknowledges it [MQTT-4.3.2-4]. */
function accept(connection: Connection, packet: PublishPacket, asked: Message, permitted: PublicMessage): void {
  const { broker, session, client } = connection
  if (session === undefined) return
  if (session.released && packet.qos > 0) return // The Client sends it again to the owner broker.
  const message = permitted === asked ? asked : Message.of(permitted, session.clientId, broker.timers)
  if (message !== asked) checkRewrittenTopic(broker, message.topic, session.clientId)
  const hasReasonCode = packet.qos > 0 && connection.protocolLevel === 5
  if (message.retain && hasReasonCode && !broker.retained.hasRoomFor(message)) {
    throw new MqttError('quota-exceeded', 'too many retained messages')
  }
  if (packet.qos === 2) reserve(connection, packet.packetId)
  const { commits } = broker
  const publication = new Publication(message)
  if (packet.qos === 2 && !session.ended) session.storage.received(publication, packet.packetId)
  const subscriberCount = broker.router.publish(publication, connection.input)
  if (broker.hasListener('published')) broker.notify('published', publication.message, client, false)
  if (packet.qos === 0) {
    if (message.retain) commits?.backPressure.pausePublisher(connection.input)
    return
  }
  const reasonCode = subscriberCount === 0 && hasReasonCode ? ReasonCode.noMatchingSubscribers : ReasonCode.success
  const type = packet.qos === 1 ? 'puback' : 'pubrec'
  // In the order of the messages [MQTT-4.6.0-2] [MQTT-4.6.0-3].
  if (commits === undefined || (!commits.isInOpenBatch(publication) && !connection.replies.hasPending)) {
    connection.sender.acknowledge(type, packet.packetId, reasonCode)
    return
  }
  commits.markRejectable(publication)
  const settle = packet.qos === 2 ? outcomeOf(session, packet.packetId) : undefined
  connection.replies.afterCommit(
    () => {
      settle?.(undefined)
      connection.sender.acknowledge(type, packet.packetId, reasonCode)
    },
    (error) => {
      broker.router.rollback(publication)
      const refusal = storageRefusal(error)
      broker.statistics.publishRefused += 1
      settle?.(refusal)
      if (packet.qos === 2 && session.incoming.release(packet.packetId) && connection.openExchanges > 0)
        connection.openExchanges -= 1
      // MQTT 3 has no refusal; without an acknowledgement the Client sends the message again on the next connection.
      if (connection.protocolLevel === 5)
        connection.sender.acknowledge(type, packet.packetId, refusalCodeFor(type, refusal.reasonCode), refusal)
      else connection.fail(refusal)
    },
  )
}

/** A duplicate of this PUBLISH waits for the outcome, which the returned function sets. */
function outcomeOf(session: Session, packetId: number): (refusal: MqttError | undefined) => void {
  let settle: ((refusal: MqttError | undefined) => void) | undefined
  const outcome = new Promise<number>((resolve, reject) => {
    settle = (refusal) => (refusal === undefined ? resolve(ReasonCode.success) : reject(refusal))
  })
  outcome.catch(() => undefined) // Mostly there is no duplicate.
  session.incoming.reserve(packetId, outcome)
  return (refusal) => {
    settle?.(refusal)
    session.incoming.settled(packetId, outcome)
  }
}

/** Reserves the Packet Identifier until its PUBREL, and counts the message for the Receive Maximum. */
function reserve(connection: Connection, packetId: number, outcome?: Promise<number>): void {
  const incoming = connection.session?.incoming
  if (incoming === undefined) return
  if (!incoming.has(packetId)) connection.openExchanges += 1
  incoming.reserve(packetId, outcome)
}

/** As `accept`, for a hook that returned a promise. The Packet Identifier is reserved meanwhile. */
async function acceptLater(
  connection: Connection,
  packet: PublishPacket,
  message: Message,
  permitted: Promise<PublicMessage>,
): Promise<void> {
  let settle: ((reasonCode: number) => void) | undefined
  const outcome = new Promise<number>((resolve) => {
    settle = resolve
  })
  if (packet.qos === 2) {
    reserve(connection, packet.packetId, outcome)
    connection.whenDropped = () => {
      connection.session?.incoming.release(packet.packetId)
      settle?.(ReasonCode.unspecified)
    }
  }
  try {
    accept(connection, packet, message, await permitted)
    settle?.(ReasonCode.success)
  } catch (error) {
    if (!connection.takesPackets) return // The PUBLISH was dropped; its Packet Identifier may be in use again.
    settle?.(error instanceof MqttError ? error.reasonCode : ReasonCode.unspecified)
    refuse(connection, packet, error)
  } finally {
    connection.whenDropped = undefined
  }
}

/** Handles a PUBLISH whose Packet Identifier an earlier process may have received, after a look into the storage. */
async function afterInquiry(connection: Connection, packet: PublishPacket): Promise<void> {
  const { broker, session } = connection
  if (session === undefined) return
  const found = await session.incoming.inquire(packet.packetId)
  if (!connection.takesPackets || session.released) return // The Client sends the message again.
  if (found === 'accepted') session.incoming.reserve(packet.packetId)
  else if (found !== 'unknown') {
    const queued = queuedMessageOf(found, broker.timers)
    const publication = new Publication(queued.message, queued)
    publication.replay = { alreadyDeliveredTo: await broker.cluster.whoHad(queued.stored) }
    if (session.released) return
    broker.router.republish(publication)
    broker.commits?.incoming(publication, session.clientId, packet.packetId)
    session.incoming.reserve(packet.packetId)
    await broker.commits?.flushed()
  }
  await handlePublish(connection, packet)
}

/** Acknowledges a duplicate of a QoS 2 PUBLISH, which is not published again [MQTT-4.3.3-10]. */
function acceptedBefore(connection: Connection, packet: PublishPacket): void | Promise<void> {
  const outcome = connection.session?.incoming.outcome(packet.packetId)
  if (outcome === undefined) {
    return connection.replies.afterOthers(() =>
      connection.sender.acknowledge('pubrec', packet.packetId, ReasonCode.success),
    )
  }
  // It waits for a hook or a commit, perhaps of an earlier connection; a commit may follow the hook.
  return outcome.then((reasonCode) => {
    const next = connection.session?.incoming.outcome(packet.packetId)
    if (next !== undefined && next !== outcome) return acceptedBefore(connection, packet)
    const sentCode = connection.protocolLevel === 5 ? reasonCode : ReasonCode.success
    return connection.replies.afterOthers(() => connection.sender.acknowledge('pubrec', packet.packetId, sentCode))
  })
}

/** Refuses a topic that no Client may publish to. A QoS 0 message has no acknowledgement to refuse it with. */
function refuseTopic(connection: Connection, packet: PublishPacket, error: unknown): void {
  const isInvalid = error instanceof MqttError && error.reasonCode === ReasonCode.topicNameInvalid
  if (isInvalid && packet.qos === 0 && connection.protocolLevel === 5) {
    throw new ProtocolError(ReasonCode.topicNameInvalid, error.message)
  }
  refuse(connection, packet, error)
}

/** MQTT 3 has no refusal, so the message is acknowledged and not published [MQTT-3.3.5-2 of 3.1.1]. */
function refuse(connection: Connection, packet: PublishPacket, error: unknown): void {
  if (!(error instanceof MqttError)) throw error
  connection.broker.statistics.publishRefused += 1
  if (packet.qos === 0) return
  const type = packet.qos === 1 ? 'puback' : 'pubrec'
  if (connection.protocolLevel === 5) {
    if (packet.qos === 2 && connection.session?.incoming.release(packet.packetId) === true)
      connection.openExchanges -= 1
    connection.replies.afterOthers(() =>
      connection.sender.acknowledge(type, packet.packetId, refusalCodeFor(type, error.reasonCode), error),
    )
    return
  }
  if (packet.qos === 2) reserve(connection, packet.packetId)
  connection.replies.afterOthers(() => connection.sender.acknowledge(type, packet.packetId, ReasonCode.success))
}

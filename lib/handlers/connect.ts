import { randomUUID } from 'node:crypto'
import type { ConnectRequest, WillMessage } from '../../types/client.ts'
import type { MaybePromise } from '../../types/hooks.ts'
import type { Message } from '../../types/message.ts'
import type { ConnectPacket, Will } from '../../types/packets.ts'
import type { ConnectProperties } from '../../types/properties.ts'
import type { ReasonName } from '../../types/reason-codes.ts'
import { Authentication } from '../connection/authentication.ts'
import { Client } from '../connection/client.ts'
import type { Connection } from '../connection/connection.ts'
import { hidden } from '../secrets.ts'
import { MqttError } from '../errors.ts'
import { isPromise } from '../promises.ts'
import { detachedCopy } from '../messages/detached-bytes.ts'
import { checkPublishedTopic, checkRewrittenTopic } from '../messages/published-topic.ts'
import { protocolVersions } from '../packets/connect.ts'
import type { Settings } from '../options.ts'
import type { StoredWill } from '../sessions/session.ts'
import type { UndecidedConnect } from '../sessions/undecided-connects.ts'
import { faultOfMessage } from './capabilities.ts'
import { openSession } from './open-session.ts'

/** CONNECT (section 3.1): check, authenticate, open the session, reply with CONNACK. */
export async function handleConnect(connection: Connection, packet: ConnectPacket): Promise<void> {
  connection.connecting(packet)
  try {
    await connect(connection, packet)
  } catch (error) {
    if (!(error instanceof MqttError)) throw error
    connection.refuse(error)
  }
}

async function connect(connection: Connection, packet: ConnectPacket): Promise<void> {
  const { undecidedConnects, settings } = connection.broker
  const undecided = undecidedConnects.add(chooseClientId(packet, settings), connection)
  try {
    await decide(connection, packet, undecided)
  } finally {
    undecidedConnects.remove(undecided)
  }
}

async function decide(connection: Connection, packet: ConnectPacket, undecided: UndecidedConnect): Promise<void> {
  const { broker } = connection
  const { clientId } = undecided
  const will = packet.will && detachedWill(packet.will)
  if (will !== undefined) {
    checkPublishedTopic(broker, will.topic, clientId)
    const fault = faultOfMessage(broker.settings, will)
    if (fault !== undefined) throw fault
  }

  const authentication = new Authentication(connection, hidden(packet.properties?.authenticationData))
  const request = requestOf(packet, clientId, will)
  const known = { ...request, password: undefined, properties: withoutAuthenticationData(packet.properties) }
  const client = new Client(clientId, connection.info, known, undefined, connection, broker.administration)
  connection.authentication = authentication
  connection.client = client
  client.session = await authenticate(connection, request, client, authentication)
  connection.authentication = undefined
  if (!connection.isOpen) return // It has ended, or a later CONNECT was admitted.
  // Awaits promises only, so that a CONNECT without a Will cannot overtake one with a Will.
  const answer = will && authorizeWill(connection, will, client)
  const storedWill = isPromise(answer) ? await answer : answer
  if (!connection.isOpen) return

  const principal = principalOf(connection, client)
  const { copyPerSubscription: choice } = broker.settings
  const chosen: unknown = typeof choice === 'function' ? choice(client) : choice
  const copyPerSubscription = chosen === true
  const permitted = { packet, client, principal, will: storedWill, authentication, copyPerSubscription }
  await openSession(connection, undecided, permitted)
}

/** Returns the Client Identifier of the packet, or a new one if it is empty [MQTT-3.1.3-6]. */
function chooseClientId(packet: ConnectPacket, { allowLongClientIdentifiers }: Settings): string {
  const { clientId, protocolLevel, cleanStart } = packet
  const maximum = allowLongClientIdentifiers ? Infinity : 23
  if (protocolLevel === 3 && (clientId.length < 1 || clientId.length > maximum)) {
    throw new MqttError('client-identifier-not-valid', 'MQTT 3.1 has Client Identifiers of 1 to 23 characters')
  }
  if (clientId !== '') return clientId
  if (protocolLevel === 4 && !cleanStart) {
    // [MQTT-3.1.3-8] of 3.1.1
    throw new MqttError('client-identifier-not-valid', 'an empty Client Identifier needs Clean Session')
  }
  return `auto-${randomUUID()}`
}

function requestOf(packet: ConnectPacket, clientId: string, will: Will | undefined): ConnectRequest {
  return {
    clientId,
    username: packet.username,
    password: hidden(packet.password),
    protocolVersion: protocolVersions[packet.protocolLevel],
    cleanStart: packet.cleanStart,
    keepAlive: packet.keepAlive,
    will,
    properties: packet.properties,
  }
}

/** Returns the principal: by default the user name or certificate subject, else from the option `sessionOwner`. */
function principalOf(connection: Connection, client: Client): string | undefined {
  const { sessionOwner } = connection.broker.settings
  if (typeof sessionOwner === 'function') return sessionOwner(client)
  const { authorized, peerCertificate } = connection.info
  return client.connect.username ?? (authorized === true ? peerCertificate?.subject : undefined)
}

/** Copies the bytes of a Will, which outlives the read buffer. */
function detachedWill(will: Will): Will {
  const { properties } = will
  const correlationData = properties?.correlationData && detachedCopy(properties.correlationData)
  return {
    ...will,
    payload: detachedCopy(will.payload),
    properties: correlationData === undefined ? properties : { ...properties, correlationData },
  }
}

/** Omits the Authentication Data, which is a secret. */
function withoutAuthenticationData(properties: ConnectProperties | undefined): ConnectProperties | undefined {
  if (properties?.authenticationData === undefined) return properties
  const { authenticationData: _, ...others } = properties
  return others
}

/** Returns the value of the `authenticate` hook. Throws an `MqttError` if the Client is refused. */
async function authenticate(
  connection: Connection,
  request: ConnectRequest,
  client: Client,
  authentication: Authentication,
): Promise<unknown> {
  const { hooks } = connection.broker
  const method = authentication.method
  if (!hooks.canAuthenticate) {
    // [MQTT-4.12.0-1]
    if (method !== undefined) throw refusal('bad-authentication-method', 'no plugin has an authenticate hook')
    return undefined
  }
  const session = await hooks.authenticate(request, connection.info, client.signal, authentication)
  // A database returns null for an unknown user.
  if (session !== undefined && session !== false && session !== null) return session
  const why =
    session === undefined ? 'no authenticate hook knows the Client' : 'an authenticate hook refused the Client'
  if (session === undefined && method !== undefined) throw refusal('bad-authentication-method', why)
  throw refusal(request.username === undefined ? 'not-authorized' : 'bad-credentials', why)
}

/** The message is for the application only. */
function refusal(reason: ReasonName, message: string): MqttError {
  return new MqttError(reason, message, { reasonString: '' })
}

/** Authorizes the Will before the session is opened. At its publication the Will as sent is authorized again. */
function authorizeWill(connection: Connection, will: Will, client: Client): MaybePromise<StoredWill> {
  const { willDelayInterval = 0, ...properties } = will.properties ?? {}
  const message: WillMessage = { ...will, properties: will.properties && properties }
  const accept = (permitted: Message): StoredWill => {
    if (permitted !== message) checkRewrittenTopic(connection.broker, permitted.topic, client.id)
    return { message, permitted, delay: willDelayInterval, client }
  }
  const permitted = connection.broker.hooks.authorizePublish(message, client)
  return isPromise(permitted) ? permitted.then(accept) : accept(permitted)
}

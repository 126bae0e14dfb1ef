import { randomUUID } from 'node:crypto'
import type { ConnectRequest, WillMessage } from '../../types/client.ts'
import type { ConnackPacket, ConnectPacket, ProtocolLevel, Will } from '../../types/packets.ts'
import type { ConnackProperties, ConnectProperties } from '../../types/properties.ts'
import type { Subscription as PublicSubscription } from '../../types/subscription.ts'
import { Authentication } from '../connection/authentication.ts'
import { Client } from '../connection/client.ts'
import type { Connection } from '../connection/connection.ts'
import { MqttError } from '../errors.ts'
import { storageRefusal } from '../storage/storage-refusal.ts'
import { detachedCopy } from '../messages/detached-bytes.ts'
import { Subscription } from '../messages/subscriber.ts'
import { ReasonCode } from '../packets/reason-codes.ts'
import type { Session, StoredWill } from '../sessions/session.ts'
import type { SessionRegistry } from '../sessions/session-registry.ts'
import { checkPublishedTopic, checkRewrittenTopic } from '../messages/published-topic.ts'
import { grant } from './subscribe.ts'

const versions: Record<ProtocolLevel, ConnectRequest['protocolVersion']> = { 3: '3.1', 4: '3.1.1', 5: '5.0' }

/** CONNECT (section 3.1): check, ask who it is, open the session, answer with CONNACK. */
export async function handleConnect(connection: Connection, packet: ConnectPacket): Promise<void> {
  connection.connecting(packet)
  try {
    await connect(connection, packet)
  } catch (error) {
    if (!(error instanceof MqttError)) throw error
    if (connection.isOpen) connection.refuse(error)
  }
}

async function connect(connection: Connection, packet: ConnectPacket): Promise<void> {
  const { core } = connection
  const clientId = chooseClientId(packet)
  const will = packet.will && keptWill(packet.will)
  if (will !== undefined) checkPublishedTopic(core, will.topic)

  const authentication = new Authentication(
    connection,
    connection.authenticationMethod,
    packet.properties?.authenticationData,
  )
  const request = requestOf(packet, clientId, will)
  const client = new Client(
    clientId,
    connection.info,
    { ...request, password: undefined, properties: withoutData(packet.properties) },
    undefined,
    connection,
  )
  connection.authentication = authentication
  connection.client = client
  client.session = await authenticate(connection, request, client, authentication)
  connection.authentication = undefined

  const storedWill = will && (await authorizeWill(connection, will, client))
  const owner = ownerOf(connection, client)
  const isKept = !packet.cleanStart || expiryOf(connection, packet) > 0
  const release = await core.cluster.acquire(clientId, owner, isKept)
  try {
    await open(connection, packet, client, owner, storedWill, authentication)
  } finally {
    release()
  }
}

/** The Client may come in: its session is opened, and it has its answer. */
async function open(
  connection: Connection,
  packet: ConnectPacket,
  client: Client,
  owner: string | undefined,
  storedWill: StoredWill | undefined,
  authentication: Authentication,
): Promise<void> {
  const { core } = connection
  const clientId = client.id
  const changes = packet.cleanStart ? [] : await authorizeStored(connection, clientId, client)
  if (!connection.isOpen) {
    core.cluster.abandoned(clientId) // It left meanwhile; nothing was begun.
    return
  }

  const expiry = expiryOf(connection, packet)
  const keepAlive = keepAliveOf(connection, packet)
  const properties =
    packet.protocolLevel === 5
      ? connackProperties(connection, packet, clientId, expiry, keepAlive, authentication)
      : undefined

  const { session, before } = core.sessions.open(clientId, owner, packet.cleanStart, expiry)
  applyChanges(connection, session, changes)
  if (!connection.isOpen) {
    core.sessions.startExpiry(session) // A listener sent it away while the other connection was ended.
    return
  }
  core.wills.connected(session, storedWill)
  if (session.isRecorded && !(await isKept(connection, session, before))) return
  client.subscriptions = session.subscriptions
  const sessionPresent = before !== undefined && packet.protocolLevel !== 3 // A reserved byte in MQTT 3.1.
  const connack: ConnackPacket = { type: 'connack', sessionPresent, reasonCode: ReasonCode.success, properties }
  connection.connected(connack, session, client, keepAlive, packet.properties?.topicAliasMaximum ?? 0)
}

/** Waits until the store has the session. False when the connection is not to go on; throws when the store failed. */
async function isKept(
  connection: Connection,
  session: Session,
  before: ReturnType<SessionRegistry['open']>['before'],
): Promise<boolean> {
  const { core } = connection
  session.pendingConnection = connection
  let failure: unknown
  try {
    await core.commits?.flushed()
  } catch (error) {
    failure = error
  }
  if (session.pendingConnection !== connection) return false // Another connection has it now.
  session.pendingConnection = undefined
  if (failure === undefined && connection.isOpen) return true
  core.sessions.undoOpen(session, before)
  if (failure !== undefined) throw storageRefusal(failure as Error)
  return false
}

/** The Client's own identifier, or a new one where it may leave the choice to us [MQTT-3.1.3-6]. */
function chooseClientId(packet: ConnectPacket): string {
  const { clientId, protocolLevel, cleanStart } = packet
  if (protocolLevel === 3 && (clientId.length < 1 || clientId.length > 23)) {
    throw new MqttError('client-identifier-not-valid', 'MQTT 3.1 has Client Identifiers of 1 to 23 characters')
  }
  if (clientId !== '') return clientId
  if (protocolLevel === 4 && !cleanStart) throw new MqttError('client-identifier-not-valid') // [MQTT-3.1.3-8] of 3.1.1
  return `auto-${randomUUID()}`
}

function requestOf(packet: ConnectPacket, clientId: string, will: Will | undefined): ConnectRequest {
  return {
    clientId,
    username: packet.username,
    password: packet.password,
    protocolVersion: versions[packet.protocolLevel],
    cleanStart: packet.cleanStart,
    keepAlive: packet.keepAlive,
    will,
    properties: packet.properties,
  }
}

/** Who may have the session again: the user, or the holder of the certificate, unless the application says otherwise. */
function ownerOf(connection: Connection, client: Client): string | undefined {
  const { sessionOwner } = connection.core.settings
  if (typeof sessionOwner === 'function') return sessionOwner(client)
  const { authorized, peerCertificate } = connection.info
  return client.connect.username ?? (authorized === true ? peerCertificate?.subject : undefined)
}

/** A Will stays for as long as its connection: not as views of what was read. */
function keptWill(will: Will): Will {
  const { properties } = will
  const correlationData = properties?.correlationData && detachedCopy(properties.correlationData)
  return {
    ...will,
    payload: detachedCopy(will.payload),
    properties: correlationData === undefined ? properties : { ...properties, correlationData },
  }
}

/** What a Client proves itself with is not kept. */
function withoutData(properties: ConnectProperties | undefined): ConnectProperties | undefined {
  if (properties?.authenticationData === undefined) return properties
  const { authenticationData: _, ...kept } = properties
  return kept
}

/** What the application calls the Client. Throws an `MqttError` when it is not let in. */
async function authenticate(
  connection: Connection,
  request: ConnectRequest,
  client: Client,
  authentication: Authentication,
): Promise<unknown> {
  const { hooks } = connection.core
  const method = authentication.method
  if (!hooks.canAuthenticate) {
    if (method !== undefined) throw new MqttError('bad-authentication-method') // [MQTT-4.12.0-1]
    return undefined
  }
  const session = await hooks.authenticate(request, connection.info, client.signal, authentication)
  // A database says null for "no such user".
  if (session !== undefined && session !== false && session !== null) return session
  if (session === undefined && method !== undefined) throw new MqttError('bad-authentication-method')
  throw new MqttError(request.username === undefined ? 'not-authorized' : 'bad-credentials')
}

/** Asks for the Will before anything of the session is touched; asked again, as the Client sent it, when it is sent. */
async function authorizeWill(connection: Connection, will: Will, client: Client): Promise<StoredWill> {
  const { willDelayInterval = 0, ...properties } = will.properties ?? {}
  const message: WillMessage = { ...will, properties: will.properties && properties }
  const permitted = await connection.core.hooks.authorizePublish(message, client)
  if (permitted !== message) checkRewrittenTopic(connection.core, permitted.topic)
  return { message, permitted, delay: willDelayInterval, client }
}

interface Change {
  readonly requested: PublicSubscription
  /** What takes the place of the stored subscription; undefined when there is to be none. */
  readonly granted: PublicSubscription | undefined
}

/** Asks again for every stored subscription, as the Client asked for it: the right to it may have gone meanwhile. */
async function authorizeStored(connection: Connection, clientId: string, client: Client): Promise<Change[]> {
  const { hooks, sessions } = connection.core
  const stored = sessions.get(clientId)
  if (stored === undefined || !hooks.checksSubscribe) return []
  const changes: Change[] = []
  for (const { requested } of stored.subscriptions.values()) {
    let granted: PublicSubscription | undefined
    try {
      const answer = await hooks.authorizeSubscribe(requested, client)
      granted = grant(connection.core, answer)
    } catch (error) {
      if (!(error instanceof MqttError)) throw error
    }
    changes.push({ requested, granted })
  }
  return changes
}

/** Puts in place what the application granted now; what is as it was stays untouched. */
function applyChanges(connection: Connection, session: Session, changes: readonly Change[]): void {
  const { sessions } = connection.core
  for (const { requested, granted } of changes) {
    const stored = session.subscriptions.get(requested.topicFilter)
    if (stored === undefined || (granted !== undefined && stored.isAs(granted))) continue
    if (granted === undefined) sessions.unsubscribe(session, requested.topicFilter)
    else sessions.subscribe(session, new Subscription(session.outbound, requested, granted))
  }
}

/** Seconds. MQTT 3 knows only "as long as the connection" and "for ever". */
function expiryOf(connection: Connection, packet: ConnectPacket): number {
  const { maxSessionExpiry } = connection.core.settings.limits
  if (packet.protocolLevel !== 5) return packet.cleanStart ? 0 : maxSessionExpiry
  return Math.min(packet.properties?.sessionExpiryInterval ?? 0, maxSessionExpiry)
}

/** Seconds; 0 is none. */
function keepAliveOf(connection: Connection, packet: ConnectPacket): number {
  const { maxKeepAlive } = connection.core.settings.limits
  if (maxKeepAlive === 0) return packet.keepAlive
  return packet.keepAlive === 0 ? maxKeepAlive : Math.min(packet.keepAlive, maxKeepAlive)
}

function connackProperties(
  connection: Connection,
  packet: ConnectPacket,
  clientId: string,
  expiry: number,
  keepAlive: number,
  authentication: Authentication,
): ConnackProperties {
  const { limits } = connection.core.settings
  const asked = packet.properties ?? {}
  const properties: ConnackProperties = { maximumPacketSize: limits.maxPacketSize }
  if (limits.receiveMaximum < 65_535) properties.receiveMaximum = limits.receiveMaximum
  if (limits.topicAliasMaximum > 0) properties.topicAliasMaximum = limits.topicAliasMaximum
  if (expiry !== (asked.sessionExpiryInterval ?? 0)) properties.sessionExpiryInterval = expiry
  if (packet.clientId === '') properties.assignedClientIdentifier = clientId // [MQTT-3.1.3-7]
  if (keepAlive !== packet.keepAlive) properties.serverKeepAlive = keepAlive
  if (asked.requestResponseInformation === 1) {
    const information = informationFor(connection, clientId)
    if (information !== undefined) properties.responseInformation = information
  }
  if (authentication.method !== undefined) properties.authenticationMethod = authentication.method
  if (authentication.conclusion !== undefined) properties.authenticationData = authentication.conclusion
  return properties
}

/** What the application answers, when it is a text. */
function informationFor({ core }: Connection, clientId: string): string | undefined {
  try {
    const information: unknown = core.settings.responseInformation(clientId)
    if (typeof information === 'string' || information === undefined) return information
    core.reportError(new TypeError(`responseInformation answered ${typeof information}, expected a string`))
  } catch (error) {
    core.reportError(error as Error)
  }
  return undefined
}

import type { ConnackPacket, ConnectPacket } from '../../types/packets.ts'
import type { ConnackProperties } from '../../types/properties.ts'
import type { Authentication } from '../connection/authentication.ts'
import type { Client } from '../connection/client.ts'
import type { Connection } from '../connection/connection.ts'
import { MqttError } from '../errors.ts'
import { isPromise } from '../promises.ts'
import { ReasonCode } from '../packets/reason-codes.ts'
import type { Session, StoredWill } from '../sessions/session.ts'
import type { PreviousState } from '../sessions/session-registry.ts'
import type { UndecidedConnect } from '../sessions/undecided-connects.ts'
import { storageRefusal } from '../storage/storage-refusal.ts'
import { announce } from './capabilities.ts'
import { applyChanges, authorizeStored, type Change, useCopies } from './stored-subscriptions.ts'

/** A CONNECT that the application has permitted. */
interface PermittedConnect {
  readonly packet: ConnectPacket
  readonly client: Client
  /** The principal of the session; undefined if it has none. */
  readonly principal: string | undefined
  readonly will: StoredWill | undefined
  readonly authentication: Authentication
  /** The option of this name for the Client. */
  readonly copyPerSubscription: boolean
}

/** The agreed values of this connection. */
interface Terms {
  /** Seconds that the session outlives the connection. */
  readonly expiryInterval: number
  /** Seconds; 0 is none. */
  readonly keepAlive: number
}

interface Agreed {
  readonly terms: Terms
  readonly connack: ConnackPacket
  readonly changes: readonly Change[]
}

/** Opens the session of a permitted CONNECT and sends CONNACK. */
export async function openSession(
  connection: Connection,
  undecided: UndecidedConnect,
  permitted: PermittedConnect,
): Promise<void> {
  const { cluster } = connection.broker
  const { packet, client, principal } = permitted
  const terms = { expiryInterval: expiryOf(connection, packet), keepAlive: keepAliveOf(connection, packet) }
  const connack = connackOf(connection, permitted, terms)
  if (!connection.sender.accepts(connack)) {
    throw new MqttError('packet-too-large', 'the CONNACK is larger than the Client accepts') // [MQTT-3.1.2-24]
  }
  const isKept = !packet.cleanStart || terms.expiryInterval > 0
  const release = await cluster.acquire(client.id, principal, isKept)
  let isAdmitted = false
  try {
    const answer = packet.cleanStart ? [] : authorizeStored(connection.broker, client)
    const changes = isPromise(answer) ? await answer : answer
    isAdmitted = admit(connection, undecided, principal)
    if (isAdmitted) await open(connection, permitted, { terms, connack, changes })
  } finally {
    if (!isAdmitted) cluster.abandoned(client.id)
    release()
  }
}

/**
 * Refuses the earlier CONNECTs of the same Client Identifier. Returns false if the connection has ended. Throws an
 * `MqttError` if the session has another principal or there is no room for a new one.
 */
function admit(connection: Connection, undecided: UndecidedConnect, principal: string | undefined): boolean {
  const { sessions, undecidedConnects } = connection.broker
  if (!connection.isOpen) return false
  sessions.check(undecided.clientId, principal)
  undecidedConnects.admit(undecided)
  return connection.isOpen // A listener of `connectionRefused` may have ended it.
}

async function open(connection: Connection, permitted: PermittedConnect, agreed: Agreed): Promise<void> {
  const { sessions, wills } = connection.broker
  const { packet, client, principal, will } = permitted
  const { cleanStart, protocolLevel } = packet
  const { expiryInterval, keepAlive } = agreed.terms
  const { session, before } = sessions.open(client.id, { principal, cleanStart, expiryInterval })
  applyChanges(connection.broker, session, agreed.changes)
  useCopies(connection.broker, session, permitted.copyPerSubscription)
  if (!connection.isOpen) {
    sessions.startExpiry(session) // A listener ended this connection during the take-over.
    return
  }
  wills.connected(session, will)
  if (session.isRecorded && !(await isCommitted(connection, session, before))) return

  client.subscriptions = session.subscriptions
  const sessionPresent = before !== undefined && protocolLevel !== 3 // A reserved byte in MQTT 3.1.
  const connack = { ...agreed.connack, sessionPresent }
  connection.connected(session, client, connack, keepAlive)
}

/** Waits for the commit of the session. Returns false if the connection lost it or has ended; throws on failure. */
async function isCommitted(
  connection: Connection,
  session: Session,
  before: PreviousState | undefined,
): Promise<boolean> {
  const { commits, sessions } = connection.broker
  session.pendingConnection = connection
  let failure: unknown
  try {
    await commits?.flushed()
  } catch (error) {
    failure = error
  }
  if (session.pendingConnection !== connection) return false // Another connection has the session now.
  session.pendingConnection = undefined
  if (failure === undefined && connection.isOpen) return true
  sessions.undoOpen(session, before)
  if (failure !== undefined) throw storageRefusal(failure as Error)
  return false
}

/** The Session Expiry Interval in seconds. A session of MQTT 3 ends with its connection or never. */
function expiryOf(connection: Connection, packet: ConnectPacket): number {
  const { maxSessionExpiry } = connection.broker.settings.limits
  if (packet.protocolLevel !== 5) return packet.cleanStart ? 0 : maxSessionExpiry
  return Math.min(packet.properties?.sessionExpiryInterval ?? 0, maxSessionExpiry)
}

/** The Keep Alive in seconds; 0 is none. */
function keepAliveOf(connection: Connection, packet: ConnectPacket): number {
  const { maxKeepAlive } = connection.broker.settings.limits
  if (maxKeepAlive === 0) return packet.keepAlive
  return packet.keepAlive === 0 ? maxKeepAlive : Math.min(packet.keepAlive, maxKeepAlive)
}

/** The CONNACK of a permitted CONNECT. Session Present is set later, and does not change the size. */
function connackOf(connection: Connection, permitted: PermittedConnect, terms: Terms): ConnackPacket {
  const isFive = permitted.packet.protocolLevel === 5
  const properties = isFive ? connackProperties(connection, permitted, terms) : undefined
  return { type: 'connack', sessionPresent: false, reasonCode: ReasonCode.success, properties }
}

function connackProperties(
  connection: Connection,
  { packet, client, authentication }: PermittedConnect,
  { expiryInterval, keepAlive }: Terms,
): ConnackProperties {
  const { limits } = connection.broker.settings
  const asked = packet.properties ?? {}
  const properties: ConnackProperties = { maximumPacketSize: limits.maxPacketSize }
  announce(connection.broker.settings, properties)
  if (limits.receiveMaximum < 65_535) properties.receiveMaximum = limits.receiveMaximum
  if (limits.topicAliasMaximum > 0) properties.topicAliasMaximum = limits.topicAliasMaximum
  if (expiryInterval !== (asked.sessionExpiryInterval ?? 0)) properties.sessionExpiryInterval = expiryInterval
  if (packet.clientId === '') properties.assignedClientIdentifier = client.id // [MQTT-3.1.3-7]
  if (keepAlive !== packet.keepAlive) properties.serverKeepAlive = keepAlive
  if (asked.requestResponseInformation === 1) {
    const information = informationFor(connection, client.id)
    if (information !== undefined) properties.responseInformation = information
  }
  if (authentication.method !== undefined) properties.authenticationMethod = authentication.method
  if (authentication.conclusion !== undefined) properties.authenticationData = authentication.conclusion
  return properties
}

/** The Response Information of the application, when it is a string. */
function informationFor({ broker }: Connection, clientId: string): string | undefined {
  try {
    const information: unknown = broker.settings.responseInformation(clientId)
    if (typeof information === 'string' || information === undefined) return information
    broker.reportError(new TypeError(`responseInformation answered ${typeof information}, expected a string`))
  } catch (error) {
    broker.reportError(error as Error)
  }
  return undefined
}

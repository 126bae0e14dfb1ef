import type { Duplex } from 'node:stream'
import { isAnyArrayBuffer } from 'node:util/types'
import type { DisconnectOptions } from '../../types/client.ts'
import type { ConnectionInfo } from '../../types/connection-info.ts'
import type { DisconnectReason, RefusedConnect } from '../../types/events.ts'
import type { ConnackPacket, ConnectPacket, Packet, ProtocolLevel } from '../../types/packets.ts'
import { MqttError, ProtocolError } from '../errors.ts'
import type { Flushable } from '../flush-scheduler.ts'
import type { BrokerContext } from '../handlers/broker-context.ts'
import { protocolVersions } from '../packets/connect.ts'
import { ReasonCode } from '../packets/reason-codes.ts'
import type { Session } from '../sessions/session.ts'
import type { Timer } from '../timers.ts'
import { InboundTopicAliases } from '../topics/topic-aliases.ts'
import type { Authentication } from './authentication.ts'
import type { Client } from './client.ts'
import { Input, type InputOwner } from './input.ts'
import { KeepAlive } from './keep-alive.ts'
import { PacketSender, type PacketSenderOwner } from './packet-sender.ts'
import { PublishRate } from './publish-rate.ts'
import { mayRefuseFirstPacket, reasonStringOf, refusingConnack, serverDisconnect } from './refusals.ts'
import { RemainingPackets } from './remaining-packets.ts'
import { ReplyOrder, type ReplyOwner } from './reply-order.ts'
import { StreamEnd } from './stream-end.ts'

// Packets that are handled for each chunk that a slow Client takes.
const MIN_PACKETS_PER_CHUNK = 16

/** Handles a packet. A promise means that the packets behind it have to wait. */
export type HandlePacket = (connection: Connection, packet: Packet) => void | Promise<void>

/**
 * One Network Connection, from its first byte to its end.
 *
 *   new ──CONNECT──▶ connecting ──CONNACK──▶ connected ──▶ ended
 *                                                └──a hook decides on its packets──▶ draining ──▶ ended
 *
 * `input` turns bytes into packets, which go to the handlers; their replies come back through `send`.
 */
export class Connection implements InputOwner, PacketSenderOwner, ReplyOwner, Flushable {
  readonly broker: BrokerContext
  readonly info: ConnectionInfo
  readonly input: Input
  readonly sender: PacketSender
  readonly replies: ReplyOrder
  /** Undefined when there is no limit. */
  readonly publishRate: PublishRate | undefined
  state: 'new' | 'connecting' | 'connected' | 'draining' | 'ended' = 'new'
  session: Session | undefined
  client: Client | undefined
  /** The enhanced authentication that has not ended. */
  authentication: Authentication | undefined
  /** The Client is a bridge: it wants no message of its own back, and the RETAIN flag as published. */
  bridgeMode = false
  /** Authentication Method of the CONNECT. */
  authenticationMethod: string | undefined
  /** Session Expiry Interval of the CONNECT in seconds, as requested. */
  sessionExpiryInterval = 0
  /** QoS 2 messages that arrived on this connection and wait for their PUBREL. */
  openExchanges = 0
  inboundAliases: InboundTopicAliases | undefined
  /** Releases the Packet Identifier of a PUBLISH that waits for a hook; called when the PUBLISH is dropped. */
  whenDropped: (() => void) | undefined

  readonly #handlePacket: HandlePacket
  readonly #stream: Duplex
  readonly #end: StreamEnd
  #connectTimer: Timer | undefined
  #keepAlive: KeepAlive | undefined
  #isSucceeded = false
  #remaining: RemainingPackets | undefined
  #scheduled = false

  constructor(broker: BrokerContext, handlePacket: HandlePacket, stream: Duplex, info: ConnectionInfo) {
    const { timers, settings } = broker
    const { limits } = settings
    this.broker = broker
    this.info = info
    this.#handlePacket = handlePacket
    this.#stream = stream
    this.#end = new StreamEnd(stream, timers)
    this.sender = new PacketSender(stream, this, broker)
    this.input = new Input(stream, this, broker.scheduler, {
      maximumPacketSize: limits.maxConnectPacketSize,
      maximumUserProperties: limits.maxUserProperties,
      allowControlCharacters: settings.allowControlCharacters,
    })
    this.replies = new ReplyOrder(broker.commits, this, limits.receiveMaximum)
    if (limits.messagesPerSecond !== Infinity) {
      this.publishRate = new PublishRate(timers, this.input, limits.messagesPerSecond)
    }
  }

  /** Starts reading. No packet is handled until `permission` settles. */
  start(permission?: Promise<void>): void {
    if (this.#stream.destroyed || this.#stream.readableEnded) {
      this.#stream.destroy()
      this.#onClose() // The event has been emitted already.
      permission?.catch(() => undefined) // The connection is closed.
      return
    }
    this.#stream.on('data', this.#onData)
    this.#stream.on('end', this.#onEnd)
    this.#stream.on('error', this.#onError)
    this.#stream.on('close', this.#onClose)
    this.#connectTimer = this.broker.timers.after(this.broker.settings.limits.connectTimeoutMs, () => {
      this.fail(new ProtocolError(ReasonCode.maximumConnectTime, 'no CONNECT within the time limit'))
    })
    if (permission !== undefined) this.input.waitFor(permission)
    // The application may have paused the stream to look at its first bytes, and corked it.
    if (this.#stream.readableFlowing === false) this.#stream.resume()
    while (this.#stream.writableCorked > 0) this.#stream.uncork()
  }

  get isOpen(): boolean {
    return this.state !== 'ended' && this.state !== 'draining'
  }

  /** Packets are handled: the connection is open, or a hook decides on its last packets. */
  get takesPackets(): boolean {
    return this.state !== 'ended'
  }

  get protocolLevel(): ProtocolLevel {
    return this.sender.protocolLevel
  }

  get isConnected(): boolean {
    return this.state === 'connected'
  }

  // ─── in ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  readonly #onData = (chunk: Buffer): void => {
    if (!this.isOpen) return // Bytes after the end are ignored [MQTT-3.14.4-1].
    if (!Buffer.isBuffer(chunk)) {
      this.#onOtherData(chunk)
      return
    }
    this.broker.statistics.bytesReceived += chunk.length
    const { handled } = this.input
    this.input.push(chunk)
    this.#keepAlive?.received(chunk.length, this.input.handled !== handled)
  }

  /** A stream in object mode may give other views of bytes. */
  #onOtherData(chunk: unknown): void {
    if (ArrayBuffer.isView(chunk)) this.#onData(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
    else if (isAnyArrayBuffer(chunk)) this.#onData(Buffer.from(chunk))
    else this.fail(new TypeError('the stream gives strings or objects, not bytes; do not call setEncoding on it'))
  }

  readonly #onEnd = (): void => {
    this.#end.inputEnded = true
    if (this.isOpen) this.input.end()
    else this.#end.destroyWhenWritten()
  }

  handle(packet: Packet): void | Promise<void> {
    this.broker.statistics.messagesReceived += 1
    return this.#handlePacket(this, packet)
  }

  handleFailed(error: Error): void {
    if (this.state !== 'draining') return this.fail(error)
    if (!(error instanceof ProtocolError || error instanceof MqttError)) this.broker.reportError(error)
    this.drained()
  }

  inputEnded(): void {
    if (this.state === 'draining') this.drained()
    else this.#close(false, { reasonCode: ReasonCode.unspecified, byClient: false })
  }

  // Only before CONNACK: later, the other packets of the Client may come first.
  get expectsAuthentication(): boolean {
    return this.state === 'connecting' && this.authentication?.isWaiting === true
  }

  // ─── out ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Sends a reply. Returns false, and sends nothing, if the packet is larger than the Client accepts. */
  send(packet: Packet): boolean {
    return this.sender.send(packet)
  }

  /** Flushes the output and handles waiting packets at the end of this turn of the event loop. */
  schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.broker.scheduler.schedule(this)
  }

  flush(): void {
    this.#scheduled = false
    this.input.process()
    if (this.isOpen) this.sender.flush()
  }

  get outboundBusy(): boolean {
    return this.isOpen && this.sender.outboundBusy // A connection that has ended writes nothing.
  }

  onWritten(all: boolean): void {
    if (!this.isOpen) return
    this.input.process(MIN_PACKETS_PER_CHUNK)
    if (!all || !this.isOpen) return
    this.session?.outbound.sendPending()
    this.sender.flush()
  }

  writeFailed(error: Error): void {
    this.fail(new ProtocolError(ReasonCode.unspecified, error.message))
    this.#stream.destroy()
  }

  // ─── the session ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** A CONNECT arrived; until its handler has finished, other packets wait. */
  connecting(packet: ConnectPacket): void {
    this.state = 'connecting'
    this.broker.timers.cancel(this.#connectTimer)
    this.#connectTimer = undefined // With its closure it would stay as long as the connection.
    this.sender.accept(packet)
    this.bridgeMode = packet.bridgeMode === true
    this.authenticationMethod = packet.properties?.authenticationMethod
    this.sessionExpiryInterval = packet.properties?.sessionExpiryInterval ?? 0
  }

  /** Sends CONNACK, and only then the messages of the session [MQTT-3.2.0-1]. `keepAlive` in seconds; 0 is none. */
  connected(session: Session, client: Client, connack: ConnackPacket, keepAlive: number): void {
    const { settings, timers, predecessors } = this.broker
    this.state = 'connected'
    this.input.decoder.connect = undefined // The Client has these fields.
    this.session = session
    this.client = client
    session.attach(this.sender, client)
    client.connectedTo(session.outbound.backPressure)
    this.send(connack)
    if (predecessors.has(client.id)) {
      this.input.closeGate()
      predecessors.whenDecided(client.id, () => this.input.openGate())
    }
    this.input.decoder.maximumPacketSize = settings.limits.maxPacketSize
    if (this.protocolLevel === 5) this.inboundAliases = new InboundTopicAliases(settings.limits.topicAliasMaximum)
    if (keepAlive > 0) this.#keepAlive = new KeepAlive(timers, this, keepAlive)
    this.broker.clients.connected(client, connack.sessionPresent)
    session.outbound.sendPending()
  }

  /** Another connection takes over the session [MQTT-3.1.4-3], after the last packets of this one are decided. */
  sessionTakenOver(): void {
    this.#isSucceeded = true
    void this.end(ReasonCode.sessionTakenOver)
  }

  // ─── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Ends the connection because of an error of the Client, its stream, a hook or the broker, with its Reason Code. */
  fail(error: Error): void {
    if (!this.isOpen) return
    const isOurs = !(error instanceof ProtocolError || error instanceof MqttError)
    if (isOurs) this.broker.reportError(error)
    else if (this.isConnected || error instanceof ProtocolError) {
      this.broker.notify('clientError', error, this.info, this.isConnected ? this.client : undefined)
    }
    const refusal = isOurs ? new MqttError('unspecified', error.message, { cause: error, reasonString: '' }) : error
    if (this.isConnected) this.#disconnect(refusal.reasonCode, { reasonString: reasonStringOf(refusal) }, error)
    else this.#refuseConnect(refusal)
  }

  #refuseConnect(error: ProtocolError | MqttError): void {
    const isFirst = this.state === 'new'
    if (isFirst && error.reasonCode !== ReasonCode.unsupportedProtocolVersion) this.sender.protocolLevel = 5
    this.refuse(error, !isFirst || mayRefuseFirstPacket(error, this.input.decoder.protocolLevel))
  }

  /** Refuses a CONNECT; later packets are ignored [MQTT-3.1.4-6]. */
  refuse(error: MqttError | ProtocolError, hasConnack = true): void {
    if (!this.isOpen) return
    if (hasConnack) this.send(refusingConnack(error, this.protocolLevel))
    this.broker.statistics.connectionsRefused += 1
    this.broker.notify('connectionRefused', this.info, error, this.#refusedConnect())
    this.#close(false, { reasonCode: ReasonCode.unspecified, byClient: false, error })
  }

  #refusedConnect(): RefusedConnect {
    const { connect } = this.input.decoder
    if (connect === undefined) return {}
    const { clientId, username, protocolLevel } = connect
    // The Client has the identifier that was assigned to it.
    const known = this.client?.id ?? (clientId === '' ? undefined : clientId)
    return { clientId: known, username, protocolVersion: protocolVersions[protocolLevel] }
  }

  /** The Server ends the connection; an MQTT 5.0 Client receives a DISCONNECT. Resolves when the stream is closed. */
  end(reasonCode: number, options: DisconnectOptions = {}): Promise<void> {
    this.#disconnect(reasonCode, options, undefined)
    return this.#end.closed()
  }

  /** Ends the connection at once, without a DISCONNECT. */
  destroy(): void {
    this.#close(false, { reasonCode: ReasonCode.unspecified, byClient: false })
    this.#stream.destroy()
  }

  #disconnect(reasonCode: number, options: DisconnectOptions, error: Error | undefined): void {
    if (this.isConnected && this.protocolLevel === 5) {
      this.send(serverDisconnect(reasonCode, options, this.sender.wantsProblemInformation))
    }
    this.#close(false, { reasonCode, byClient: false, error })
  }

  /** A DISCONNECT arrived. With the Reason Code 0x00 it removes the Will [MQTT-3.14.4-3]. */
  disconnected(reasonCode: number): void {
    this.#close(reasonCode === ReasonCode.success, { reasonCode, byClient: true })
  }

  /** Ends the connection: detaches the session, writes the remaining output and gives the Client time to close. */
  #close(graceful: boolean, reason: DisconnectReason): void {
    if (!this.isOpen) return
    const { client, session, broker } = this
    const wasConnected = this.isConnected
    const isSucceeded = this.#isSucceeded && wasConnected
    const isUndecided = wasConnected && (isSucceeded ? this.input.hasUndecided : this.input.isPublishing)
    this.state = isUndecided ? 'draining' : 'ended'
    this.sender.stop()
    broker.timers.cancel(this.#connectTimer)
    this.#keepAlive?.stop()
    this.authentication?.abandon()
    client?.connectionClosed()
    if (wasConnected && client !== undefined && session !== undefined) {
      broker.clients.disconnected(client)
      if (isUndecided) {
        this.#remaining = new RemainingPackets(this, client)
        broker.predecessors.add(client.id, this.#remaining)
      }
      broker.notifyAfter(() => {
        broker.notify('clientDisconnected', client, reason) // The Will is published after the end of the connection.
        broker.sessions.connectionEnded(session, this.sender, graceful)
      })
    }
    if (isUndecided && isSucceeded) this.input.drain()
    else this.input.close()
    this.sender.end()
    if (this.#end.isClosed) this.#finished()
    else this.#end.linger()
  }

  /** The last packets of an ended connection are handled, or their time limit is over. */
  drained(): void {
    this.state = 'ended'
    this.input.close()
    this.#remaining?.handled()
  }

  readonly #onError = (error: Error): void => {
    if (!this.isOpen) return
    this.broker.notify('clientError', error, this.info, this.isConnected ? this.client : undefined)
    this.#close(false, { reasonCode: ReasonCode.unspecified, byClient: false, error })
    this.#stream.destroy()
  }

  readonly #onClose = (): void => {
    this.#end.isClosed = true
    this.sender.release()
    if (!this.isOpen) this.#finished()
    // A Client may send and close: its packets are handled, however long a hook takes.
    else if (!this.#end.inputEnded || !this.input.finish()) {
      this.#close(false, { reasonCode: ReasonCode.unspecified, byClient: false })
    }
  }

  #finished(): void {
    this.broker.connections.delete(this)
    this.#end.finished()
  }
}

import type { Duplex } from 'node:stream'
import type { DisconnectOptions } from '../../types/client.ts'
import type { ConnectionInfo } from '../../types/connection-info.ts'
import type { DisconnectReason } from '../../types/events.ts'
import type { ConnackPacket, ConnectPacket, Packet, ProtocolLevel } from '../../types/packets.ts'
import { MqttError, ProtocolError } from '../errors.ts'
import type { Flushable } from '../flush-scheduler.ts'
import type { BrokerContext } from '../handlers/broker-context.ts'
import { ReasonCode } from '../packets/reason-codes.ts'
import type { Session } from '../sessions/session.ts'
import type { Timer } from '../timers.ts'
import { InboundTopicAliases } from '../topics/topic-aliases.ts'
import type { Authentication } from './authentication.ts'
import type { Client } from './client.ts'
import { Input, type InputOwner } from './input.ts'
import { KeepAlive, type KeepAliveOwner } from './keep-alive.ts'
import { PacketSender, type PacketSenderOwner } from './packet-sender.ts'
import { PublishRate } from './publish-rate.ts'
import { mayRefuseFirstPacket, refusingConnack, serverDisconnect } from './refusals.ts'
import { RemainingPackets } from './remaining-packets.ts'
import { ReplyOrder, type ReplyOwner } from './reply-order.ts'
import { StreamEnd } from './stream-end.ts'

// Packets that are handled for each piece that a slow Client takes.
const PACKETS_A_PIECE = 16

/** What the Server does with a packet. A promise means that the packets behind it have to wait. */
export type HandlePacket = (connection: Connection, packet: Packet) => void | Promise<void>

/** A Client that is let in. */
export interface Admitted {
  readonly connack: ConnackPacket
  readonly session: Session
  readonly client: Client
  /** Seconds; 0 is none. */
  readonly keepAlive: number
  /** Topic Aliases that the Client takes. */
  readonly topicAliasMaximum: number
}

/**
 * One Network Connection, from its first byte to its end.
 *
 *   new ──CONNECT──▶ connecting ──CONNACK──▶ connected ──▶ ended
 *                                                └──a hook decides on what it sent──▶ draining ──▶ ended
 *
 * `input` turns bytes into packets, which go to the handlers; their replies come back through `send`.
 */
export class Connection implements InputOwner, PacketSenderOwner, ReplyOwner, KeepAliveOwner, Flushable {
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
  /** Enhanced authentication that is going on. */
  authentication: Authentication | undefined
  /** Authentication Method of the CONNECT. */
  authenticationMethod: string | undefined
  /** Session Expiry Interval of the CONNECT in seconds, as the Client asked. */
  sessionExpiryInterval = 0
  /** Messages at QoS 2 that came on this connection and wait for their PUBREL. */
  openExchanges = 0
  inboundAliases: InboundTopicAliases | undefined
  /** Frees what a PUBLISH has taken that a hook is asked about, when it is dropped. */
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
    const { settings, timers } = broker
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

  /** Begins to read. Until `permission` settles, the bytes that come wait. */
  start(permission?: Promise<void>): void {
    const { timers, settings } = this.broker
    if (this.#stream.destroyed || this.#stream.readableEnded) {
      this.#stream.destroy()
      this.#onClose() // It will not come by itself.
      permission?.catch(() => undefined) // The connection that it was for is gone.
      return
    }
    this.#stream.on('data', this.#onData)
    this.#stream.on('end', this.#onEnd)
    this.#stream.on('error', this.#onError)
    this.#stream.on('close', this.#onClose)
    this.#connectTimer = timers.after(settings.limits.connectTimeoutMs, () => {
      this.fail(new ProtocolError(ReasonCode.maximumConnectTime, 'no CONNECT within the time limit'))
    })
    if (permission !== undefined) this.input.waitFor(permission)
  }

  get isOpen(): boolean {
    return this.state !== 'ended' && this.state !== 'draining'
  }

  /** What it sent has an effect: it has not ended, or not all of that is decided. */
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
    if (!this.isOpen) return // What comes after the end is not looked at [MQTT-3.14.4-1].
    if (!Buffer.isBuffer(chunk)) {
      this.fail(new TypeError('the stream gave something else than bytes'))
      return
    }
    this.broker.statistics.bytesReceived += chunk.length
    const { handled } = this.input
    this.input.push(chunk)
    this.#keepAlive?.received(chunk.length, this.input.handled !== handled)
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

  // A connected Client's other packets wait for a handler that is busy, as always.
  get expectsAuthentication(): boolean {
    return this.state === 'connecting' && this.authentication?.isWaiting === true
  }

  // ─── out ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The one way for a reply. False, and nothing sent, when the packet is larger than the Client accepts. */
  send(packet: Packet): boolean {
    return this.sender.send(packet)
  }

  /** Writes what there is, and goes on with what waits, at the end of this turn. */
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
    return this.isOpen && this.sender.outboundBusy // After its end nothing is written, and the rest is handled.
  }

  onWritten(all: boolean): void {
    if (!this.isOpen) return
    this.input.process(PACKETS_A_PIECE)
    if (!all || !this.isOpen) return
    this.session?.outbound.sendPending()
    this.sender.flush()
  }

  writeFailed(error: Error): void {
    this.fail(new ProtocolError(ReasonCode.unspecified, error.message))
    this.#stream.destroy()
  }

  // ─── the session ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** The Client said who it is; from here on only the handler of its CONNECT goes on. */
  connecting(packet: ConnectPacket): void {
    this.state = 'connecting'
    this.broker.timers.cancel(this.#connectTimer)
    this.sender.accept(packet)
    this.authenticationMethod = packet.properties?.authenticationMethod
    this.sessionExpiryInterval = packet.properties?.sessionExpiryInterval ?? 0
  }

  /** Lets the Client in: CONNACK, and only then what its session has for it [MQTT-3.2.0-1]. */
  connected({ connack, session, client, keepAlive, topicAliasMaximum }: Admitted): void {
    const { settings, timers, predecessors } = this.broker
    this.state = 'connected'
    this.session = session
    this.client = client
    session.attach(this.sender, client)
    this.send(connack)
    if (predecessors.has(client.id)) {
      this.input.closeGate()
      predecessors.whenDecided(client.id, () => this.input.openGate())
    }
    this.input.decoder.maximumPacketSize = settings.limits.maxPacketSize
    if (this.protocolLevel === 5) {
      this.inboundAliases = new InboundTopicAliases(settings.limits.topicAliasMaximum)
      this.sender.useAliases(Math.min(topicAliasMaximum, settings.limits.maxOutboundTopicAliases))
    }
    if (keepAlive > 0) this.#keepAlive = new KeepAlive(timers, this, keepAlive)
    this.broker.clientConnected(client, connack.sessionPresent)
    session.outbound.sendPending()
  }

  keepAliveExpired(): void {
    void this.end(ReasonCode.keepAliveTimeout)
  }

  /** Another connection has the session now [MQTT-3.1.4-3]. What the hooks have not decided on is decided first. */
  sessionTakenOver(): void {
    this.#isSucceeded = true
    void this.end(ReasonCode.sessionTakenOver)
  }

  /** A CONNECT that came later was admitted. */
  outdated(): void {
    if (this.isOpen) this.refuse(new MqttError('unspecified', 'a later connection has the Client Identifier'))
  }

  // ─── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A fault: of the Client, of its stream, of a hook or ours. The connection ends with the Reason Code that says which. */
  fail(error: Error): void {
    if (!this.isOpen) return
    const isOurs = !(error instanceof ProtocolError || error instanceof MqttError)
    if (isOurs) this.broker.reportError(error)
    else if (this.isConnected || error instanceof ProtocolError) {
      this.broker.notify('clientError', error, this.info, this.isConnected ? this.client : undefined)
    }
    const refusal = isOurs ? new MqttError('unspecified', '', { cause: error }) : error
    if (this.isConnected) this.#disconnect(refusal.reasonCode, { reasonString: refusal.message }, error)
    else this.#notLetIn(refusal)
  }

  #notLetIn(error: ProtocolError | MqttError): void {
    if (this.state === 'connecting') return this.refuse(error)
    const { protocolLevel } = this.input.decoder
    if (!mayRefuseFirstPacket(error, protocolLevel)) return this.#refused(error)
    if (error.reasonCode !== ReasonCode.unsupportedProtocolVersion) this.sender.protocolLevel = 5
    this.refuse(error)
  }

  /** Refuses a CONNECT; nothing that came after it is looked at [MQTT-3.1.4-6]. */
  refuse(error: MqttError | ProtocolError): void {
    this.send(refusingConnack(error, this.protocolLevel))
    this.#refused(error)
  }

  #refused(error: Error): void {
    this.broker.statistics.connectionsRefused += 1
    this.broker.notify('connectionRefused', this.info, error)
    this.#close(false, { reasonCode: ReasonCode.unspecified, byClient: false, error })
  }

  /** The Server ends the connection; an MQTT 5.0 Client is told why. Resolves when the stream is closed. */
  end(reasonCode: number, options: DisconnectOptions = {}): Promise<void> {
    this.#disconnect(reasonCode, options, undefined)
    return this.#end.closed()
  }

  /** At once, without a DISCONNECT. */
  destroy(): void {
    this.#close(false, { reasonCode: ReasonCode.unspecified, byClient: false })
    this.#stream.destroy()
  }

  #disconnect(reasonCode: number, options: DisconnectOptions, error: Error | undefined): void {
    if (this.isConnected && this.protocolLevel === 5) this.send(serverDisconnect(reasonCode, options))
    this.#close(false, { reasonCode, byClient: false, error })
  }

  /** DISCONNECT came. It takes the Will back unless its Reason Code says that it does not [MQTT-3.14.4-3]. */
  disconnected(reasonCode: number): void {
    if (this.state === 'draining') {
      const { session, client } = this
      const takesWillBack = reasonCode === ReasonCode.success && session !== undefined && client !== undefined
      if (takesWillBack) this.broker.wills.withdraw(session, client)
      this.drained()
    } else this.#close(reasonCode === ReasonCode.success, { reasonCode, byClient: true })
  }

  /** The end, however it came: the session is left, what is left is written, and the other side has a moment to close. */
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
      broker.clientDisconnected(client)
      if (isUndecided) {
        this.#remaining = new RemainingPackets(this, client)
        broker.predecessors.add(client.id, this.#remaining)
      }
      broker.sessions.connectionEnded(session, this.sender, graceful)
      broker.notify('clientDisconnected', client, reason)
    }
    if (isUndecided && isSucceeded) this.input.drain()
    else this.input.close()
    this.sender.end()
    if (this.#end.isClosed) this.#finished()
    else this.#end.linger()
  }

  /** All that counts of what an ended connection sent is handled, or its time is over. */
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
    // A Client may send and close: what came before its end counts, however long a hook takes for it.
    else if (!this.#end.inputEnded || !this.input.finish()) {
      this.#close(false, { reasonCode: ReasonCode.unspecified, byClient: false })
    }
  }

  /** Ended and closed. */
  #finished(): void {
    this.broker.connectionClosed(this)
    this.#end.finished()
  }
}

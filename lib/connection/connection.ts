import type { Duplex } from 'node:stream'
import type { DisconnectOptions } from '../../types/client.ts'
import type { ConnectionInfo } from '../../types/connection-info.ts'
import type { DisconnectReason } from '../../types/events.ts'
import type { ConnackPacket, ConnectPacket, Packet, ProtocolLevel } from '../../types/packets.ts'
import type { AcknowledgementProperties } from '../../types/properties.ts'
import type { Authentication } from './authentication.ts'
import type { Client } from './client.ts'
import type { Core } from '../core.ts'
import { MqttError, ProtocolError } from '../errors.ts'
import { handlePacket } from '../handlers/packet.ts'
import { Input, type InputOwner } from './input.ts'
import { PublishWriter } from './publish-writer.ts'
import type { OutgoingPublish } from '../messages/outgoing-publish.ts'
import { Output, type OutputOwner } from './output.ts'
import { encodeInto } from '../packets/encoder.ts'
import { refusalCodeFor } from '../packets/reason-code-lists.ts'
import { connectReturnCode, ReasonCode } from '../packets/reason-codes.ts'
import type { SessionConnection } from '../sessions/session-connection.ts'
import type { Session } from '../sessions/session.ts'
import type { Timer } from '../timers.ts'
import { InboundTopicAliases } from '../topics/topic-aliases.ts'
import type { Flushable } from '../flush-scheduler.ts'

// Beyond this a session keeps what can wait, and a Client that does not read is not read from.
const BUSY_BYTES = 256 * 1024
// Packets that are handled for each piece that a slow Client takes.
const PACKETS_A_PIECE = 16
// Milliseconds for the other side to read our last packet and close.
const LINGER_MS = 1000
// A timer this late means that the program was busy, not that the Client was silent.
const LATE_MS = 500
// So large a piece of a packet that is not complete is a sign of life; smaller ones might be meant to pass for one.
const SIGN_OF_LIFE_BYTES = 1000
const MAX_REASON_STRING_LENGTH = 1024

/**
 * One Network Connection, from its first byte to its end.
 *
 *   new ──CONNECT──▶ connecting ──CONNACK──▶ connected ──▶ ended
 *
 * `input` turns bytes into packets, which go to the handlers; what they answer comes back through `send`.
 */
export class Connection implements SessionConnection, InputOwner, OutputOwner, Flushable {
  readonly core: Core
  readonly info: ConnectionInfo
  readonly input: Input
  state: 'new' | 'connecting' | 'connected' | 'ended' = 'new'
  protocolLevel: ProtocolLevel = 4
  session: Session | undefined
  client: Client | undefined
  /** Enhanced authentication that is going on. */
  authentication: Authentication | undefined
  /** Authentication Method of the CONNECT. */
  authenticationMethod: string | undefined
  /** Session Expiry Interval of the CONNECT in seconds, as the Client asked. */
  sessionExpiryInterval = 0
  receiveMaximum = 65_535
  /** Messages at QoS 2 that came on this connection and wait for their PUBREL. */
  openExchanges = 0
  inboundAliases: InboundTopicAliases | undefined
  #wantsProblemInformation = true

  readonly #stream: Duplex
  readonly #output: Output
  readonly #messages: PublishWriter
  #keepAliveMs = 0
  #lastPacketAt = 0
  /** The CONNECT time-out at first, then the keep-alive, at last the lingering. */
  #timer: Timer | undefined
  #inputEnded = false
  /** Answers that wait for the store. */
  #pendingReplies = 0
  #scheduled = false
  #closed = false
  #whenClosed: (() => void)[] | undefined
  #published = 0
  #publishedSince = 0

  constructor(core: Core, stream: Duplex, info: ConnectionInfo) {
    const { limits, allowControlCharacters } = core.settings
    this.core = core
    this.info = info
    this.#stream = stream
    this.#output = new Output(stream, this, core.timers, limits.drainTimeoutMs)
    this.#messages = new PublishWriter(this.#output.writer, core.timers)
    this.input = new Input(stream, this, core.scheduler, {
      maximumPacketSize: limits.maxConnectPacketSize,
      maximumUserProperties: limits.maxUserProperties,
      allowControlCharacters,
    })
  }

  /** Begins to read. Until `permission` settles, the bytes that come wait. */
  start(permission?: Promise<void>): void {
    if (this.#stream.destroyed || this.#stream.readableEnded) {
      this.#stream.destroy()
      this.#onClose() // It will not come by itself.
      permission?.catch(() => undefined) // Nobody is there to be let in.
      return
    }
    this.#stream.on('data', this.#onData)
    this.#stream.on('end', this.#onEnd)
    this.#stream.on('error', this.#onError)
    this.#stream.on('close', this.#onClose)
    this.#timer = this.core.timers.after(this.core.settings.limits.connectTimeoutMs, () => {
      this.fail(new ProtocolError(ReasonCode.maximumConnectTime, 'no CONNECT within the time limit'))
    })
    if (permission !== undefined) this.input.waitFor(permission)
  }

  get isOpen(): boolean {
    return this.state !== 'ended'
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
    this.core.statistics.bytesReceived += chunk.length
    const before = this.input.handled
    this.input.push(chunk)
    if (this.#keepAliveMs === 0) return
    if (this.input.handled !== before || chunk.length >= SIGN_OF_LIFE_BYTES) this.#lastPacketAt = this.core.timers.now()
  }

  readonly #onEnd = (): void => {
    this.#inputEnded = true
    if (this.isOpen) this.input.end()
    else this.#destroyWhenWritten()
  }

  handle(packet: Packet): void | Promise<void> {
    this.core.statistics.messagesReceived += 1
    return handlePacket(this, packet)
  }

  handleFailed(error: Error): void {
    this.fail(error)
  }

  inputEnded(): void {
    this.#close(false, { reasonCode: ReasonCode.unspecified, byClient: false })
  }

  // A connected Client's other packets wait for a handler that is busy, as always.
  get expectsAuthentication(): boolean {
    return this.state === 'connecting' && this.authentication?.isWaiting === true
  }

  /** Counts a message against the rate limit; one that reaches it is handled, and then the connection rests. */
  countPublish(): void {
    const { messagesPerSecond } = this.core.settings.limits
    if (messagesPerSecond === Infinity) return
    const now = this.core.timers.now()
    if (now - this.#publishedSince >= 1000) {
      this.#publishedSince = now
      this.#published = 0
    }
    this.#published += 1
    if (this.#published < messagesPerSecond) return
    this.input.pause()
    this.core.timers.at(this.#publishedSince + 1000, () => this.input.resume())
  }

  // ─── out ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The one way for an answer. What is larger than the Client accepts loses its texts; false when it still is. */
  send(packet: Packet): boolean {
    if (!this.#canWrite()) return true
    const { writer } = this.#output
    const start = writer.length
    let fits = false
    try {
      encodeInto(writer, packet, this.protocolLevel)
      fits = writer.length - start <= this.#messages.maximumPacketSize
    } catch (error) {
      this.core.reportError(error as Error) // The application gave texts that are none.
    }
    if (!fits) {
      writer.length = start
      const shorter = withoutReasonProperties(packet)
      return shorter !== undefined && this.send(shorter) // [MQTT-3.2.2-19] [MQTT-3.4.2-2] and so on for each packet.
    }
    this.core.statistics.messagesSent += 1
    this.schedule()
    return true
  }

  /** An acknowledgement; `refusal` adds its texts when the Client wants them [MQTT-3.1.2-29]. */
  acknowledge(
    type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp',
    packetId: number,
    reasonCode: number,
    refusal?: MqttError,
  ): void {
    this.send({ type, packetId, reasonCode, properties: refusal && this.reasonPropertiesOf(refusal) })
  }

  /** Answers wait until the store has what they promise. */
  get hasPendingReplies(): boolean {
    return this.#pendingReplies > 0
  }

  /**
   * Calls `onSafe` when all that was told to the store is safe, or `onFailed` when it failed; without one the store
   * tries again. A Client that is far ahead of the store is not read from.
   */
  afterCommit(onSafe: () => void, onFailed?: (error: Error) => void): void {
    const { commits, settings } = this.core
    if (commits === undefined) return onSafe()
    commits.backPressure.pausePublisher(this.input)
    this.#pendingReplies += 1
    if (this.#pendingReplies === settings.limits.receiveMaximum) this.input.pause()
    const settled = (): void => {
      if (this.#pendingReplies === settings.limits.receiveMaximum) this.input.resume()
      this.#pendingReplies -= 1
    }
    commits.afterCommit(
      () => {
        settled()
        onSafe()
      },
      onFailed &&
        ((error) => {
          settled()
          onFailed(error)
        }),
    )
  }

  /** An answer that depends on nothing that is stored, but must not come before those that do. */
  afterOthers(answer: () => void): void {
    if (this.hasPendingReplies) this.afterCommit(answer, answer)
    else answer()
  }

  /** The texts of a refusal, for a packet that may go without; undefined when the Client does not want them. */
  reasonPropertiesOf(refusal: MqttError): AcknowledgementProperties | undefined {
    if (this.protocolLevel !== 5 || !this.#wantsProblemInformation) return undefined
    return reasonProperties(refusal.message, refusal.userProperties)
  }

  publish(outgoing: OutgoingPublish): boolean {
    if (!this.#canWrite()) return true
    if (!this.#messages.write(outgoing)) return false
    const { statistics } = this.core
    statistics.messagesSent += 1
    statistics.publishSent += 1
    statistics.publishBytesSent += outgoing.message.payload.length
    this.schedule()
    return true
  }

  pubrel(packetId: number): void {
    this.acknowledge('pubrel', packetId, ReasonCode.success)
  }

  get outboundBusy(): boolean {
    return this.#output.bytes >= BUSY_BYTES
  }

  get outboundFull(): boolean {
    return this.#output.bytes >= this.core.settings.limits.maxOutboundBytes
  }

  #canWrite(): boolean {
    return this.isOpen && this.#stream.writable
  }

  /** Writes what there is, and goes on with what waits, at the end of this turn. */
  schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.core.scheduler.schedule(this)
  }

  flush(): void {
    this.#scheduled = false
    if (!this.isOpen) return
    this.input.process()
    if (this.isOpen) this.#output.flush()
  }

  onBytes(bytes: number): void {
    this.core.statistics.bytesSent += bytes
  }

  onWritten(all: boolean): void {
    if (!this.isOpen) return
    this.input.process(PACKETS_A_PIECE)
    if (!all || !this.isOpen) return
    this.session?.outbound.sendPending()
    this.#output.flush()
  }

  writeFailed(error: Error): void {
    this.fail(new ProtocolError(ReasonCode.unspecified, error.message))
    this.#stream.destroy()
  }

  // ─── the session ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** The Client said who it is; from here on only the handler of its CONNECT goes on. */
  connecting(packet: ConnectPacket): void {
    this.state = 'connecting'
    this.core.timers.cancel(this.#timer)
    this.protocolLevel = packet.protocolLevel
    this.receiveMaximum = packet.properties?.receiveMaximum ?? 65_535
    this.#messages.protocolLevel = packet.protocolLevel
    this.#messages.maximumPacketSize = packet.properties?.maximumPacketSize ?? Infinity
    this.#wantsProblemInformation = packet.properties?.requestProblemInformation !== 0
    this.authenticationMethod = packet.properties?.authenticationMethod
    this.sessionExpiryInterval = packet.properties?.sessionExpiryInterval ?? 0
  }

  /** Lets the Client in: CONNACK, and only then what its session has for it [MQTT-3.2.0-1]. `keepAlive` in seconds. */
  connected(
    connack: ConnackPacket,
    session: Session,
    client: Client,
    keepAlive: number,
    topicAliasMaximum: number,
  ): void {
    const { limits } = this.core.settings
    this.state = 'connected'
    this.session = session
    this.client = client
    session.attach(this, client)
    if (!this.send(connack)) {
      this.#close(false, { reasonCode: ReasonCode.packetTooLarge, byClient: false })
      return
    }
    this.input.decoder.maximumPacketSize = limits.maxPacketSize
    if (this.protocolLevel === 5) {
      this.inboundAliases = new InboundTopicAliases(limits.topicAliasMaximum)
      this.#messages.useAliases(Math.min(topicAliasMaximum, limits.maxOutboundTopicAliases))
    }
    this.#keepAliveMs = keepAlive * 1500
    if (this.#keepAliveMs > 0) {
      this.#lastPacketAt = this.core.timers.now()
      this.#armKeepAlive(this.#lastPacketAt + this.#keepAliveMs)
    }
    this.core.clientConnected(client, connack.sessionPresent)
    session.outbound.sendPending()
  }

  #armKeepAlive(due: number): void {
    this.#timer = this.core.timers.at(due, () => {
      const now = this.core.timers.now()
      const silentSince = this.#lastPacketAt + this.#keepAliveMs
      if (silentSince > now) this.#armKeepAlive(silentSince)
      else if (this.input.isWaiting)
        this.#armKeepAlive(now + this.#keepAliveMs) // It waits for us.
      else if (now - due > LATE_MS)
        this.#armKeepAlive(now + LATE_MS) // Its packets may lie unread.
      else void this.end(ReasonCode.keepAliveTimeout) // [MQTT-3.1.2-22]
    })
  }

  sessionTakenOver(): void {
    void this.end(ReasonCode.sessionTakenOver)
  }

  // ─── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A fault: of the Client, of its stream, of a hook or ours. The connection ends with the Reason Code that says which. */
  fail(error: Error): void {
    if (!this.isOpen) return
    if (!(error instanceof ProtocolError || error instanceof MqttError)) {
      this.core.reportError(error)
      if (this.isConnected) this.#disconnect(ReasonCode.unspecified, {}, error)
      else this.#notLetIn(new MqttError('unspecified', '', { cause: error }))
    } else if (this.isConnected) {
      this.core.notify('clientError', error, this.info, this.client)
      this.#disconnect(error.reasonCode, error.message === '' ? {} : { reasonString: error.message }, error)
    } else {
      if (error instanceof ProtocolError) this.core.notify('clientError', error, this.info, undefined)
      this.#notLetIn(error)
    }
  }

  #notLetIn(error: ProtocolError | MqttError): void {
    if (this.#mayRefuse(error)) this.refuse(error)
    else this.#refused(error)
  }

  /** Whether a CONNECT that went wrong is answered, or the connection just ends. */
  #mayRefuse(error: ProtocolError | MqttError): boolean {
    if (this.state === 'connecting') return true
    // [MQTT-3.1.2-2], in the form that every Client reads.
    if (error.reasonCode === ReasonCode.unsupportedProtocolVersion) return true
    // A CONNECT of MQTT 5.0 is answered; one of MQTT 3 must not be [MQTT-3.1.4-1].
    if (this.input.decoder.protocolLevel !== 5) return false
    this.protocolLevel = 5
    return true
  }

  /** Refuses a CONNECT [MQTT-3.2.2-7]; nothing that came after it is looked at [MQTT-3.1.4-6]. */
  refuse(error: MqttError | ProtocolError): void {
    const isFive = this.protocolLevel === 5
    const reasonCode = refusalCodeFor('connack', error.reasonCode)
    const asked = error instanceof MqttError ? error : undefined
    const properties = {
      ...reasonProperties(error.message, asked?.userProperties),
      ...(asked?.serverReference !== undefined && { serverReference: asked.serverReference }),
    }
    this.send({
      type: 'connack',
      sessionPresent: false,
      reasonCode: isFive ? reasonCode : connectReturnCode(reasonCode),
      properties: isFive ? properties : undefined,
    })
    this.#refused(error)
  }

  #refused(error: Error): void {
    this.core.statistics.connectionsRefused += 1
    this.core.notify('connectionRefused', this.info, error)
    this.#close(false, { reasonCode: ReasonCode.unspecified, byClient: false, error })
  }

  /** The Server ends the connection; an MQTT 5.0 Client is told why. Resolves when the stream is closed. */
  end(reasonCode: number, options: DisconnectOptions = {}): Promise<void> {
    this.#disconnect(reasonCode, options, undefined)
    if (this.#closed) return Promise.resolve()
    return new Promise((resolve) => {
      this.#whenClosed ??= []
      this.#whenClosed.push(resolve)
    })
  }

  /** At once, without a goodbye. */
  destroy(): void {
    this.#close(false, { reasonCode: ReasonCode.unspecified, byClient: false })
    this.#stream.destroy()
  }

  #disconnect(reasonCode: number, options: DisconnectOptions, error: Error | undefined): void {
    if (this.isConnected && this.protocolLevel === 5) {
      const { serverReference } = options
      const code = reasonCode === ReasonCode.success ? reasonCode : refusalCodeFor('disconnect', reasonCode)
      const properties = {
        ...reasonProperties(options.reasonString ?? '', options.userProperties),
        ...(serverReference !== undefined && { serverReference }),
      }
      this.send({ type: 'disconnect', reasonCode: code, properties })
    }
    this.#close(false, { reasonCode, byClient: false, error })
  }

  /** The Client said goodbye, and takes its Will back unless its Reason Code says that it does not [MQTT-3.14.4-3]. */
  disconnected(reasonCode: number): void {
    this.#close(reasonCode === ReasonCode.success, { reasonCode, byClient: true })
  }

  /** The end, however it came: the session is left, what is left is written, and the other side has a moment to close. */
  #close(graceful: boolean, reason: DisconnectReason): void {
    if (!this.isOpen) return
    const { client, session, core } = this
    const wasConnected = this.isConnected
    this.state = 'ended'
    core.timers.cancel(this.#timer)
    this.authentication?.abandon()
    client?.connectionClosed()
    if (wasConnected && client !== undefined && session !== undefined) {
      core.clientDisconnected(client)
      core.sessions.connectionEnded(session, this, graceful)
      core.notify('clientDisconnected', client, reason)
    }
    this.input.close()
    this.#output.end()
    if (this.#closed) {
      this.#finished()
      return
    }
    if (this.#inputEnded) this.#destroyWhenWritten()
    this.#timer = core.timers.after(LINGER_MS, () => this.#stream.destroy())
  }

  #destroyWhenWritten(): void {
    if (this.#stream.writableFinished) this.#stream.destroy()
    else this.#stream.once('finish', () => this.#stream.destroy())
  }

  readonly #onError = (error: Error): void => {
    if (!this.isOpen) return
    this.core.notify('clientError', error, this.info, this.isConnected ? this.client : undefined)
    this.#close(false, { reasonCode: ReasonCode.unspecified, byClient: false, error })
    this.#stream.destroy()
  }

  readonly #onClose = (): void => {
    this.#closed = true
    this.#output.release()
    if (!this.isOpen) this.#finished()
    // A Client may send and close: what came before its end counts, however long a hook takes for it.
    else if (!this.#inputEnded || !this.input.finish()) {
      this.#close(false, { reasonCode: ReasonCode.unspecified, byClient: false })
    }
  }

  /** Ended and closed. */
  #finished(): void {
    this.core.timers.cancel(this.#timer)
    this.core.connectionClosed(this)
    for (const resolve of this.#whenClosed ?? []) resolve()
    this.#whenClosed = undefined
  }
}

function reasonProperties(
  reasonString: string,
  userProperties: AcknowledgementProperties['userProperties'],
): AcknowledgementProperties | undefined {
  if (reasonString === '' && userProperties === undefined) return undefined
  return {
    ...(reasonString !== '' && { reasonString: reasonString.slice(0, MAX_REASON_STRING_LENGTH) }),
    ...(userProperties !== undefined && { userProperties }),
  }
}

/** The same packet without Reason String and User Properties; undefined when it has none. */
function withoutReasonProperties(packet: Packet): Packet | undefined {
  if (!('properties' in packet) || packet.properties === undefined) return undefined
  const { reasonString, userProperties, ...properties } = packet.properties as AcknowledgementProperties & object
  if (reasonString === undefined && userProperties === undefined) return undefined
  return { ...packet, properties }
}

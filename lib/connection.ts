import type { Duplex } from 'node:stream'
import type { DisconnectOptions } from '../types/client.ts'
import type { ConnectionInfo } from '../types/connection-info.ts'
import type { ConnackPacket, ConnectPacket, Packet, ProtocolLevel, QoS } from '../types/packets.ts'
import type { AcknowledgementProperties, PublishProperties } from '../types/properties.ts'
import type { Authentication } from './authentication.ts'
import type { Client } from './client.ts'
import type { Core } from './core.ts'
import { MqttError, ProtocolError } from './errors.ts'
import { handlePacket } from './handlers/handle-packet.ts'
import { isPromise } from './hooks.ts'
import type { Message } from './messages/message.ts'
import { Decoder } from './packets/decoder.ts'
import { encodeInto } from './packets/encoder.ts'
import { encodedPublishSize, writePublish } from './packets/publish.ts'
import { reasonCodesOf } from './packets/reason-code-lists.ts'
import { connectReturnCode, ReasonCode } from './packets/reason-codes.ts'
import { Writer } from './packets/writer.ts'
import type { Held } from './sessions/congestion.ts'
import type { Link, Session } from './sessions/session.ts'
import type { Timer } from './timers.ts'
import { InboundTopicAliases, OutboundTopicAliases } from './topics/topic-aliases.ts'
import type { Waiting } from './turn.ts'

// Beyond this a session keeps what can wait, and a Client that does not read is not read from.
const BUSY_BYTES = 256 * 1024
// Bytes that may wait while the packet before them is still being worked on.
const READ_AHEAD_BYTES = 64 * 1024
// Milliseconds for the other side to read our last packet and close.
const LINGER_MS = 1000
// A timer this late means that the program was busy, not that the Client was silent.
const LATE_MS = 500
const LONGEST_REASON_STRING = 1024
// Bytes that a Topic Alias adds to a packet, the lengths in front of it included.
const LARGEST_ALIAS = 5

/**
 * One Network Connection: bytes to packets in order, packets to bytes, back-pressure, and its end.
 *
 *   new ──CONNECT──▶ connecting ──CONNACK──▶ connected ──▶ ended
 */
export class Connection implements Link, Held, Waiting {
  readonly core: Core
  readonly info: ConnectionInfo
  state: 'new' | 'connecting' | 'connected' | 'ended' = 'new'
  protocolLevel: ProtocolLevel = 4
  session: Session | undefined
  client: Client | undefined
  /** Enhanced authentication that is going on. */
  authentication: Authentication | undefined
  /** Authentication Method of the CONNECT. */
  authenticationMethod: string | undefined
  /** Session Expiry Interval of the CONNECT in seconds. */
  sessionExpiryInterval = 0
  receiveMaximum = 65_535
  inboundAliases: InboundTopicAliases | undefined
  #outboundAliases: OutboundTopicAliases | undefined
  #maximumPacketSize = Infinity
  #wantsProblemInformation = true

  readonly #stream: Duplex
  readonly #decoder: Decoder
  readonly #writer = new Writer(256)
  #writingBytes = 0
  #writeTimer: Timer | undefined
  #keepAliveMs = 0
  #lastPacketAt = 0
  /** The CONNECT time-out at first, then the keep-alive, at last the lingering. */
  #timer: Timer | undefined
  /** A packet is being worked on; those after it wait. */
  #busy = false
  #holds = 0
  #paused = false
  #inputEnded = false
  #waits = false
  #closed = false
  #whenClosed: (() => void)[] | undefined
  #published = 0
  #publishedSince = 0

  constructor(core: Core, stream: Duplex, info: ConnectionInfo) {
    const { limits, allowControlCharacters } = core.settings
    this.core = core
    this.info = info
    this.#stream = stream
    this.#decoder = new Decoder({
      maximumPacketSize: limits.maxConnectPacketSize,
      maximumUserProperties: limits.maxUserProperties,
      allowControlCharacters,
    })
  }

  /** Begins to read. Until `permission` settles, the bytes that come wait. */
  start(permission?: Promise<void>): void {
    this.#stream.on('data', this.#onData)
    this.#stream.on('end', this.#onEnd)
    this.#stream.on('error', this.#onError)
    this.#stream.on('close', this.#onClose)
    this.#timer = this.core.timers.after(this.core.settings.limits.connectTimeoutMs, () => {
      this.#endBefore(new ProtocolError(ReasonCode.maximumConnectTime, 'no CONNECT within the time limit'))
    })
    if (permission === undefined) return
    this.#busy = true
    permission.then(
      () => this.#handled(),
      (error: Error) => this.#endBefore(error),
    )
  }

  get isOpen(): boolean {
    return this.state !== 'ended'
  }

  get isConnected(): boolean {
    return this.state === 'connected'
  }

  // ─── in ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  readonly #onData = (chunk: Buffer): void => {
    if (this.state === 'ended') return // What comes after the end is not looked at [MQTT-3.14.4-1].
    if (!Buffer.isBuffer(chunk)) {
      this.fail(new TypeError('the stream gave something else than bytes'))
      return
    }
    this.core.statistics.bytesReceived += chunk.length
    this.#decoder.push(chunk)
    this.#process()
  }

  /** Handles the packets that are complete, one after the other, until one of them has to wait. */
  #process(): void {
    let handled = 0
    let drained = false
    while (this.state !== 'ended' && this.#mayHandle()) {
      if (handled > 0 && this.core.turn.isFull) {
        this.#wait()
        break
      }
      try {
        const packet = this.#decoder.next()
        drained = packet === undefined
        if (packet === undefined) break
        handled += 1
        this.core.turn.work += 1
        this.core.statistics.messagesReceived += 1
        const result = handlePacket(this, packet)
        if (isPromise(result)) {
          this.#busy = true
          result.then(
            () => this.#handled(),
            (error: Error) => this.#failed(error),
          )
        }
      } catch (error) {
        this.fail(error as Error)
      }
    }
    if (handled > 0 && this.#keepAliveMs > 0) this.#lastPacketAt = this.core.timers.now()
    if (this.#inputEnded && drained && this.isOpen) this.#connectionLost()
    this.#pauseOrResume()
  }

  #mayHandle(): boolean {
    if (this.#busy) return this.authentication?.isWaiting === true
    return this.#holds === 0 && this.outboundBytes < BUSY_BYTES
  }

  #handled(): void {
    this.#busy = false
    this.#process()
  }

  #failed(error: Error): void {
    this.#busy = false
    this.fail(error)
  }

  /** The next packet is looked at although the one before is not done: the AUTH that it waits for. */
  expectAuthentication(): void {
    queueMicrotask(() => this.#process())
  }

  #pauseOrResume(): void {
    const wait =
      this.state !== 'ended' && !this.#mayHandle() && (this.#decoder.bufferedBytes >= READ_AHEAD_BYTES || !this.#busy)
    if (wait === this.#paused) return
    this.#paused = wait
    if (wait) this.#stream.pause()
    else this.#stream.resume()
  }

  holdBack(): void {
    this.#holds += 1
  }

  letGo(): void {
    this.#holds -= 1
    if (this.#holds === 0) this.#process()
  }

  /** Counts a message against the rate limit; one that is over it is handled, and then the connection rests. */
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
    this.holdBack()
    this.core.timers.at(this.#publishedSince + 1000, () => this.letGo())
  }

  // ─── out ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The one way for an answer. What is larger than the Client accepts loses its texts, or is not sent. */
  send(packet: Packet): void {
    if (!this.#canWrite()) return
    const start = this.#writer.length
    let fits = false
    try {
      encodeInto(this.#writer, packet, this.protocolLevel)
      fits = this.#writer.length - start <= this.#maximumPacketSize
    } catch (error) {
      this.core.reportError(error as Error) // The application gave texts that are none.
    }
    if (!fits) {
      this.#writer.length = start
      const shorter = withoutTexts(packet)
      if (shorter !== undefined) this.send(shorter) // [MQTT-3.2.2-19] [MQTT-3.4.2-2] and so on for each packet.
      return
    }
    this.core.statistics.messagesSent += 1
    this.#wait()
  }

  /** An acknowledgement; `refusal` adds its texts when the Client wants them [MQTT-3.1.2-29]. */
  acknowledge(
    type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp',
    packetId: number,
    reasonCode: number,
    refusal?: MqttError,
  ): void {
    this.send({ type, packetId, reasonCode: listed(reasonCode, type), properties: refusal && this.textsOf(refusal) })
  }

  /** The texts of a refusal, for a packet that may go without; undefined when the Client does not want them. */
  textsOf(refusal: MqttError): AcknowledgementProperties | undefined {
    if (this.protocolLevel !== 5 || !this.#wantsProblemInformation) return undefined
    return texts(refusal.message, refusal.userProperties)
  }

  publish(
    message: Message,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    identifiers: readonly number[] | undefined,
  ): boolean {
    if (!this.#canWrite()) return true
    const writer = this.#writer
    if (identifiers !== undefined || message.expiresAt !== Infinity || this.#outboundAliases !== undefined) {
      if (!this.#publishOwn(message, qos, retain, dup, packetId, identifiers)) return false
    } else if (message.isShared && !dup) {
      const start = writer.length
      const { bytes, packetIdOffset } = message.frame(this.protocolLevel, qos, retain)
      if (bytes.length > this.#maximumPacketSize) return false
      writer.bytes(bytes)
      if (qos > 0) writer.buffer.writeUInt16BE(packetId, start + packetIdOffset)
    } else {
      const { topic, payload, properties } = message
      const start = writer.length
      writePublish(writer, this.protocolLevel, topic, payload, qos, retain, dup, packetId, properties)
      if (writer.length - start > this.#maximumPacketSize) {
        writer.length = start
        return false
      }
    }
    const { statistics } = this.core
    statistics.messagesSent += 1
    statistics.publishSent += 1
    statistics.publishBytesSent += message.payload.length
    this.#wait()
    return true
  }

  /** A PUBLISH unlike any other: with identifiers, an alias, or what is left of its expiry. False when it is too large. */
  #publishOwn(
    message: Message,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    identifiers: readonly number[] | undefined,
  ): boolean {
    const { payload } = message
    const level = this.protocolLevel
    let { topic } = message
    let properties: PublishProperties | undefined
    if (level === 5) {
      properties = message.propertiesAt(this.core.timers.now())
      if (identifiers !== undefined) properties = { ...properties, subscriptionIdentifiers: identifiers }
    }
    // Measured before an alias is given: the Client must get every packet that sets one.
    const room =
      this.#maximumPacketSize -
      (this.#maximumPacketSize === Infinity ? 0 : encodedPublishSize(level, topic, payload, qos, properties))
    if (room < 0) return false
    if (room >= LARGEST_ALIAS) {
      const alias = this.#outboundAliases?.assign(topic) ?? 0
      if (alias !== 0) properties = { ...properties, topicAlias: Math.abs(alias) }
      if (alias > 0) topic = '' // The Client knows it.
    }
    writePublish(this.#writer, level, topic, payload, qos, retain, dup, packetId, properties)
    return true
  }

  pubrel(packetId: number): void {
    this.acknowledge('pubrel', packetId, ReasonCode.success)
  }

  get outboundBytes(): number {
    return this.#writer.length + this.#writingBytes
  }

  get outboundBusy(): boolean {
    return this.outboundBytes >= BUSY_BYTES
  }

  get outboundFull(): boolean {
    return this.outboundBytes >= this.core.settings.limits.maxOutboundBytes
  }

  #canWrite(): boolean {
    return this.state !== 'ended' && this.#stream.writable
  }

  #wait(): void {
    if (this.#waits) return
    this.#waits = true
    this.core.turn.wait(this)
  }

  endOfTurn(): void {
    this.#waits = false
    this.#process()
    if (this.state !== 'ended') this.#flush()
  }

  /** One write at a time: what comes while it is under way goes with the next one. */
  #flush(): void {
    if (this.#writer.length === 0) return
    if (this.#writingBytes > 0) {
      this.#writeTimer ??= this.core.timers.after(this.core.settings.limits.drainTimeoutMs, () => {
        this.fail(new Error('the connection takes no bytes'))
        this.#stream.destroy()
      })
      return
    }
    this.#write()
  }

  #write(): void {
    const bytes = this.#writer.take()
    this.#writingBytes = bytes.length
    this.core.statistics.bytesSent += bytes.length
    this.#stream.write(bytes, this.#onWritten)
  }

  readonly #onWritten = (): void => {
    this.#writingBytes = 0
    this.core.timers.cancel(this.#writeTimer)
    this.#writeTimer = undefined
    if (this.state === 'ended') return
    this.session?.flow()
    this.#flush()
    if (this.#paused) this.#process()
  }

  // ─── the session ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** The Client said who it is; from here on only the handler of its CONNECT goes on. */
  connecting(packet: ConnectPacket): void {
    this.state = 'connecting'
    this.core.timers.cancel(this.#timer)
    this.protocolLevel = packet.protocolLevel
    this.receiveMaximum = packet.properties?.receiveMaximum ?? 65_535
    this.#maximumPacketSize = packet.properties?.maximumPacketSize ?? Infinity
    this.#wantsProblemInformation = packet.properties?.requestProblemInformation !== 0
    this.authenticationMethod = packet.properties?.authenticationMethod
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
    this.#decoder.maximumPacketSize = limits.maxPacketSize
    if (this.protocolLevel === 5) {
      this.inboundAliases = new InboundTopicAliases(limits.topicAliasMaximum)
      const aliases = Math.min(topicAliasMaximum, limits.maxOutboundTopicAliases)
      if (aliases > 0) this.#outboundAliases = new OutboundTopicAliases(aliases)
    }
    this.#keepAliveMs = keepAlive * 1500
    if (this.#keepAliveMs > 0) {
      this.#lastPacketAt = this.core.timers.now()
      this.#armKeepAlive(this.#lastPacketAt + this.#keepAliveMs)
    }
    this.send(connack)
    session.attach(this, client)
  }

  #armKeepAlive(due: number): void {
    this.#timer = this.core.timers.at(due, () => {
      const now = this.core.timers.now()
      const silentSince = this.#lastPacketAt + this.#keepAliveMs
      if (silentSince > now) this.#armKeepAlive(silentSince)
      else if (this.#busy || this.#holds > 0 || this.#waits)
        this.#armKeepAlive(now + this.#keepAliveMs) // We keep it waiting.
      else if (now - due > LATE_MS)
        this.#armKeepAlive(now + LATE_MS) // Its packets may lie unread.
      else void this.end(ReasonCode.keepAliveTimeout) // [MQTT-3.1.2-22]
    })
  }

  takenOver(): void {
    void this.end(ReasonCode.sessionTakenOver)
  }

  // ─── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A fault: of the Client, of its stream, of a hook or ours. The connection ends with the Reason Code that says which. */
  fail(error: Error): void {
    if (this.state === 'ended') return
    if (!(error instanceof ProtocolError || error instanceof MqttError)) {
      this.core.reportError(error)
      this.#end(ReasonCode.unspecified, {}, error)
      return
    }
    if (this.state !== 'connected') {
      this.#endBefore(error)
      return
    }
    this.core.notify('clientError', error, this.info, this.client)
    this.#end(error.reasonCode, error.message === '' ? {} : { reasonString: error.message }, error)
  }

  /** Refuses a CONNECT [MQTT-3.2.2-7]; nothing that came after it is looked at [MQTT-3.1.4-6]. */
  refuse(error: MqttError | ProtocolError): void {
    const properties =
      this.protocolLevel === 5
        ? {
            ...texts(error.message, error instanceof MqttError ? error.userProperties : undefined),
            ...(error instanceof MqttError &&
              error.serverReference !== undefined && { serverReference: error.serverReference }),
          }
        : undefined
    const reasonCode =
      this.protocolLevel === 5 ? listed(error.reasonCode, 'connack') : connectReturnCode(error.reasonCode)
    this.send({ type: 'connack', sessionPresent: false, reasonCode, properties })
    this.core.statistics.connectionsRefused += 1
    this.core.notify('connectionRefused', this.info, error)
    this.#close()
  }

  /** An end before the Client was let in: with a CONNACK where the standard has one for it. */
  #endBefore(error: Error): void {
    if (this.state === 'ended') return
    if (error instanceof ProtocolError && this.state === 'new') {
      this.core.notify('clientError', error, this.info, undefined)
      if (error.reasonCode === ReasonCode.unsupportedProtocolVersion) {
        this.refuse(error) // [MQTT-3.1.2-2], in the form that every Client reads.
        return
      }
      // A CONNECT of MQTT 5.0 is answered; one of MQTT 3 must not be [MQTT-3.1.4-1].
      if (this.#decoder.protocolLevel === 5) {
        this.protocolLevel = 5
        this.refuse(error)
        return
      }
    } else if (error instanceof MqttError || error instanceof ProtocolError) {
      if (this.state === 'connecting') {
        this.refuse(error)
        return
      }
    } else this.core.reportError(error)
    this.core.statistics.connectionsRefused += 1
    this.core.notify('connectionRefused', this.info, error)
    this.#close()
  }

  /** The Server ends the connection; an MQTT 5.0 Client is told why. Resolves when the stream is closed. */
  end(reasonCode: number, options: DisconnectOptions = {}): Promise<void> {
    if (this.state !== 'ended') this.#end(reasonCode, options, undefined)
    if (this.#closed) return Promise.resolve()
    return new Promise((resolve) => {
      this.#whenClosed ??= []
      this.#whenClosed.push(resolve)
    })
  }

  /** At once, without a goodbye. */
  destroy(): void {
    if (this.isOpen) this.#connectionLost()
    this.#stream.destroy()
  }

  #end(reasonCode: number, options: DisconnectOptions, error: Error | undefined): void {
    if (this.state === 'connected' && this.protocolLevel === 5) {
      const { serverReference } = options
      const properties = {
        ...texts(options.reasonString ?? '', options.userProperties),
        ...(serverReference !== undefined && { serverReference }),
      }
      this.send({ type: 'disconnect', reasonCode: listed(reasonCode, 'disconnect'), properties })
    }
    this.#detach(false, { reasonCode, byClient: false, error })
    this.#close()
  }

  /** The Client said goodbye; `keepWill` with Reason Code 0x04 and others that are not "normal". */
  disconnected(reasonCode: number, keepWill: boolean): void {
    this.#detach(!keepWill, { reasonCode, byClient: true })
    this.#close()
  }

  /** The stream ended without a goodbye. */
  #connectionLost(error?: Error): void {
    this.#detach(false, { reasonCode: ReasonCode.unspecified, byClient: false, error })
    this.#close()
  }

  #detach(graceful: boolean, reason: { reasonCode: number; byClient: boolean; error?: Error | undefined }): void {
    if (this.state !== 'connected' || this.session === undefined || this.client === undefined) return
    this.state = 'ended'
    const { client, session, core } = this
    core.clientGone(client)
    core.sessions.connectionEnded(session, this, graceful)
    core.notify('clientDisconnected', client, reason)
  }

  /** Writes what is left, closes our side, and gives the other side a moment to do the same. */
  #close(): void {
    this.state = 'ended'
    this.core.timers.cancel(this.#timer)
    this.core.timers.cancel(this.#writeTimer)
    this.authentication?.abandon()
    this.client?.gone()
    this.#holds = 0
    if (this.#closed) return
    if (this.#stream.writable) {
      if (this.#writer.length > 0) this.#write()
      this.#stream.end()
    }
    if (this.#paused) {
      this.#paused = false
      this.#stream.resume()
    }
    if (this.#inputEnded) this.#stream.once('finish', () => this.#stream.destroy())
    this.#timer = this.core.timers.after(LINGER_MS, () => this.#stream.destroy())
  }

  readonly #onEnd = (): void => {
    this.#inputEnded = true
    if (this.state === 'ended') this.#stream.destroy()
    else this.#process() // What came before the end counts.
  }

  readonly #onError = (error: Error): void => {
    if (this.state === 'ended') return
    this.core.notify('clientError', error, this.info, this.isConnected ? this.client : undefined)
    this.#connectionLost(error)
    this.#stream.destroy()
  }

  readonly #onClose = (): void => {
    this.#closed = true
    if (this.state !== 'ended') this.#connectionLost()
    this.core.timers.cancel(this.#timer)
    this.core.connectionClosed(this)
    for (const resolve of this.#whenClosed ?? []) resolve()
    this.#whenClosed = undefined
  }
}

function texts(
  reasonString: string,
  userProperties: AcknowledgementProperties['userProperties'],
): AcknowledgementProperties | undefined {
  if (reasonString === '' && userProperties === undefined) return undefined
  return {
    ...(reasonString !== '' && { reasonString: reasonString.slice(0, LONGEST_REASON_STRING) }),
    ...(userProperties !== undefined && { userProperties }),
  }
}

/** The Reason Code, or 0x80 where the standard does not list it for this packet: what an application threw may be any. */
function listed(
  reasonCode: number,
  type: 'connack' | 'puback' | 'pubrec' | 'pubrel' | 'pubcomp' | 'suback' | 'disconnect',
): number {
  return reasonCodesOf[type].has(reasonCode) ? reasonCode : ReasonCode.unspecified
}

/** The same packet without Reason String and User Properties; undefined when it has none. */
function withoutTexts(packet: Packet): Packet | undefined {
  if (!('properties' in packet) || packet.properties === undefined) return undefined
  const { reasonString, userProperties, ...properties } = packet.properties as AcknowledgementProperties & object
  if (reasonString === undefined && userProperties === undefined) return undefined
  return { ...packet, properties }
}

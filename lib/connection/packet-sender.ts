import type { Duplex } from 'node:stream'
import type { ConnectPacket, Packet, ProtocolLevel } from '../../types/packets.ts'
import type { AcknowledgementProperties } from '../../types/properties.ts'
import type { MqttError } from '../errors.ts'
import type { OutgoingPublish } from '../messages/outgoing-publish.ts'
import { encodeInto } from '../packets/encoder.ts'
import { ReasonCode } from '../packets/reason-codes.ts'
import type { SessionConnection } from '../sessions/session-connection.ts'
import type { Statistics } from '../statistics.ts'
import type { Timers } from '../timers.ts'
import { Output } from './output.ts'
import { PublishWriter } from './publish-writer.ts'
import { reasonProperties, withoutReasonProperties } from './refusals.ts'

/** The connection whose packets go out. */
export interface PacketSenderOwner {
  /** `flush` is to be called when this turn is over. */
  schedule(): void
  /** The stream has taken a piece, `all` when it was the last one. */
  onWritten(all: boolean): void
  writeFailed(error: Error): void
  sessionTakenOver(): void
}

export interface PacketSenderContext {
  readonly statistics: Statistics
  readonly timers: Timers
  readonly settings: { readonly limits: { readonly drainTimeoutMs: number; readonly maxOutboundBytes: number } }
  /** Reports a fault of the application. */
  reportError(error: Error): void
}

// Beyond this a session keeps what can wait, and a Client that does not read is not read from.
const BUSY_BYTES = 256 * 1024

/** All packets to one Client: in its version, no larger than it accepts, counted, in the order in which they were sent. */
export class PacketSender implements SessionConnection {
  receiveMaximum = 65_535
  readonly #stream: Duplex
  readonly #owner: PacketSenderOwner
  readonly #context: PacketSenderContext
  readonly #statistics: Statistics
  readonly #output: Output
  readonly #messages: PublishWriter
  #wantsProblemInformation = true
  #isStopped = false

  constructor(stream: Duplex, owner: PacketSenderOwner, context: PacketSenderContext) {
    const { statistics, timers, settings } = context
    this.#stream = stream
    this.#owner = owner
    this.#context = context
    this.#statistics = statistics
    this.#output = new Output(stream, this, timers, settings.limits.drainTimeoutMs)
    this.#messages = new PublishWriter(this.#output.writer, timers)
  }

  get protocolLevel(): ProtocolLevel {
    return this.#messages.protocolLevel
  }

  set protocolLevel(level: ProtocolLevel) {
    this.#messages.protocolLevel = level
  }

  /** What the Client accepts, as it says in its CONNECT. */
  accept({ protocolLevel, properties }: ConnectPacket): void {
    this.protocolLevel = protocolLevel
    this.receiveMaximum = properties?.receiveMaximum ?? 65_535
    this.#messages.maximumPacketSize = properties?.maximumPacketSize ?? Infinity
    this.#wantsProblemInformation = properties?.requestProblemInformation !== 0
  }

  /** From here on the first topics have aliases, up to this many. */
  useAliases(maximum: number): void {
    this.#messages.useAliases(maximum)
  }

  /** A packet larger than the Client accepts loses its reasons; false, and nothing written, when it still is. */
  send(packet: Packet): boolean {
    if (!this.#canWrite()) return true
    if (!this.#encode(packet)) return false
    this.#statistics.messagesSent += 1
    this.#owner.schedule()
    return true
  }

  /** Whether `send` would send it. */
  accepts(packet: Packet): boolean {
    const { writer } = this.#output
    const start = writer.length
    const fits = this.#encode(packet)
    writer.length = start
    return fits
  }

  #encode(packet: Packet): boolean {
    const { writer } = this.#output
    const start = writer.length
    try {
      encodeInto(writer, packet, this.protocolLevel)
      if (writer.length - start <= this.#messages.maximumPacketSize) return true
    } catch (error) {
      this.#context.reportError(error as Error) // The application gave strings that are none.
    }
    writer.length = start
    const shorter = withoutReasonProperties(packet)
    return shorter !== undefined && this.#encode(shorter) // [MQTT-3.2.2-19] [MQTT-3.4.2-2] and so on for each packet.
  }

  /** An acknowledgement; `refusal` adds its reasons when the Client wants them [MQTT-3.1.2-29]. */
  acknowledge(
    type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp',
    packetId: number,
    reasonCode: number,
    refusal?: MqttError,
  ): void {
    this.send({ type, packetId, reasonCode, properties: refusal && this.reasonPropertiesOf(refusal) })
  }

  /** The properties that say why, for a packet that may go without; undefined when the Client does not want them. */
  reasonPropertiesOf(refusal: MqttError): AcknowledgementProperties | undefined {
    if (this.protocolLevel !== 5 || !this.#wantsProblemInformation) return undefined
    return reasonProperties(refusal.message, refusal.userProperties)
  }

  publish(outgoing: OutgoingPublish): boolean {
    if (!this.#canWrite()) return true
    if (!this.#messages.write(outgoing)) return false
    const statistics = this.#statistics
    statistics.messagesSent += 1
    statistics.publishSent += 1
    statistics.publishBytesSent += outgoing.message.payload.length
    this.#owner.schedule()
    return true
  }

  pubrel(packetId: number): void {
    this.acknowledge('pubrel', packetId, ReasonCode.success)
  }

  sessionTakenOver(): void {
    this.#owner.sessionTakenOver()
  }

  get outboundBusy(): boolean {
    return this.#output.bytes >= BUSY_BYTES
  }

  get outboundFull(): boolean {
    return this.#output.bytes >= this.#context.settings.limits.maxOutboundBytes
  }

  #canWrite(): boolean {
    return !this.#isStopped && this.#stream.writable
  }

  /** Gives the stream what was sent in this turn. */
  flush(): void {
    this.#output.flush()
  }

  onBytes(bytes: number): void {
    this.#statistics.bytesSent += bytes
  }

  onWritten(all: boolean): void {
    this.#owner.onWritten(all)
  }

  writeFailed(error: Error): void {
    this.#owner.writeFailed(error)
  }

  /** Nothing more is sent. */
  stop(): void {
    this.#isStopped = true
  }

  /** Gives the stream all that was sent, and its end. */
  end(): void {
    this.#output.end()
  }

  /** The stream is closed: no bytes are held any more. */
  release(): void {
    this.#output.release()
  }
}

import type { Duplex } from 'node:stream'
import type { ConnectPacket, Packet, ProtocolLevel } from '../../types/packets.ts'
import type { AcknowledgementProperties } from '../../types/properties.ts'
import type { MqttError } from '../errors.ts'
import type { BrokerContext } from '../handlers/broker-context.ts'
import type { Encodings } from '../messages/encodings.ts'
import type { Message } from '../messages/message.ts'
import type { OutgoingPublish } from '../messages/outgoing-publish.ts'
import { writePlainAcknowledgement } from '../packets/acknowledgement.ts'
import { encodeInto } from '../packets/encoder.ts'
import { LARGEST_PACKET } from '../packets/publish-size.ts'
import { ReasonCode } from '../packets/reason-codes.ts'
import type { SessionConnection } from '../sessions/session-connection.ts'
import { Output, type OutputOwner } from './output.ts'
import { PublishWriter } from './publish-writer.ts'
import { reasonProperties, withoutReasonProperties } from './refusals.ts'

/** The connection that sends the packets. */
export interface PacketSenderOwner extends Pick<OutputOwner, 'onWritten' | 'writeFailed'> {
  /** Schedules a call of `flush` at the end of this turn of the event loop. */
  schedule(): void
  sessionTakenOver(): void
}

type PacketSenderContext = Pick<BrokerContext, 'statistics' | 'timers' | 'settings' | 'reportError'>

// Above this limit QoS 1 and QoS 2 messages stay in the queue, and no more packets are read from the Client.
const BUSY_BYTES = 256 * 1024

/** Sends all packets to one Client: in its protocol version, no larger than it accepts, in order. */
export class PacketSender implements SessionConnection {
  receiveMaximum = 65_535
  readonly #owner: PacketSenderOwner
  readonly #context: PacketSenderContext
  readonly #output: Output
  readonly #messages: PublishWriter
  /** Request Problem Information of the CONNECT [MQTT-3.1.2-29]. */
  wantsProblemInformation = true
  #isStopped = false

  constructor(stream: Duplex, owner: PacketSenderOwner, context: PacketSenderContext) {
    const { timers, settings } = context
    this.#owner = owner
    this.#context = context
    this.#output = new Output(stream, this, timers, settings.limits.drainTimeoutMs)
    this.#messages = new PublishWriter(this.#output.writer, timers)
  }

  get protocolLevel(): ProtocolLevel {
    return this.#messages.protocolLevel
  }

  set protocolLevel(level: ProtocolLevel) {
    this.#messages.protocolLevel = level
  }

  /** Uses the limits of the Client in its CONNECT. */
  accept({ protocolLevel, properties }: ConnectPacket): void {
    this.protocolLevel = protocolLevel
    this.receiveMaximum = properties?.receiveMaximum ?? 65_535
    this.#messages.maximumPacketSize = Math.min(properties?.maximumPacketSize ?? LARGEST_PACKET, LARGEST_PACKET)
    const { maxOutboundTopicAliases } = this.#context.settings.limits
    this.#messages.useAliases(Math.min(properties?.topicAliasMaximum ?? 0, maxOutboundTopicAliases))
    this.wantsProblemInformation = properties?.requestProblemInformation !== 0
  }

  /** Omits the reason properties of a packet that is too large for the Client; returns false if it still is. */
  send(packet: Packet): boolean {
    if (!this.#canWrite()) return true
    if (!this.#encode(packet)) return false
    this.#context.statistics.messagesSent += 1
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
      this.#context.reportError(error as Error) // The application returned a value that is no string.
    }
    writer.length = start
    const shorter = withoutReasonProperties(packet)
    return shorter !== undefined && this.#encode(shorter) // [MQTT-3.2.2-19] [MQTT-3.4.2-2], and so on.
  }

  /** Sends an acknowledgement, with the reason properties of `refusal` if the Client requested them [MQTT-3.1.2-29]. */
  acknowledge(
    type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp',
    packetId: number,
    reasonCode: number,
    refusal?: MqttError,
  ): void {
    // Without Properties it takes 5 bytes at most, and no packet object.
    if (refusal === undefined && this.#messages.maximumPacketSize >= 5) {
      if (!this.#canWrite()) return
      writePlainAcknowledgement(this.#output.writer, type, packetId, reasonCode, this.#messages.protocolLevel)
      this.#context.statistics.messagesSent += 1
      this.#owner.schedule()
      return
    }
    this.send({ type, packetId, reasonCode, properties: refusal && this.reasonPropertiesOf(refusal) })
  }

  /** Returns the reason properties of an optional reply; undefined if the Client did not request them. */
  reasonPropertiesOf(refusal: MqttError): AcknowledgementProperties | undefined {
    if (this.protocolLevel !== 5 || !this.wantsProblemInformation) return undefined
    return reasonProperties(refusal.reasonString, refusal.userProperties)
  }

  publish(outgoing: OutgoingPublish): boolean {
    if (!this.#canWrite()) return true
    if (!this.#messages.write(outgoing)) return false
    this.#published(outgoing.message)
    return true
  }

  publishQos0(
    message: Message,
    retain: boolean,
    subscriptionIdentifiers: readonly number[] | undefined,
    encodings: Encodings | undefined,
  ): boolean {
    if (!this.#canWrite()) return true
    if (!this.#messages.writeQos0(message, retain, subscriptionIdentifiers, encodings)) return false
    this.#published(message)
    return true
  }

  #published({ payload }: Message): void {
    const { statistics } = this.#context
    statistics.messagesSent += 1
    statistics.publishSent += 1
    statistics.publishBytesSent += payload.length
    this.#owner.schedule()
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
    return !this.#isStopped && this.#output.isWritable
  }

  /** Writes the packets that were sent since the last call to the stream. */
  flush(): void {
    this.#output.flush()
  }

  onBytes(bytes: number): void {
    this.#context.statistics.bytesSent += bytes
  }

  onWritten(all: boolean): void {
    this.#owner.onWritten(all)
  }

  writeFailed(error: Error): void {
    this.#owner.writeFailed(error)
  }

  /** Sends no further packet. */
  stop(): void {
    this.#isStopped = true
  }

  /** Writes the remaining packets and ends the stream. */
  end(): void {
    this.#output.end()
  }

  /** Releases the buffers of a stream that is closed. */
  release(): void {
    this.#output.release()
  }
}

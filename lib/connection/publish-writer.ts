import type { ProtocolLevel } from '../../types/packets.ts'
import { type Encodings, encodePropertiesOf } from '../messages/encodings.ts'
import type { Message } from '../messages/message.ts'
import type { OutgoingPublish } from '../messages/outgoing-publish.ts'
import { encodedPublishSize, type OwnProperties, writePublish } from '../packets/publish.ts'
import { LARGEST_PACKET } from '../packets/publish-size.ts'
import type { Writer } from '../packets/writer.ts'
import type { Timers } from '../timers.ts'
import { OutboundTopicAliases } from '../topics/topic-aliases.ts'

// A packet with a larger payload may be too large for any Client.
const LARGE_PAYLOAD = 128 * 1024 * 1024
// Maximum bytes that a Topic Alias adds to a packet, with the lengths before it.
const MAX_ALIAS_BYTES = 5
// Reused for every packet, to allocate nothing.
const own: OwnProperties = { messageExpiryInterval: undefined, subscriptionIdentifiers: undefined, topicAlias: 0 }

const outgoingQos0: { -readonly [Field in keyof OutgoingPublish]: OutgoingPublish[Field] } = {
  message: undefined as never,
  qos: 0,
  retain: false,
  dup: false,
  packetId: 0,
  subscriptionIdentifiers: undefined,
  encodings: undefined,
}

/** Writes PUBLISH packets for one Client: in its protocol version, with Topic Aliases, no larger than it accepts. */
export class PublishWriter {
  protocolLevel: ProtocolLevel = 4
  /** Maximum Packet Size of the Client; without one, the largest packet that there is. */
  maximumPacketSize: number = LARGEST_PACKET
  readonly #writer: Writer
  readonly #timers: Timers
  #aliases: OutboundTopicAliases | undefined

  constructor(writer: Writer, timers: Timers) {
    this.#writer = writer
    this.#timers = timers
  }

  /** Assigns up to this number of aliases [MQTT-3.1.2-26] [MQTT-3.1.2-27]. */
  useAliases(maximum: number): void {
    if (maximum > 0) this.#aliases = new OutboundTopicAliases(maximum)
  }

  /** Returns false, and writes nothing, if the packet is larger than the Client accepts [MQTT-3.1.2-24]. */
  write(outgoing: OutgoingPublish): boolean {
    const { message, subscriptionIdentifiers, encodings } = outgoing
    if (!this.#isPlain(message, subscriptionIdentifiers)) return this.#writeOwn(outgoing)
    const writer = this.#writer
    const { qos, retain, dup, packetId } = outgoing
    const level = this.protocolLevel
    const start = writer.length
    if (encodings !== undefined && !dup) {
      // A copy of the encoded packet with another identifier takes 25 to 40 ns, a new encoding 110.
      const { bytes, packetIdOffset } = encodings.frame(message, level, qos, retain)
      if (bytes.length > this.maximumPacketSize) return false
      writer.bytes(bytes)
      if (qos > 0) writer.buffer.writeUInt16BE(packetId, start + packetIdOffset)
      return true
    }
    const { topic, payload } = message
    const properties = encodings?.propertyBytes(message, level) ?? encodePropertiesOf(message, level)
    writePublish(writer, level, topic, payload, qos, retain, dup, packetId, properties)
    if (writer.length - start <= this.maximumPacketSize) return true
    writer.length = start
    return false
  }

  /** The same for a copy at QoS 0; mostly an encoded packet is copied as it is. */
  writeQos0(
    message: Message,
    retain: boolean,
    subscriptionIdentifiers: readonly number[] | undefined,
    encodings: Encodings | undefined,
  ): boolean {
    if (encodings !== undefined && this.#isPlain(message, subscriptionIdentifiers)) {
      const { bytes } = encodings.frame(message, this.protocolLevel, 0, retain)
      if (bytes.length > this.maximumPacketSize) return false
      this.#writer.bytes(bytes)
      return true
    }
    outgoingQos0.message = message
    outgoingQos0.retain = retain
    outgoingQos0.subscriptionIdentifiers = subscriptionIdentifiers
    outgoingQos0.encodings = encodings
    return this.write(outgoingQos0)
  }

  /** Nothing in the packet is for this Client alone, and the payload is copied. */
  #isPlain(message: Message, subscriptionIdentifiers: readonly number[] | undefined): boolean {
    return (
      subscriptionIdentifiers === undefined &&
      message.expiresAt === Infinity &&
      this.#aliases === undefined &&
      !this.#writer.inserts(message.payload)
    )
  }

  /** Writes a PUBLISH with identifiers, an alias, the remaining expiry interval, or a payload that is not copied. */
  #writeOwn({ message, qos, retain, dup, packetId, subscriptionIdentifiers, encodings }: OutgoingPublish): boolean {
    const { payload } = message
    const level = this.protocolLevel
    let { topic } = message
    const properties = encodings?.propertyBytes(message, level) ?? encodePropertiesOf(message, level)
    // In MQTT 5.0 only.
    own.messageExpiryInterval = message.timeLeft(this.#timers.now())
    own.subscriptionIdentifiers = subscriptionIdentifiers
    own.topicAlias = 0
    // Measured before an alias is assigned, because the Client must receive each packet that sets one.
    const isMeasured = this.maximumPacketSize !== LARGEST_PACKET || payload.length > LARGE_PAYLOAD
    const size = isMeasured ? encodedPublishSize(level, topic, payload, qos, properties, own) : 0
    if (size > this.maximumPacketSize) return false
    if (size + MAX_ALIAS_BYTES <= this.maximumPacketSize) {
      const alias = this.#aliases?.assign(topic) ?? 0
      own.topicAlias = Math.abs(alias)
      if (alias > 0) topic = '' // The Client knows it.
    }
    writePublish(this.#writer, level, topic, payload, qos, retain, dup, packetId, properties, own)
    return true
  }
}

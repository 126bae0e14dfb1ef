import type { ProtocolLevel } from '../../types/packets.ts'
import { encodePropertiesOf } from '../messages/encodings.ts'
import type { OutgoingPublish } from '../messages/outgoing-publish.ts'
import { encodedPublishSize, type OwnProperties, writePublish } from '../packets/publish.ts'
import type { Writer } from '../packets/writer.ts'
import type { Timers } from '../timers.ts'
import { OutboundTopicAliases } from '../topics/topic-aliases.ts'

// Bytes that a Topic Alias adds to a packet, the lengths in front of it included.
const MAX_ALIAS_BYTES = 5
// Of the packet that is being written: one object for all of them.
const own: OwnProperties = { messageExpiryInterval: undefined, subscriptionIdentifiers: undefined, topicAlias: 0 }

/** Writes messages as PUBLISH packets for one Client: in its version, with its aliases, no larger than it accepts. */
export class PublishWriter {
  protocolLevel: ProtocolLevel = 4
  maximumPacketSize: number = Infinity
  readonly #writer: Writer
  readonly #timers: Timers
  #aliases: OutboundTopicAliases | undefined

  constructor(writer: Writer, timers: Timers) {
    this.#writer = writer
    this.#timers = timers
  }

  /** From here on the first topics have aliases, up to this many [MQTT-3.1.2-26] [MQTT-3.1.2-27]. */
  useAliases(maximum: number): void {
    if (maximum > 0) this.#aliases = new OutboundTopicAliases(maximum)
  }

  /** False, and nothing written, when the packet would be larger than the Client accepts [MQTT-3.1.2-24]. */
  write(outgoing: OutgoingPublish): boolean {
    const { message, subscriptionIdentifiers, encodings } = outgoing
    const writer = this.#writer
    const isPlain =
      subscriptionIdentifiers === undefined &&
      message.expiresAt === Infinity &&
      this.#aliases === undefined &&
      !writer.inserts(message.payload)
    if (!isPlain) return this.#writeOwn(outgoing)
    const { qos, retain, dup, packetId } = outgoing
    const level = this.protocolLevel
    const start = writer.length
    if (encodings !== undefined && !dup) {
      // 25 to 40 ns to copy what another subscriber got and change its identifier, 110 to write it anew.
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

  /** A PUBLISH unlike any other: with identifiers, an alias, what is left of its expiry, or a payload that is not copied. */
  #writeOwn({ message, qos, retain, dup, packetId, subscriptionIdentifiers, encodings }: OutgoingPublish): boolean {
    const { payload } = message
    const level = this.protocolLevel
    let { topic } = message
    const properties = encodings?.propertyBytes(message, level) ?? encodePropertiesOf(message, level)
    // Written for MQTT 5.0 only.
    own.messageExpiryInterval = message.timeLeft(this.#timers.now())
    own.subscriptionIdentifiers = subscriptionIdentifiers
    own.topicAlias = 0
    // Measured before an alias is given: the Client must get every packet that sets one.
    const isMeasured = this.maximumPacketSize !== Infinity
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

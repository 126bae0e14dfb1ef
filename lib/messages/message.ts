import type { Message as PublicMessage, MessageInit } from '../../types/message.ts'
import type { ProtocolLevel, QoS } from '../../types/packets.ts'
import type { MessageProperties } from '../../types/properties.ts'
import type { ReplicationInfo } from '../cluster/replication-info.ts'
import type { StoredPacket } from '../storage/stored-message.ts'
import { encodeProperties } from '../packets/properties.ts'
import { writePublish } from '../packets/publish.ts'
import { keepsFarMore } from '../packets/views.ts'
import { Writer } from '../packets/writer.ts'
import type { Timers } from '../timers.ts'
import { detachedCopy } from './detached-bytes.ts'

/** A PUBLISH packet of a message, ready but for its Packet Identifier. */
export interface Frame {
  readonly bytes: Buffer
  /** Where the Packet Identifier stands; -1 at QoS 0. */
  readonly packetIdOffset: number
}

const NOTHING = Buffer.alloc(0)

/** A message on its way from one publisher to all receivers, who share it. Only its payload may move, never change. */
export class Message implements PublicMessage {
  readonly topic: string
  payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  properties: MessageProperties | undefined
  /** Client Identifier of the publisher, for No Local; undefined when it is the application. */
  readonly publisher: string | undefined
  /** Milliseconds on the broker's clock; Infinity when it never expires. */
  readonly expiresAt: number
  /** More than one receiver gets it, so that its packets are worth keeping. */
  isShared = false
  /** How many sessions hold it, queued or in flight. */
  holders = 0
  /** How it is stored, once it is. */
  stored: StoredPacket | undefined
  /** The batch in which the store was told of it last; 0 when it was not. */
  batchNumber = 0
  /** Copies at QoS 2 are sent when this ticket of the store is safe, whoever gets them; 0 when at once. */
  commitNumber = 0
  /** The store failed and the publisher was told: nobody gets it. */
  isRejected = false
  /** What it is a copy of, for another member of a shared subscription. */
  origin: Message | undefined
  /** Some of its receivers may have it from before the process began. */
  isReplay = false
  /** Those of them with other brokers, by Client Identifier. */
  alreadyDeliveredTo: ReadonlySet<string> | undefined
  /** What other brokers must know of it; undefined when there are none. */
  replication: ReplicationInfo | undefined
  #size = 0
  #propertyBytes: Buffer | undefined
  #frames: (Frame | undefined)[] | undefined
  #isDetached = false

  constructor(
    topic: string,
    payload: Buffer,
    qos: QoS,
    retain: boolean,
    properties: MessageProperties | undefined,
    publisher: string | undefined,
    expiresAt: number,
  ) {
    this.topic = topic
    this.payload = payload
    this.qos = qos
    this.retain = retain
    this.properties = properties
    this.publisher = publisher
    this.expiresAt = expiresAt
    this.stored = undefined
    this.replication = undefined
    this.origin = undefined
    this.alreadyDeliveredTo = undefined
    this.#propertyBytes = undefined
    this.#frames = undefined
  }

  /** What a hook or the application made, as a message of ours; one that is stored already is another message. */
  static from(init: PublicMessage | MessageInit, publisher: string | undefined, timers: Timers): Message {
    return init instanceof Message && init.stored === undefined ? init : Message.of(init, publisher, timers)
  }

  /** The same, but never the very message: a message of another broker is that broker's. */
  static of(init: PublicMessage | MessageInit, publisher: string | undefined, timers: Timers): Message {
    const expiresAt = expiryOf(init.properties, timers)
    return new Message(
      init.topic,
      bytesOf(init.payload),
      init.qos ?? 0,
      init.retain ?? false,
      init.properties,
      publisher,
      expiresAt,
    )
  }

  /** The same for another receiver; one that is stored gets a name of its own, as that receiver may have it already. */
  copyWithNewId(): Message {
    if (this.stored === undefined) return this
    const { topic, payload, qos, retain, properties, publisher, expiresAt } = this
    const copy = new Message(topic, payload, qos, retain, properties, publisher, expiresAt)
    copy.origin = this.origin ?? this
    copy.commitNumber = this.commitNumber
    return copy
  }

  /** What a hook put in its place. It expires when this one would have, unless the hook says otherwise [MQTT-3.3.2-6]. */
  replacedBy(init: PublicMessage, timers: Timers): Message {
    const isSame = init.properties?.messageExpiryInterval === this.properties?.messageExpiryInterval
    const expiresAt = isSame ? this.expiresAt : expiryOf(init.properties, timers)
    return new Message(
      init.topic,
      bytesOf(init.payload),
      init.qos,
      init.retain,
      init.properties,
      this.publisher,
      expiresAt,
    )
  }

  /** What it costs to keep, roughly, in bytes. */
  get size(): number {
    if (this.#size === 0) this.#size = 128 + this.topic.length + this.payload.length + this.propertyBytes(5).length
    return this.#size
  }

  /** Its Properties as every receiver of this version gets them, written once: all but the time left. */
  propertyBytes(protocolLevel: ProtocolLevel): Buffer {
    if (protocolLevel < 5 || this.properties === undefined) return NOTHING
    const without = this.expiresAt === Infinity ? undefined : 'messageExpiryInterval'
    this.#propertyBytes ??= encodeProperties(this.properties, 'publish', without)
    return this.#propertyBytes
  }

  /** Copies what is a view of the chunk that it came in, when it is to outlive it. */
  detach(): this {
    if (this.#isDetached) return this
    this.#isDetached = true
    if (keepsFarMore(this.payload)) this.payload = detachedCopy(this.payload)
    const correlationData = this.properties?.correlationData
    if (correlationData !== undefined)
      this.properties = { ...this.properties, correlationData: detachedCopy(correlationData) }
    return this
  }

  /** The Message Expiry Interval to send now: what is left of it, not what it was [MQTT-3.3.2-6]. */
  timeLeft(now: number): number | undefined {
    if (this.expiresAt === Infinity) return undefined
    const received = this.properties?.messageExpiryInterval ?? 0
    return Math.min(Math.max(Math.ceil((this.expiresAt - now) / 1000), 0), received)
  }

  /** Every receiver has its copy: what was encoded for them is not kept. */
  distributed(): void {
    this.isShared = false
    this.#propertyBytes = undefined
    this.#frames = undefined
  }

  /** Its PUBLISH packet for this version, QoS and RETAIN flag, encoded once for all who get the same. */
  frame(protocolLevel: ProtocolLevel, qos: QoS, retain: boolean): Frame {
    this.#frames ??= []
    const index = (protocolLevel === 5 ? 8 : 0) | (qos << 1) | (retain ? 1 : 0)
    let frame = this.#frames[index]
    if (frame === undefined) {
      const writer = new Writer(this.payload.length + this.topic.length + 64)
      const packetIdOffset = writePublish(
        writer,
        protocolLevel,
        this.topic,
        this.payload,
        qos,
        retain,
        false,
        0,
        this.propertyBytes(protocolLevel),
      )
      frame = { bytes: writer.take(), packetIdOffset }
      this.#frames[index] = frame
    }
    return frame
  }
}

/** Milliseconds on the broker's clock at which a message with these Properties expires (section 3.3.2.3.3). */
export function expiryOf(properties: MessageProperties | undefined, timers: Timers): number {
  const interval = properties?.messageExpiryInterval
  return interval === undefined ? Infinity : timers.now() + interval * 1000
}

function bytesOf(payload: MessageInit['payload']): Buffer {
  if (payload === undefined) return Buffer.alloc(0)
  if (typeof payload === 'string') return Buffer.from(payload)
  if (Buffer.isBuffer(payload)) return payload
  if (payload instanceof Uint8Array) return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  return Buffer.from(JSON.stringify(payload))
}

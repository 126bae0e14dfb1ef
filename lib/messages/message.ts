import { types } from 'node:util'
import type { Message as PublicMessage, MessageInit } from '../../types/message.ts'
import type { QoS } from '../../types/packets.ts'
import type { MessageProperties } from '../../types/properties.ts'
import { asBytes } from '../packets/bytes.ts'
import { InvalidOptionError } from '../errors.ts'
import { keepsFarMore } from '../packets/views.ts'
import type { Timers } from '../timers.ts'
import { detachedCopy } from './detached-bytes.ts'

/** The fields of a message that its publisher sets; a PUBLISH packet also has them. */
type MessageFields = Pick<PublicMessage, 'topic' | 'payload' | 'qos' | 'retain' | 'properties'>

// Approximate bytes of a message beside its topic, payload and Properties.
const OVERHEAD_BYTES = 128

/**
 * An Application Message. All subscribers, queues and listeners share one object, so it is immutable
 * (`test/messages/immutable.test.ts`). A listener sees the five fields of the public type; the rest is private.
 */
export class Message implements PublicMessage {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: MessageProperties | undefined
  readonly #publisher: string | undefined
  readonly #expiresAt: number | undefined
  readonly #isDetached: boolean

  constructor(fields: MessageFields, publisher: string | undefined, expiresAt: number, isDetached: boolean = false) {
    this.topic = fields.topic
    this.payload = fields.payload
    this.qos = fields.qos
    this.retain = fields.retain
    this.properties = fields.properties
    this.#publisher = publisher
    this.#expiresAt = expiresAt === Infinity ? undefined : expiresAt // A number would take an object of its own.
    this.#isDetached = isDetached
  }

  /** A message from a hook or the application. Its Message Expiry Interval starts now. */
  static of(init: PublicMessage | MessageInit, publisher: string | undefined, timers: Timers): Message {
    return new Message(fieldsOf(init), publisher, expiryOf(init.properties, timers))
  }

  /** Client Identifier of the publisher, for No Local; undefined if the application is the publisher. */
  get publisher(): string | undefined {
    return this.#publisher
  }

  /** Expiry time in milliseconds on the broker's clock; Infinity if the message never expires. */
  get expiresAt(): number {
    return this.#expiresAt ?? Infinity
  }

  /** The Message Expiry Interval is 0: only subscribers that can receive the message at once receive it. */
  get expiresAtOnce(): boolean {
    return this.properties?.messageExpiryInterval === 0
  }

  /** Approximate bytes of the message in memory. */
  get size(): number {
    return OVERHEAD_BYTES + this.topic.length + this.payload.length + propertiesSize(this.properties)
  }

  /** Returns the same message without views of the read buffer, to be stored for longer than the read. */
  detached(): Message {
    if (this.#isDetached) return this
    const payload = keepsFarMore(this.payload) ? detachedCopy(this.payload) : this.payload
    const correlationData = this.properties?.correlationData
    const properties =
      correlationData === undefined
        ? this.properties
        : { ...this.properties, correlationData: detachedCopy(correlationData) }
    const { topic, qos, retain } = this
    return new Message({ topic, payload, qos, retain, properties }, this.#publisher, this.expiresAt, true)
  }

  /** The message that a hook returned instead. The expiry time stays, unless the hook changed it [MQTT-3.3.2-6]. */
  replacedBy(init: PublicMessage, timers: Timers): Message {
    const isSame = init.properties?.messageExpiryInterval === this.properties?.messageExpiryInterval
    return new Message(fieldsOf(init), this.#publisher, isSame ? this.expiresAt : expiryOf(init.properties, timers))
  }

  /** The remaining Message Expiry Interval in seconds, which is sent to subscribers [MQTT-3.3.2-6]. */
  timeLeft(now: number): number | undefined {
    if (this.#expiresAt === undefined) return undefined
    const received = this.properties?.messageExpiryInterval ?? 0
    return Math.min(Math.max(Math.ceil((this.#expiresAt - now) / 1000), 0), received)
  }
}

/** Milliseconds on the broker's clock at which a message with these Properties expires (section 3.3.2.3.3). */
export function expiryOf(properties: MessageProperties | undefined, timers: Timers): number {
  const interval = properties?.messageExpiryInterval
  return interval === undefined ? Infinity : timers.now() + interval * 1000
}

function fieldsOf({ topic, payload, qos = 0, retain = false, properties }: PublicMessage | MessageInit): MessageFields {
  return { topic, payload: bytesOf(payload), qos, retain, properties: properties && withBuffer(properties) }
}

function bytesOf(payload: MessageInit['payload']): Buffer {
  if (payload === undefined) return Buffer.alloc(0)
  if (typeof payload === 'string') return Buffer.from(payload)
  return asBytes(payload) ?? Buffer.from(jsonOf(payload))
}

/** Throws for a value that JSON cannot show, or shows as `{}` although it is no plain object. */
function jsonOf(payload: object): string {
  const isBytes = types.isAnyArrayBuffer(payload) || ArrayBuffer.isView(payload)
  if (isBytes) throw unexpected('bytes whose memory was transferred')
  let json: string | undefined
  try {
    json = JSON.stringify(payload)
  } catch (error) {
    throw unexpected(`${kindOf(payload)} that JSON cannot show: ${(error as Error)?.message}`)
  }
  if (json === undefined || (json === '{}' && !isPlain(payload))) throw unexpected(kindOf(payload))
  return json
}

function unexpected(got: string): InvalidOptionError {
  return new InvalidOptionError(`message.payload: expected bytes, a string or a value for JSON, got ${got}`)
}

/** A plain object, also of another realm, or one that says itself how JSON shows it. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === null || Object.getPrototypeOf(prototype) === null) return true
  return typeof (value as { toJSON?: unknown }).toJSON === 'function'
}

/** The class of an object, such as `Map`, or the type of another value. */
function kindOf(value: unknown): string {
  const kind = typeof value === 'object' ? Object.prototype.toString.call(value).slice(8, -1) : typeof value
  return kind === 'Object' ? ((value as object).constructor?.name ?? kind) : kind
}

/** The same Properties with Correlation Data that is a Buffer. */
function withBuffer(properties: MessageProperties): MessageProperties {
  const { correlationData } = properties
  if (correlationData === undefined) return properties
  const bytes = asBytes(correlationData)
  return bytes === correlationData || bytes === undefined ? properties : { ...properties, correlationData: bytes }
}

function propertiesSize(properties: MessageProperties | undefined): number {
  if (properties === undefined) return 0
  const { contentType, responseTopic, correlationData, userProperties } = properties
  let size = 8 + (contentType?.length ?? 0) + (responseTopic?.length ?? 0) + (correlationData?.length ?? 0)
  if (userProperties !== undefined) for (const [name, value] of userProperties) size += 5 + name.length + value.length
  return size
}

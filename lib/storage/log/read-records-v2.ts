import type { QoS } from '../../../types/packets.ts'
import type {
  PersistedPublish,
  PersistedSessionInfo,
  PersistedSubscription,
  PersistedTarget,
  PersistedWill,
} from '../../../types/persistence.ts'
import type { UserProperty } from '../../../types/properties.ts'
import {
  type Field,
  type FieldTable,
  fieldSize,
  messageFields,
  propertyFields,
  sessionFields,
  subscriptionFields,
  targetFields,
  willFields,
} from '../records.ts'
import { MessageFlag, TargetFlag, WillFlag } from './record-kinds.ts'
import { RecordReader, type Writable } from './record-reader.ts'

const MESSAGE_ID = MessageFlag.brokerId | MessageFlag.brokerCounter

/** Reads records of version 2; see record-kinds.ts. */
export class RecordReaderV2 extends RecordReader {
  protected override incomingRest(): void {}

  protected override rest(): void {
    while (this.position < this.end) {
      const key = this.uint8()
      this.position += this.#sizeOf(key)
    }
  }

  publish(): PersistedPublish {
    const topic = this.string()
    const flags = this.uint8()
    const qos = (flags & 3) as QoS
    const retain = (flags & MessageFlag.retain) !== 0
    const brokerId = flags & MessageFlag.brokerId ? this.string() : undefined
    const brokerCounter = flags & MessageFlag.brokerCounter ? this.integer() : undefined
    const clientId = flags & MessageFlag.clientId ? this.string() : undefined
    const payload = this.payload((flags & MessageFlag.stringPayload) !== 0)
    // Nearly all have an id and a publisher; an object that is created at once is smaller than one that grows.
    const hasId = (flags & MESSAGE_ID) === MESSAGE_ID
    const packet: Writable<PersistedPublish> =
      hasId && clientId !== undefined
        ? { cmd: 'publish', topic, payload, qos, retain, brokerId, brokerCounter, clientId }
        : hasId
          ? { cmd: 'publish', topic, payload, qos, retain, brokerId, brokerCounter }
          : { cmd: 'publish', topic, payload, qos, retain }
    if (!hasId) {
      if (brokerId !== undefined) packet.brokerId = brokerId
      if (brokerCounter !== undefined) packet.brokerCounter = brokerCounter
      if (clientId !== undefined) packet.clientId = clientId
    }
    if (flags & MessageFlag.fields) this.#fields(messageFields, packet)
    return packet
  }

  target(): PersistedTarget {
    const clientId = this.string()
    const flags = this.uint8()
    const retain = (flags & TargetFlag.retain) !== 0
    const target: Writable<PersistedTarget> = { clientId, qos: (flags & 3) as QoS, retain }
    if (flags & TargetFlag.messageId) target.messageId = this.uint16()
    if (flags & TargetFlag.fields) this.#fields(targetFields, target)
    return target
  }

  subscription(): PersistedSubscription {
    const subscription = { topic: this.string(), qos: this.uint8() as QoS }
    this.#fields(subscriptionFields, subscription)
    return subscription
  }

  session(): PersistedSessionInfo {
    const session = { owner: undefined, expiryInterval: this.double(), expiresAt: null }
    this.#fields(sessionFields, session)
    return session
  }

  will(): PersistedWill {
    const topic = this.string()
    const flags = this.uint8()
    const payload = this.payload((flags & WillFlag.stringPayload) !== 0)
    const will = { topic, payload, qos: (flags & 3) as QoS, retain: (flags & WillFlag.retain) !== 0 }
    this.#fields(willFields, will)
    return will
  }

  /** Reads fields up to the 0 behind them. */
  #fields(table: FieldTable, object: object): void {
    for (let key = this.#key(); key !== 0; key = this.#key()) this.#field(table, object, key)
  }

  #key(): number {
    if (this.position >= this.end)
      throw new Error(`fields: expected a 0 behind them before byte ${this.end} of its chunk`)
    return this.uint8()
  }

  #field(table: FieldTable, object: object, key: number): void {
    const start = this.position
    const end = start + this.#sizeOf(key)
    const field = table.byKey[key]
    if (field === undefined) keepUnknown(object, this.bytes.subarray(start - 1, end))
    else this.#value(field, object as Record<string, unknown>, end)
    if (this.position > end) throw new Error(`${field?.name}: expected to end at byte ${end} of its chunk`)
    this.position = end
  }

  #sizeOf(key: number): number {
    const size = key === 0 ? undefined : fieldSize(this.bytes, key, this.position, this.end)
    if (size === undefined) {
      throw new Error(
        `the field of key ${key} at byte ${this.position} of its chunk: expected to end by byte ${this.end}`,
      )
    }
    return size
  }

  #value({ name, kind }: Field, object: Record<string, unknown>, end: number): void {
    switch (kind) {
      case 'boolean':
        object[name] = this.uint8() !== 0
        break
      case 'uint8':
        object[name] = this.uint8()
        break
      case 'uint16':
        object[name] = this.uint16()
        break
      case 'uint32':
        object[name] = this.uint32()
        break
      case 'double':
        object[name] = this.double()
        break
      case 'string':
        object[name] = this.string()
        break
      case 'bytes':
        object[name] = this.binary(this.uint16())
        break
      default:
        this.position += 4
        this.#longValue(name, kind, object, end)
    }
  }

  #longValue(name: string, kind: Field['kind'], object: Record<string, unknown>, end: number): void {
    switch (kind) {
      case 'list of uint32': {
        const list: number[] = []
        while (this.position < end) list.push(this.uint32())
        object[name] = list
        break
      }
      case 'list of string pairs': {
        const pairs: UserProperty[] = []
        while (this.position < end) pairs.push([this.string(), this.string()])
        object[name] = pairs
        break
      }
      case 'properties':
        this.#properties(name, object, end)
        break
      default:
        throw new Error(`${name}: expected a kind that has a number, got ${kind}`)
    }
  }

  /**
   * Unknown Properties stay with the object, as a second field of this number, because the Properties themselves go to
   * plugins and Clients. A version that knows them reads both as one.
   */
  #properties(name: string, object: Record<string, unknown>, end: number): void {
    const start = this.position
    const outer = this.end
    const read: { unknownFields?: Buffer } = {}
    this.end = end
    while (this.position < end) this.#field(propertyFields, read, this.uint8())
    this.end = outer
    const { unknownFields, ...properties } = read
    if (start === end || Object.keys(properties).length > 0)
      object[name] = { ...(object[name] as object), ...properties }
    if (unknownFields === undefined) return
    const head = Buffer.alloc(5)
    head[0] = this.bytes[start - 5]!
    head.writeUInt32BE(unknownFields.length, 1)
    keepUnknown(object, Buffer.concat([head, unknownFields]))
  }
}

function keepUnknown(object: { unknownFields?: Buffer }, bytes: Buffer): void {
  object.unknownFields = Buffer.concat([object.unknownFields ?? Buffer.alloc(0), bytes])
}

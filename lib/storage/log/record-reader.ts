import type { QoS } from '../../../types/packets.ts'
import type {
  PersistedPublish,
  PersistedPubrel,
  PersistedSubscription,
  PersistedTarget,
  PersistedWill,
} from '../../../types/persistence.ts'
import type { Properties, UserProperty } from '../../../types/properties.ts'
import { Entry, deliveryOptionsOf } from '../memory/stored-queue.ts'
import type { RestoredEntry, StoredState } from '../memory/stored-state.ts'
import { RecordKind, UNKNOWN } from './records.ts'

const STRINGS_KEPT = 4096 // a power of 2
const LONGEST_STRING_KEPT = 128

type Writable<T> = { -readonly [Field in keyof T]: T[Field] }

/** Reads the records of a frame, whose checksum says that they are what was written. */
export class RecordReader {
  position = 0
  #bytes: Buffer = Buffer.alloc(0)
  readonly #strings: string[] = Array.from({ length: STRINGS_KEPT }, () => '')

  open(bytes: Buffer, position: number): void {
    this.#bytes = bytes
    this.position = position
  }

  /** Reads one record and does to the state what it says. Returns the highest order number in it. */
  applyTo(state: StoredState): number {
    const kind = this.uint8()
    const end = this.uint32() + this.position
    const order = this.#applyTo(state, kind)
    if (this.position !== end) {
      throw new Error(`a record of kind ${kind}: expected to end at byte ${end} of its chunk, got ${this.position}`)
    }
    return order
  }

  #applyTo(state: StoredState, kind: number): number {
    switch (kind) {
      case RecordKind.publish: {
        const order = this.double()
        const { retain, incoming } = this.publishHead()
        const targets = this.targets()
        state.apply({ kind: 'publish', retain, incoming, targets, packet: this.publish() }, order)
        return order + targets.length
      }
      case RecordKind.kept: {
        const order = this.double()
        const { retain } = this.publishHead()
        const entries: RestoredEntry[] = []
        let highest = order
        for (let left = this.uint32(); left > 0; left -= 1) {
          const entryOrder = this.double()
          highest = Math.max(highest, entryOrder)
          entries.push({ order: entryOrder, target: this.target() })
        }
        state.restore(this.publish(), order, retain, entries)
        return highest
      }
      case RecordKind['kept pubrel']: {
        const order = this.double()
        const target = this.target()
        state.restoreEntry(
          target.clientId,
          new Entry(this.pubrel(), deliveryOptionsOf(target), target.messageId, order),
        )
        return order
      }
      case RecordKind.session: {
        const order = this.double()
        const clientId = this.string()
        const flags = this.uint8()
        const owner = flags & 1 ? this.string() : undefined
        const expiryInterval = this.double()
        const expiresAt = flags & 2 ? this.double() : null
        state.apply({ kind: 'session', clientId, session: { owner, expiryInterval, expiresAt } }, order)
        return order
      }
      case RecordKind.subscribe: {
        const order = this.double()
        const clientId = this.string()
        const subscriptions: PersistedSubscription[] = []
        for (let left = this.uint32(); left > 0; left -= 1) subscriptions.push(this.subscription())
        state.apply({ kind: 'subscribe', clientId, subscriptions }, order)
        return order
      }
      case RecordKind.unsubscribe:
        state.apply({ kind: 'unsubscribe', clientId: this.string(), topicFilters: this.strings() }, 0)
        return 0
      case RecordKind.send: {
        const clientId = this.string()
        const brokerId = this.string()
        const brokerCounter = this.double()
        const messageId = this.uint16()
        const order = this.double()
        const change = { kind: 'send', clientId, brokerId, brokerCounter, messageId } as const
        if (order === UNKNOWN) state.apply(change, 0)
        else state.sendAt(order, change)
        return 0
      }
      case RecordKind.release:
        state.apply({ kind: 'release', clientId: this.string(), messageId: this.uint16() }, 0)
        return 0
      case RecordKind.complete:
        state.apply({ kind: 'complete', clientId: this.string(), messageId: this.uint16() }, 0)
        return 0
      case RecordKind['incoming done']:
        state.apply({ kind: 'incoming done', clientId: this.string(), messageId: this.uint16() }, 0)
        return 0
      case RecordKind.discard: {
        const brokerId = this.string()
        const brokerCounter = this.double()
        for (let left = this.uint32(); left > 0; left -= 1) {
          const clientId = this.string()
          const order = this.double()
          if (order === UNKNOWN) state.apply({ kind: 'discard', brokerId, brokerCounter, clientIds: [clientId] }, 0)
          else state.discardAt(order, clientId, brokerId, brokerCounter)
        }
        return 0
      }
      case RecordKind.incoming: {
        const order = this.double()
        const clientId = this.string()
        const messageId = this.uint16()
        const packet = this.uint8() === 1 ? this.publish() : undefined
        state.apply({ kind: 'incoming', clientId, messageId, packet }, order)
        return order
      }
      case RecordKind.will: {
        const order = this.double()
        const clientId = this.string()
        state.apply({ kind: 'will', clientId, will: this.uint8() === 1 ? this.will() : undefined }, order)
        return order
      }
      case RecordKind.update: {
        const clientId = this.string()
        const packet = this.uint8() === 0 ? this.publish() : this.pubrel()
        state.apply({ kind: 'update', clientId, packet }, 0)
        return 0
      }
      case RecordKind['end session']:
        state.apply({ kind: 'end session', clientId: this.string() }, 0)
        return 0
      case RecordKind['clean subscriptions']:
        state.apply({ kind: 'clean subscriptions', clientId: this.string() }, 0)
        return 0
      case RecordKind['clean outgoing']:
        state.apply({ kind: 'clean outgoing', clientId: this.string() }, 0)
        return 0
      case RecordKind['clean incoming']:
        state.apply({ kind: 'clean incoming', clientId: this.string() }, 0)
        return 0
      default:
        throw new Error(`a record of kind ${kind}, which this version of haltere does not know`)
    }
  }

  uint8(): number {
    return this.#bytes[this.position++]!
  }

  uint16(): number {
    const value = this.#bytes.readUInt16BE(this.position)
    this.position += 2
    return value
  }

  uint32(): number {
    const value = this.#bytes.readUInt32BE(this.position)
    this.position += 4
    return value
  }

  double(): number {
    const value = this.#bytes.readDoubleBE(this.position)
    this.position += 8
    return value
  }

  /** The same few Clients and topics come again and again: a string that was read lately is not made anew. */
  string(): string {
    const length = this.uint16()
    const start = this.position
    this.position += length
    if (length > LONGEST_STRING_KEPT) return this.#bytes.toString('utf8', start, this.position)
    const place = this.#hash(start, length)
    const known = this.#strings[place]!
    if (this.#isAt(known, start, length)) return known
    const text = this.#bytes.toString('utf8', start, this.position)
    this.#strings[place] = text
    return text
  }

  #hash(start: number, length: number): number {
    let hash = length
    // From the end, where names differ.
    for (let index = start + length - 1; index >= start && index > start + length - 9; index -= 1) {
      hash = (hash * 31 + this.#bytes[index]!) | 0
    }
    return hash & (STRINGS_KEPT - 1)
  }

  /** True only for ASCII, where a character is a byte. */
  #isAt(text: string, start: number, length: number): boolean {
    if (text.length !== length) return false
    const bytes = this.#bytes
    for (let index = 0; index < length; index += 1) {
      const byte = bytes[start + index]!
      if (byte > 0x7f || text.charCodeAt(index) !== byte) return false
    }
    return true
  }

  strings(): string[] {
    const list: string[] = []
    for (let left = this.uint32(); left > 0; left -= 1) list.push(this.string())
    return list
  }

  /** Copied, because the chunk that it stands in is large and goes. */
  #binary(length: number): Buffer {
    const start = this.position
    this.position += length
    const copy = Buffer.allocUnsafe(length)
    this.#bytes.copy(copy, 0, start, this.position)
    return copy
  }

  publishHead(): {
    retain: boolean
    incoming: { readonly clientId: string; readonly messageId: number } | undefined
  } {
    const flags = this.uint8()
    const incoming = flags & 2 ? { clientId: this.string(), messageId: this.uint16() } : undefined
    return { retain: (flags & 1) !== 0, incoming }
  }

  targets(): PersistedTarget[] {
    const list: PersistedTarget[] = []
    for (let left = this.uint32(); left > 0; left -= 1) list.push(this.target())
    return list
  }

  target(): PersistedTarget {
    const clientId = this.string()
    const flags = this.uint8()
    const target: Writable<PersistedTarget> = { clientId, qos: (flags & 3) as QoS, retain: (flags & 4) !== 0 }
    if (flags & 8) target.messageId = this.uint16()
    if (flags & 16) target.subscriptionIdentifiers = this.#identifiers()
    if (flags & 32) target.sharedFilter = this.string()
    return target
  }

  #identifiers(): number[] {
    const list: number[] = []
    for (let left = this.uint32(); left > 0; left -= 1) list.push(this.uint32())
    return list
  }

  #payload(isText: boolean): Buffer | string {
    const bytes = this.#binary(this.uint32())
    return isText ? bytes.toString() : bytes
  }

  publish(): PersistedPublish {
    const topic = this.string()
    const flags = this.uint8()
    const present = this.uint8()
    const qos = (flags & 3) as QoS
    const retain = (flags & 4) !== 0
    // Nearly all have a name; an object that is made at once is smaller than one that grows.
    const packet: Writable<PersistedPublish> =
      (present & 3) === 3
        ? { cmd: 'publish', topic, payload: '', qos, retain, brokerId: this.string(), brokerCounter: this.double() }
        : { cmd: 'publish', topic, payload: '', qos, retain }
    if ((present & 3) === 1) packet.brokerId = this.string()
    if ((present & 3) === 2) packet.brokerCounter = this.double()
    if (flags & 8) packet.dup = (flags & 16) !== 0
    if (present & 4) packet.messageId = this.uint16()
    if (present & 8) packet.clientId = this.string()
    if (flags & 32) packet.nl = (flags & 64) !== 0
    if (present & 16) packet.properties = this.#properties()
    if (present & 32) packet.messageExpiry = this.double()
    packet.payload = this.#payload((flags & 128) !== 0)
    return packet
  }

  pubrel(): PersistedPubrel {
    const pubrel: Writable<PersistedPubrel> = { cmd: 'pubrel', messageId: this.uint16() }
    const present = this.uint8()
    if (present & 1) pubrel.brokerId = this.string()
    if (present & 2) pubrel.brokerCounter = this.double()
    return pubrel
  }

  subscription(): PersistedSubscription {
    const topic = this.string()
    const flags = this.uint8()
    const present = this.uint8()
    const rh = (flags >> 2) & 3
    const subscription: Writable<PersistedSubscription> = {
      topic,
      qos: (flags & 3) as QoS,
      rh: rh === 3 ? undefined : (rh as 0 | 1 | 2),
      rap: flags & 16 ? (flags & 32) !== 0 : undefined,
      nl: flags & 64 ? (flags & 128) !== 0 : undefined,
    }
    if (present & 1) subscription.subscriptionIdentifier = this.uint32()
    if (present & 2) subscription.grantedTopic = this.string()
    if (present & 4) subscription.requestedQos = this.uint8() as QoS
    return subscription
  }

  will(): PersistedWill {
    const topic = this.string()
    const flags = this.uint8()
    const present = this.uint8()
    const will: Writable<PersistedWill> = {
      topic,
      payload: '',
      qos: (flags & 3) as QoS,
      retain: (flags & 4) !== 0,
    }
    if (present & 1) will.clientId = this.string()
    if (present & 2) will.brokerId = this.string()
    if (present & 4) will.properties = this.#properties()
    if (present & 8) will.dueAt = this.double()
    will.payload = this.#payload((flags & 8) !== 0)
    return will
  }

  #properties(): Properties {
    const present = this.uint16()
    const properties: Properties = {}
    if (present & 1) properties.payloadFormatIndicator = this.uint8() as 0 | 1
    if (present & 2) properties.messageExpiryInterval = this.uint32()
    if (present & 4) properties.contentType = this.string()
    if (present & 8) properties.responseTopic = this.string()
    if (present & 16) properties.correlationData = this.#binary(this.uint16())
    if (present & 32) {
      const userProperties: UserProperty[] = []
      for (let left = this.uint32(); left > 0; left -= 1) userProperties.push([this.string(), this.string()])
      properties.userProperties = userProperties
    }
    if (present & 64) properties.subscriptionIdentifiers = this.#identifiers()
    if (present & 128) properties.topicAlias = this.uint16()
    if (present & 256) properties.willDelayInterval = this.uint32()
    return properties
  }
}

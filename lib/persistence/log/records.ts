/**
 * What a change looks like in the journal: its kind, the length of the rest, and the rest. Numbers are big-endian; all
 * that is kept carries its order number, so that it can be written down again later and is still the same.
 */
import { Writer } from '../../packets/writer.ts'
import type { QoS } from '../../../types/packets.ts'
import type {
  PersistedPacket,
  PersistedPublish,
  PersistedPubrel,
  PersistedSubscription,
  PersistedTarget,
  PersistedWill,
} from '../../../types/persistence.ts'
import type { Properties, UserProperty } from '../../../types/properties.ts'
import type { Change } from '../change.ts'
import { Entry, ownOf, type Own } from '../outgoing-queue.ts'
import type { RestoredEntry, StoredState } from '../stored-state.ts'

/** The kinds of records. A number is never used for something else: that would be another version of the format. */
export const RecordKind: Readonly<Record<Change['kind'] | 'kept' | 'kept pubrel', number>> = {
  publish: 1,
  session: 2,
  'end session': 3,
  subscribe: 4,
  unsubscribe: 5,
  send: 6,
  release: 7,
  complete: 8,
  discard: 9,
  incoming: 10,
  'incoming done': 11,
  will: 12,
  update: 13,
  'clean subscriptions': 14,
  'clean outgoing': 15,
  'clean incoming': 16,
  /** A message that was written down again: each of its targets has an order number of its own. */
  kept: 17,
  /** A PUBREL in a queue that was written down again. */
  'kept pubrel': 18,
}

/** No order number. */
const UNKNOWN = -1

/** Kind and length. */
export const RECORD_HEADER = 5

/**
 * `order` is the first of the numbers that are the change's own. With a state, the place of a message in a queue is
 * written beside its name: what is read back later may lack the message, and is not to be searched for it.
 */
export function writeChange(writer: Writer, change: Change, order: number, state?: StoredState): void {
  const start = beginRecord(writer, RecordKind[change.kind])
  switch (change.kind) {
    case 'publish':
      double(writer, order)
      writer.uint8((change.retain ? 1 : 0) | (change.incoming === undefined ? 0 : 2))
      if (change.incoming !== undefined) {
        writer.string(change.incoming.clientId)
        writer.uint16(change.incoming.messageId)
      }
      writer.uint32(change.targets.length)
      for (const target of change.targets) writeTarget(writer, target.clientId, target, target.messageId)
      writePublish(writer, change.packet)
      break
    case 'session': {
      const { owner, expiryInterval, expiresAt } = change.session
      double(writer, order)
      writer.string(change.clientId)
      writer.uint8((owner === undefined ? 0 : 1) | (expiresAt === null ? 0 : 2))
      if (owner !== undefined) writer.string(owner)
      double(writer, expiryInterval)
      if (expiresAt !== null) double(writer, expiresAt)
      break
    }
    case 'subscribe':
      double(writer, order)
      writer.string(change.clientId)
      writer.uint32(change.subscriptions.length)
      for (const subscription of change.subscriptions) writeSubscription(writer, subscription)
      break
    case 'unsubscribe':
      writer.string(change.clientId)
      writer.uint32(change.topicFilters.length)
      for (const topicFilter of change.topicFilters) writer.string(topicFilter)
      break
    case 'send':
      writer.string(change.clientId)
      writer.string(change.brokerId)
      double(writer, change.brokerCounter)
      writer.uint16(change.messageId)
      double(
        writer,
        state?.outgoing.get(change.clientId)?.waitingOrder(change.brokerId, change.brokerCounter) ?? UNKNOWN,
      )
      break
    case 'release':
    case 'complete':
    case 'incoming done':
      writer.string(change.clientId)
      writer.uint16(change.messageId)
      break
    case 'discard':
      writer.string(change.brokerId)
      double(writer, change.brokerCounter)
      writer.uint32(change.clientIds.length)
      for (const clientId of change.clientIds) {
        writer.string(clientId)
        const [entry] = state?.outgoing.get(clientId)?.namedAll(change.brokerId, change.brokerCounter) ?? []
        double(writer, entry?.order ?? UNKNOWN)
      }
      break
    case 'incoming':
      double(writer, order)
      writer.string(change.clientId)
      writer.uint16(change.messageId)
      writer.uint8(change.packet === undefined ? 0 : 1)
      if (change.packet !== undefined) writePublish(writer, change.packet)
      break
    case 'will':
      double(writer, order)
      writer.string(change.clientId)
      writer.uint8(change.will === undefined ? 0 : 1)
      if (change.will !== undefined) writeWill(writer, change.will)
      break
    case 'update':
      writer.string(change.clientId)
      writePacket(writer, change.packet)
      break
    case 'end session':
    case 'clean subscriptions':
    case 'clean outgoing':
    case 'clean incoming':
      writer.string(change.clientId)
  }
  endRecord(writer, start)
}

/** A message with those of its places that are left. */
export function writeKept(
  writer: Writer,
  packet: PersistedPublish,
  order: number,
  retained: boolean,
  entries: readonly { readonly clientId: string; readonly entry: Entry }[],
): void {
  const start = beginRecord(writer, RecordKind.kept)
  double(writer, order)
  writer.uint8(retained ? 1 : 0)
  writer.uint32(entries.length)
  for (const { clientId, entry } of entries) {
    double(writer, entry.order)
    writeTarget(writer, clientId, entry.own, entry.messageId)
  }
  writePublish(writer, packet)
  endRecord(writer, start)
}

export function writeKeptPubrel(writer: Writer, clientId: string, entry: Entry, pubrel: PersistedPubrel): void {
  const start = beginRecord(writer, RecordKind['kept pubrel'])
  double(writer, entry.order)
  writeTarget(writer, clientId, entry.own, entry.messageId)
  writePubrel(writer, pubrel)
  endRecord(writer, start)
}

function beginRecord(writer: Writer, kind: number): number {
  writer.uint8(kind)
  writer.uint32(0)
  return writer.length
}

function endRecord(writer: Writer, start: number): void {
  writer.buffer.writeUInt32BE(writer.length - start, start - 4)
}

function double(writer: Writer, value: number): void {
  writer.reserve(8)
  writer.length = writer.buffer.writeDoubleBE(value, writer.length)
}

function writeTarget(writer: Writer, clientId: string, own: Own, messageId: number | undefined): void {
  const { qos, retain, subscriptionIdentifiers, sharedFilter } = own
  writer.string(clientId)
  writer.uint8(
    qos |
      (retain ? 4 : 0) |
      (messageId === undefined ? 0 : 8) |
      (subscriptionIdentifiers === undefined ? 0 : 16) |
      (sharedFilter === undefined ? 0 : 32),
  )
  if (messageId !== undefined) writer.uint16(messageId)
  if (subscriptionIdentifiers !== undefined) writeIdentifiers(writer, subscriptionIdentifiers)
  if (sharedFilter !== undefined) writer.string(sharedFilter)
}

function writeIdentifiers(writer: Writer, identifiers: readonly number[]): void {
  writer.uint32(identifiers.length)
  for (const identifier of identifiers) writer.uint32(identifier)
}

function writePayload(writer: Writer, payload: Buffer | string): void {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
  writer.uint32(bytes.length)
  writer.bytes(bytes)
}

function writePublish(writer: Writer, packet: PersistedPublish): void {
  const { brokerId, brokerCounter, messageId, clientId, properties, messageExpiry } = packet
  writer.string(packet.topic)
  writer.uint8(
    packet.qos |
      (packet.retain ? 4 : 0) |
      (packet.dup === undefined ? 0 : packet.dup ? 24 : 8) |
      (packet.nl === undefined ? 0 : packet.nl ? 96 : 32) |
      (typeof packet.payload === 'string' ? 128 : 0),
  )
  writer.uint8(
    (brokerId === undefined ? 0 : 1) |
      (brokerCounter === undefined ? 0 : 2) |
      (messageId === undefined ? 0 : 4) |
      (clientId === undefined ? 0 : 8) |
      (properties === undefined ? 0 : 16) |
      (messageExpiry === undefined ? 0 : 32),
  )
  if (brokerId !== undefined) writer.string(brokerId)
  if (brokerCounter !== undefined) double(writer, brokerCounter)
  if (messageId !== undefined) writer.uint16(messageId)
  if (clientId !== undefined) writer.string(clientId)
  if (properties !== undefined) writeProperties(writer, properties)
  if (messageExpiry !== undefined) double(writer, messageExpiry)
  writePayload(writer, packet.payload)
}

function writePubrel(writer: Writer, { messageId, brokerId, brokerCounter }: PersistedPubrel): void {
  writer.uint16(messageId)
  writer.uint8((brokerId === undefined ? 0 : 1) | (brokerCounter === undefined ? 0 : 2))
  if (brokerId !== undefined) writer.string(brokerId)
  if (brokerCounter !== undefined) double(writer, brokerCounter)
}

function writePacket(writer: Writer, packet: PersistedPacket): void {
  writer.uint8(packet.cmd === 'publish' ? 0 : 1)
  if (packet.cmd === 'publish') writePublish(writer, packet)
  else writePubrel(writer, packet)
}

function writeSubscription(writer: Writer, subscription: PersistedSubscription): void {
  const { topic, qos, rh, rap, nl, subscriptionIdentifier, grantedTopic, requestedQos } = subscription
  writer.string(topic)
  writer.uint8(
    qos |
      (rh === undefined ? 12 : rh << 2) |
      (rap === undefined ? 0 : rap ? 48 : 16) |
      (nl === undefined ? 0 : nl ? 192 : 64),
  )
  writer.uint8(
    (subscriptionIdentifier === undefined ? 0 : 1) |
      (grantedTopic === undefined ? 0 : 2) |
      (requestedQos === undefined ? 0 : 4),
  )
  if (subscriptionIdentifier !== undefined) writer.uint32(subscriptionIdentifier)
  if (grantedTopic !== undefined) writer.string(grantedTopic)
  if (requestedQos !== undefined) writer.uint8(requestedQos)
}

function writeWill(writer: Writer, will: PersistedWill): void {
  const { clientId, brokerId, properties, dueAt } = will
  writer.string(will.topic)
  writer.uint8(will.qos | (will.retain ? 4 : 0) | (typeof will.payload === 'string' ? 8 : 0))
  writer.uint8(
    (clientId === undefined ? 0 : 1) |
      (brokerId === undefined ? 0 : 2) |
      (properties === undefined ? 0 : 4) |
      (dueAt === undefined ? 0 : 8),
  )
  if (clientId !== undefined) writer.string(clientId)
  if (brokerId !== undefined) writer.string(brokerId)
  if (properties !== undefined) writeProperties(writer, properties)
  if (dueAt !== undefined) double(writer, dueAt)
  writePayload(writer, will.payload)
}

// The journal has a form of its own for Properties: it takes what is there, also what no packet may carry.
function writeProperties(writer: Writer, properties: Properties): void {
  const { payloadFormatIndicator, messageExpiryInterval, contentType, responseTopic, correlationData } = properties
  const { userProperties, subscriptionIdentifiers, topicAlias, willDelayInterval } = properties
  writer.uint16(
    (payloadFormatIndicator === undefined ? 0 : 1) |
      (messageExpiryInterval === undefined ? 0 : 2) |
      (contentType === undefined ? 0 : 4) |
      (responseTopic === undefined ? 0 : 8) |
      (correlationData === undefined ? 0 : 16) |
      (userProperties === undefined ? 0 : 32) |
      (subscriptionIdentifiers === undefined ? 0 : 64) |
      (topicAlias === undefined ? 0 : 128) |
      (willDelayInterval === undefined ? 0 : 256),
  )
  if (payloadFormatIndicator !== undefined) writer.uint8(payloadFormatIndicator)
  if (messageExpiryInterval !== undefined) writer.uint32(messageExpiryInterval)
  if (contentType !== undefined) writer.string(contentType)
  if (responseTopic !== undefined) writer.string(responseTopic)
  if (correlationData !== undefined) writer.binary(correlationData)
  if (userProperties !== undefined) {
    writer.uint32(userProperties.length)
    for (const [name, value] of userProperties) {
      writer.string(name)
      writer.string(value)
    }
  }
  if (subscriptionIdentifiers !== undefined) writeIdentifiers(writer, subscriptionIdentifiers)
  if (topicAlias !== undefined) writer.uint16(topicAlias)
  if (willDelayInterval !== undefined) writer.uint32(willDelayInterval)
}

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
        state.restoreEntry(target.clientId, new Entry(this.pubrel(), ownOf(target), target.messageId, order))
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

/** How many bytes a message takes in the journal, nearly. Called for every message, so it is not exact. */
export function publishBytes(packet: PersistedPublish): number {
  const { properties } = packet
  const more = properties === undefined ? 0 : propertiesBytes(properties)
  return RECORD_HEADER + 34 + packet.topic.length + packet.payload.length + more + (packet.clientId?.length ?? 0) + 24
}

function propertiesBytes(properties: Properties): number {
  let bytes = 12 + (properties.contentType?.length ?? 0) + (properties.responseTopic?.length ?? 0)
  bytes += properties.correlationData?.length ?? 0
  for (const [name, value] of properties.userProperties ?? []) bytes += 4 + name.length + value.length
  return bytes
}

/** The same of one of its places. */
export function entryBytes(clientId: string, own: Own): number {
  const identifiers = own.subscriptionIdentifiers === undefined ? 0 : 4 + 4 * own.subscriptionIdentifiers.length
  return 5 + clientId.length + identifiers + (own.sharedFilter?.length ?? 0)
}

export function pubrelBytes(clientId: string): number {
  return RECORD_HEADER + 50 + clientId.length
}

export function subscriptionBytes(clientId: string, subscription: PersistedSubscription): number {
  const { topic, grantedTopic } = subscription
  return RECORD_HEADER + 20 + clientId.length + topic.length + (grantedTopic?.length ?? 0)
}

export function willBytes(clientId: string, will: PersistedWill): number {
  const more = will.properties === undefined ? 0 : propertiesBytes(will.properties)
  return RECORD_HEADER + 40 + 2 * clientId.length + will.topic.length + will.payload.length + more
}

export function sessionBytes(clientId: string, owner: string | undefined): number {
  return RECORD_HEADER + 30 + clientId.length + (owner?.length ?? 0)
}

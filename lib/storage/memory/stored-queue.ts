import type {
  PersistedPacket,
  PersistedPublish,
  PersistedPubrel,
  PersistedQueueItem,
  PersistedTarget,
} from '../../../types/persistence.ts'
import { optionalFields, targetFields } from '../records.ts'

/** A message in several places: queues, or a queue and the retained messages. */
export class SharedMessage {
  readonly packet: PersistedPublish
  /** The number of queue entries and retained messages with this message. */
  references = 0

  constructor(packet: PersistedPublish) {
    this.packet = packet
  }
}

/** A message in one place or in several. Most are in one place, without a `SharedMessage`. */
export type StoredMessage = PersistedPublish | SharedMessage

/** A message, or the PUBREL in its place. */
export type Content = StoredMessage | PersistedPubrel

/** Returns undefined for a PUBREL. */
export function messageIn(content: Content): PersistedPublish | undefined {
  const packet = packetIn(content)
  return packet.cmd === 'publish' ? packet : undefined
}

export function packetIn(content: StoredMessage): PersistedPublish
export function packetIn(content: Content): PersistedPacket
export function packetIn(content: Content): PersistedPacket {
  return content instanceof SharedMessage ? content.packet : content
}

/** The fields of a message that differ between queues. */
export type DeliveryOptions = Omit<PersistedTarget, 'clientId' | 'messageId' | 'isElsewhere'>

/** Most entries share one of these objects. */
const common: readonly DeliveryOptions[] = ([0, 1, 2] as const).flatMap((qos) => [
  { qos, retain: false },
  { qos, retain: true },
])

export function deliveryOptionsOf(target: DeliveryOptions): DeliveryOptions {
  const { qos, retain } = target
  const more = optionalFields(targetFields, target)
  return more === undefined ? common[qos * 2 + (retain ? 1 : 0)]! : { qos, retain, ...more }
}

/** Whether there are no fields beside QoS and RETAIN, as for most entries. */
export function isCommon(own: DeliveryOptions): boolean {
  return own === common[own.qos * 2 + (own.retain ? 1 : 0)]
}

/** A message in one queue, or the PUBREL in its place. */
export class Entry {
  content: Content
  own: DeliveryOptions
  messageId: number | undefined
  /** Higher than that of the entry before it, during the whole life of the queue. */
  readonly order: number
  /** The index in the list; -1 when it is removed. */
  position = -1

  constructor(content: Content, own: DeliveryOptions, messageId: number | undefined, order: number) {
    this.content = content
    this.own = own
    this.messageId = messageId
    this.order = order
  }
}

const NOWHERE = { position: -1 }

/** Gaps of shorter lists are not closed. */
const MIN_CLOSED_LENGTH = 32

/** The queue of one Client, in order. The time of each operation does not depend on the length of the queue. */
export class StoredQueue {
  /** Removed entries leave gaps, which are closed when they are half of the list. */
  #entries: (Entry | undefined)[] = []
  readonly #byMessageId = new Map<number, Entry>()
  #length = 0
  /** There is no entry before this index. */
  #head = 0
  /** Entries before this index have an identifier: messages get theirs in order. */
  #waiting = 0
  /** The last result of {@link waitingOrder}. */
  #lastFound: Entry | undefined = undefined
  /** Entries that were restored after a later one; see {@link restore}. */
  #outOfOrder: Map<number, Entry> | undefined = undefined
  /** The entries before this index are in order. */
  #ordered = 0

  get length(): number {
    return this.#length
  }

  /** Appends a message, which must not change any more. */
  push(packet: PersistedPublish, { qos, retain }: Pick<DeliveryOptions, 'qos' | 'retain'> = packet): void {
    const order = (this.#entries.at(-1)?.order ?? this.#length) + 1
    this.add(new Entry(packet, deliveryOptionsOf({ qos, retain }), undefined, order))
  }

  /** Appends an entry whose order is the highest. */
  add(entry: Entry): void {
    entry.position = this.#entries.length
    this.#entries.push(entry)
    this.#length += 1
    if (this.#outOfOrder === undefined) this.#ordered = this.#entries.length
    else this.#outOfOrder.set(entry.order, entry)
    if (entry.messageId !== undefined) this.#byMessageId.set(entry.messageId, entry)
  }

  /**
   * Adds an entry of a journal, which may not be the last one; {@link sort} is called after the last. Returns the
   * former entry of this order.
   */
  restore(entry: Entry): Entry | undefined {
    const before = this.find(entry.order)
    if (before !== undefined) this.delete(before)
    const last = this.#last()
    if (this.#outOfOrder === undefined && last !== undefined && last.order > entry.order) this.#outOfOrder = new Map()
    this.add(entry)
    return before
  }

  /** Sorts the entries; called when the journal is read. */
  sort(): void {
    if (this.#outOfOrder === undefined) return
    this.#outOfOrder = undefined
    this.#waiting = 0
    this.#keep(this.#entries.filter((entry) => entry !== undefined).toSorted((a, b) => a.order - b.order))
  }

  /** The entry of this order. */
  find(order: number): Entry | undefined {
    let from = this.#head
    let to = this.#ordered
    while (from < to) {
      const middle = (from + to) >> 1
      let position = middle
      while (position < to && this.#entries[position] === undefined) position += 1
      const entry = position === to ? undefined : this.#entries[position]
      if (entry === undefined || entry.order > order) to = middle
      else if (entry.order < order) from = position + 1
      else return entry
    }
    const found = this.#outOfOrder?.get(order)
    return found === undefined || found.position === -1 ? undefined : found
  }

  /** See `Persistence.outgoingUpdate`; returns false if there is no entry to update. */
  update(packet: PersistedPacket): boolean {
    const { messageId, brokerId } = packet
    const same = messageId === undefined ? undefined : this.#byMessageId.get(messageId)
    if (brokerId !== undefined) {
      if (same !== undefined && hasName(same, brokerId, packet.brokerCounter)) return true
      if (this.identify(brokerId, packet.brokerCounter, messageId)) return true
    }
    return same !== undefined && this.replace(same, packet) !== undefined
  }

  /** Gives an entry of this message id an identifier: the first without one, else the first. */
  identify(brokerId: string, brokerCounter: number | undefined, messageId: number | undefined): boolean {
    const entry = this.#waitingFor(brokerId, brokerCounter) ?? this.#named(brokerId, brokerCounter, this.#head)
    if (entry === undefined) return false
    this.#identify(entry, messageId)
    return true
  }

  identified(messageId: number): Entry | undefined {
    return this.#byMessageId.get(messageId)
  }

  /** Replaces the packet of an entry; returns the former content. */
  replace(entry: Entry, packet: PersistedPacket): Content {
    const before = entry.content
    entry.content = { ...packet }
    if (packet.cmd === 'publish') entry.own = deliveryOptionsOf({ qos: packet.qos, retain: packet.retain })
    return before
  }

  /** Removes the entry of this identifier. */
  remove(messageId: number): PersistedPacket | undefined {
    const entry = this.#byMessageId.get(messageId)
    if (entry === undefined) return undefined
    this.delete(entry)
    return packetOf(entry)
  }

  delete(entry: Entry): void {
    this.#forget(entry)
    this.#entries[entry.position] = undefined
    entry.position = -1
    this.#length -= 1
    if (this.#entries.length > MIN_CLOSED_LENGTH && this.#length < this.#entries.length / 2) this.#closeGaps()
    else this.#skipGaps()
  }

  /**
   * Returns the order of a waiting message. Several calls come before the first of their messages gets its identifier,
   * so the search starts behind the last result.
   */
  waitingOrder(brokerId: string, brokerCounter: number): number | undefined {
    const { position } = this.#lastFound ?? NOWHERE
    const next = position === -1 ? undefined : this.#entries[position + 1]
    const isNext = next?.messageId === undefined && next !== undefined && hasName(next, brokerId, brokerCounter)
    this.#lastFound = isNext ? next : this.#waitingFor(brokerId, brokerCounter)
    return this.#lastFound?.order
  }

  /** The same as {@link identify} at the time when the entry had this order; it may not exist any more. */
  identifyAt(order: number, brokerId: string, brokerCounter: number, messageId: number): void {
    const first = this.find(order)
    if (first === undefined) return
    const all = this.namedAll(brokerId, brokerCounter, first).toSorted((a, b) => a.position - b.position)
    this.#identify(all.find((entry) => entry.messageId === undefined) ?? first, messageId)
  }

  /** Returns all entries of this message id, which are neighbours, since they came together. One may be known. */
  namedAll(brokerId: string, brokerCounter: number, known?: Entry): Entry[] {
    const first =
      known ??
      this.#named(brokerId, brokerCounter, this.#head, this.#waiting) ??
      this.#last(brokerId, brokerCounter) ??
      this.#named(brokerId, brokerCounter, this.#waiting)
    if (first === undefined) return []
    const found = [first]
    for (const step of [-1, 1]) {
      for (let position = first.position + step; position >= this.#head && position < this.#entries.length; ) {
        const entry = this.#entries[position]
        if (entry !== undefined) {
          if (!hasName(entry, brokerId, brokerCounter)) break
          found.push(entry)
        }
        position += step
      }
    }
    return found
  }

  /** The present entries, without those that are removed during the iteration. */
  *packets(): Generator<PersistedPacket, void, undefined> {
    for (const entry of this.entries()) yield packetOf(entry)
  }

  /** The same, sent messages before waiting ones. */
  *items(clientId: string): Generator<PersistedQueueItem, void, undefined> {
    let waits = false
    for (const entry of this.entries()) {
      if (entry.messageId === undefined) waits = true
      else yield itemOf(entry, clientId)
    }
    if (!waits) return
    for (const entry of this.entries()) if (entry.messageId === undefined) yield itemOf(entry, clientId)
  }

  *entries(): Generator<Entry, void, undefined> {
    for (const entry of this.#entries.slice(this.#head)) {
      if (entry !== undefined && entry.position !== -1) yield entry
    }
  }

  /** Returns the last entry, if it has this message id. */
  #last(brokerId?: string, brokerCounter?: number): Entry | undefined {
    const last = this.#entries.at(-1)
    return last !== undefined && (brokerId === undefined || hasName(last, brokerId, brokerCounter)) ? last : undefined
  }

  #waitingFor(brokerId: string, brokerCounter: number | undefined): Entry | undefined {
    const entries = this.#entries
    while (this.#waiting < entries.length && entries[this.#waiting]?.messageId !== undefined) this.#waiting += 1
    for (let position = this.#waiting; position < entries.length; position += 1) {
      const entry = entries[position]
      if (entry === undefined) {
        if (position === this.#waiting) this.#waiting += 1
        continue
      }
      if (entry.messageId === undefined && hasName(entry, brokerId, brokerCounter)) return entry
      if (entry.messageId !== undefined && position === this.#waiting) this.#waiting += 1
    }
    return undefined
  }

  #named(
    brokerId: string,
    brokerCounter: number | undefined,
    from: number,
    to: number = this.#entries.length,
  ): Entry | undefined {
    for (let position = from; position < to; position += 1) {
      const entry = this.#entries[position]
      if (entry !== undefined && hasName(entry, brokerId, brokerCounter)) return entry
    }
    return undefined
  }

  /** If several entries have the identifier, the last one is found by it. */
  #identify(entry: Entry, messageId: number | undefined): void {
    this.#forget(entry)
    entry.messageId = messageId
    if (messageId !== undefined) this.#byMessageId.set(messageId, entry)
    else if (entry.position < this.#waiting) this.#waiting = entry.position
  }

  #forget(entry: Entry): void {
    const { messageId } = entry
    if (messageId !== undefined && this.#byMessageId.get(messageId) === entry) this.#byMessageId.delete(messageId)
  }

  /** Removes gaps at both ends, so that the last entry is found at once. */
  #skipGaps(): void {
    const entries = this.#entries
    while (entries.length > 0 && entries.at(-1) === undefined) entries.pop()
    while (this.#head < entries.length && entries[this.#head] === undefined) this.#head += 1
    this.#head = Math.min(this.#head, entries.length)
    this.#waiting = Math.min(this.#waiting, entries.length)
    this.#ordered = Math.min(this.#ordered, entries.length)
  }

  #closeGaps(): void {
    this.#keep(this.#entries.filter((entry) => entry !== undefined))
  }

  #keep(entries: Entry[]): void {
    let ordered = 0
    let waiting = 0
    for (const [position, entry] of entries.entries()) {
      if (entry.position < this.#ordered) ordered += 1
      if (entry.position < this.#waiting) waiting += 1
      entry.position = position
    }
    this.#entries = entries
    this.#head = 0
    this.#ordered = this.#outOfOrder === undefined ? entries.length : ordered
    this.#waiting = waiting
  }
}

function hasName({ content }: Entry, brokerId: string, brokerCounter: number | undefined): boolean {
  const { brokerId: id, brokerCounter: counter } = packetIn(content)
  return counter === brokerCounter && id === brokerId
}

/** Returns a copy, since the contract of aedes lets the caller change it. */
export function packetOf({ content, own, messageId }: Entry): PersistedPacket {
  const packet = packetIn(content)
  return packet.cmd === 'publish' ? copyOf(packet, messageId, own) : { ...packet }
}

function itemOf({ content, own, messageId }: Entry, clientId: string): PersistedQueueItem {
  const packet = packetIn(content)
  if (packet.cmd === 'pubrel') return { packet, target: undefined }
  const target: { -readonly [Field in keyof PersistedTarget]: PersistedTarget[Field] } = { clientId, ...own }
  if (messageId !== undefined) target.messageId = messageId
  return { packet, target }
}

/**
 * Returns the fields that the contract stores of a queued message, with those of the queue. Written out, because a
 * spread takes five times as long.
 */
export function copyOf(
  packet: PersistedPublish,
  messageId: number | undefined,
  own: DeliveryOptions,
): PersistedPublish {
  const copy: { -readonly [Field in keyof PersistedPublish]: PersistedPublish[Field] } = {
    cmd: 'publish',
    brokerId: packet.brokerId,
    brokerCounter: packet.brokerCounter ?? 0,
    topic: packet.topic,
    payload: packet.payload,
    qos: own.qos,
    retain: own.retain,
    dup: packet.dup ?? false,
    messageId,
  }
  if (own.subscriptionIdentifiers !== undefined) {
    copy.properties = { ...packet.properties, subscriptionIdentifiers: own.subscriptionIdentifiers }
  } else if (packet.properties !== undefined) copy.properties = packet.properties
  if (packet.messageExpiry !== undefined) copy.messageExpiry = packet.messageExpiry
  if (packet.clientId !== undefined) copy.clientId = packet.clientId
  if (packet.nl !== undefined) copy.nl = packet.nl
  if (packet.unknownFields !== undefined) copy.unknownFields = packet.unknownFields
  return copy
}

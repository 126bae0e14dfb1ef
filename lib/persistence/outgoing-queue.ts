import type { PersistedPacket, PersistedPublish, PersistedPubrel } from '../../types/persistence.ts'

/** A message in one queue. The message is shared by all queues that it is in; the Packet Identifier is the queue's own. */
interface Entry {
  packet: PersistedPublish | PersistedPubrel
  messageId: number | undefined
  /** Its place in the list, or -1 once it is removed. */
  position: number
}

/** Shorter lists are not worth closing gaps in. */
const SMALL_LIST = 32

/** What waits for one Client, in order. Nothing takes longer because the queue is long. */
export class OutgoingQueue {
  /** Removed entries leave gaps, which are closed when they are half of the list. */
  #entries: (Entry | undefined)[] = []
  readonly #byMessageId = new Map<number, Entry>()
  #length = 0
  /** Messages get their identifiers in order, so the next one is looked for after the last one. */
  #expected = 0

  get length(): number {
    return this.#length
  }

  /** The message must not change any more. */
  push(packet: PersistedPublish): void {
    this.#entries.push({ packet, messageId: undefined, position: this.#entries.length })
    this.#length += 1
  }

  /** See `Persistence.outgoingUpdate`; false when there is nothing to update. */
  update(packet: PersistedPacket): boolean {
    const { messageId } = packet
    const same = messageId === undefined ? undefined : this.#byMessageId.get(messageId)
    if (packet.brokerId !== undefined) {
      const named = same !== undefined && hasName(same, packet) ? same : this.#find(packet)
      if (named !== undefined) {
        this.#identify(named, messageId)
        this.#expected = named.position + 1
        return true
      }
    }
    if (same === undefined) return false
    same.packet = { ...packet }
    return true
  }

  /** Removes what has this identifier. */
  remove(messageId: number): PersistedPacket | undefined {
    const entry = this.#byMessageId.get(messageId)
    if (entry === undefined) return undefined
    const packet = packetOf(entry)
    this.#byMessageId.delete(messageId)
    this.#entries[entry.position] = undefined
    entry.position = -1
    this.#length -= 1
    if (this.#entries.length > SMALL_LIST && this.#length < this.#entries.length / 2) this.#closeGaps()
    return packet
  }

  /** What is there now, without what is removed before its turn comes. */
  *packets(): Generator<PersistedPacket, void, undefined> {
    for (const entry of this.#entries.slice()) {
      if (entry !== undefined && entry.position !== -1) yield packetOf(entry)
    }
  }

  #find(packet: PersistedPacket): Entry | undefined {
    const count = this.#entries.length
    for (let step = 0; step < count; step += 1) {
      const entry = this.#entries[(this.#expected + step) % count]
      if (entry !== undefined && hasName(entry, packet)) return entry
    }
    return undefined
  }

  #identify(entry: Entry, messageId: number | undefined): void {
    if (entry.messageId !== undefined && this.#byMessageId.get(entry.messageId) === entry) {
      this.#byMessageId.delete(entry.messageId)
    }
    entry.messageId = messageId
    if (messageId !== undefined) this.#byMessageId.set(messageId, entry)
  }

  #closeGaps(): void {
    const entries: Entry[] = []
    let expected = 0
    for (const entry of this.#entries) {
      if (entry === undefined) continue
      if (entry.position < this.#expected) expected += 1
      entry.position = entries.length
      entries.push(entry)
    }
    this.#entries = entries
    this.#expected = expected
  }
}

function hasName(entry: Entry, packet: PersistedPacket): boolean {
  return entry.packet.brokerCounter === packet.brokerCounter && entry.packet.brokerId === packet.brokerId
}

/** A packet of the caller's own, since the contract lets it write on it. */
function packetOf({ packet, messageId }: Entry): PersistedPacket {
  return packet.cmd === 'publish' ? copyOf(packet, messageId) : { ...packet }
}

/**
 * The fields that the contract keeps of a queued message, with a Packet Identifier.
 * Written out, because a spread takes five times as long.
 */
export function copyOf(packet: PersistedPublish, messageId: number | undefined): PersistedPublish {
  const copy: { -readonly [Field in keyof PersistedPublish]: PersistedPublish[Field] } = {
    cmd: 'publish',
    brokerId: packet.brokerId,
    brokerCounter: packet.brokerCounter ?? 0,
    topic: packet.topic,
    payload: packet.payload,
    qos: packet.qos,
    retain: packet.retain,
    dup: packet.dup ?? false,
    messageId,
  }
  if (packet.properties !== undefined) copy.properties = packet.properties
  if (packet.messageExpiry !== undefined) copy.messageExpiry = packet.messageExpiry
  if (packet.clientId !== undefined) copy.clientId = packet.clientId
  if (packet.nl !== undefined) copy.nl = packet.nl
  return copy
}

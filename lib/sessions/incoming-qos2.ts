import type { PersistedPublish } from '../../types/persistence.ts'

/** State of a Packet Identifier in the storage; a packet if its message was being published when the process ended. */
type Found = 'unknown' | 'accepted' | PersistedPublish

// Above this number a bitmap of all Packet Identifiers takes less memory than a Set.
const MAX_IN_SET = 256
const BITMAP_BYTES = 65_536 / 8

/**
 * The Packet Identifiers of received QoS 2 messages without PUBREL (section 4.3.3). The messages are not stored here:
 * each is published when its PUBLISH arrives, and PUBREL only frees the Packet Identifier. An MQTT 3 Client, which knows
 * no Receive Maximum, may have all 65,535 in use.
 */
export class IncomingQos2 {
  /** The bytes of all queues of the broker; a bitmap counts as well. */
  readonly #totals: { bytes: number }
  // Created with the first message, because most Clients publish nothing at QoS 2.
  #set: Set<number> | undefined
  /** Instead of the Set, when there are many. */
  #bitmap: Uint8Array | undefined
  #size = 0
  /** The future Reason Codes of messages that are still processed. */
  #outcomes: Map<number, Promise<number>> | undefined

  /** Reads the state of a Packet Identifier of an earlier process, for a storage that cannot list them at the start. */
  #ask: ((packetId: number) => Promise<Found>) | undefined
  /** Packet Identifiers that are not in doubt any more; undefined while none is. */
  #asked: Set<number> | undefined

  constructor(totals: { bytes: number }) {
    this.#totals = totals
  }

  /** From now on every Packet Identifier is in doubt until `inquire` has read its state. */
  doubt(ask: (packetId: number) => Promise<Found>): void {
    this.#ask = ask
  }

  isInDoubt(packetId: number): boolean {
    return this.#ask !== undefined && this.#asked?.has(packetId) !== true
  }

  async inquire(packetId: number): Promise<Found> {
    const found = (await this.#ask?.(packetId)) ?? 'unknown'
    this.#settle(packetId)
    return found
  }

  #settle(packetId: number): void {
    this.#asked ??= new Set()
    this.#asked.add(packetId)
  }

  get size(): number {
    return this.#size
  }

  has(packetId: number): boolean {
    const bitmap = this.#bitmap
    if (bitmap === undefined) return this.#set?.has(packetId) === true
    return (bitmap[packetId >> 3]! & (1 << (packetId & 7))) !== 0
  }

  /**
   * Reserves the Packet Identifier before hooks and storage are called, so that a second PUBLISH is a duplicate.
   * `outcome` resolves with the Reason Code, if it is not known yet.
   */
  reserve(packetId: number, outcome?: Promise<number>): void {
    if (!this.has(packetId)) this.#add(packetId)
    if (outcome === undefined) this.#outcomes?.delete(packetId)
    else {
      this.#outcomes ??= new Map()
      this.#outcomes.set(packetId, outcome)
    }
  }

  #add(packetId: number): void {
    this.#size += 1
    if (this.#bitmap === undefined && this.#size > MAX_IN_SET) this.#bitmap = this.#newBitmap()
    if (this.#bitmap === undefined) {
      this.#set ??= new Set()
      this.#set.add(packetId)
    } else mark(this.#bitmap, packetId)
  }

  #newBitmap(): Uint8Array {
    const bitmap = new Uint8Array(BITMAP_BYTES)
    for (const packetId of this.#set ?? []) mark(bitmap, packetId)
    this.#set = undefined
    this.#totals.bytes += BITMAP_BYTES
    return bitmap
  }

  #releaseBitmap(): void {
    if (this.#bitmap === undefined) return
    this.#bitmap = undefined
    this.#totals.bytes -= BITMAP_BYTES
  }

  /** The future Reason Code of a PUBLISH that is still processed; undefined if it was accepted. */
  outcome(packetId: number): Promise<number> | undefined {
    return this.#outcomes?.get(packetId)
  }

  /** The outcome is known. */
  settled(packetId: number, outcome: Promise<number>): void {
    if (this.#outcomes?.get(packetId) === outcome) this.#outcomes.delete(packetId)
  }

  /** Frees the Packet Identifier, after PUBREL or because the PUBLISH was refused [MQTT-4.3.3-9]. */
  release(packetId: number): boolean {
    if (this.#ask !== undefined) this.#settle(packetId)
    if (!this.has(packetId)) return false
    this.#outcomes?.delete(packetId)
    this.#size -= 1
    if (this.#bitmap === undefined) this.#set?.delete(packetId)
    else this.#bitmap[packetId >> 3] = this.#bitmap[packetId >> 3]! & ~(1 << (packetId & 7))
    if (this.#size === 0) this.#releaseBitmap()
    return true
  }

  clear(): void {
    this.#set = undefined
    this.#releaseBitmap()
    this.#size = 0
    this.#outcomes = undefined
  }
}

function mark(bitmap: Uint8Array, packetId: number): void {
  bitmap[packetId >> 3] = bitmap[packetId >> 3]! | (1 << (packetId & 7))
}

import type { PersistedPublish } from '../../types/persistence.ts'

/** State of a Packet Identifier in the storage; a packet if its message was being published when the process ended. */
type Found = 'unknown' | 'accepted' | PersistedPublish

/**
 * The Packet Identifiers of received QoS 2 messages without PUBREL (section 4.3.3). The messages are not stored here:
 * each is published when its PUBLISH arrives, and PUBREL only frees the Packet Identifier.
 */
export class IncomingQos2 {
  // Created with the first message, because most Clients publish nothing at QoS 2.
  #received: Map<number, Promise<number> | undefined> | undefined

  /** Reads the state of a Packet Identifier of an earlier process, for a storage that cannot list them at the start. */
  #ask: ((packetId: number) => Promise<Found>) | undefined
  /** Packet Identifiers that are not in doubt any more; undefined while none is. */
  #asked: Set<number> | undefined

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
    return this.#received?.size ?? 0
  }

  has(packetId: number): boolean {
    return this.#received?.has(packetId) === true
  }

  /**
   * Reserves the Packet Identifier before hooks and storage are called, so that a second PUBLISH is a duplicate.
   * `outcome` resolves with the Reason Code, if it is not known yet.
   */
  reserve(packetId: number, outcome?: Promise<number>): void {
    this.#received ??= new Map()
    this.#received.set(packetId, outcome)
  }

  /** The future Reason Code of a PUBLISH that is still processed; undefined if it was accepted. */
  outcome(packetId: number): Promise<number> | undefined {
    return this.#received?.get(packetId)
  }

  /** Frees the Packet Identifier, after PUBREL or because the PUBLISH was refused [MQTT-4.3.3-9]. */
  release(packetId: number): boolean {
    if (this.#ask !== undefined) this.#settle(packetId)
    return this.#received?.delete(packetId) === true
  }

  clear(): void {
    this.#received = undefined
  }
}

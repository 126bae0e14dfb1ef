import type { PersistedPublish } from '../../types/persistence.ts'

/** What the store knows of a message: a packet is one that was being handed on. */
type Found = 'unknown' | 'accepted' | PersistedPublish

/**
 * The QoS 2 messages from a Client that it has not released (section 4.3.3): their Packet Identifiers only, because a
 * message is handed on when it comes, once, and its PUBREL just frees the identifier.
 */
export class IncomingQos2 {
  // Made with the first one: most Clients publish nothing at QoS 2.
  #received: Map<number, Promise<number> | undefined> | undefined

  /** Asks the store what became of a message from before the process began, when it could not be read at the start. */
  #ask: ((packetId: number) => Promise<Found>) | undefined
  /** Packet Identifiers that are not in doubt any more; undefined while none is. */
  #asked: Set<number> | undefined

  /** Each Packet Identifier is in doubt until it is inquired about. */
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
   * Takes the identifier before anything is asked or stored, so that the same PUBLISH cannot come in twice.
   * `outcome` is the Reason Code to come, when it is not known yet.
   */
  reserve(packetId: number, outcome?: Promise<number>): void {
    this.#received ??= new Map()
    this.#received.set(packetId, outcome)
  }

  /** The Reason Code of a PUBLISH that is being worked on; undefined when it was accepted. */
  outcome(packetId: number): Promise<number> | undefined {
    return this.#received?.get(packetId)
  }

  /** PUBREL came, or the PUBLISH was refused [MQTT-4.3.3-9]: the identifier is free. */
  release(packetId: number): boolean {
    if (this.#ask !== undefined) this.#settle(packetId)
    return this.#received?.delete(packetId) === true
  }

  clear(): void {
    this.#received = undefined
  }
}

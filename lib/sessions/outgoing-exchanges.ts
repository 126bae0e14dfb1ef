import type { Delivery } from './delivery.ts'

/** What an acknowledgement came to. */
export type Outcome = 'unknown' | 'continues' | 'complete'

const HIGHEST_PACKET_ID = 65_535
const SMALLEST = 16
// Shared by all sessions with nothing under way; never written to.
const EMPTY: never[] = []

/**
 * The QoS 1 and QoS 2 messages sent to a Client and not complete (section 4.3).
 *
 *   QoS 1  publish sent ──PUBACK──▶ complete
 *   QoS 2  publish sent ──PUBREC──▶ pubrel sent ──PUBCOMP──▶ complete
 *          a PUBREC of 0x80 or more completes it at once [MQTT-4.4.0-2]
 *
 * They stand in a table at their Packet Identifier modulo its size, which a Map would do too, for twice the time and
 * a share of the garbage collector's: identifiers go up one by one, so the table is as large as the window is wide.
 */
export class OutgoingExchanges {
  #table: (Delivery | undefined)[] = EMPTY
  #size = 0
  /** The send quota in use on this connection (section 4.9). */
  #inFlight = 0
  #lastPacketId = 0
  #lastOrder = 0
  /** After a reconnect: what has to be sent again and was not yet, the last one first. */
  #unsent: Delivery[] = EMPTY

  /** All of them, sent on this connection or not. */
  get size(): number {
    return this.#size
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** Gives the delivery a Packet Identifier that no other of this session has [MQTT-2.2.1-4]. */
  start(delivery: Delivery): number {
    let packetId = this.#lastPacketId
    do {
      packetId = packetId === HIGHEST_PACKET_ID ? 1 : packetId + 1
    } while (this.get(packetId) !== undefined)
    delivery.packetId = packetId
    delivery.state = 'publish sent'
    delivery.onWire = true
    this.#keep(delivery)
    this.#inFlight += 1
    return packetId
  }

  /** Knows again what was sent before this process began; it is sent again on the next connection. */
  restore(delivery: Delivery): void {
    if (this.get(delivery.packetId) === undefined) this.#keep(delivery)
  }

  #keep(delivery: Delivery): void {
    const { packetId } = delivery
    this.#lastPacketId = packetId
    this.#lastOrder += 1
    delivery.order = this.#lastOrder
    while (this.#table[packetId & (this.#table.length - 1)] !== undefined || this.#table.length === 0) this.#grow()
    this.#table[packetId & (this.#table.length - 1)] = delivery
    this.#size += 1
  }

  get(packetId: number): Delivery | undefined {
    const delivery = this.#table[packetId & (this.#table.length - 1)]
    return delivery !== undefined && delivery.packetId === packetId ? delivery : undefined
  }

  puback(packetId: number): Delivery | undefined {
    const delivery = this.get(packetId)
    if (delivery === undefined || delivery.qos !== 1) return undefined
    this.drop(delivery)
    return delivery
  }

  pubrec(packetId: number, refused: boolean): Outcome {
    const delivery = this.get(packetId)
    if (delivery === undefined || delivery.qos !== 2) return 'unknown'
    if (refused && delivery.state === 'publish sent') {
      this.drop(delivery)
      return 'complete'
    }
    delivery.state = 'pubrel sent'
    return 'continues'
  }

  pubcomp(packetId: number): Delivery | undefined {
    const delivery = this.get(packetId)
    if (delivery === undefined || delivery.state !== 'pubrel sent') return undefined
    this.drop(delivery)
    return delivery
  }

  /** Forgets it: its Packet Identifier is free. */
  drop(delivery: Delivery): void {
    if (this.get(delivery.packetId) !== delivery) return
    this.#table[delivery.packetId & (this.#table.length - 1)] = undefined
    this.#size -= 1
    if (delivery.onWire) this.#inFlight -= 1
    delivery.onWire = false
    if (this.#size === 0 && this.#table.length > SMALLEST * 8) this.#table = EMPTY
  }

  /** A new connection: all of it is to be sent again, in order, and the send quota is whole again. */
  restart(): void {
    this.#inFlight = 0
    this.#unsent = this.inOrder().toReversed()
    for (const delivery of this.#unsent) delivery.onWire = false
  }

  /** The next one to be sent again; undefined when there is none left. */
  nextUnsent(): Delivery | undefined {
    for (;;) {
      const delivery = this.#unsent.pop()
      if (delivery === undefined) return undefined
      if (this.get(delivery.packetId) !== delivery) continue // Acknowledged meanwhile.
      delivery.onWire = true
      this.#inFlight += 1
      return delivery
    }
  }

  get hasUnsent(): boolean {
    return this.#unsent.length > 0
  }

  /** In the order in which they were sent first. */
  inOrder(): Delivery[] {
    return this.#table.filter((delivery) => delivery !== undefined).toSorted((one, other) => one.order - other.order)
  }

  clear(): void {
    this.#table = EMPTY
    this.#unsent = EMPTY
    this.#size = 0
    this.#inFlight = 0
  }

  #grow(): void {
    const larger: (Delivery | undefined)[] = Array.from({ length: Math.max(this.#table.length * 2, SMALLEST) })
    for (const delivery of this.#table)
      if (delivery !== undefined) larger[delivery.packetId & (larger.length - 1)] = delivery
    this.#table = larger
  }
}

import type { Delivery } from './delivery.ts'
import { Queue } from './queue.ts'

/** What an acknowledgement came to. */
export type Outcome = 'unknown' | 'continues' | 'complete'

/**
 * The QoS 1 and QoS 2 messages sent to a Client and not complete (section 4.3), in the order in which they were sent.
 *
 *   QoS 1  publish sent ──PUBACK──▶ complete
 *   QoS 2  publish sent ──PUBREC──▶ pubrel sent ──PUBCOMP──▶ complete
 *          a PUBREC of 0x80 or more completes it at once [MQTT-4.4.0-2]
 */
export class OutgoingExchanges {
  readonly #byPacketId = new Map<number, Delivery>()
  /** After a reconnect: what has to be sent again and was not yet. */
  #unsent = new Queue<Delivery>()
  /** The send quota in use on this connection (section 4.9). */
  #inFlight = 0
  #lastPacketId = 0

  /** All of them, sent on this connection or not. */
  get size(): number {
    return this.#byPacketId.size
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** Gives the delivery a Packet Identifier that no other of this session has [MQTT-2.2.1-4]. */
  start(delivery: Delivery): number {
    let packetId = this.#lastPacketId
    do {
      packetId = packetId === 65_535 ? 1 : packetId + 1
    } while (this.#byPacketId.has(packetId))
    this.#lastPacketId = packetId
    delivery.packetId = packetId
    delivery.state = 'publish sent'
    delivery.onWire = true
    this.#byPacketId.set(packetId, delivery)
    this.#inFlight += 1
    return packetId
  }

  get(packetId: number): Delivery | undefined {
    return this.#byPacketId.get(packetId)
  }

  puback(packetId: number): Delivery | undefined {
    const delivery = this.#byPacketId.get(packetId)
    if (delivery === undefined || delivery.qos !== 1) return undefined
    this.drop(delivery)
    return delivery
  }

  pubrec(packetId: number, refused: boolean): Outcome {
    const delivery = this.#byPacketId.get(packetId)
    if (delivery === undefined || delivery.qos !== 2) return 'unknown'
    if (refused && delivery.state === 'publish sent') {
      this.drop(delivery)
      return 'complete'
    }
    delivery.state = 'pubrel sent'
    return 'continues'
  }

  pubcomp(packetId: number): Delivery | undefined {
    const delivery = this.#byPacketId.get(packetId)
    if (delivery === undefined || delivery.state !== 'pubrel sent') return undefined
    this.drop(delivery)
    return delivery
  }

  /** Forgets it: its Packet Identifier is free. */
  drop(delivery: Delivery): void {
    this.#byPacketId.delete(delivery.packetId)
    if (delivery.onWire) this.#inFlight -= 1
    delivery.onWire = false
  }

  /** A new connection: all of it is to be sent again, in order, and the send quota is whole again. */
  restart(): void {
    this.#inFlight = 0
    this.#unsent = new Queue()
    for (const delivery of this.#byPacketId.values()) {
      delivery.onWire = false
      this.#unsent.push(delivery)
    }
  }

  /** The next one to be sent again; undefined when there is none left. */
  nextUnsent(): Delivery | undefined {
    for (;;) {
      const delivery = this.#unsent.shift()
      if (delivery === undefined) return undefined
      if (this.#byPacketId.get(delivery.packetId) !== delivery) continue // Acknowledged meanwhile.
      delivery.onWire = true
      this.#inFlight += 1
      return delivery
    }
  }

  get hasUnsent(): boolean {
    return this.#unsent.length > 0
  }

  clear(): void {
    this.#byPacketId.clear()
    this.#unsent.clear()
    this.#inFlight = 0
  }

  values(): IterableIterator<Delivery> {
    return this.#byPacketId.values()
  }
}

import { ProtocolError } from '../errors.ts'
import { ReasonCode } from '../packets/reason-codes.ts'
import type { Delivery } from './delivery.ts'

/** The result of an acknowledgement. */
export type Outcome = 'unknown' | 'continues' | 'complete'

const MAX_PACKET_ID = 65_535
const MIN_CAPACITY = 16
// Shared by all sessions without inflight messages; never written to.
const EMPTY: never[] = []

/**
 * The QoS 1 and QoS 2 messages that are sent to a Client and not complete (section 4.3).
 *
 *   QoS 1  awaiting PUBACK ──PUBACK──▶ complete
 *   QoS 2  awaiting PUBREC ──PUBREC──▶ awaiting PUBCOMP ──PUBCOMP──▶ complete
 *          a PUBREC of 0x80 or more completes it at once [MQTT-4.4.0-2]
 *
 * Another acknowledgement of a message than the one that it awaits is a Protocol Error; only a PUBREC may come twice.
 * An acknowledgement of an unknown Packet Identifier changes nothing: the message may have been dropped.
 *
 * The index in the table is the Packet Identifier modulo the table size. Packet Identifiers increase by one, so the
 * table is about as large as the window. A Map would take twice the time and make more garbage.
 */
export class InflightMessages {
  #table: (Delivery | undefined)[] = EMPTY
  #size = 0
  /** The send quota in use on this connection (section 4.9). */
  #quotaInUse = 0
  #lastPacketId = 0
  #lastSendSequence = 0
  /** After a reconnect: the messages that must still be sent again, in reverse order. */
  #unsent: Delivery[] = EMPTY
  /** Messages from this `sendSequence` on do not count against the send quota yet. */
  #unsentFrom: number | undefined // Infinity would take an object of its own for each session.

  /** Number of all inflight messages, sent on this connection or an earlier one. */
  get size(): number {
    return this.#size
  }

  get quotaInUse(): number {
    return this.#quotaInUse
  }

  /** Assigns a Packet Identifier that is not in use in this session [MQTT-2.2.1-4]. */
  start(delivery: Delivery): number {
    let packetId = this.#lastPacketId
    do {
      packetId = packetId === MAX_PACKET_ID ? 1 : packetId + 1
    } while (this.get(packetId) !== undefined)
    delivery.packetId = packetId
    delivery.phase = delivery.qos === 1 ? 'awaiting puback' : 'awaiting pubrec'
    this.#add(delivery)
    this.#quotaInUse += 1
    return packetId
  }

  /** Adds a message that an earlier process sent; it is sent again on the next connection. */
  restore(delivery: Delivery): void {
    if (this.get(delivery.packetId) !== undefined) return
    this.#add(delivery)
    this.#unsentFrom = Math.min(this.#unsentFrom ?? Infinity, delivery.sendSequence)
  }

  #add(delivery: Delivery): void {
    const { packetId } = delivery
    this.#lastPacketId = packetId
    this.#lastSendSequence += 1
    delivery.sendSequence = this.#lastSendSequence
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
    if (delivery === undefined) return undefined
    if (delivery.phase !== 'awaiting puback') throw unexpected('PUBACK', delivery)
    this.remove(delivery)
    return delivery
  }

  pubrec(packetId: number, refused: boolean): Outcome {
    const delivery = this.get(packetId)
    if (delivery === undefined) return 'unknown'
    if (delivery.phase !== 'awaiting pubrec' && (refused || delivery.phase !== 'awaiting pubcomp')) {
      throw unexpected('PUBREC', delivery)
    }
    if (refused) {
      this.remove(delivery)
      return 'complete'
    }
    delivery.phase = 'awaiting pubcomp'
    return 'continues'
  }

  pubcomp(packetId: number): Delivery | undefined {
    const delivery = this.get(packetId)
    if (delivery === undefined) return undefined
    if (delivery.phase !== 'awaiting pubcomp') throw unexpected('PUBCOMP', delivery)
    this.remove(delivery)
    return delivery
  }

  /** Removes a message and frees its Packet Identifier. */
  remove(delivery: Delivery): void {
    if (this.get(delivery.packetId) !== delivery) return
    this.#table[delivery.packetId & (this.#table.length - 1)] = undefined
    this.#size -= 1
    if (this.#unsentFrom === undefined || delivery.sendSequence < this.#unsentFrom) this.#quotaInUse -= 1
    if (this.#size === 0 && this.#table.length > MIN_CAPACITY * 8) this.#table = EMPTY
  }

  /** A new connection: all messages must be sent again in order, and the send quota is reset. */
  restart(): void {
    this.#quotaInUse = 0
    this.#unsent = this.inOrder().toReversed()
    this.#unsentFrom = this.#unsent.at(-1)?.sendSequence
  }

  /** Returns the next message to send again; undefined if there is none. */
  nextUnsent(): Delivery | undefined {
    for (;;) {
      const delivery = this.#unsent.pop()
      this.#unsentFrom = this.#unsent.at(-1)?.sendSequence
      if (delivery === undefined) return undefined
      if (this.get(delivery.packetId) !== delivery) continue // Acknowledged meanwhile.
      this.#quotaInUse += 1
      return delivery
    }
  }

  get hasUnsent(): boolean {
    return this.#unsent.length > 0
  }

  /** The messages in the order in which they were first sent. */
  inOrder(): Delivery[] {
    return this.#table
      .filter((delivery) => delivery !== undefined)
      .toSorted((one, other) => one.sendSequence - other.sendSequence)
  }

  clear(): void {
    this.#table = EMPTY
    this.#unsent = EMPTY
    this.#unsentFrom = undefined
    this.#size = 0
    this.#quotaInUse = 0
  }

  #grow(): void {
    const larger: (Delivery | undefined)[] = Array.from({ length: Math.max(this.#table.length * 2, MIN_CAPACITY) })
    for (const delivery of this.#table)
      if (delivery !== undefined) larger[delivery.packetId & (larger.length - 1)] = delivery
    this.#table = larger
  }
}

/** The acknowledgement does not follow the state of the message (section 4.13). */
function unexpected(packet: string, { packetId, phase }: Delivery): ProtocolError {
  return new ProtocolError(ReasonCode.protocolError, `${packet} of message ${packetId}, which is ${phase}`)
}

import type { Duplex } from 'node:stream'
import type { Packet } from '../../types/packets.ts'
import { isPromise } from '../promises.ts'
import { Decoder, type DecoderOptions } from '../packets/decoder.ts'
import { isBorrowed } from './read-buffer.ts'
import type { Pausable } from '../sessions/back-pressure.ts'
import { RingQueue } from '../sessions/ring-queue.ts'
import type { FlushScheduler } from '../flush-scheduler.ts'

/** The connection that receives the packets. */
export interface InputOwner {
  /** Packets are handled, even if the connection has ended. */
  readonly takesPackets: boolean
  /** The output is busy, so that no packet is handled. */
  readonly outboundBusy: boolean
  /** The handler at work waits for an AUTH, so the next packet is handled. */
  readonly expectsAuthentication: boolean
  /** A promise means that the packets behind this one have to wait. */
  handle(packet: Packet): void | Promise<void>
  /** A handler failed, or a packet is malformed. */
  handleFailed(error: Error): void
  /** The Client has ended its side of the stream, and all its packets are handled. */
  inputEnded(): void
  /** Schedules a call of `process` at the end of this turn of the event loop. */
  schedule(): void
}

// Bytes that may wait for the handler of the packet before them.
const READ_AHEAD_BYTES = 64 * 1024
// Limits of the deferred packets of a paused publisher.
const MAX_DEFERRED_PACKETS = 1024
const MAX_DEFERRED_BYTES = 512 * 1024

/**
 * The input of one connection: decodes its packets and handles them one after the other, in order.
 *
 * A publisher that is paused (see `sessions/back-pressure`) is still read from: its packets are deferred, but its
 * acknowledgements are handled at once. Otherwise two Clients that publish to each other could block each other: each
 * would wait for an acknowledgement that is behind the messages of the other.
 */
export class Input implements Pausable {
  readonly #stream: Duplex
  readonly #owner: InputOwner
  readonly #scheduler: FlushScheduler
  readonly decoder: Decoder
  /** Number of packets that were handled. */
  handled = 0
  #busy = false
  /** Type of the packet whose handler has not finished. */
  #handling: Packet['type'] | undefined
  /** Number of promises that were waited for; a promise that is not the latest has no effect. */
  #waits = 0
  #pauses = 0
  /** Only acknowledgements, PINGREQ and AUTH are handled until the predecessors are decided. */
  #isGated = false
  #deferredPackets: RingQueue<{ packet: Packet; bytes: number }> | undefined
  #deferredBytes = 0
  /** A packet has to wait. */
  #blocked = false
  #isReadingPaused = false
  #ended = false
  #final = false
  #isClosed = false

  constructor(stream: Duplex, owner: InputOwner, scheduler: FlushScheduler, options: DecoderOptions) {
    this.#stream = stream
    this.#owner = owner
    this.#scheduler = scheduler
    this.decoder = new Decoder(options)
  }

  /** Whether the Client waits for the Server, not the Server for the Client. */
  get isWaiting(): boolean {
    return this.#busy || this.#blocked || this.#pauses > 0 || this.#isGated
  }

  /** No packet is handled until this promise settles. */
  waitFor(promise: Promise<void>): void {
    this.#busy = true
    this.#waits += 1
    const wait = this.#waits
    promise.then(
      () => {
        if (this.#waits !== wait) return
        this.#busy = false
        this.#handling = undefined
        this.process()
      },
      (error: Error) => {
        if (this.#waits !== wait) return
        this.#busy = false
        this.#handling = undefined
        this.#owner.handleFailed(error)
      },
    )
  }

  push(chunk: Buffer): void {
    this.decoder.push(chunk, isBorrowed(chunk))
    this.process()
  }

  /** The Client has ended its side of the stream; its packets are still handled. */
  end(): void {
    this.#ended = true
    this.process()
  }

  /** The stream is closed: the publisher is not paused any more. Returns whether packets are left. */
  finish(): boolean {
    this.#final = true
    this.process()
    if (!this.#owner.takesPackets) return false
    return this.decoder.bufferedBytes > 0 || (this.#deferredPackets?.length ?? 0) > 0
  }

  get #isPaused(): boolean {
    // A publisher that has ended its side is not paused any more, but the gate stays closed.
    return this.#isGated || (this.#pauses > 0 && !this.#final && !this.#ended)
  }

  /**
   * Handles the complete packets until one has to wait. The first `minPackets` are handled although the output is busy,
   * so that a slow Client with a busy output can unsubscribe.
   */
  process(minPackets = 0): void {
    this.#blocked = false
    let count = 0
    while (this.#owner.takesPackets && !this.#isClosed) {
      if ((this.#busy && !this.#owner.expectsAuthentication) || (count >= minPackets && this.#owner.outboundBusy)) {
        this.#blocked = true
        break
      }
      if (this.#scheduler.isExhausted) {
        this.#blocked = true
        this.#owner.schedule()
        break
      }
      try {
        const packet = this.#next()
        if (packet === undefined) break
        count += 1
        this.#scheduler.used += 1
        if (!this.#busy) this.#handling = packet.type
        const result = this.#owner.handle(packet)
        if (isPromise(result)) this.waitFor(result)
      } catch (error) {
        if (!this.#busy) this.#handling = undefined
        this.#owner.handleFailed(error as Error)
      }
    }
    if (!this.#busy) this.#handling = undefined // Only here, because nothing asks for it between two packets.
    this.handled += count
    if (!this.#owner.takesPackets) return
    // The expected AUTH cannot arrive any more.
    const isDone = !this.#busy || this.#owner.expectsAuthentication
    if (this.#ended && !this.#blocked && isDone && !this.#isPaused) this.#owner.inputEnded()
    this.#pauseOrResume()
  }

  /** Returns the next packet to handle; undefined if no packet may be handled now. */
  #next(): Packet | undefined {
    if (!this.#isPaused) {
      const first = this.#deferredPackets?.shift()
      if (first === undefined) return this.decoder.next()
      this.#deferredBytes -= first.bytes
      return first.packet
    }
    this.#deferredPackets ??= new RingQueue()
    while (this.#deferredPackets.length < MAX_DEFERRED_PACKETS && this.#deferredBytes < MAX_DEFERRED_BYTES) {
      const before = this.decoder.bufferedBytes
      const packet = this.decoder.next()
      if (packet === undefined || isAcknowledgement(packet)) return packet
      if (this.#isGated && (packet.type === 'pingreq' || packet.type === 'auth')) return packet
      const bytes = before - this.decoder.bufferedBytes
      this.#deferredPackets.push({ packet, bytes })
      this.#deferredBytes += bytes
    }
    this.#blocked = true
    return undefined
  }

  #pauseOrResume(): void {
    const pause = this.#blocked && this.decoder.bufferedBytes >= READ_AHEAD_BYTES
    if (pause === this.#isReadingPaused) return
    this.#isReadingPaused = pause
    if (pause) this.#stream.pause()
    else this.#stream.resume()
  }

  pause(): void {
    this.#pauses += 1
  }

  // Not at once, because the caller may be in the middle of a delivery.
  resume(): void {
    this.#pauses -= 1
    if (this.#pauses === 0) this.#owner.schedule()
  }

  /** The packets wait until the predecessors are decided. */
  closeGate(): void {
    this.#isGated = true
  }

  openGate(): void {
    if (!this.#isGated) return
    this.#isGated = false
    this.#owner.schedule()
  }

  /** The handler of a PUBLISH has not finished. */
  get isPublishing(): boolean {
    return this.#handling === 'publish'
  }

  /** Packets wait for the handler of another one, or for the gate. */
  get hasUndecided(): boolean {
    const waits = this.decoder.bufferedBytes > 0 || (this.#deferredPackets?.length ?? 0) > 0
    return this.isPublishing || ((this.#busy || this.#isGated) && waits)
  }

  /** The connection has ended, but its packets are still handled; `inputEnded` is called after the last one. */
  drain(): void {
    if (this.#busy && !this.isPublishing) {
      this.#waits += 1 // Only a PUBLISH has an effect after the end of its connection.
      this.#busy = false
      this.#handling = undefined
    }
    this.#final = true
    this.#ended = true
    this.process()
  }

  /** Drops the remaining packets. Returns the number of PUBLISH packets among them. */
  drop(): number {
    let count = this.isPublishing ? 1 : 0
    for (const { packet } of this.#deferredPackets ?? []) if (packet.type === 'publish') count += 1
    try {
      for (let packet = this.decoder.next(); packet !== undefined; packet = this.decoder.next()) {
        if (packet.type === 'publish') count += 1
      }
    } catch {
      // Packets behind a malformed packet are ignored.
    }
    this.#waits += 1
    this.close()
    return count
  }

  /** The connection has ended: further bytes are read and discarded. */
  close(): void {
    this.#isClosed = true
    this.#ended = true
    this.#isGated = false
    this.#deferredPackets = undefined
    this.decoder.close()
    this.#blocked = false
    this.#pauseOrResume()
  }
}

function isAcknowledgement({ type }: Packet): boolean {
  return type === 'puback' || type === 'pubrec' || type === 'pubcomp'
}

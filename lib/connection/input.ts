import type { Duplex } from 'node:stream'
import type { Packet, PacketType } from '../../types/packets.ts'
import { isPromise } from '../promises.ts'
import { Decoder, type DecoderOptions } from '../packets/decoder.ts'
import { isBorrowed } from './read-buffer.ts'
import type { Pausable } from '../sessions/back-pressure.ts'
import { RingQueue } from '../sessions/ring-queue.ts'
import type { FlushScheduler } from '../flush-scheduler.ts'

/** The connection whose packets come in. */
export interface InputOwner {
  /** Packets that came are handled, also those of a connection that has ended. */
  readonly takesPackets: boolean
  /** Nothing is read from a Client that does not read. */
  readonly outboundBusy: boolean
  /** The next packet is looked at although the one before it is not done: an AUTH is expected. */
  readonly expectsAuthentication: boolean
  /** A promise means that the packets behind this one have to wait. */
  handle(packet: Packet): void | Promise<void>
  /** A handler failed, or a packet is malformed. */
  handleFailed(error: Error): void
  /** The other side has ended its side, and all that it sent is handled. */
  inputEnded(): void
  /** `process` is to be called when this turn is over. */
  schedule(): void
}

// Bytes that may wait while the packet before them is still being worked on.
const READ_AHEAD_BYTES = 64 * 1024
// Packets, and bytes of them, that are put aside while their sender is held back.
const MAX_DEFERRED_PACKETS = 1024
const MAX_DEFERRED_BYTES = 512 * 1024

/**
 * What comes in on one connection: bytes become packets, and packets are handled one after the other, in order.
 *
 * A publisher that is held back (see `sessions/congestion`) is still listened to: its packets are put aside, but its
 * acknowledgements count at once. Otherwise two Clients that publish to each other could hold each other for ever,
 * each waiting for the acknowledgement that stands behind the other's messages.
 */
export class Input implements Pausable {
  readonly #stream: Duplex
  readonly #owner: InputOwner
  readonly #turn: FlushScheduler
  readonly #decoder: Decoder
  /** How many packets were handled. */
  handled = 0
  #busy = false
  /** Type of the packet whose handler is at work. */
  #handling: PacketType | undefined
  /** Counts the promises that were waited for: one that is given up has no effect. */
  #waits = 0
  #pauses = 0
  /** Only packets that are about the connection alone are handled, until what came before it is decided. */
  #isGated = false
  #deferredPackets: RingQueue<{ packet: Packet; bytes: number }> | undefined
  #deferredBytes = 0
  /** There is something to handle that has to wait. */
  #blocked = false
  #isReadingPaused = false
  #ended = false
  #final = false
  #isClosed = false

  constructor(stream: Duplex, owner: InputOwner, turn: FlushScheduler, options: DecoderOptions) {
    this.#stream = stream
    this.#owner = owner
    this.#turn = turn
    this.#decoder = new Decoder(options)
  }

  get decoder(): Decoder {
    return this.#decoder
  }

  /** Whether the Client waits for us rather than we for it. */
  get isWaiting(): boolean {
    return this.#busy || this.#blocked || this.#pauses > 0 || this.#isGated
  }

  /** Nothing is handled until this promise settles. */
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
    this.#decoder.push(chunk, isBorrowed(chunk))
    this.process()
  }

  /** The other side has ended its side: what came before that counts. */
  end(): void {
    this.#ended = true
    this.process()
  }

  /** The stream is closed: nobody is held back any more. Answers whether there still is something to handle. */
  finish(): boolean {
    this.#final = true
    this.process()
    if (!this.#owner.takesPackets) return false
    return this.#decoder.bufferedBytes > 0 || (this.#deferredPackets?.length ?? 0) > 0
  }

  get #isPaused(): boolean {
    // A publisher that has ended its side is not paused any more; but the gate stays closed for it.
    return this.#isGated || (this.#pauses > 0 && !this.#final && !this.#ended)
  }

  /**
   * Handles the packets that are complete until one of them has to wait. So many of them do not wait for the Client to
   * take what was written to it: one that is slow, and always has more to take, must still be able to unsubscribe.
   */
  process(minPackets = 0): void {
    this.#blocked = false
    let count = 0
    while (this.#owner.takesPackets && !this.#isClosed) {
      if ((this.#busy && !this.#owner.expectsAuthentication) || (count >= minPackets && this.#owner.outboundBusy)) {
        this.#blocked = true
        break
      }
      if (this.#turn.isExhausted) {
        this.#blocked = true
        this.#owner.schedule()
        break
      }
      try {
        const packet = this.#next()
        if (packet === undefined) break
        count += 1
        this.#turn.used += 1
        if (!this.#busy) this.#handling = packet.type
        const result = this.#owner.handle(packet)
        if (isPromise(result)) this.waitFor(result)
        else if (!this.#busy) this.#handling = undefined
      } catch (error) {
        if (!this.#busy) this.#handling = undefined
        this.#owner.handleFailed(error as Error)
      }
    }
    this.handled += count
    if (!this.#owner.takesPackets) return
    // An AUTH that is waited for cannot come any more.
    const isDone = !this.#busy || this.#owner.expectsAuthentication
    if (this.#ended && !this.#blocked && isDone && !this.#isPaused) this.#owner.inputEnded()
    this.#pauseOrResume()
  }

  /** The next packet to handle; undefined when there is none, or none that may be handled now. */
  #next(): Packet | undefined {
    if (!this.#isPaused) {
      const first = this.#deferredPackets?.shift()
      if (first === undefined) return this.#decoder.next()
      this.#deferredBytes -= first.bytes
      return first.packet
    }
    this.#deferredPackets ??= new RingQueue()
    while (this.#deferredPackets.length < MAX_DEFERRED_PACKETS && this.#deferredBytes < MAX_DEFERRED_BYTES) {
      const before = this.#decoder.bufferedBytes
      const packet = this.#decoder.next()
      if (packet === undefined || isAcknowledgement(packet)) return packet
      if (this.#isGated && (packet.type === 'pingreq' || packet.type === 'auth')) return packet
      const bytes = before - this.#decoder.bufferedBytes
      this.#deferredPackets.push({ packet, bytes })
      this.#deferredBytes += bytes
    }
    this.#blocked = true
    return undefined
  }

  #pauseOrResume(): void {
    const pause = this.#blocked && this.#decoder.bufferedBytes >= READ_AHEAD_BYTES
    if (pause === this.#isReadingPaused) return
    this.#isReadingPaused = pause
    if (pause) this.#stream.pause()
    else this.#stream.resume()
  }

  pause(): void {
    this.#pauses += 1
  }

  // Not at once: whoever lets go is in the middle of something.
  resume(): void {
    this.#pauses -= 1
    if (this.#pauses === 0) this.#owner.schedule()
  }

  /** The packets wait until what former connections of the Client left is decided. */
  closeGate(): void {
    this.#isGated = true
  }

  openGate(): void {
    if (!this.#isGated) return
    this.#isGated = false
    this.#owner.schedule()
  }

  /** The handler of a PUBLISH is at work. */
  get isPublishing(): boolean {
    return this.#handling === 'publish'
  }

  /** Packets wait for the handler of another one, or for the gate. */
  get hasUndecided(): boolean {
    const waits = this.#decoder.bufferedBytes > 0 || (this.#deferredPackets?.length ?? 0) > 0
    return this.isPublishing || ((this.#busy || this.#isGated) && waits)
  }

  /** The connection ended, and the packets that came are still to be handled; `inputEnded` is called after the last. */
  drain(): void {
    if (this.#busy && !this.isPublishing) {
      this.#waits += 1 // What else waits for a hook has no effect after the end of its connection.
      this.#busy = false
      this.#handling = undefined
    }
    this.#final = true
    this.#ended = true
    this.process()
  }

  /** Gives up the packets that are left. Returns how many of them are PUBLISH packets. */
  drop(): number {
    let count = this.isPublishing ? 1 : 0
    for (const { packet } of this.#deferredPackets ?? []) if (packet.type === 'publish') count += 1
    try {
      for (let packet = this.#decoder.next(); packet !== undefined; packet = this.#decoder.next()) {
        if (packet.type === 'publish') count += 1
      }
    } catch {
      // Nothing behind a packet that is malformed counts.
    }
    this.#waits += 1
    this.close()
    return count
  }

  /** The connection ended: what comes is read and thrown away, and no bytes are held. */
  close(): void {
    this.#isClosed = true
    this.#ended = true
    this.#isGated = false
    this.#deferredPackets = undefined
    this.#decoder.close()
    this.#blocked = false
    this.#pauseOrResume()
  }
}

function isAcknowledgement({ type }: Packet): boolean {
  return type === 'puback' || type === 'pubrec' || type === 'pubcomp'
}

import type { Duplex } from 'node:stream'
import type { Packet } from '../../types/packets.ts'
import { isPromise } from '../hooks.ts'
import { Decoder, type DecoderOptions } from '../packets/decoder.ts'
import { isBorrowed } from './read-buffer.ts'
import type { Pausable } from '../sessions/back-pressure.ts'
import { RingQueue } from '../sessions/ring-queue.ts'
import type { FlushScheduler } from '../flush-scheduler.ts'

/** The connection whose packets come in. */
export interface InputOwner {
  readonly isOpen: boolean
  /** Nothing is read from a Client that does not read. */
  readonly outboundBusy: boolean
  /** The next packet is looked at although the one before it is not done: an AUTH is expected. */
  readonly expectsAuthentication: boolean
  /** A promise means that the packets behind this one have to wait. */
  handle(packet: Packet): void | Promise<void>
  /** A handler failed, or a packet is malformed. */
  fail(error: Error): void
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
  #pauses = 0
  #deferredPackets: RingQueue<{ packet: Packet; bytes: number }> | undefined
  #deferredBytes = 0
  /** There is something to handle that has to wait. */
  #blocked = false
  #isReadingPaused = false
  #ended = false
  #final = false

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
    return this.#busy || this.#blocked || this.#pauses > 0
  }

  /** Nothing is handled until this promise settles. */
  waitFor(promise: Promise<void>): void {
    this.#busy = true
    promise.then(
      () => {
        this.#busy = false
        this.process()
      },
      (error: Error) => {
        this.#busy = false
        this.#owner.fail(error)
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
    if (!this.#owner.isOpen) return false
    return this.#decoder.bufferedBytes > 0 || (this.#deferredPackets?.length ?? 0) > 0
  }

  get #isPaused(): boolean {
    return this.#pauses > 0 && !this.#final && !this.#ended // One who leaves is not kept.
  }

  /**
   * Handles the packets that are complete until one of them has to wait. So many of them do not wait for the Client to
   * take what was written to it: one that is slow, and always has more to take, must still be able to unsubscribe.
   */
  process(minPackets = 0): void {
    this.#blocked = false
    let count = 0
    while (this.#owner.isOpen) {
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
        const result = this.#owner.handle(packet)
        if (isPromise(result)) this.waitFor(result)
      } catch (error) {
        this.#owner.fail(error as Error)
      }
    }
    this.handled += count
    if (!this.#owner.isOpen) return
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

  /** The connection ended: what comes is read and thrown away, and no bytes are held. */
  close(): void {
    this.#deferredPackets = undefined
    this.#decoder.close()
    this.#blocked = false
    this.#pauseOrResume()
  }
}

function isAcknowledgement({ type }: Packet): boolean {
  return type === 'puback' || type === 'pubrec' || type === 'pubcomp'
}

import type { Duplex } from 'node:stream'
import { outputBuffers } from './output-buffers.ts'
import { Writer } from '../packets/writer.ts'
import { usesReadBuffer } from './read-buffer.ts'
import type { Timer, Timers } from '../timers.ts'

/** Whom the output belongs to. */
export interface OutputOwner {
  /** So many bytes more go out. */
  onBytes(bytes: number): void
  /** The stream has taken a piece, `all` when it was the last one. */
  onWritten(all: boolean): void
  /** It has taken nothing for as long as it may, or will not take anything. */
  writeFailed(error: Error): void
}

// Each piece that is taken is a sign of life, so a piece must not be too large for a slow link.
const PIECE_BYTES = 256 * 1024
// From this size on a payload goes to the stream as it is: a chunk more costs less than its copy.
const LARGE_PAYLOAD = 16 * 1024
const NOTHING: Uint8Array[] = []

/**
 * What goes out on one connection: packets are written one behind the other into a buffer, which goes to the stream
 * as a whole, with the large payloads that belong between its parts. What comes while it is on its way goes with the
 * next one.
 */
export class Output {
  readonly writer: Writer
  readonly #stream: Duplex
  /** It holds on to nothing that the system has taken; another kind of stream may have put it somewhere. */
  readonly #keepsNothing: boolean
  readonly #owner: OutputOwner
  readonly #timers: Timers
  readonly #timeoutMs: number
  /** What is on its way; the stream was given what is before `#next`. */
  #chunks = NOTHING
  #next = 0
  /** Bytes on their way, those that were given included. */
  #bytesInFlight = 0
  #timer: Timer | undefined

  constructor(stream: Duplex, owner: OutputOwner, timers: Timers, timeoutMs: number) {
    this.#stream = stream
    this.#keepsNothing = usesReadBuffer(stream)
    this.writer = new Writer(256, LARGE_PAYLOAD, this.#keepsNothing ? outputBuffers : undefined)
    this.#owner = owner
    this.#timers = timers
    this.#timeoutMs = timeoutMs
  }

  /** Bytes that the stream has not taken. */
  get bytes(): number {
    return this.writer.size + this.#bytesInFlight
  }

  flush(): void {
    if (this.#bytesInFlight > 0 || this.writer.size === 0) return
    const { buffer } = this.writer
    this.#bytesInFlight = this.writer.size
    this.#owner.onBytes(this.#bytesInFlight)
    this.#chunks = this.writer.takeChunks()
    this.#next = 0
    this.#write()
    const isTaken = this.#next === this.#chunks.length && this.#stream.writableLength === 0
    if (isTaken && this.#keepsNothing) outputBuffers.giveBack(buffer)
  }

  /** Gives the stream all that is left and ends it. */
  end(): void {
    this.#timers.cancel(this.#timer)
    if (!this.#stream.writable) return
    try {
      for (const chunk of this.#chunks.slice(this.#next)) this.#stream.write(chunk)
      if (this.writer.size > 0) {
        this.#owner.onBytes(this.writer.size)
        for (const chunk of this.writer.takeChunks()) this.#stream.write(chunk)
      }
      this.#stream.end()
    } catch (error) {
      this.#owner.writeFailed(error as Error)
    }
    this.release()
  }

  /** Holds no bytes any more. */
  release(): void {
    this.#timers.cancel(this.#timer)
    this.#reset()
    this.writer.takeChunks()
  }

  #reset(): void {
    this.#chunks = NOTHING
    this.#next = 0
    this.#bytesInFlight = 0
  }

  #write(): void {
    try {
      this.#writePiece()
    } catch (error) {
      this.#owner.writeFailed(error as Error)
      return
    }
    // Mostly the system takes it at once, and nothing needs to be watched.
    if (this.#stream.writableLength === 0) return
    this.#timer = this.#timers.after(this.#timeoutMs, () => {
      this.#owner.writeFailed(new Error(`the connection took no bytes for ${this.#timeoutMs} ms`))
    })
  }

  #writePiece(): void {
    const chunks = this.#chunks
    const stream = this.#stream
    const isAlone = this.#next === chunks.length - 1
    if (!isAlone) stream.cork() // One system call for all of it.
    for (let room = PIECE_BYTES; room > 0; ) {
      let chunk = chunks[this.#next]!
      if (chunk.length > room) {
        chunks[this.#next] = chunk.subarray(room)
        chunk = chunk.subarray(0, room)
      } else this.#next += 1
      room -= chunk.length
      if (this.#next === chunks.length) room = 0
      if (room > 0) stream.write(chunk)
      else stream.write(chunk, this.#onPieceWritten)
    }
    if (!isAlone) stream.uncork()
  }

  readonly #onPieceWritten = (): void => {
    this.#timers.cancel(this.#timer)
    this.#timer = undefined
    if (this.#bytesInFlight === 0) return
    const all = this.#next === this.#chunks.length
    if (all) this.#reset()
    else this.#write()
    this.#owner.onWritten(all)
  }
}

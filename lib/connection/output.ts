import type { Duplex } from 'node:stream'
import { outputBuffers } from './output-buffers.ts'
import { Writer } from '../packets/writer.ts'
import { usesReadBuffer } from './read-buffer.ts'
import type { Timer, Timers } from '../timers.ts'

/** The part that writes the packets. */
export interface OutputOwner {
  /** These bytes are passed to the stream. */
  onBytes(bytes: number): void
  /** The stream has written a chunk; `all` if it was the last one. */
  onWritten(all: boolean): void
  /** The stream failed, or wrote nothing within the time limit. */
  writeFailed(error: Error): void
}

// The time limit applies to each chunk, so a chunk must not be too large for a slow network.
const MAX_CHUNK_BYTES = 256 * 1024
// A payload from this size on is passed to the stream without a copy, which would cost more than a further chunk.
const MIN_UNCOPIED_BYTES = 16 * 1024
const NOTHING: Uint8Array[] = []

/**
 * The output of one connection. Packets are encoded into one buffer, which a flush passes to the stream with the
 * large payloads between its parts. Packets that are sent before the stream has written them wait for the next flush.
 */
export class Output {
  readonly writer: Writer
  readonly #stream: Duplex
  /** The stream retains no bytes that are written, so that their buffer can be used again. */
  readonly #releasesWritten: boolean
  readonly #owner: OutputOwner
  readonly #timers: Timers
  readonly #timeoutMs: number
  /** The chunks of the last flush; those before `#next` are passed to the stream. */
  #chunks = NOTHING
  #next = 0
  /** Bytes of the last flush, until all are written. */
  #bytesInFlight = 0
  #timer: Timer | undefined

  constructor(stream: Duplex, owner: OutputOwner, timers: Timers, timeoutMs: number) {
    this.#stream = stream
    this.#releasesWritten = usesReadBuffer(stream)
    this.writer = new Writer(256, MIN_UNCOPIED_BYTES, this.#releasesWritten ? outputBuffers : undefined)
    this.#owner = owner
    this.#timers = timers
    this.#timeoutMs = timeoutMs
  }

  /** Bytes that the stream has not written. */
  get bytes(): number {
    return this.writer.size + this.#bytesInFlight
  }

  get isWritable(): boolean {
    return this.#stream.writable
  }

  flush(): void {
    if (this.#bytesInFlight > 0 || this.writer.size === 0) return
    const { buffer } = this.writer
    this.#bytesInFlight = this.writer.size
    this.#owner.onBytes(this.#bytesInFlight)
    this.#chunks = this.writer.takeChunks()
    this.#next = 0
    this.#write()
    const isWritten = this.#next === this.#chunks.length && this.#stream.writableLength === 0
    if (isWritten && this.#releasesWritten) outputBuffers.giveBack(buffer)
  }

  /** Passes the remaining bytes to the stream and ends it. */
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

  /** Releases all bytes. */
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
      this.#writeChunks()
    } catch (error) {
      this.#owner.writeFailed(error as Error)
      return
    }
    // Mostly the stream writes at once, so no timer is needed.
    if (this.#stream.writableLength === 0) return
    this.#timer = this.#timers.after(this.#timeoutMs, () => {
      this.#owner.writeFailed(new Error(`the connection took no bytes for ${this.#timeoutMs} ms`))
    })
  }

  #writeChunks(): void {
    const chunks = this.#chunks
    const stream = this.#stream
    const isAlone = this.#next === chunks.length - 1
    if (!isAlone) stream.cork() // One system call for all chunks.
    for (let room = MAX_CHUNK_BYTES; room > 0; ) {
      let chunk = chunks[this.#next]!
      if (chunk.length > room) {
        chunks[this.#next] = chunk.subarray(room)
        chunk = chunk.subarray(0, room)
      } else this.#next += 1
      room -= chunk.length
      if (this.#next === chunks.length) room = 0
      if (room > 0) stream.write(chunk)
      else stream.write(chunk, this.#onChunkWritten)
    }
    if (!isAlone) stream.uncork()
  }

  readonly #onChunkWritten = (): void => {
    this.#timers.cancel(this.#timer)
    this.#timer = undefined
    if (this.#bytesInFlight === 0) return
    const all = this.#next === this.#chunks.length
    if (all) this.#reset()
    else this.#write()
    this.#owner.onWritten(all)
  }
}

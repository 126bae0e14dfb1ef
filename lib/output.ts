import type { Duplex } from 'node:stream'
import { Writer } from './packets/writer.ts'
import type { Timer, Timers } from './timers.ts'

/** Whom the output belongs to. */
export interface OutputOwner {
  /** The stream has taken a piece, `all` when it was the last one. */
  taken(all: boolean): void
  /** It has taken nothing for as long as it may, or will not take anything. */
  writeFailed(error: Error): void
}

// Each piece that is taken is a sign of life, so a piece must not be too large for a slow link.
const PIECE = 256 * 1024

/**
 * What goes out on one connection: packets are written one behind the other into a buffer, which goes to the stream
 * as a whole. What comes while it is on its way goes with the next one.
 */
export class Output {
  readonly writer: Writer = new Writer(256)
  readonly #stream: Duplex
  readonly #owner: OutputOwner
  readonly #timers: Timers
  readonly #timeoutMs: number
  #onItsWay: Buffer | undefined
  /** How much of it the stream was given. */
  #given = 0
  #timer: Timer | undefined

  constructor(stream: Duplex, owner: OutputOwner, timers: Timers, timeoutMs: number) {
    this.#stream = stream
    this.#owner = owner
    this.#timers = timers
    this.#timeoutMs = timeoutMs
  }

  /** Bytes that the stream has not taken. */
  get bytes(): number {
    return this.writer.length + (this.#onItsWay?.length ?? 0)
  }

  flush(): void {
    if (this.#onItsWay !== undefined || this.writer.length === 0) return
    this.#onItsWay = this.writer.take()
    this.#given = 0
    this.#write()
  }

  /** Gives the stream all that is left and ends it. */
  end(): void {
    this.#timers.cancel(this.#timer)
    if (!this.#stream.writable) return
    try {
      if (this.#onItsWay !== undefined) this.#stream.write(this.#onItsWay.subarray(this.#given))
      if (this.writer.length > 0) this.#stream.write(this.writer.take())
      this.#stream.end()
    } catch (error) {
      this.#owner.writeFailed(error as Error)
    }
    this.release()
  }

  /** Holds no bytes any more. */
  release(): void {
    this.#timers.cancel(this.#timer)
    this.#onItsWay = undefined
    this.writer.take()
  }

  #write(): void {
    const bytes = this.#onItsWay as Buffer
    const isOnePiece = bytes.length <= PIECE
    const piece = isOnePiece ? bytes : bytes.subarray(this.#given, this.#given + PIECE)
    this.#given += piece.length
    try {
      this.#stream.write(piece, this.#onTaken)
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

  readonly #onTaken = (): void => {
    this.#timers.cancel(this.#timer)
    this.#timer = undefined
    if (this.#onItsWay === undefined) return
    const all = this.#given === this.#onItsWay.length
    if (all) this.#onItsWay = undefined
    else this.#write()
    this.#owner.taken(all)
  }
}

import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { fileError, type File, type Files } from './files.ts'
import { SEGMENT_HEADER, segmentHeader } from './frames.ts'

const MIN_STEP_BYTES = 1024 * 1024
const MAX_STEP_BYTES = 4 * 1024 * 1024
const ZEROS = Buffer.alloc(MIN_STEP_BYTES)

export function segmentName(number: number): string {
  return `${String(number).padStart(8, '0')}.log`
}

/** The number of the segment that has this name. */
export function segmentNumber(name: string): number | undefined {
  const number = /^(\d{8,})\.log$/.exec(name)?.[1]
  return number === undefined ? undefined : Number(number)
}

export interface ActiveSegmentOptions {
  readonly files: Files
  readonly dir: string
  readonly number: number
  /** Whether zeros are written ahead, so that a sync need not write the size of the file. */
  readonly preallocate: boolean
  readonly segmentBytes: number
}

/** The segment to which frames are written. */
export class ActiveSegment {
  readonly number: number
  readonly path: string
  readonly salt: number
  /** The end of the last frame. */
  used: number
  #allocated: number
  #step = MIN_STEP_BYTES
  /** There was no space to write ahead. */
  #isDiskFull = false
  readonly #file: File
  readonly #options: ActiveSegmentOptions

  constructor(file: File, options: ActiveSegmentOptions, salt: number, used: number, allocated: number) {
    this.number = options.number
    this.path = join(options.dir, segmentName(options.number))
    this.salt = salt
    this.used = used
    this.#allocated = allocated
    this.#file = file
    this.#options = options
  }

  /** Creates a segment, which is on the disk when the promise resolves. */
  static async create(options: ActiveSegmentOptions, firstSequence: number, oldest: number): Promise<ActiveSegment> {
    const { files, dir, number } = options
    const path = join(dir, segmentName(number))
    let file: File | undefined
    try {
      // An existing file of this name is left of a failed attempt.
      file = await files.open(path, 'w+', 0o600)
      const salt = randomInt(2 ** 32)
      await writeFully(file, segmentHeader({ number, firstSequence, oldest, salt }), 0)
      await file.datasync()
      await files.syncDirectory(dir)
      return new ActiveSegment(file, options, salt, SEGMENT_HEADER, SEGMENT_HEADER)
    } catch (error) {
      await file?.close().catch(() => undefined)
      await files.remove(path).catch(() => undefined)
      throw fileError('start a segment', path, error)
    }
  }

  /** Whether there is no frame. */
  get isEmpty(): boolean {
    return this.used === SEGMENT_HEADER
  }

  /** Writes behind `used`, which the caller increases after a success. */
  async write(parts: readonly Buffer[]): Promise<void> {
    try {
      let length = 0
      for (const part of parts) length += part.length
      if (this.#options.preallocate) await this.#allocate(this.used + length)
      let position = this.used
      for (const part of parts) {
        await writeFully(this.#file, part, position)
        position += part.length
      }
      this.#allocated = Math.max(this.#allocated, position)
    } catch (error) {
      throw fileError('write', this.path, error)
    }
  }

  async sync(): Promise<void> {
    try {
      await this.#file.datasync()
    } catch (error) {
      throw fileError('sync', this.path, error)
    }
  }

  /** Removes all bytes behind the last valid frame. */
  async truncate(): Promise<void> {
    try {
      await this.#file.truncate(this.used)
      this.#allocated = this.used
      await this.#file.datasync()
    } catch (error) {
      throw fileError('cut', this.path, error)
    }
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  async #allocate(end: number): Promise<void> {
    if (end <= this.#allocated || this.#isDiskFull) return
    const target = Math.min(end + this.#step, Math.max(this.#options.segmentBytes, end))
    this.#step = Math.min(2 * this.#step, MAX_STEP_BYTES)
    // Only behind the next frames, which take their own space.
    const start = Math.max(end, this.#allocated)
    let position = start
    try {
      while (position < target) {
        const { bytesWritten } = await this.#file.write(ZEROS, 0, Math.min(ZEROS.length, target - position), position)
        position += bytesWritten
      }
    } catch {
      // The disk is nearly full: the space is needed for frames, and for other programs.
      this.#isDiskFull = true
      await this.#file.truncate(start).catch(() => undefined)
      return
    }
    this.#allocated = position
  }
}

async function writeFully(file: File, bytes: Buffer, position: number): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}

import { basename, join } from 'node:path'
import { fileError, type File, type Files } from './files.ts'
import {
  findFrame,
  FORMAT_VERSION,
  FRAME_HEADER,
  type Frame,
  isReadable,
  isZero,
  parseSegmentHeader,
  readFrames,
  SEGMENT_HEADER,
  type SegmentFile,
  type SegmentHeader,
} from './frames.ts'
import type { SealedSegment } from './journal.ts'
import { segmentName, segmentNumber } from './segment.ts'

const CHUNK_BYTES = 4 * 1024 * 1024

export interface ReadOptions {
  readonly files: Files
  readonly dir: string
  /** Whether to continue behind damage. */
  readonly repair: boolean
  readonly warn: (message: string) => void
  /** Called for every frame in order, with its version of the format. */
  readonly onFrame: (frame: Frame, version: number) => void
}

export interface ReadResult {
  readonly segments: readonly SealedSegment[]
  /** The salt of the last segment. */
  readonly salt: number
  /** The version of the last segment. */
  readonly version: number
  /** The number of the last frame. */
  readonly sequence: number
  /** The first segment that is needed. */
  readonly oldest: number
  /** The segments that could not be read as a whole. */
  readonly damaged: ReadonlySet<number>
  /** Whether frames or segments are missing. */
  readonly isIncomplete: boolean
}

interface Opened extends SegmentFile {
  readonly number: number
  readonly path: string
  readonly header: SegmentHeader | undefined
}

/** Reads all segments of a directory, from the oldest to the newest. Changes nothing. */
export async function readSegments(options: ReadOptions): Promise<ReadResult> {
  const { files, dir } = options
  const numbers = (await files.list(dir)).map(segmentNumber).filter((number) => number !== undefined)
  const opened: Opened[] = []
  try {
    for (const number of numbers.toSorted((a, b) => a - b)) opened.push(await open(files, dir, number))
    return await new Reading(options, opened).read()
  } finally {
    for (const { file } of opened) await file.close().catch(() => undefined)
  }
}

async function open(files: Files, dir: string, number: number): Promise<Opened> {
  const path = join(dir, segmentName(number))
  let file: File | undefined
  try {
    file = await files.open(path, 'r')
    const { size } = await file.stat()
    const bytes = Buffer.alloc(SEGMENT_HEADER)
    const { bytesRead } = await file.read(bytes, 0, SEGMENT_HEADER, 0)
    const header = parseSegmentHeader(bytes.subarray(0, bytesRead))
    return { file, path, number, size, salt: header?.salt ?? 0, header }
  } catch (error) {
    await file?.close().catch(() => undefined)
    throw fileError('read', path, error)
  }
}

class Reading {
  readonly #options: ReadOptions
  readonly #opened: readonly Opened[]
  readonly #segments: SealedSegment[] = []
  readonly #damaged = new Set<number>()
  #isIncomplete = false
  /** The number of the next frame; undefined if it may be any. */
  #expected: number | undefined = undefined
  #sequence = 0
  #oldest = 1
  #salt = 0
  #version = FORMAT_VERSION

  constructor(options: ReadOptions, opened: readonly Opened[]) {
    this.#options = options
    this.#opened = opened
  }

  async read(): Promise<ReadResult> {
    const opened = await this.#withoutUninitialised()
    for (const { header, path } of opened) {
      if (header !== undefined && !isReadable(header.version)) {
        throw new Error(
          `${path}: written in version ${header.version} of the format, expected at most ${FORMAT_VERSION}; nothing was ` +
            'changed: open it with the version of haltere that wrote it, or a newer one',
        )
      }
    }
    for (const [index, { number }] of opened.entries()) {
      const next = opened[index + 1]
      if (next !== undefined && next.number !== number + 1) this.#missing(number + 1)
    }
    for (const [index, segment] of opened.entries()) {
      const next = opened[index + 1]
      await this.#readSegment(segment, next?.number === segment.number + 1 ? next : undefined)
      if (next?.number !== segment.number + 1) this.#expected = undefined
    }
    const first = opened[0]
    if (first !== undefined && first.number > this.#oldest) this.#missing(this.#oldest)
    return {
      segments: this.#segments,
      salt: this.#salt,
      version: this.#version,
      sequence: this.#sequence,
      oldest: this.#oldest,
      damaged: this.#damaged,
      isIncomplete: this.#isIncomplete,
    }
  }

  /** Leaves out a last segment that was being created when the process or the machine stopped. */
  async #withoutUninitialised(): Promise<readonly Opened[]> {
    const last = this.#opened.at(-1)
    if (last === undefined || last.header !== undefined) return this.#opened
    const isUninitialised = last.size <= SEGMENT_HEADER || (await isZero(last, 0))
    return isUninitialised ? this.#opened.slice(0, -1) : this.#opened
  }

  async #readSegment(segment: Opened, next: Opened | undefined): Promise<void> {
    const { header, number, path, size } = segment
    if (header === undefined || header.number !== number) {
      this.#fault(path, 0, 'the header is not that of this segment')
      this.#damaged.add(number)
      this.#expected = undefined
      this.#segments.push({ number, bytes: size })
      return
    }
    if (this.#expected !== undefined && header.firstSequence !== this.#expected) {
      this.#fault(path, 0, `expected it to start with frame ${this.#expected}, got ${header.firstSequence}`)
    }
    this.#oldest = Math.max(this.#oldest, header.oldest)
    this.#sequence = header.firstSequence - 1
    this.#salt = header.salt
    this.#version = header.version
    // Frames behind it were removed before the next segment was started.
    const end = next?.header === undefined ? Infinity : next.header.firstSequence
    let offset = SEGMENT_HEADER
    let used = offset
    for (;;) {
      offset = await this.#readFrames(segment, offset, end)
      used = offset
      if (this.#sequence + 1 === end) break
      const isLast = next === undefined
      if (isLast && (await isZero(segment, offset))) break
      const found = await findFrame(segment, offset + 1)
      const isTorn = isLast && (found === undefined || found.syncedThrough <= this.#sequence)
      if (isTorn) {
        this.#options.warn(
          `${path}: cut off at byte ${offset}: what follows was being written when the process or the machine stopped`,
        )
        break
      }
      this.#fault(path, offset, 'expected a frame')
      this.#damaged.add(number)
      if (found === undefined || found.sequence >= end) break
      this.#sequence = found.sequence - 1
      offset = found.offset
    }
    this.#expected = this.#sequence + 1
    this.#segments.push({ number, bytes: used })
  }

  /** Reads frames up to an offset without the next frame, or with one that does not count. Returns the offset. */
  async #readFrames(segment: Opened, from: number, end: number): Promise<number> {
    let offset = from
    for await (const frames of readFrames(segment, from, CHUNK_BYTES)) {
      for (const frame of frames) {
        if (frame.sequence !== this.#sequence + 1 || frame.sequence >= end) return frame.offset
        try {
          this.#options.onFrame(frame, this.#version)
        } catch (error) {
          this.#fault(segment.path, frame.offset, (error as Error).message)
          this.#damaged.add(segment.number)
        }
        this.#sequence = frame.sequence
        this.#oldest = Math.max(this.#oldest, frame.firstLiveSegment)
        offset = frame.offset + frame.end - frame.start + FRAME_HEADER
      }
    }
    return offset
  }

  #missing(number: number): void {
    this.#fault(join(this.#options.dir, segmentName(number)), 0, 'this segment is missing')
  }

  #fault(path: string, offset: number, fault: string): void {
    const { repair, warn } = this.#options
    this.#isIncomplete = true
    if (!repair) {
      const message = `${path}: damaged at byte ${offset}: ${fault}; restore it from a copy, or open it with repair: true to go on without what cannot be read`
      throw Object.assign(new Error(message), { code: 'ECORRUPT' })
    }
    warn(`${basename(path)}: damaged at byte ${offset}: ${fault}; going on without it`)
  }
}

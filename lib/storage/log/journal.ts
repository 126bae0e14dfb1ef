import { join } from 'node:path'
import { Writer } from '../../packets/writer.ts'
import { fileError, type Files } from './files.ts'
import { FRAME_HEADER, finishFrame } from './frames.ts'
import { ActiveSegment, type ActiveSegmentOptions, segmentName } from './segment.ts'

/** The failures that a resolved commit survives: see `LogOptions.durability`. */
export type Durability = 'fsync' | 'os' | 'none'

/** A change that waits to be written. */
interface Pending {
  /** Called when the change has its durability. */
  readonly written: () => void
  readonly failed: (error: Error) => void
}

/** Frames that are being filled. */
class Batch {
  readonly writer = new Writer(64 * 1024)
  readonly frames: number[] = []
  readonly pending: Pending[] = []
  /** The start of the changes that are being encoded. */
  #mark = 0
  #hasNewFrame = false

  /** Returns the writer for the next changes, which are one frame. */
  begin(): Writer {
    const { writer, frames } = this
    this.#mark = writer.length
    const last = frames.at(-1)
    this.#hasNewFrame = last === undefined || writer.length - last > MAX_FRAME_BYTES
    if (this.#hasNewFrame) {
      frames.push(writer.length)
      writer.reserve(FRAME_HEADER)
      writer.length += FRAME_HEADER
    }
    return writer
  }

  /** Removes the bytes that were written since `begin`. */
  undo(): void {
    this.writer.length = this.#mark
    if (this.#hasNewFrame) this.frames.pop()
  }

  clear(): void {
    this.writer.length = 0
    this.frames.length = 0
    this.pending.length = 0
    if (this.writer.buffer.length > MAX_KEPT_BUFFER_BYTES) this.writer.take()
  }
}

/** Larger frames are not added to. */
const MAX_FRAME_BYTES = 256 * 1024
/**
 * Larger groups are not added to. That keeps the event loop free, and lets a compaction, which rewrites twice as much
 * between two groups, progress faster than commits.
 */
const MAX_GROUP_BYTES = 512 * 1024
/** Larger buffers are not kept for the next group. */
const MAX_KEPT_BUFFER_BYTES = 4 * 1024 * 1024

/** Writes live records again, between two groups, when all earlier changes are applied. */
interface Rewrite {
  readonly write: (writer: Writer) => void
  readonly options: RewriteOptions
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export interface RewriteOptions {
  /** Starts a new segment first. */
  readonly newSegment?: boolean
  /** Syncs the records and all before them, with any durability. */
  readonly sync?: boolean
  /** The first segment that is needed from now on. */
  readonly firstLiveSegment?: number
}

export interface JournalOptions {
  readonly files: Files
  readonly dir: string
  readonly durability: Durability
  readonly segmentBytes: number
  readonly warn: (message: string) => void
  /** Called after each group. */
  readonly onGroup: () => void
}

/** A segment that is complete. */
export interface SealedSegment {
  readonly number: number
  readonly bytes: number
}

/**
 * Appends changes to the segments, in groups: changes that come while a group is written are the next group.
 *
 *     append ──▶ gathered ──next group──▶ written ──fdatasync──▶ applied ──▶ resolved
 */
export class Journal {
  /** From the oldest to the newest. */
  readonly sealed: SealedSegment[]
  readonly #options: JournalOptions
  #active: ActiveSegment
  /** The groups that wait. Changes are added to the last one. */
  readonly #gathered: Batch[] = []
  readonly #spare: Batch[] = []
  readonly #rewritten = new Batch()
  #rewrite: Rewrite | undefined = undefined
  #sequence: number
  /** All frames up to this one are on the disk. */
  #syncedThrough: number
  #firstLiveSegment: number
  #failure: 'none' | 'truncate' | 'new segment' = 'none'
  #isWorking = false
  #isClosed = false
  #idle: (() => void)[] = []

  constructor(
    options: JournalOptions,
    active: ActiveSegment,
    sealed: readonly SealedSegment[],
    position: { readonly sequence: number; readonly oldest: number },
  ) {
    this.#options = options
    this.#active = active
    this.sealed = [...sealed]
    this.#sequence = position.sequence
    this.#syncedThrough = position.sequence
    this.#firstLiveSegment = position.oldest
  }

  /** The bytes of all segments, without preallocated zeros. */
  get bytes(): number {
    let bytes = this.#active.used
    for (const segment of this.sealed) bytes += segment.bytes
    return bytes
  }

  /** The number of the active segment. */
  get activeNumber(): number {
    return this.#active.number
  }

  /** Adds changes to the next group. Throws the error of `write`; then none is added. */
  append(write: (writer: Writer) => void, written: () => void, failed: (error: Error) => void): void {
    if (this.#isClosed) throw new Error('the store is closed')
    const batch = this.#lastGathered()
    try {
      write(batch.begin())
    } catch (error) {
      batch.undo()
      throw error
    }
    batch.pending.push({ written, failed })
    this.#schedule()
  }

  #lastGathered(): Batch {
    const last = this.#gathered.at(-1)
    // Changes that are applied before they are written must all be in the journal before a rewrite.
    const mayGrow = last !== undefined && (last.writer.length < MAX_GROUP_BYTES || this.#options.durability === 'none')
    if (mayGrow) return last
    const next = this.#spare.pop() ?? new Batch()
    this.#gathered.push(next)
    return next
  }

  /** Writes records between two groups: `write` sees exactly the state of the journal at that place. */
  rewrite(write: (writer: Writer) => void, options: RewriteOptions = {}): Promise<void> {
    if (this.#isClosed) return Promise.reject(new Error('the store is closed'))
    return new Promise((resolve, reject) => {
      this.#rewrite = { write, options, resolve, reject }
      this.#schedule()
    })
  }

  /** Deletes the sealed segments before this one, which have no live records. */
  async drop(number: number): Promise<void> {
    // The number of the first live segment and all rewritten records are on the disk before a segment is deleted.
    await this.rewrite(() => undefined, { sync: true, firstLiveSegment: number })
    const { files, dir } = this.#options
    while (this.sealed[0] !== undefined && this.sealed[0].number < number) {
      const path = join(dir, segmentName(this.sealed[0].number))
      try {
        await files.remove(path)
        // One after the other, so that there is never a gap.
        await files.syncDirectory(dir)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw fileError('remove', path, error)
      }
      this.sealed.shift()
    }
  }

  /** Waits for the group that is being written, and closes the file. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#isWorking) await new Promise<void>((resolve) => this.#idle.push(resolve))
    this.#rewrite?.reject(new Error('the store is closed'))
    try {
      await this.#active.truncate()
    } catch (error) {
      this.#options.warn((error as Error).message)
    }
    await this.#active.close().catch(() => undefined)
  }

  #schedule(): void {
    if (this.#isWorking) return
    this.#isWorking = true
    // After the reads of this turn, whose commits are one group.
    setImmediate(() => void this.#work())
  }

  async #work(): Promise<void> {
    while (this.#gathered.length > 0 || this.#rewrite !== undefined) {
      await this.#writeGroup()
      this.#options.onGroup()
      // The callers continue first, and their next commits are one group.
      await new Promise(setImmediate)
    }
    this.#isWorking = false
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  async #writeGroup(): Promise<void> {
    const group = this.#gathered.shift() ?? this.#spare.pop() ?? new Batch()
    const rewrite = this.#rewrite
    this.#rewrite = undefined
    let error: Error | undefined
    if (rewrite !== undefined) {
      const before = this.#firstLiveSegment
      this.#firstLiveSegment = rewrite.options.firstLiveSegment ?? this.#firstLiveSegment
      error = this.#fill(rewrite) ?? (await this.#attempt(group, rewrite))
      if (error === undefined) rewrite.resolve()
      else {
        this.#firstLiveSegment = before
        rewrite.reject(error)
      }
      this.#rewritten.clear()
    }
    // The rewritten records need space, too: without them there may be enough for the group.
    if (rewrite === undefined || error !== undefined) {
      error = group.pending.length === 0 ? undefined : await this.#attempt(group, undefined)
    }
    for (const { written, failed } of group.pending) {
      if (error === undefined) written()
      else failed(error)
    }
    group.clear()
    if (this.#spare.length < 2) this.#spare.push(group)
  }

  #fill(rewrite: Rewrite): Error | undefined {
    try {
      rewrite.write(this.#rewritten.begin())
      return undefined
    } catch (error) {
      return error as Error
    }
  }

  /** Writes a group. Returns the error of a failure, after which nothing of the group is left. */
  async #attempt(group: Batch, rewrite: Rewrite | undefined): Promise<Error | undefined> {
    const isFirst = this.#options.durability !== 'none'
    const batches = rewrite === undefined ? [group] : isFirst ? [this.#rewritten, group] : [group, this.#rewritten]
    let length = 0
    for (const { writer } of batches) length += writer.length
    const sequence = this.#sequence
    try {
      const isFull = this.#active.used + length > this.#options.segmentBytes && !this.#active.isEmpty
      if (isFull || rewrite?.options.newSegment === true || this.#failure === 'new segment') await this.#newSegment()
      this.#failure = 'truncate'
      await this.#active.write(batches.map((batch) => this.#finish(batch)))
      if (this.#options.durability === 'fsync' || rewrite?.options.sync === true) {
        this.#failure = 'new segment'
        await this.#active.sync()
        this.#syncedThrough = this.#sequence
      }
      this.#failure = 'none'
      this.#active.used += length
      return undefined
    } catch (error) {
      this.#sequence = sequence
      await this.#truncate()
      return error as Error
    }
  }

  #finish({ writer, frames }: Batch): Buffer {
    const { buffer, length } = writer
    for (const [index, start] of frames.entries()) {
      this.#sequence += 1
      const header = {
        sequence: this.#sequence,
        syncedThrough: this.#syncedThrough,
        firstLiveSegment: this.#firstLiveSegment,
      }
      finishFrame(buffer, start, frames[index + 1] ?? length, this.#active.salt, header)
    }
    return buffer.subarray(0, length)
  }

  /** After a failed sync the contents of the disk are unknown, so the segment is not written to any more. */
  async #truncate(): Promise<void> {
    if (this.#failure === 'none') return
    try {
      await this.#active.truncate()
      if (this.#failure === 'truncate') this.#failure = 'none'
    } catch {
      this.#failure = 'new segment'
    }
  }

  async #newSegment(): Promise<void> {
    const before = this.#active
    const { files, dir, durability, segmentBytes, warn } = this.#options
    const number = before.number + 1
    const options: ActiveSegmentOptions = { files, dir, number, segmentBytes, preallocate: durability === 'fsync' }
    // The segment before is on the disk before the new one.
    if (this.#failure === 'none') await before.truncate()
    this.#active = await ActiveSegment.create(options, this.#sequence + 1, this.#firstLiveSegment)
    this.#syncedThrough = this.#sequence
    this.#failure = 'none'
    this.sealed.push({ number: before.number, bytes: before.used })
    await before.close().catch((error: Error) => warn(fileError('close', before.path, error).message))
  }
}

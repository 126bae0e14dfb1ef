import { join } from 'node:path'
import { Writer } from '../../packets/writer.ts'
import { fileError, type Files } from './files.ts'
import { FRAME_HEADER, finishFrame } from './frames.ts'
import { ActiveSegment, type ActiveSegmentOptions, segmentName } from './segment.ts'

/** What a commit that was resolved survives: see `LogOptions.durability`. */
export type Durability = 'fsync' | 'os' | 'none'

/** Something that waits to be written. */
interface Pending {
  /** Called once it is as safe as it is to be. */
  readonly written: () => void
  readonly failed: (error: Error) => void
}

/** Frames that are being filled. */
class Batch {
  readonly writer = new Writer(64 * 1024)
  readonly frames: number[] = []
  readonly pending: Pending[] = []
  /** Where the changes that are being written down start. */
  #mark = 0
  #hasNewFrame = false

  /** Where to write the next changes, which go into one frame. */
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

  /** Takes back what was written since `begin`. */
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
 * Larger groups are not added to, which keeps the event loop free, and lets a compaction, which looks at twice as much
 * between two groups, gain on those who commit.
 */
const MAX_GROUP_BYTES = 512 * 1024
/** Larger buffers are not kept for the next group. */
const MAX_KEPT_BUFFER_BYTES = 4 * 1024 * 1024

/** Writes down again what is live: called when all that was written before is applied, between two groups. */
interface Rewrite {
  readonly write: (writer: Writer) => void
  readonly options: RewriteOptions
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export interface RewriteOptions {
  /** Starts a new segment first. */
  readonly newSegment?: boolean
  /** Makes sure that it is on the disk, and all before it, whatever the durability. */
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

/** A segment that is not written to any more. */
export interface SealedSegment {
  readonly number: number
  readonly bytes: number
}

/**
 * Appends changes to the segments, in groups: what comes while one group is on its way to the disk is the next one.
 *
 *     append ──▶ gathered ──next group──▶ written ──fdatasync──▶ applied ──▶ resolved
 */
export class Journal {
  /** From the oldest to the newest. */
  readonly sealed: SealedSegment[]
  readonly #options: JournalOptions
  #active: ActiveSegment
  /** The groups that wait, and the one to which is added, which is the last. */
  readonly #gathered: Batch[] = []
  readonly #spare: Batch[] = []
  readonly #rewritten = new Batch()
  #rewrite: Rewrite | undefined = undefined
  #sequence: number
  /** All frames up to this one are on the disk. */
  #syncedThrough: number
  #firstLiveSegment: number
  #failure: 'none' | 'cut' | 'new segment' = 'none'
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

  /** The bytes of all segments, without those that were only written ahead. */
  get bytes(): number {
    let bytes = this.#active.used
    for (const segment of this.sealed) bytes += segment.bytes
    return bytes
  }

  /** The number of the segment that is written to. */
  get activeNumber(): number {
    return this.#active.number
  }

  /** Writes changes down; what `write` throws is thrown, and then nothing was written. */
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
    // What is applied before it is written must all be in the journal before something is written down again.
    const mayGrow = last !== undefined && (last.writer.length < MAX_GROUP_BYTES || this.#options.durability === 'none')
    if (mayGrow) return last
    const next = this.#spare.pop() ?? new Batch()
    this.#gathered.push(next)
    return next
  }

  /** Puts records between two groups: `write` sees a state that is exactly that of the journal at that place. */
  rewrite(write: (writer: Writer) => void, options: RewriteOptions = {}): Promise<void> {
    if (this.#isClosed) return Promise.reject(new Error('the store is closed'))
    return new Promise((resolve, reject) => {
      this.#rewrite = { write, options, resolve, reject }
      this.#schedule()
    })
  }

  /** Deletes the sealed segments before this one, of which nothing is needed any more. */
  async drop(number: number): Promise<void> {
    // That it is not missed is on the disk before it goes, and so is all that was written down again.
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

  /** Waits for what is under way, and closes the file. */
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
    // After the reads of this turn, whose commits go together.
    setImmediate(() => void this.#work())
  }

  async #work(): Promise<void> {
    while (this.#gathered.length > 0 || this.#rewrite !== undefined) {
      await this.#writeGroup()
      this.#options.onGroup()
      // Those who waited have their turn, and what they commit goes together.
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
    // What is written down again needs room too: without it there may be enough for the rest.
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

  /** Writes a group; returns what went wrong. Then nothing of it is left. */
  async #attempt(group: Batch, rewrite: Rewrite | undefined): Promise<Error | undefined> {
    const isFirst = this.#options.durability !== 'none'
    const batches = rewrite === undefined ? [group] : isFirst ? [this.#rewritten, group] : [group, this.#rewritten]
    let length = 0
    for (const { writer } of batches) length += writer.length
    const sequence = this.#sequence
    try {
      const isFull = this.#active.used + length > this.#options.segmentBytes && !this.#active.isEmpty
      if (isFull || rewrite?.options.newSegment === true || this.#failure === 'new segment') await this.#newSegment()
      this.#failure = 'cut'
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

  /** After a sync that failed nobody knows what is on the disk, so that the file is not written to any more. */
  async #truncate(): Promise<void> {
    if (this.#failure === 'none') return
    try {
      await this.#active.truncate()
      if (this.#failure === 'cut') this.#failure = 'none'
    } catch {
      this.#failure = 'new segment'
    }
  }

  async #newSegment(): Promise<void> {
    const before = this.#active
    const { files, dir, durability, segmentBytes, warn } = this.#options
    const number = before.number + 1
    const options: ActiveSegmentOptions = { files, dir, number, segmentBytes, preallocate: durability === 'fsync' }
    // What comes before is on the disk before what comes after can be.
    if (this.#failure === 'none') await before.truncate()
    this.#active = await ActiveSegment.create(options, this.#sequence + 1, this.#firstLiveSegment)
    this.#syncedThrough = this.#sequence
    this.#failure = 'none'
    this.sealed.push({ number: before.number, bytes: before.used })
    await before.close().catch((error: Error) => warn(fileError('close', before.path, error).message))
  }
}

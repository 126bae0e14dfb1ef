import type { PersistedSessionState, PersistedState, PersistenceOperation } from '../../../types/persistence.ts'
import type { Storage } from '../../../types/storage.ts'
import { join } from 'node:path'
import { InvalidOptionError } from '../../errors.ts'
import { expected, isBoolean, isObject, refuseUnknown } from '../../options.ts'
import { sequencesOf, StoredState } from '../memory/stored-state.ts'
import { compact, rewriteSegment } from './compaction.ts'
import { DirectoryLock } from './directory-lock.ts'
import { fileError, type Files, machineFiles } from './files.ts'
import { FORMAT_VERSION } from './frames.ts'
import { type Durability, Journal } from './journal.ts'
import { LiveBytes } from './live-bytes.ts'
import { readSegments, type ReadResult } from './read-segments.ts'
import { RecordReaders } from './record-readers.ts'
import { ActiveSegment, type ActiveSegmentOptions, segmentName } from './segment.ts'
import { writeChange } from './write-records.ts'

export interface LogOptions {
  /** The directory of the store, for one process at a time. It is created if it does not exist. */
  readonly dir: string
  /**
   * The failure that an acknowledged message survives: with `fsync` the loss of power, with `os` the end of the
   * process, with `none` no failure for certain. @defaultValue 'fsync'
   */
  readonly durability?: Durability
  /** The size in bytes at which a new file is started. @defaultValue 67,108,864 */
  readonly segmentBytes?: number
  /** Opens a damaged store without the parts that cannot be read, and renames their files. @defaultValue false */
  readonly repair?: boolean
  /** Called with warnings for the operator. @defaultValue `process.emitWarning` */
  readonly onWarning?: (message: string) => void
  /** Receives the same warnings, if there is no `onWarning`. */
  readonly logger?: { warn(message: string): void }
}

const optionNames: readonly (keyof LogOptions)[] = [
  'dir',
  'durability',
  'segmentBytes',
  'repair',
  'onWarning',
  'logger',
]

const MEBIBYTE = 1024 * 1024
const DEFAULT_SEGMENT_BYTES = 64 * MEBIBYTE
const MIN_SEGMENT_BYTES = 4096
/** Smaller journals are not compacted. */
const MIN_COMPACTED_BYTES = 16 * MEBIBYTE

/**
 * Has the whole state in memory and writes every change to files, which it reads at the start. One directory, one
 * process, no other software: the store for a broker on one machine.
 */
export class LogPersistence implements Storage {
  readonly #state: StoredState
  readonly #dir: string
  readonly #durability: Durability
  readonly #segmentBytes: number
  readonly #repair: boolean
  readonly #warn: (message: string) => void
  readonly #files: Files
  readonly #live: LiveBytes
  #journal: Journal | undefined = undefined
  #lock: DirectoryLock | undefined = undefined
  /** The order number of the next change. */
  #next = 1
  #compacting: Promise<void> | undefined = undefined
  /** The bytes without live records at the end of the last compaction. */
  #deadBefore = 0
  #isCompactionStopped = false

  /** @param files - for tests. */
  constructor(options: LogOptions, files: Files = machineFiles) {
    if (!isObject(options)) expected('log', "an object such as { dir: 'data' }", options)
    refuseUnknown('log.', options, optionNames)
    const { dir, durability = 'fsync', segmentBytes = DEFAULT_SEGMENT_BYTES, repair = false } = options
    isBoolean('log.repair', repair)
    if (typeof dir !== 'string' || dir === '')
      throw new InvalidOptionError(`dir: expected a path, got ${JSON.stringify(dir)}`)
    if (!['fsync', 'os', 'none'].includes(durability)) {
      throw new InvalidOptionError(`durability: expected 'fsync', 'os' or 'none', got ${JSON.stringify(durability)}`)
    }
    if (!Number.isInteger(segmentBytes) || segmentBytes < MIN_SEGMENT_BYTES) {
      throw new InvalidOptionError(
        `segmentBytes: expected an integer from ${MIN_SEGMENT_BYTES} on, got ${segmentBytes}`,
      )
    }
    this.#dir = dir
    this.#durability = durability
    this.#segmentBytes = segmentBytes
    this.#repair = repair
    this.#warn =
      options.onWarning ??
      ((message) => (options.logger === undefined ? process.emitWarning(message) : options.logger.warn(message)))
    this.#files = files
    this.#live = new LiveBytes()
    this.#state = new StoredState(this.#live)
  }

  /** The bytes of all files, and approximately those of live records. */
  get diskUse(): { readonly bytes: number; readonly liveBytes: number } {
    return { bytes: this.#journal?.bytes ?? 0, liveBytes: this.#live.bytes }
  }

  // It needs nothing of the broker.
  async open(): Promise<void> {
    await this.#openDirectory()
    try {
      this.#journal = await this.#openJournal()
    } catch (error) {
      await this.#lock?.release()
      this.#lock = undefined
      throw error
    }
    this.#considerCompaction()
  }

  /** Waits for pending changes. Also closes a store that could not be opened. */
  async close(): Promise<void> {
    this.#isCompactionStopped = true
    await this.#compacting
    await this.#journal?.close()
    await this.#lock?.release()
    this.#lock = undefined
  }

  async *readAll(): AsyncGenerator<PersistedState, void, undefined> {
    yield* this.#state.all()
  }

  async readSession(clientId: string): Promise<PersistedSessionState | undefined> {
    return this.#state.session(clientId)
  }

  /** Rewrites the live records and deletes the rest, which otherwise happens when half of the journal is not needed. */
  async compact(): Promise<void> {
    while (this.#compacting !== undefined) await this.#compacting
    if (this.#journal === undefined) throw new Error(`${this.#dir}: the store is not open`)
    let failure: unknown
    this.#compacting = this.#compact(this.#journal, () => true)
      .catch((error: unknown) => (failure = error))
      .then(() => (this.#compacting = undefined))
    await this.#compacting
    if (failure !== undefined) throw failure as Error
  }

  /** Stores all of the changes or none. Overlapping calls are stored in their order. */
  commit(operations: readonly PersistenceOperation[]): Promise<void> {
    const journal = this.#journal
    if (journal === undefined) return Promise.reject(new Error(`${this.#dir}: the store is not open`))
    const order = this.#next
    return new Promise((resolve, reject) => {
      journal.append(
        (writer) => {
          let next = order
          for (const operation of operations) {
            writeChange(writer, operation, next, this.#state)
            next += sequencesOf(operation)
          }
          this.#next = next
        },
        this.#durability === 'none' ? nothing : () => resolve(this.#apply(operations, order)),
        this.#durability === 'none' ? (error) => this.#warn(`not stored: ${error.message}`) : reject,
      )
      if (this.#durability === 'none') resolve(this.#apply(operations, order))
    })
  }

  #apply(operations: readonly PersistenceOperation[], first: number): void {
    let order = first
    for (const operation of operations) {
      this.#state.apply(operation, order)
      order += sequencesOf(operation)
    }
  }

  async #openDirectory(): Promise<void> {
    try {
      await this.#files.makeDirectory(this.#dir)
      this.#lock = await DirectoryLock.take(this.#dir)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ELOCKED') throw error
      throw fileError('use this directory', this.#dir, error)
    }
  }

  async #openJournal(): Promise<Journal> {
    const readers = new RecordReaders()
    const result = await readSegments({
      files: this.#files,
      dir: this.#dir,
      repair: this.#repair,
      warn: this.#warn,
      onFrame: ({ bytes, start, end }, version) => {
        const reader = readers.of(version)
        reader.open(bytes, start)
        while (reader.position < end) this.#next = Math.max(this.#next, reader.applyTo(this.#state) + 1)
      },
    })
    this.#state.sort()
    const journal = await this.#startJournal(result)
    if (result.isIncomplete) await this.#quarantine(journal, result)
    else await this.#removeLeftovers(journal, result.oldest)
    return journal
  }

  async #startJournal({ segments, salt, version, sequence, oldest, isIncomplete }: ReadResult): Promise<Journal> {
    const last = segments.at(-1)
    const options: ActiveSegmentOptions = {
      files: this.#files,
      dir: this.#dir,
      number: last?.number ?? oldest,
      segmentBytes: this.#segmentBytes,
      preallocate: this.#durability === 'fsync',
    }
    // A segment has one version of the format from its beginning to its end.
    const continuesLast = last !== undefined && !isIncomplete && version === FORMAT_VERSION
    const number = last === undefined ? oldest : last.number + 1
    const active = continuesLast
      ? await this.#reopen(options, salt, last.bytes)
      : await ActiveSegment.create({ ...options, number }, sequence + 1, oldest)
    const sealed = continuesLast ? segments.slice(0, -1) : segments
    const journalOptions = {
      files: this.#files,
      dir: this.#dir,
      durability: this.#durability,
      segmentBytes: this.#segmentBytes,
      warn: this.#warn,
      onGroup: () => this.#considerCompaction(),
    }
    return new Journal(journalOptions, active, sealed, { sequence, oldest })
  }

  /** Opens a segment to write behind its last valid frame. */
  async #reopen(options: ActiveSegmentOptions, salt: number, used: number): Promise<ActiveSegment> {
    const path = join(this.#dir, segmentName(options.number))
    const file = await this.#files.open(path, 'r+').catch((error: unknown) => {
      throw fileError('write', path, error)
    })
    const active = new ActiveSegment(file, options, salt, used, used)
    try {
      await active.truncate()
      return active
    } catch (error) {
      await active.close().catch(nothing)
      throw error
    }
  }

  async #removeLeftovers(journal: Journal, oldest: number): Promise<void> {
    if (journal.sealed[0] !== undefined && journal.sealed[0].number < oldest) await journal.drop(oldest)
  }

  /** Writes all readable live records again, then renames damaged segments, so that an operator can examine them. */
  async #quarantine(journal: Journal, { damaged }: ReadResult): Promise<void> {
    const end = journal.activeNumber
    const options = this.#compactionOptions(journal, () => true)
    for (const { number } of journal.sealed) await rewriteSegment(options, number)
    for (const number of damaged) {
      const path = join(this.#dir, segmentName(number))
      await this.#files.rename(path, `${path}.corrupt`)
      this.#warn(`${path}: moved to ${path}.corrupt`)
    }
    await journal.drop(end)
  }

  #considerCompaction(): void {
    const journal = this.#journal
    if (journal === undefined || this.#compacting !== undefined || this.#isCompactionStopped) return
    const { bytes } = journal
    const dead = bytes - this.#live.bytes
    if (bytes < Math.min(MIN_COMPACTED_BYTES, 2 * this.#segmentBytes) || dead < bytes / 2) return
    // The count is not exact, so compaction must not repeat without need.
    if (dead - this.#deadBefore < bytes / 4) return
    const isWorthwhile = (): boolean => journal.bytes - this.#live.bytes > journal.bytes / 4
    this.#compacting = this.#compact(journal, isWorthwhile)
      .catch((error: Error) => this.#warn(`not compacted: ${error.message}`))
      .finally(() => (this.#compacting = undefined))
  }

  async #compact(journal: Journal, isWorthwhile: () => boolean): Promise<void> {
    try {
      await compact(this.#compactionOptions(journal, () => !this.#isCompactionStopped && isWorthwhile()))
    } finally {
      this.#deadBefore = Math.max(0, journal.bytes - this.#live.bytes)
    }
  }

  #compactionOptions(journal: Journal, isWorthwhile: () => boolean) {
    return { files: this.#files, dir: this.#dir, journal, state: this.#state, isWorthwhile }
  }
}

/** The durable store for one machine: `new Broker({ persistence: log({ dir: '/var/lib/broker' }) })`. */
export function log(options: LogOptions): LogPersistence {
  return new LogPersistence(options)
}

function nothing(): void {}

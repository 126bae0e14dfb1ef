import { join } from 'node:path'
import type { Writer } from '../../packets/writer.ts'
import type { StoredState } from '../memory/stored-state.ts'
import type { Files } from './files.ts'
import { findFrame, type Frame, parseSegmentHeader, readFrames, SEGMENT_HEADER, type SegmentFile } from './frames.ts'
import type { Journal } from './journal.ts'
import type { RecordReader } from './record-reader.ts'
import { RecordReaders } from './record-readers.ts'
import { rewriteRecord } from './rewrite-record.ts'
import { segmentName } from './segment.ts'

const CHUNK_BYTES = 1024 * 1024
/** The event loop is blocked for so many milliseconds; the clock is read after so many records. */
const MAX_SLICE_MS = 4
const RECORDS_PER_CLOCK_READING = 16
/** Limits the bytes that are rewritten at once, so that commits do not wait for long. */
const MAX_SLICE_BYTES = 1024 * 1024

export interface CompactionOptions {
  readonly files: Files
  readonly dir: string
  readonly journal: Journal
  readonly state: StoredState
  /** Whether to rewrite another segment. */
  readonly isWorthwhile: () => boolean
}

/**
 * Shortens the journal from its old end: the live records of the oldest segment are written again at the new end, then
 * the segment is deleted. So a record that removes something is never deleted before the record that it removes.
 */
export async function compact(options: CompactionOptions): Promise<void> {
  const { journal } = options
  await journal.rewrite(() => undefined, { newSegment: true })
  const end = journal.activeNumber
  while (journal.sealed[0] !== undefined && journal.sealed[0].number < end && options.isWorthwhile()) {
    const { number } = journal.sealed[0]
    await rewriteSegment(options, number)
    await journal.drop(number + 1)
  }
}

/** Writes the live records of a segment again; of a damaged one those that can be read. */
export async function rewriteSegment({ files, dir, journal, state }: CompactionOptions, number: number): Promise<void> {
  const file = await files.open(join(dir, segmentName(number)), 'r')
  try {
    const { size } = await file.stat()
    const bytes = Buffer.alloc(SEGMENT_HEADER)
    await file.read(bytes, 0, SEGMENT_HEADER, 0)
    const header = parseSegmentHeader(bytes)
    if (header === undefined) return
    const segment: SegmentFile = { file, size, salt: header.salt }
    const reader = new RecordReaders().of(header.version)
    let offset: number | undefined = SEGMENT_HEADER
    while (offset !== undefined) {
      const reading = readFrames(segment, offset, CHUNK_BYTES)
      let step = await reading.next()
      while (step.done !== true) {
        await rewriteFrames(step.value, reader, journal, state)
        step = await reading.next()
      }
      offset = (await findFrame(segment, step.value + 1))?.offset
    }
  } finally {
    await file.close().catch(() => undefined)
  }
}

async function rewriteFrames(
  frames: readonly Frame[],
  reader: RecordReader,
  journal: Journal,
  state: StoredState,
): Promise<void> {
  const progress = { index: 0, position: frames[0]?.start ?? 0 }
  while (progress.index < frames.length) await journal.rewrite(slice)

  function slice(writer: Writer): void {
    const start = writer.length
    const deadline = performance.now() + MAX_SLICE_MS
    let records = 0
    while (progress.index < frames.length) {
      const { bytes, end } = frames[progress.index]!
      reader.open(bytes, progress.position)
      while (reader.position < end) {
        rewriteRecord(reader, state, writer)
        progress.position = reader.position
        records += 1
        if (writer.length - start > MAX_SLICE_BYTES) return
        if (records % RECORDS_PER_CLOCK_READING === 0 && performance.now() > deadline) return
      }
      progress.index += 1
      progress.position = frames[progress.index]?.start ?? 0
    }
  }
}

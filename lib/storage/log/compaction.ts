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

const CHUNK = 1024 * 1024
/** Milliseconds for which the event loop is held up, and how many records are looked at between two looks at the clock. */
const SLICE = 4
const RECORDS_PER_LOOK = 16
/** So many bytes are written down again at once, so that those who commit do not wait for long. */
const LARGEST_SLICE = 1024 * 1024

export interface CompactionOptions {
  readonly files: Files
  readonly dir: string
  readonly journal: Journal
  readonly state: StoredState
  /** Whether the oldest segments go on to be rewritten. */
  readonly isWorthwhile: () => boolean
}

/**
 * Makes the journal shorter from its old end: what is left of the oldest segment is written down again at the new end,
 * then the segment is deleted. So a record that removes something is never deleted before what it removes.
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

/** Writes down again what is left of a segment; also of one that is damaged, what can be read of it. */
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
      const reading = readFrames(segment, offset, CHUNK)
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
  const scratch = { index: 0, position: frames[0]?.start ?? 0 }
  while (scratch.index < frames.length) await journal.rewrite(slice)

  function slice(writer: Writer): void {
    const start = writer.length
    const deadline = performance.now() + SLICE
    let records = 0
    while (scratch.index < frames.length) {
      const { bytes, end } = frames[scratch.index]!
      reader.open(bytes, scratch.position)
      while (reader.position < end) {
        rewriteRecord(reader, state, writer)
        scratch.position = reader.position
        records += 1
        if (writer.length - start > LARGEST_SLICE) return
        if (records % RECORDS_PER_LOOK === 0 && performance.now() > deadline) return
      }
      scratch.index += 1
      scratch.position = frames[scratch.index]?.start ?? 0
    }
  }
}

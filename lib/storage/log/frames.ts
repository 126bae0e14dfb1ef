/**
 * The form of a segment, a file of the journal: a header, then frames, then perhaps zeros.
 *
 *     segment   magic(8) version(4) number(4) first sequence(8) oldest(4) salt(4) checksum(4)
 *     frame     magic(4) checksum(4) length of records(4) sequence(8) safe(8) oldest(4) records
 *
 * A frame is valid as a whole or not at all. Checksums start from the salt of the segment, a random number, so that
 * neither bytes of another file nor the payload of a Client pass for a frame.
 */
import { crc32 } from './checksum.ts'
import type { File } from './files.ts'

export const SEGMENT_HEADER = 36
export const FRAME_HEADER = 32
/** The version of new segments. */
export const FORMAT_VERSION = 2
/** The oldest version whose records can be read. Segments and frames are the same in all of them. */
const MIN_VERSION = 1

const SEGMENT_MAGIC = Buffer.from('haltere\n')
const FRAME_MAGIC = Buffer.from([0xf7, 0xa1, 0x7e, 0x2e])

export interface SegmentHeader {
  readonly version: number
  readonly number: number
  /** The sequence number of its first frame: frames of the segment before from this number on do not count. */
  readonly firstSequence: number
  /** The first segment that is needed. */
  readonly oldest: number
  readonly salt: number
}

export function segmentHeader({ number, firstSequence, oldest, salt }: Omit<SegmentHeader, 'version'>): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER)
  SEGMENT_MAGIC.copy(bytes)
  bytes.writeUInt32BE(FORMAT_VERSION, 8)
  bytes.writeUInt32BE(number, 12)
  bytes.writeDoubleBE(firstSequence, 16)
  bytes.writeUInt32BE(oldest, 24)
  bytes.writeUInt32BE(salt, 28)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 32), 0), 32)
  return bytes
}

/** Returns undefined if the bytes are no header. A header of an unknown version has the version only. */
export function parseSegmentHeader(bytes: Buffer): SegmentHeader | undefined {
  if (bytes.length < SEGMENT_HEADER || !bytes.subarray(0, 8).equals(SEGMENT_MAGIC)) return undefined
  const version = bytes.readUInt32BE(8)
  if (!isReadable(version)) return { version, number: 0, firstSequence: 0, oldest: 0, salt: 0 }
  if (bytes.readUInt32BE(32) !== crc32(bytes.subarray(0, 32), 0)) return undefined
  return {
    version,
    number: bytes.readUInt32BE(12),
    firstSequence: bytes.readDoubleBE(16),
    oldest: bytes.readUInt32BE(24),
    salt: bytes.readUInt32BE(28),
  }
}

export function isReadable(version: number): boolean {
  return version >= MIN_VERSION && version <= FORMAT_VERSION
}

export interface FrameHeader {
  readonly sequence: number
  /** All frames up to this number were on the disk before the frame was written. */
  readonly syncedThrough: number
  /** The first segment that is needed. */
  readonly firstLiveSegment: number
}

/** Writes the header of the frame from `start` to `end`. */
export function finishFrame(bytes: Buffer, start: number, end: number, salt: number, header: FrameHeader): void {
  FRAME_MAGIC.copy(bytes, start)
  bytes.writeUInt32BE(end - start - FRAME_HEADER, start + 8)
  bytes.writeDoubleBE(header.sequence, start + 12)
  bytes.writeDoubleBE(header.syncedThrough, start + 20)
  bytes.writeUInt32BE(header.firstLiveSegment, start + 28)
  bytes.writeUInt32BE(crc32(bytes.subarray(start + 8, end), salt), start + 4)
}

/** A frame in a chunk of a segment. */
export interface Frame extends FrameHeader {
  readonly bytes: Buffer
  /** The place of its records in the chunk. */
  readonly start: number
  readonly end: number
  /** The start of the frame in the segment. */
  readonly offset: number
}

/** Returns the frame at a position; its number of bytes if the chunk ends before; undefined if there is no frame. */
function frameAt(
  bytes: Buffer,
  position: number,
  end: number,
  salt: number,
  offset: number,
): Frame | number | undefined {
  if (end - position < FRAME_HEADER) return FRAME_HEADER
  if (!FRAME_MAGIC.equals(bytes.subarray(position, position + 4))) return undefined
  const frameEnd = position + FRAME_HEADER + bytes.readUInt32BE(position + 8)
  if (frameEnd > end) return frameEnd - position
  if (crc32(bytes.subarray(position + 8, frameEnd), salt) !== bytes.readUInt32BE(position + 4)) return undefined
  return {
    bytes,
    start: position + FRAME_HEADER,
    end: frameEnd,
    offset,
    sequence: bytes.readDoubleBE(position + 12),
    syncedThrough: bytes.readDoubleBE(position + 20),
    firstLiveSegment: bytes.readUInt32BE(position + 28),
  }
}

export interface SegmentFile {
  readonly file: File
  readonly salt: number
  readonly size: number
}

/**
 * Reads the frames from an offset on, chunk by chunk, up to the first offset without a frame, which it returns. A chunk
 * is valid until the next one is read.
 */
export async function* readFrames(
  { file, salt, size }: SegmentFile,
  from: number,
  chunkBytes: number,
): AsyncGenerator<Frame[], number, undefined> {
  let buffer = Buffer.allocUnsafeSlow(chunkBytes)
  let offset = from
  let needed = FRAME_HEADER
  while (offset + needed <= size) {
    if (needed > buffer.length) buffer = Buffer.allocUnsafeSlow(needed)
    const length = await readFully(file, buffer, Math.min(buffer.length, size - offset), offset)
    if (length < needed) break
    const frames: Frame[] = []
    let position = 0
    let next = frameAt(buffer, position, length, salt, offset)
    while (typeof next === 'object') {
      frames.push(next)
      position = next.end
      next = frameAt(buffer, position, length, salt, offset + position)
    }
    offset += position
    if (frames.length > 0) yield frames
    if (next === undefined) break
    needed = next
  }
  return offset
}

async function readFully(file: File, buffer: Buffer, length: number, position: number): Promise<number> {
  let done = 0
  while (done < length) {
    const { bytesRead } = await file.read(buffer, done, length - done, position + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return done
}

const SEARCH_CHUNK = 1024 * 1024

/** Finds the next valid frame after an offset without a frame. */
export async function findFrame(segment: SegmentFile, after: number): Promise<Frame | undefined> {
  const { file, size } = segment
  const buffer = Buffer.allocUnsafeSlow(SEARCH_CHUNK)
  let offset = after
  while (offset + FRAME_HEADER <= size) {
    const length = await readFully(file, buffer, Math.min(SEARCH_CHUNK, size - offset), offset)
    const chunk = buffer.subarray(0, length)
    for (let found = chunk.indexOf(FRAME_MAGIC); found !== -1; found = chunk.indexOf(FRAME_MAGIC, found + 1)) {
      for await (const [frame] of readFrames(segment, offset + found, FRAME_HEADER)) return frame
    }
    if (length < SEARCH_CHUNK) break
    offset += length - (FRAME_MAGIC.length - 1)
  }
  return undefined
}

/** Whether all bytes from an offset to the end are zero. */
export async function isZero({ file, size }: SegmentFile, from: number): Promise<boolean> {
  const buffer = Buffer.allocUnsafeSlow(SEARCH_CHUNK)
  const zeros = Buffer.alloc(SEARCH_CHUNK)
  for (let offset = from; offset < size; ) {
    const length = await readFully(file, buffer, Math.min(SEARCH_CHUNK, size - offset), offset)
    if (length === 0) return true
    if (!buffer.subarray(0, length).equals(zeros.subarray(0, length))) return false
    offset += length
  }
  return true
}

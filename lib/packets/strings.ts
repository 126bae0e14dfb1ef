import { isUtf8 } from 'node:buffer'
import { malformedPacket } from './violation.ts'

// The classes of bytes that a string is scanned for; the byte classes of a whole string are or-ed together.
const NULL_CHARACTER = 1
const CONTROL_CHARACTER = 2
const BEYOND_ASCII = 4
export const WILDCARD = 8

const classOfByte = new Uint8Array(256)
classOfByte.fill(CONTROL_CHARACTER, 0x01, 0x20)
classOfByte.fill(BEYOND_ASCII, 0x80)
classOfByte[0x00] = NULL_CHARACTER
classOfByte[0x7f] = CONTROL_CHARACTER
classOfByte[0x23] = WILDCARD
classOfByte[0x2b] = WILDCARD

/** Node's own fast readers, which its types do not list; `toString` checks its arguments on the way to them. */
interface Slices {
  latin1Slice(start: number, end: number): string
  utf8Slice(start: number, end: number): string
}

/** What kinds of bytes there are between `start` and `end`. */
export function classesOfBytes(bytes: Buffer, start: number, end: number): number {
  let classes = 0
  for (let index = start; index < end; index += 1) classes |= classOfByte[bytes[index]!]!
  return classes
}

/**
 * The UTF-8 string between `start` and `end`, whose bytes are of these classes.
 * `what` names the string in errors. A byte order mark is a character like any other. [MQTT-1.5.4-3]
 */
export function decodeString(
  bytes: Buffer,
  start: number,
  end: number,
  classes: number,
  allowControlCharacters: boolean,
  what: string,
): string {
  if (classes & NULL_CHARACTER) throw malformedPacket(`${what}: contains U+0000`) // [MQTT-1.5.4-2]
  if (classes & CONTROL_CHARACTER && !allowControlCharacters) {
    throw malformedPacket(`${what}: contains a control character`)
  }
  const slices = bytes as Buffer & Slices
  if (!(classes & BEYOND_ASCII)) return slices.latin1Slice(start, end)
  if (!isUtf8(bytes.subarray(start, end))) throw malformedPacket(`${what}: expected UTF-8`) // [MQTT-1.5.4-1]
  const text = slices.utf8Slice(start, end)
  if (!allowControlCharacters && containsDiscouraged(text)) {
    throw malformedPacket(`${what}: contains a control character or a Unicode non-character`)
  }
  return text
}

/** Whether there are code points that a receiver may refuse (section 1.5.4): U+0080 to U+009F and the non-characters. */
function containsDiscouraged(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) continue
    if (unit <= 0x9f || (unit >= 0xfdd0 && unit <= 0xfdef) || unit >= 0xfffe) return true
    // The last two code points of a plane above 0: the low surrogate after a high one that ends in six ones.
    if ((unit & 0xfffe) === 0xdffe && (text.charCodeAt(index - 1) & 0x3f) === 0x3f) return true
  }
  return false
}

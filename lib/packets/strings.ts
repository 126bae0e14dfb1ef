import { isUtf8 } from 'node:buffer'
import { malformedPacket } from './violation.ts'

// Classes of bytes. The classes of all bytes of a string are combined with OR.
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

/** Fast methods of Node's Buffer that its types do not list; `toString` calls them after checks of its arguments. */
interface Slices {
  latin1Slice(start: number, end: number): string
  utf8Slice(start: number, end: number): string
}

/** The classes of the bytes between `start` and `end`, combined with OR. */
export function classesOfBytes(bytes: Buffer, start: number, end: number): number {
  let classes = 0
  for (let index = start; index < end; index += 1) classes |= classOfByte[bytes[index]!]!
  return classes
}

/**
 * The UTF-8 string between `start` and `end`; `classes` are the classes of its bytes.
 * `what` names the string in errors. A byte order mark is an ordinary character. [MQTT-1.5.4-3]
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

/** Whether the string has code points that a receiver may refuse: U+0080 to U+009F, non-characters (section 1.5.4). */
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

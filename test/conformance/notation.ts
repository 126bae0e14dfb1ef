/**
 * The notation of bytes in the conformance tests: hexadecimal digits, and brackets that compute lengths.
 *
 *     30 0a 0003 612f62 00 6f6e      plain digits; blanks mean nothing
 *     "a/b"                          UTF-8 Encoded String: two-byte length, then the characters
 *     'on'                           the characters alone
 *     ( 0102 )                       Binary Data: two-byte length, then the bytes
 *     [ 01 01 ]                      Variable Byte Integer length, then the bytes: a Property Length, a Remaining Length
 *     __                             any one byte (only in expected packets)
 *
 * So `30 ["a/b" [] 'on']` is an MQTT 5.0 PUBLISH without Properties.
 */
export interface Pattern {
  readonly data: Buffer
  /** Positions of `__`. */
  readonly any: ReadonlySet<number>
}

/** The length in the shortest form [MQTT-1.5.5-1]. */
export function variableByteInteger(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  do {
    const byte = rest % 128
    rest = Math.floor(rest / 128)
    bytes.push(rest > 0 ? byte | 0x80 : byte)
  } while (rest > 0)
  return bytes
}

interface Part {
  readonly bytes: readonly number[]
  readonly any: readonly number[]
}

/** Reads up to the closing bracket of this part. */
function parsePart(text: string, start: number, closing: string): Part & { end: number } {
  const bytes: number[] = []
  const any: number[] = []
  const append = (length: readonly number[], part: Part): void => {
    for (const byte of length) bytes.push(byte)
    const offset = bytes.length
    for (const byte of part.bytes) bytes.push(byte)
    for (const position of part.any) any.push(offset + position)
  }
  let at = start
  while (at < text.length) {
    const character = text[at]!
    if (character === closing) return { bytes, any, end: at + 1 }
    if (/\s/.test(character)) {
      at += 1
    } else if (character === '"' || character === "'") {
      const end = text.indexOf(character, at + 1)
      if (end === -1) throw new SyntaxError(`no closing ${character} in ${text}`)
      const content = [...Buffer.from(text.slice(at + 1, end))]
      append(character === '"' ? [content.length >> 8, content.length & 0xff] : [], { bytes: content, any: [] })
      at = end + 1
    } else if (character === '[' || character === '(') {
      const inner = parsePart(text, at + 1, character === '[' ? ']' : ')')
      const size = inner.bytes.length
      append(character === '[' ? variableByteInteger(size) : [size >> 8, size & 0xff], inner)
      at = inner.end
    } else if (text.startsWith('__', at)) {
      any.push(bytes.length)
      bytes.push(0)
      at += 2
    } else {
      const pair = text.slice(at, at + 2)
      if (!/^[0-9a-fA-F]{2}$/.test(pair)) throw new SyntaxError(`expected two hexadecimal digits at ${at} in ${text}`)
      bytes.push(Number.parseInt(pair, 16))
      at += 2
    }
  }
  if (closing !== '') throw new SyntaxError(`no closing ${closing} in ${text}`)
  return { bytes, any, end: at }
}

export function parsePattern(notation: string): Pattern {
  const { bytes, any } = parsePart(notation, 0, '')
  return { data: Buffer.from(bytes), any: new Set(any) }
}

export function parseBytes(notation: string | Uint8Array): Buffer {
  if (typeof notation !== 'string') return Buffer.from(notation)
  const { data, any } = parsePattern(notation)
  if (any.size > 0) throw new SyntaxError(`__ stands for a byte that is received, not sent: ${notation}`)
  return data
}

/** Returns the bytes in place of `__`, or undefined if the packet does not match. */
export function match(pattern: Pattern, packet: Buffer): string | undefined {
  if (packet.length !== pattern.data.length) return undefined
  let captured = ''
  for (const [position, byte] of packet.entries()) {
    if (pattern.any.has(position)) captured += byte.toString(16).padStart(2, '0')
    else if (byte !== pattern.data[position]) return undefined
  }
  return captured
}

/** `30 05 0001 61 …` followed by the printable characters. */
export function show(packet: Uint8Array): string {
  const shown = Buffer.from(packet.subarray(0, 200))
  const digits = shown.toString('hex').replace(/(..)(?=.)/g, '$1 ')
  const text = shown.toString('latin1').replace(/[^ -~]/g, '.')
  return `${digits}${packet.length > 200 ? ` … ${packet.length} bytes` : ''}  |${text}|`
}

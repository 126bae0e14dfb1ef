/** The notation for bytes that all tests share but those of the conformance suite, and a reader of what the broker sends. */
import type { ProtocolLevel } from '../../types/packets.ts'

/**
 * Bytes in a short notation, so that a test shows what travels and no length has to be counted:
 *
 *   10 ff        bytes in hex
 *   "a/b"        a string with its two bytes of length; '…' the same text without them
 *   <…>          what is inside, with its length as a Variable Byte Integer in front
 *   {300 61}     what is inside, 300 times
 *   NAME         Protocol Name and Protocol Level of the version
 *   NONE         no Properties: one byte at MQTT 5.0, nothing before
 */
export function bytes(notation: string, level: ProtocolLevel = 5): Buffer {
  const tokens = notation.match(/"[^"]*"|'[^']*'|\{\d+|[<>}]|[A-Z]+|[0-9a-f]+/g) ?? []
  let position = 0
  const sequence = (end: string | undefined): Buffer => {
    const parts: Buffer[] = []
    while (position < tokens.length && tokens[position] !== end) {
      const token = tokens[position] as string
      position += 1
      parts.push(one(token))
    }
    position += 1
    return Buffer.concat(parts)
  }
  const one = (token: string): Buffer => {
    if (token === '<') {
      const inside = sequence('>')
      return Buffer.concat([variableByteInteger(inside.length), inside])
    }
    if (token.startsWith('{')) {
      const inside = sequence('}')
      return Buffer.alloc(inside.length * Number(token.slice(1)), inside)
    }
    if (token === 'NAME') return bytes(level === 3 ? '"MQIsdp" 03' : level === 4 ? '"MQTT" 04' : '"MQTT" 05')
    if (token === 'NONE') return Buffer.alloc(level === 5 ? 1 : 0)
    if (token.startsWith("'")) return Buffer.from(token.slice(1, -1))
    if (token.startsWith('"')) {
      const text = Buffer.from(token.slice(1, -1))
      return Buffer.concat([Buffer.from([text.length >> 8, text.length & 0xff]), text])
    }
    if (token.length % 2 !== 0) throw new Error(`${token} in ${notation}: expected whole bytes`)
    return Buffer.from(token, 'hex')
  }
  return sequence(undefined)
}

function variableByteInteger(value: number): Buffer {
  const encoded: number[] = []
  let left = value
  do {
    encoded.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0))
    left >>>= 7
  } while (left > 0)
  return Buffer.from(encoded)
}

const names = [
  'reserved',
  'connect',
  'connack',
  'publish',
  'puback',
  'pubrec',
  'pubrel',
  'pubcomp',
  'subscribe',
  'suback',
  'unsubscribe',
  'unsuback',
  'pingreq',
  'pingresp',
  'disconnect',
  'auth',
] as const

/** One packet of the Server, in words. */
export interface Answer {
  /** Its name and what matters in it: `connack 00`, `suback 01 8f`, `publish 1 a/b hello`. */
  readonly text: string
  readonly type: (typeof names)[number]
  readonly flags: number
  readonly packetId: number
  readonly body: Buffer
}

/** Takes packets of the Server off the front of `input`; answers those that are whole and how many bytes they are. */
export function readAnswers(input: Buffer, level: ProtocolLevel): { answers: Answer[]; length: number } {
  const answers: Answer[] = []
  let start = 0
  for (;;) {
    let position = start + 1
    let length = 0
    for (let shift = 0; ; shift += 7) {
      const byte = input[position]
      if (byte === undefined) return { answers, length: start }
      position += 1
      length |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    if (position + length > input.length) return { answers, length: start }
    answers.push(answer(input[start] as number, input.subarray(position, position + length), level))
    start = position + length
  }
}

/** Each byte in hex, with a space in front. */
function hex(codes: Buffer): string {
  return [...codes].map((code) => ` ${code.toString(16).padStart(2, '0')}`).join('')
}

function answer(firstByte: number, body: Buffer, level: ProtocolLevel): Answer {
  const type = names[firstByte >> 4] as (typeof names)[number]
  const made = (text: string, packetId = 0): Answer => ({ text, type, flags: firstByte & 0x0f, packetId, body })
  switch (type) {
    case 'connack':
      return made(`connack${hex(body.subarray(1, 2))}`)
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      return made(
        `${type} ${hex(body.length > 2 ? body.subarray(2, 3) : Buffer.alloc(1)).trim()}`,
        body.readUInt16BE(0),
      )
    case 'suback':
    case 'unsuback': {
      const from = level === 5 ? 2 + propertiesLength(body, 2) : 2
      return made(`${type}${hex(body.subarray(from))}`, body.readUInt16BE(0))
    }
    case 'disconnect':
      return made(`disconnect ${hex(body.length > 0 ? body.subarray(0, 1) : Buffer.alloc(1)).trim()}`)
    case 'publish': {
      const qos = (firstByte >> 1) & 3
      let position = 2 + body.readUInt16BE(0)
      const topic = body.toString('utf8', 2, position)
      const packetId = qos === 0 ? 0 : body.readUInt16BE(position)
      if (qos > 0) position += 2
      if (level === 5) position += propertiesLength(body, position)
      return made(`publish ${qos} ${topic} ${body.toString('latin1', position)}`.trimEnd(), packetId)
    }
    default:
      return made(type)
  }
}

/** Bytes of a list of Properties, its length included. */
function propertiesLength(body: Buffer, position: number): number {
  let length = 0
  for (let index = 0; ; index += 1) {
    const byte = body[position + index] ?? 0
    length |= (byte & 0x7f) << (7 * index)
    if (byte < 0x80) return length + index + 1
  }
}

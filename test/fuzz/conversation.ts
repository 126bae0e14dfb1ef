import type { ProtocolLevel } from '../../types/packets.ts'
import type { Random } from './random.ts'

// Few names, so that Clients meet: on a topic, in a shared subscription, as owners of a session.
const clientIds = ['a', 'b', 'c', 'd', 'e', '']
const topics = ['t', 't/1', 't/2', 't/1/x', '$x/1', '$SYS/x', '/', '//', 't/é', '__proto__', 'constructor']
const filters = [
  ...topics,
  '#',
  '+',
  't/+',
  't/#',
  '+/+/+',
  '/#',
  '$SYS/#',
  '$share/g/t/#',
  '$share/g/#',
  '$share/h/t/1',
  '$share/g',
  '$share//t',
  't/#/x',
  't+',
]
const interesting = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff]

/** One Client: what it writes, piece by piece, and how it leaves. */
export interface Input {
  readonly chunks: readonly Buffer[]
  /** Half-closes, goes away at once, or stays until everybody has to go. */
  readonly leaves: 'end' | 'destroy' | 'stay'
  /** Whether it reads what the broker sends. */
  readonly reads: boolean
}

const emptyBytes = Buffer.alloc(0)

function uint8(value: number): Buffer {
  return Buffer.from([value & 0xff])
}
function uint16(value: number): Buffer {
  return Buffer.from([(value >> 8) & 0xff, value & 0xff])
}
function uint32(value: number): Buffer {
  const made = Buffer.allocUnsafe(4)
  made.writeUInt32BE(value >>> 0)
  return made
}
function variable(value: number): Buffer {
  const encoded: number[] = []
  let left = value
  do {
    encoded.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0))
    left >>>= 7
  } while (left > 0)
  return Buffer.from(encoded)
}
function binary(data: Buffer): Buffer {
  return Buffer.concat([uint16(data.length), data])
}
function string(text: string): Buffer {
  return binary(Buffer.from(text))
}
function packet(firstByte: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([uint8(firstByte), variable(body.length), body])
}

type Owner = 'connect' | 'will' | 'publish' | 'subscribe' | 'other' | 'disconnect' | 'auth'

// Identifier and value of the Properties that a Client may send, and then those of anybody.
const properties: readonly [number, readonly Owner[], (random: Random) => Buffer][] = [
  [0x01, ['will', 'publish'], (random) => uint8(random.below(2))],
  [0x02, ['will', 'publish'], (random) => uint32(random.pick([0, 1, 5, 0xffff_ffff]))],
  [0x03, ['will', 'publish'], () => string('text')],
  [0x08, ['will', 'publish'], (random) => string(random.pick(topics))],
  [0x09, ['will', 'publish'], (random) => binary(random.bytes(random.below(8)))],
  [0x0b, ['subscribe'], (random) => variable(random.pick([1, 127, 128, 268_435_455]))],
  [0x11, ['connect'], (random) => uint32(random.pick([0, 1, 5, 0xffff_ffff]))],
  [0x11, ['disconnect'], (random) => uint32(random.pick([0, 0, 3]))],
  [0x15, ['connect', 'auth'], (random) => string(random.pick(['m', 'm', 'n']))],
  [0x17, ['connect'], (random) => uint8(random.below(2))],
  [0x18, ['will'], (random) => uint32(random.pick([0, 1, 0xffff_ffff]))],
  [0x19, ['connect'], (random) => uint8(random.below(2))],
  [0x1f, ['disconnect', 'auth'], () => string('why')],
  [0x21, ['connect'], (random) => uint16(random.pick([1, 2, 20, 65_535]))],
  [0x22, ['connect'], (random) => uint16(random.pick([0, 1, 16, 65_535]))],
  [0x23, ['publish'], (random) => uint16(1 + random.below(18))],
  [
    0x26,
    ['connect', 'will', 'publish', 'subscribe', 'other', 'disconnect', 'auth'],
    () => Buffer.concat([string('k'), string('v')]),
  ],
  [0x27, ['connect'], (random) => uint32(random.pick([1, 20, 64, 1000, 0xffff_ffff]))],
  [0x12, [], () => string('id')],
  [0x13, [], () => uint16(10)],
  [0x16, [], () => binary(Buffer.from('data'))],
  [0x1a, [], () => string('r')],
  [0x1c, [], () => string('s')],
  [0x24, [], () => uint8(1)],
  [0x7f, [], () => emptyBytes],
]

function propertyList(random: Random, level: ProtocolLevel, owner: Owner): Buffer {
  if (level < 5) return emptyBytes
  if (random.below(3) > 0) return uint8(0)
  const wild = random.oneIn(12)
  const chosen = properties.filter(([, owners]) => (wild ? random.oneIn(6) : owners.includes(owner) && random.oneIn(3)))
  const parts = random.shuffle(chosen.map(([identifier, , value]) => Buffer.concat([uint8(identifier), value(random)])))
  if (random.oneIn(20) && parts[0] !== undefined) parts.push(parts[0])
  const list = Buffer.concat(parts)
  return Buffer.concat([variable(list.length), list])
}

function connect(random: Random, level: ProtocolLevel): Buffer {
  const hasWill = random.oneIn(3)
  const hasUser = random.oneIn(3)
  let flags = random.oneIn(3) ? 0 : 2
  if (hasWill) flags |= 4 | (random.below(3) << 3) | (random.below(2) << 5)
  if (hasUser) flags |= 0xc0
  return packet(
    0x10,
    string(level === 3 ? 'MQIsdp' : 'MQTT'),
    uint8(level),
    uint8(flags),
    uint16(random.pick([0, 0, 1, 60, 65_535])),
    propertyList(random, level, 'connect'),
    string(random.pick(clientIds)),
    ...(hasWill
      ? [propertyList(random, level, 'will'), string(random.pick(topics)), binary(random.bytes(random.below(20)))]
      : []),
    ...(hasUser ? [string(random.pick(['u', 'v'])), string('p')] : []),
  )
}

function publish(random: Random, level: ProtocolLevel): Buffer {
  const qos = random.below(3)
  return packet(
    0x30 | (qos << 1) | random.below(2) | (qos > 0 && random.oneIn(5) ? 8 : 0),
    string(level === 5 && random.oneIn(8) ? '' : random.pick(topics)),
    qos > 0 ? uint16(1 + random.below(6)) : emptyBytes,
    propertyList(random, level, 'publish'),
    random.oneIn(40) ? random.bytes(3000) : random.bytes(random.below(24)),
  )
}

function subscribe(random: Random, level: ProtocolLevel): Buffer {
  const parts: Buffer[] = []
  for (let count = 1 + random.below(3); count > 0; count -= 1) {
    const options = random.below(3) | (level === 5 ? (random.below(4) << 2) | (random.below(3) << 4) : 0)
    parts.push(string(random.pick(filters)), uint8(options))
  }
  return packet(0x82, uint16(1 + random.below(9)), propertyList(random, level, 'subscribe'), ...parts)
}

function acknowledgement(random: Random, level: ProtocolLevel): Buffer {
  const firstByte = random.pick([0x40, 0x50, 0x62, 0x70])
  const packetId = uint16(1 + random.below(6))
  if (level < 5 || random.below(3) > 0) return packet(firstByte, packetId)
  const reasonCode = uint8(random.pick(firstByte === 0x62 || firstByte === 0x70 ? [0, 0x92] : [0, 0x10, 0x80, 0x97]))
  return packet(firstByte, packetId, reasonCode, propertyList(random, level, 'other'))
}

function packetAfterConnect(random: Random, level: ProtocolLevel): Buffer {
  switch (random.below(12)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return publish(random, level)
    case 4:
    case 5:
    case 6:
      return subscribe(random, level)
    case 7:
    case 8:
      return acknowledgement(random, level)
    case 9:
      return packet(
        0xa2,
        uint16(1 + random.below(9)),
        propertyList(random, level, 'other'),
        string(random.pick(filters)),
      )
    case 10:
      if (level === 5 && random.oneIn(3))
        return packet(0xf0, uint8(random.pick([0x18, 0x19, 0])), propertyList(random, level, 'auth'))
      return packet(0xc0)
    default:
      if (random.oneIn(2)) return packet(0xc0)
      return level === 5
        ? packet(0xe0, uint8(random.pick([0, 4, 0x81, 0x8b])), propertyList(random, level, 'disconnect'))
        : packet(0xe0)
  }
}

/** A conversation as the standard has it, as far as one side alone can tell. */
export function conversation(random: Random): Buffer[] {
  const level = random.pick<ProtocolLevel>([3, 4, 5, 5])
  const packets = [connect(random, level)]
  for (let count = random.below(9); count > 0; count -= 1) packets.push(packetAfterConnect(random, level))
  return packets
}

function splice(bytes: Buffer, from: number, remove: number, insert: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, from), insert, bytes.subarray(from + remove)])
}

const damages: readonly ((random: Random, bytes: Buffer) => Buffer)[] = [
  (random, bytes) => {
    for (let count = 1 + random.below(4); count > 0; count -= 1) {
      const at = random.below(bytes.length)
      bytes[at] = (bytes[at] as number) ^ (1 << random.below(8))
    }
    return bytes
  },
  (random, bytes) => {
    bytes[random.below(bytes.length)] = random.pick(interesting) & 0xff
    return bytes
  },
  (random, bytes) => splice(bytes, random.below(bytes.length), 0, random.bytes(1 + random.below(4))),
  (random, bytes) => splice(bytes, random.below(bytes.length), 1 + random.below(4), emptyBytes),
  (random, bytes) => {
    const from = random.below(bytes.length)
    const part = Buffer.from(bytes.subarray(from, from + 1 + random.below(16)))
    return splice(bytes, from, 0, part)
  },
  (random, bytes) => bytes.subarray(0, random.below(bytes.length)),
]

/** Damage to whole packets, to their lengths and to their bytes; sometimes none. */
export function mutate(random: Random, packets: Buffer[]): Buffer {
  if (random.oneIn(5)) packets.splice(random.below(packets.length), 0, random.pick(packets))
  if (random.oneIn(8)) random.shuffle(packets)
  if (random.oneIn(5)) {
    const at = random.below(packets.length)
    const lying = Buffer.from(packets[at] as Buffer)
    // The Remaining Length, or what may be the length of a string or of Properties.
    const position = random.oneIn(2) ? 1 : random.below(lying.length)
    lying[position] = ((lying[position] as number) + random.pick([1, -1, 2, -2, 16, 127, 128])) & 0xff
    packets[at] = lying
  }
  let bytes = Buffer.concat(packets)
  if (random.oneIn(3)) return bytes
  // Much happens only to Clients that were let in, so most damage is behind the CONNECT.
  const first = random.oneIn(3) ? 0 : (packets[0] as Buffer).length
  for (let count = 1 + random.below(2); count > 0 && bytes.length > first; count -= 1) {
    const damaged = random.pick(damages)(random, Buffer.from(bytes.subarray(first)))
    bytes = Buffer.concat([bytes.subarray(0, first), damaged])
  }
  return bytes
}

/** One Client with what it will do. */
export function makeInput(random: Random): Input {
  const bytes = random.oneIn(16) ? randomBytes(random) : mutate(random, conversation(random))
  const chunks: Buffer[] = []
  let from = 0
  while (from < bytes.length) {
    const to = random.oneIn(2) ? bytes.length : Math.min(bytes.length, from + 1 + random.below(60))
    chunks.push(bytes.subarray(from, to))
    from = to
  }
  return { chunks, leaves: random.pick(['end', 'destroy', 'stay', 'stay']), reads: !random.oneIn(10) }
}

function randomBytes(random: Random): Buffer {
  const bytes = random.bytes(1 + random.below(random.oneIn(10) ? 4000 : 60))
  if (random.oneIn(2)) bytes[0] = random.pick([0x10, 0x30, 0x82, 0xe0, 0xf0])
  return random.oneIn(2) ? bytes : Buffer.concat([connect(random, random.pick<ProtocolLevel>([3, 4, 5])), bytes])
}

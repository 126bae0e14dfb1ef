import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encode } from '../../lib/packets/encoder.ts'
import { PacketFrames } from '../../lib/transports/packet-frames.ts'
import { publishPacket } from '../support/client.ts'

interface Frame {
  readonly isFinal: boolean
  readonly opcode: number
  readonly payload: Buffer
}

/** Reads frames as RFC 6455 has them, section 5.2, without a mask. */
function framesOf(bytes: Buffer): Frame[] {
  const frames: Frame[] = []
  for (let position = 0; position < bytes.length; ) {
    const first = bytes.readUInt8(position)
    const short = bytes.readUInt8(position + 1)
    const [size, start] =
      short < 126
        ? [short, position + 2]
        : short === 126
          ? [bytes.readUInt16BE(position + 2), position + 4]
          : [Number(bytes.readBigUInt64BE(position + 2)), position + 10]
    assert.ok(short < 126 || size >= 126, 'the shortest form of the length')
    assert.ok(start + size <= bytes.length, 'a whole frame')
    frames.push({ isFinal: first >= 0x80, opcode: first & 0x7f, payload: bytes.subarray(start, start + size) })
    position = start + size
  }
  return frames
}

/** Joins fragments to messages. */
function messagesOf(frames: readonly Frame[]): Buffer[] {
  const messages: Buffer[] = []
  let fragments: Buffer[] = []
  for (const { isFinal, opcode, payload } of frames) {
    assert.equal(opcode, fragments.length === 0 ? 2 : 0)
    fragments.push(payload)
    if (!isFinal) continue
    messages.push(Buffer.concat(fragments))
    fragments = []
  }
  assert.deepEqual(fragments, [])
  return messages
}

const packet = (payloadSize: number): Buffer => encode(publishPacket('t', Buffer.alloc(payloadSize, payloadSize)), 4)

test('each packet is a frame of its own, all of one flush in one buffer', () => {
  const packets = [Buffer.from('d000', 'hex'), packet(0), packet(119), packet(120), packet(121), packet(65_540)]
  const written = new PacketFrames().frame([Buffer.concat(packets)])
  assert.equal(written.length, 1)
  const frames = framesOf(written[0]!)
  assert.ok(frames.every(({ isFinal, opcode }) => isFinal && opcode === 2))
  assert.deepEqual(
    frames.map(({ payload }) => payload),
    packets,
  )
})

test('a large payload in a chunk of its own is not copied, and is in the frame of its packet', () => {
  const payload = Buffer.alloc(100_000, 1)
  const whole = encode(publishPacket('t', payload), 4)
  const start = whole.subarray(0, whole.length - payload.length)
  const chunks = [Buffer.concat([packet(3), start]), payload, Buffer.concat([packet(4), start]), payload, packet(5)]
  const written = new PacketFrames().frame(chunks)
  assert.deepEqual(
    framesOf(Buffer.concat(written)).map((frame) => frame.payload),
    [packet(3), whole, packet(4), whole, packet(5)],
  )
  assert.equal(written.filter((part) => part.buffer === payload.buffer).length, 2)
  assert.equal(written.length, 5)
})

test('however the bytes are cut into chunks and writes, each packet is one message', () => {
  const size = fc.oneof(fc.nat(300), fc.nat(300), fc.nat(20_000), fc.integer({ min: 65_500, max: 70_000 }))
  fc.assert(
    fc.property(
      fc.array(size, { minLength: 1, maxLength: 12 }),
      fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.boolean()), { maxLength: 12 }),
      (sizes, cuts) => {
        const packets = sizes.map(packet)
        const bytes = Buffer.concat(packets)
        const sorted = cuts.map(([at, isWrite]) => [Math.floor(at * bytes.length), isWrite] as const)
        sorted.sort(([one], [other]) => one - other)
        const frames = new PacketFrames()
        const written: Buffer[] = []
        let chunks: Buffer[] = []
        let start = 0
        for (const [end, isWrite] of [...sorted, [bytes.length, true] as const]) {
          if (end > start) chunks.push(bytes.subarray(start, end))
          start = end
          if (!isWrite || chunks.length === 0) continue
          const parts = frames.frame(chunks)
          framesOf(Buffer.concat(parts)) // Whole frames, so that another frame can come between two writes.
          written.push(...parts)
          chunks = []
        }
        assert.deepEqual(messagesOf(framesOf(Buffer.concat(written))), packets)
      },
    ),
    { numRuns: 200 },
  )
})

test('a packet that is cut anywhere near its fixed header is one message', () => {
  const packets = [packet(200), packet(20_000), Buffer.from('d000', 'hex')]
  const bytes = Buffer.concat(packets)
  for (let cut = 0; cut < 220; cut += 1) {
    for (const isOneWrite of [true, false]) {
      const frames = new PacketFrames()
      const [first, second] = [bytes.subarray(0, cut), bytes.subarray(cut)]
      const written = isOneWrite ? frames.frame([first, second]) : [...frames.frame([first]), ...frames.frame([second])]
      assert.deepEqual(messagesOf(framesOf(Buffer.concat(written))), packets)
    }
  }
})

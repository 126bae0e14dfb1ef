import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ProtocolError } from '../../lib/errors.ts'
import { Decoder, type DecoderOptions } from '../../lib/packets/decoder.ts'
import type { Packet } from '../../types/packets.ts'
import { bytes, samples } from './samples.ts'

const everySample = samples.flatMap(({ name, levels, hex, packet }) =>
  levels.map((protocolLevel) => {
    const options: DecoderOptions = packet.type === 'connect' ? {} : { protocolLevel }
    return { name, options, whole: bytes(hex) }
  }),
)

/** All packets in these bytes; a ProtocolError ends them, any other error fails the test. */
function decode(input: Buffer, options: DecoderOptions): { packets: Packet[]; refused: boolean } {
  const decoder = new Decoder(options)
  decoder.push(input)
  const packets: Packet[] = []
  try {
    for (let packet = decoder.next(); packet !== undefined; packet = decoder.next()) packets.push(packet)
  } catch (error) {
    assert.ok(error instanceof ProtocolError, `${input.toString('hex')}: ${String(error)}`)
    return { packets, refused: true }
  }
  return { packets, refused: false }
}

test('a packet that stops anywhere is waited for', () => {
  for (const { name, options, whole } of everySample) {
    for (let length = 0; length < whole.length; length += 1) {
      assert.deepEqual(
        decode(whole.subarray(0, length), options),
        { packets: [], refused: false },
        `${name} at ${length}`,
      )
    }
  }
})

test('a packet whose Remaining Length leaves out its last bytes is refused or is a shorter packet', () => {
  for (const { options, whole } of everySample) {
    for (let length = 2; length < whole.length; length += 1) {
      const cut = Buffer.from(whole.subarray(0, length))
      cut[1] = length - 2
      const { packets, refused } = decode(cut, options)
      assert.equal(packets.length, refused ? 0 : 1)
    }
  }
})

test('any byte replaced by another gives a packet or a ProtocolError', () => {
  for (const { options, whole } of everySample) {
    for (let index = 0; index < whole.length; index += 1) {
      for (const byte of [0x00, 0x01, 0x7f, 0x80, 0xff, whole[index]! ^ 0x01]) {
        const damaged = Buffer.from(whole)
        damaged[index] = byte
        decode(damaged, options)
      }
    }
  }
})

test('any bytes whatever give packets or a ProtocolError, the same however they are cut', () => {
  const firstBytes = fc.constantFrom(0x10, 0x20, 0x30, 0x32, 0x40, 0x62, 0x82, 0x90, 0xa2, 0xb0, 0xe0, 0xf0)
  fc.assert(
    fc.property(
      fc.constantFrom(3, 4, 5),
      firstBytes,
      fc.uint8Array({ maxLength: 60 }),
      fc.nat(60),
      (protocolLevel, firstByte, rest, cut) => {
        const input = Buffer.concat([Buffer.of(firstByte, rest.length), rest])
        const options = { protocolLevel } as DecoderOptions
        const { packets, refused } = decode(input, options)
        assert.equal(packets.length, refused ? 0 : 1)
        const decoder = new Decoder(options)
        let again: Packet | undefined
        let refusedAgain = false
        try {
          decoder.push(Buffer.from(input.subarray(0, cut)))
          again = decoder.next()
          decoder.push(Buffer.from(input.subarray(cut)))
          again ??= decoder.next()
        } catch {
          refusedAgain = true
        }
        assert.equal(refusedAgain, refused)
        assert.deepEqual(structuredClone(again), structuredClone(packets[0]))
      },
    ),
    { numRuns: 3000 },
  )
})

test('a packet that is announced and does not come takes no memory', () => {
  const before = process.memoryUsage().arrayBuffers
  const decoders = Array.from({ length: 50 }, () => {
    const decoder = new Decoder()
    decoder.push(bytes('10 ff ff ff 7f'))
    assert.equal(decoder.next(), undefined)
    for (let count = 0; count < 10; count += 1) {
      decoder.push(Buffer.alloc(10))
      assert.equal(decoder.next(), undefined)
    }
    assert.equal(decoder.bufferedBytes, 105)
    return decoder
  })
  assert.equal(decoders.length, 50)
  assert.ok(process.memoryUsage().arrayBuffers - before < 1_000_000)
})

test('a packet in pieces takes at most twice the bytes that came, and views of it stay as they are', () => {
  const before = process.memoryUsage().arrayBuffers
  const decoder = new Decoder({ protocolLevel: 4 })
  decoder.push(bytes('30 83 80 80 02 0001 61')) // 4 MiB of payload
  const piece = Buffer.alloc(65_536, 7)
  let received = 0
  for (; received < 3 * 1_048_576; received += piece.length) {
    assert.equal(decoder.next(), undefined)
    decoder.push(piece)
  }
  assert.ok(decoder.bufferedBytes >= received)
  // Pieces that were outgrown are garbage and may still be counted: 1 + 1/2 + 1/4 … of the last one.
  assert.ok(process.memoryUsage().arrayBuffers - before < 4 * received + 1_000_000)
  for (; received < 4 * 1_048_576; received += piece.length) decoder.push(piece)
  decoder.push(bytes('c000 30 04 0001 62 08'))
  const first = decoder.next()
  assert.ok(first?.type === 'publish')
  assert.equal(decoder.next()?.type, 'pingreq')
  const last = decoder.next()
  assert.ok(last?.type === 'publish')
  assert.deepEqual(last.payload, Buffer.of(8))
  decoder.push(bytes('30 04 0001 62 09'))
  assert.ok(decoder.next())
  assert.equal(first.payload.length, 4 * 1_048_576)
  assert.ok(first.payload.every((byte) => byte === 7))
})

test('a payload in one chunk is a view of it, and nothing is held once it is read', () => {
  const chunk = bytes('30 05 0001 61 6869 c000')
  const decoder = new Decoder({ protocolLevel: 4 })
  decoder.push(chunk)
  const packet = decoder.next()
  assert.ok(packet?.type === 'publish')
  assert.equal(packet.payload.buffer, chunk.buffer)
  assert.equal(packet.payload.byteOffset, chunk.byteOffset + 5)
  assert.equal(decoder.bufferedBytes, 2)
  assert.equal(decoder.next()?.type, 'pingreq')
  assert.equal(decoder.bufferedBytes, 0)
})

test('a million chunks of one byte are read in linear time', () => {
  const payload = 1_048_576
  const decoder = new Decoder({ protocolLevel: 4 })
  decoder.push(bytes('30 83 80 40 0001 61'))
  const one = Buffer.alloc(1)
  for (let count = 0; count < payload - 1; count += 1) {
    decoder.push(one)
    if (count % 64 === 0) assert.equal(decoder.next(), undefined)
  }
  decoder.push(one)
  const packet = decoder.next()
  assert.ok(packet?.type === 'publish')
  assert.equal(packet.payload.length, payload)
})

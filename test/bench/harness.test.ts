import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { faultsOf, Ledger } from './load/ledger.ts'
import { PacketReader } from './load/packet-reader.ts'
import { publishPacket } from './load/packets.ts'
import { FrameReader, frame } from './load/web-socket.ts'
import { Collection } from './results.ts'
import { streamFigures } from './works/work.ts'

function sequenceAt(bytes: Buffer, body: number): number {
  return bytes.readUInt32BE(body + 2 + bytes.readUInt16BE(body) + 4)
}

test('the load generator finds every PUBLISH however the bytes are cut', () => {
  const sizes = fc.array(fc.oneof(fc.integer({ min: 16, max: 200 }), fc.integer({ min: 480, max: 3_000 })), {
    minLength: 1,
  })
  const cuts = fc.array(fc.integer({ min: 1, max: 1_200 }), { minLength: 1 })
  fc.assert(
    fc.property(sizes, cuts, (payloads, steps) => {
      const packets = payloads.map((payloadBytes, sequence) => {
        const packet = publishPacket({ topic: 'a/b', qos: 0, payloadBytes, version: 4, packetId: 0, stream: 0 })
        packet.writeUInt32BE(sequence, packet.length - payloadBytes + 4)
        return packet
      })
      const all = Buffer.concat(packets)
      const found: number[] = []
      const reader = new PacketReader((bytes, _start, body) => found.push(sequenceAt(bytes, body)))
      for (let offset = 0, turn = 0; offset < all.length; turn += 1) {
        const end = Math.min(all.length, offset + steps[turn % steps.length]!)
        reader.read(all, offset, end)
        offset = end
      }
      assert.deepEqual(
        found,
        payloads.map((_, sequence) => sequence),
      )
    }),
  )
})

test('the load generator takes WebSocket frames off however the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 4 }),
      fc.nat(5_000),
      (sizes, step) => {
        const content = Buffer.concat(sizes.map((size, index) => Buffer.alloc(size, index)))
        // A server does not mask, so its frames are ours without the four bytes of the mask.
        const frames = sizes.map((size, index) => {
          const masked = frame(Buffer.alloc(size, index))
          const header = masked.length - size - 4
          masked[1] = masked[1]! & 127
          return Buffer.concat([masked.subarray(0, header), masked.subarray(header + 4)])
        })
        const all = Buffer.concat(frames)
        const found: Buffer[] = []
        const reader = new FrameReader((bytes, start, end) => found.push(bytes.subarray(start, end)))
        for (let offset = 0; offset < all.length; offset += step + 1) {
          reader.read(all, offset, Math.min(all.length, offset + step + 1))
        }
        assert.ok(Buffer.concat(found).equals(content))
      },
    ),
    { numRuns: 30 },
  )
})

function take(sequences: number[]): Ledger {
  const ledger = new Ledger(1)
  for (const sequence of sequences) ledger.take(0, sequence)
  return ledger
}

test('a message that is lost or comes twice is counted', () => {
  assert.deepEqual(faultsOf([take([0, 1, 2])], 3), { missing: 0, repeated: 0, jumps: 0 })
  assert.deepEqual(faultsOf([take([0, 2])], 3), { missing: 1, repeated: 0, jumps: 1 })
  assert.deepEqual(faultsOf([take([0, 1, 1, 2])], 3), { missing: 0, repeated: 1, jumps: 0 })
})

test('a ratio above 1 is better than mosquitto, whichever way is better', () => {
  const collection = new Collection()
  const work = {
    name: 'work',
    title: 'a work',
    figures: { cpu: streamFigures.cpu, delay: { title: 'delay', unit: 'ms', better: 'less' } },
    run: () => Promise.reject(new Error('not run here')),
  } as const
  collection.add(work, 'mosquitto', { outcome: { figures: { cpu: 100, delay: 4 } } })
  for (const cpu of [900, 200, 100]) collection.add(work, 'haltere', { outcome: { figures: { cpu, delay: 2 } } })
  const ratios = collection.rows([work], ['haltere', 'mosquitto']).map(({ values }) => values.haltere?.ratio)
  assert.deepEqual(ratios, [2, 2])
})

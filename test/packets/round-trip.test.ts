import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Decoder } from '../../lib/packets/decoder.ts'
import { encode, encodeInto } from '../../lib/packets/encoder.ts'
import { encodeProperties } from '../../lib/packets/properties.ts'
import { encodedPublishSize, writePublish } from '../../lib/packets/publish.ts'
import { Writer } from '../../lib/packets/writer.ts'
import type { Packet, ProtocolLevel } from '../../types/packets.ts'
import { packetOf, packetsOf } from './arbitraries.ts'

const levels = [3, 4, 5] as const

function decodeAll(decoder: Decoder): Packet[] {
  const packets: Packet[] = []
  for (let packet = decoder.next(); packet !== undefined; packet = decoder.next()) packets.push(packet)
  return packets
}

/** A clone, so that a payload compares by its bytes whatever buffer it is a view of. */
function plain(packets: readonly Packet[]): unknown {
  return structuredClone(packets)
}

for (const level of levels) {
  for (const [type, packets] of Object.entries(packetsOf(level))) {
    if (type === 'auth' && level < 5) continue
    test(`any ${type} written at Protocol Level ${level} is read as it was`, () => {
      fc.assert(
        fc.property(packets, (packet) => {
          const decoder = new Decoder({ protocolLevel: level })
          decoder.push(encode(packet, level))
          assert.deepEqual(plain(decodeAll(decoder)), plain([packet]))
          assert.equal(decoder.bufferedBytes, 0)
        }),
        { numRuns: 60 },
      )
    })
  }

  test(`packets at Protocol Level ${level} are the same however the bytes are cut`, () => {
    fc.assert(
      fc.property(
        fc.array(packetOf(level), { minLength: 1, maxLength: 8 }),
        fc.infiniteStream(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 400 }))),
        fc.infiniteStream(fc.boolean()),
        fc.boolean(),
        (packets, sizes, reads, isBorrowed) => {
          const stream = encodeAll(packets, level)
          const decoder = new Decoder({ protocolLevel: level })
          const read: Packet[] = []
          for (let start = 0; start < stream.length; ) {
            const size = sizes.next().value as number
            const chunk = Buffer.from(stream.subarray(start, start + size))
            decoder.push(chunk, isBorrowed)
            if (isBorrowed) chunk.fill(0xff) // The next read goes there.
            start += size
            // Now and then several chunks come before anyone reads.
            if (reads.next().value) read.push(...decodeAll(decoder))
          }
          read.push(...decodeAll(decoder))
          assert.deepEqual(plain(read), plain(packets))
          assert.equal(decoder.bufferedBytes, 0)
        },
      ),
      { numRuns: 100 },
    )
  })

  test(`packets at Protocol Level ${level} are the same one byte at a time`, () => {
    fc.assert(
      fc.property(fc.array(packetOf(level), { minLength: 1, maxLength: 3 }), (packets) => {
        const decoder = new Decoder({ protocolLevel: level })
        const read: Packet[] = []
        for (const byte of encodeAll(packets, level)) {
          decoder.push(Buffer.of(byte))
          read.push(...decodeAll(decoder))
        }
        assert.deepEqual(plain(read), plain(packets))
      }),
      { numRuns: 30 },
    )
  })
}

function encodeAll(packets: readonly Packet[], level: ProtocolLevel): Buffer {
  const writer = new Writer(16)
  for (const packet of packets) encodeInto(writer, packet, level)
  return writer.take()
}

test('the size of a PUBLISH and the place of its Packet Identifier are known', () => {
  for (const level of levels) {
    fc.assert(
      fc.property(packetsOf(level).publish, (packet) => {
        if (packet.type !== 'publish') return
        const { topic, payload, qos, retain, dup, packetId, properties } = packet
        const writer = new Writer()
        writer.bytes(Buffer.of(1, 2, 3)) // another packet before it
        const { messageExpiryInterval, subscriptionIdentifiers, topicAlias = 0, ...others } = properties ?? {}
        const bytes = encodeProperties(others, 'publish')
        const own = { messageExpiryInterval, subscriptionIdentifiers, topicAlias }
        const at = writePublish(writer, level, topic, payload, qos, retain, dup, packetId, bytes, own)
        const written = writer.take()
        assert.equal(written.length - 3, encodedPublishSize(level, topic, payload, qos, bytes, own))
        assert.equal(at === -1, qos === 0)
        if (at === -1) return
        written.writeUInt16BE(0xabcd, at)
        const decoder = new Decoder({ protocolLevel: level })
        decoder.push(written.subarray(3))
        assert.deepEqual(plain(decodeAll(decoder)), plain([{ ...packet, packetId: 0xabcd }]))
      }),
      { numRuns: 60 },
    )
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PublishWriter } from '../../lib/connection/publish-writer.ts'
import { Message } from '../../lib/messages/message.ts'
import { Decoder } from '../../lib/packets/decoder.ts'
import { Writer } from '../../lib/packets/writer.ts'
import { Timers } from '../../lib/timers.ts'
import type { PublishPacket } from '../../types/packets.ts'
import { ManualClock } from '../support/clock.ts'

interface Setting {
  readonly writer: PublishWriter
  /** Writes a message of so many bytes; the packet, or undefined when it was not written. */
  write(payloadLength: number, topic?: string, contentType?: string): Buffer | undefined
}

function make(maximumPacketSize: number, aliases = 10): Setting {
  const output = new Writer()
  const writer = new PublishWriter(output, new Timers(new ManualClock(), assert.ifError))
  writer.protocolLevel = 5
  writer.maximumPacketSize = maximumPacketSize
  writer.useAliases(aliases)
  const write: Setting['write'] = (payloadLength, topic = 'a/b', contentType?: string) => {
    const properties = contentType === undefined ? undefined : { contentType }
    const fields = { topic, payload: Buffer.alloc(payloadLength), qos: 1, retain: false, properties } as const
    const message = new Message(fields, undefined, Infinity)
    const start = output.length
    const own = { dup: false, packetId: 1, subscriptionIdentifiers: undefined, encodings: undefined }
    const isWritten = writer.write({ message, qos: 1, retain: false, ...own })
    assert.equal(isWritten, output.length > start)
    return isWritten ? Buffer.from(output.buffer.subarray(start, output.length)) : undefined
  }
  return { writer, write }
}

function decoded(packet: Buffer | undefined): PublishPacket {
  assert.ok(packet !== undefined)
  const decoder = new Decoder({ protocolLevel: 5 })
  decoder.push(packet)
  const read = decoder.next()
  assert.ok(read?.type === 'publish')
  return read
}

/** Lengths of a payload about which a packet of this Remaining Length is reached. */
function around(remainingLength: number): number[] {
  return Array.from({ length: 14 }, (_, index) => remainingLength - 16 + index)
}

test('a Topic Alias never makes a packet larger than the Client accepts [MQTT-3.1.2-24]', () => {
  let mostAdded = 0
  // At some of these sizes the alias makes the Remaining Length or the Property Length take a byte more, or both.
  for (const contentType of [undefined, 'x'.repeat(118), 'x'.repeat(122), 'x'.repeat(124)]) {
    const properties = contentType === undefined ? 0 : contentType.length + 3
    for (const whole of [0, 1000, ...around(128), ...around(16_384)]) {
      const payloadLength = Math.max(whole - properties, 0)
      const size = make(Infinity, 0).write(payloadLength, 'a/b', contentType)?.length ?? 0
      const withAlias = make(Infinity).write(payloadLength, 'a/b', contentType)?.length ?? 0
      mostAdded = Math.max(mostAdded, withAlias - size)
      for (let maximum = size - 1; maximum <= size + 6; maximum += 1) {
        const packet = make(maximum).write(payloadLength, 'a/b', contentType)
        const where = `${payloadLength} bytes, Maximum Packet Size ${maximum}, without an alias ${size}`
        assert.equal(packet !== undefined, size <= maximum, where)
        if (packet === undefined) continue
        assert.ok(packet.length <= maximum, `${where}: ${packet.length} written`)
        const { topic, properties: written } = decoded(packet)
        assert.equal(topic, 'a/b', where)
        if (maximum >= size + 5) assert.equal(written?.topicAlias, 1, where)
      }
    }
  }
  assert.equal(mostAdded, 5, 'the boundary was among them')
})

test('a packet that is not written gives no alias, so the next one still has its topic', () => {
  const { write } = make(make(Infinity, 0).write(10)?.length ?? 0)
  assert.equal(write(11), undefined)
  const small = decoded(write(5))
  assert.deepEqual([small.topic, small.properties?.topicAlias], ['a/b', 1])
  const next = decoded(write(5))
  assert.deepEqual([next.topic, next.properties?.topicAlias], ['', 1])
  assert.equal(decoded(write(10, 'c/d')).properties?.topicAlias, undefined, 'no room for an alias')
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Decoder, type DecoderOptions } from '../../lib/packets/decoder.ts'
import { encode } from '../../lib/packets/encoder.ts'
import { encodeProperties } from '../../lib/packets/properties.ts'
import { encodedPublishSize } from '../../lib/packets/publish.ts'
import { bytes, samples } from './samples.ts'

const versions = { 3: 'MQTT 3.1', 4: 'MQTT 3.1.1', 5: 'MQTT 5.0' }

for (const { name, levels, hex, packet } of samples) {
  for (const level of levels) {
    test(`${name} has its bytes in ${versions[level]}, read and written`, () => {
      const options: DecoderOptions = packet.type === 'connect' ? {} : { protocolLevel: level }
      const decoder = new Decoder(options)
      decoder.push(bytes(hex))
      assert.deepEqual(decoder.next(), packet)
      assert.equal(decoder.next(), undefined)
      assert.equal(decoder.bufferedBytes, 0)
      assert.equal(decoder.protocolLevel, level)
      assert.equal(encode(packet, level).toString('hex'), hex.replaceAll(' ', ''))
    })
  }
}

test('a packet that may leave out the Reason Code or the Property Length may also carry them', () => {
  const long: [string, string][] = [
    ['40 03 0007 00', '40 02 0007'],
    ['50 04 0007 00 00', '50 02 0007'],
    ['62 04 0007 92 00', '62 03 0007 92'],
    ['e0 01 00', 'e0 00'],
    ['e0 02 00 00', 'e0 00'],
    ['f0 02 00 00', 'f0 00'],
  ]
  for (const [hex, shortest] of long) {
    const decoder = new Decoder({ protocolLevel: 5 })
    decoder.push(bytes(hex))
    const packet = decoder.next()
    assert.ok(packet)
    assert.equal(encode(packet, 5).toString('hex'), shortest.replaceAll(' ', ''))
  }
})

test('SUBSCRIBE, UNSUBSCRIBE and PUBREL may be sent again with DUP in MQTT 3.1', () => {
  for (const hex of ['8a 06 0001 0001 61 00', 'aa 05 0001 0001 61', '6a 02 0001']) {
    const decoder = new Decoder({ protocolLevel: 3 })
    decoder.push(bytes(hex))
    assert.ok(decoder.next())
  }
})

test('a second CONNECT is read at its own Protocol Level and does not change that of the connection', () => {
  const decoder = new Decoder()
  decoder.push(bytes('10 0d 0004 4d515454 05 00 0000 00 0000 10 0d 0004 4d515454 04 02 0000 0001 63'))
  assert.equal(decoder.next()?.type, 'connect')
  const second = decoder.next()
  assert.ok(second?.type === 'connect')
  assert.equal(second.protocolLevel, 4)
  assert.equal(decoder.protocolLevel, 5)
})

test('a Reason Code and Properties are left out where MQTT 3 has no place for them', () => {
  const properties = { reasonString: 'r' }
  assert.equal(encode({ type: 'puback', packetId: 7, reasonCode: 0x87, properties }, 4).toString('hex'), '40020007')
  assert.equal(encode({ type: 'disconnect', reasonCode: 0x87, properties }, 4).toString('hex'), 'e000')
  assert.equal(
    encode({ type: 'connack', sessionPresent: true, reasonCode: 0, properties }, 3).toString('hex'),
    '20020000',
  )
})

test('a byte order mark is a character like any other [MQTT-1.5.4-3]', () => {
  const decoder = new Decoder({ protocolLevel: 4 })
  decoder.push(bytes('30 06 0004 efbbbf 61'))
  const packet = decoder.next()
  assert.ok(packet?.type === 'publish')
  assert.equal(packet.topic, '\uFEFFa')
})

test('a Property too long for its length field is left out, and counted as such', () => {
  const properties = {
    contentType: 'é'.repeat(32_768),
    correlationData: Buffer.alloc(65_536),
    userProperties: [
      ['a', 'x'.repeat(65_536)],
      ['b', 'c'],
    ],
  } as const
  const payload = Buffer.alloc(0)
  const packet = { type: 'publish', topic: 'a', payload, qos: 0, retain: false, dup: false, packetId: 0 } as const
  assert.equal(encode({ ...packet, properties }, 5).toString('hex'), '300b0001610726000162000163')
  assert.equal(encodedPublishSize(5, 'a', payload, 0, encodeProperties(properties, 'publish')), 13)
})

test('a Property that the packet may not carry is left out', () => {
  const properties = { reasonString: 'r', topicAlias: 1, toString: 1 }
  assert.equal(
    encode({ type: 'puback', packetId: 7, reasonCode: 0, properties }, 5).toString('hex'),
    '4008000700041f000172',
  )
})

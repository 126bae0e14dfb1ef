import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ProtocolError } from '../../lib/errors.ts'
import { Decoder, type DecoderOptions } from '../../lib/packets/decoder.ts'
import { bytes } from './samples.ts'

function reasonCodeFor(hex: string, options: DecoderOptions): number | 'accepted' | 'incomplete' {
  const decoder = new Decoder(options)
  decoder.push(bytes(hex))
  try {
    return decoder.next() === undefined ? 'incomplete' : 'accepted'
  } catch (error) {
    assert.ok(error instanceof ProtocolError, String(error))
    assert.equal(decoder.bufferedBytes, 0)
    // There is no way back: the same error again, whatever comes.
    decoder.push(bytes('c000'))
    assert.throws(
      () => decoder.next(),
      (again) => again === error,
    )
    return error.reasonCode
  }
}

/** Puts the Remaining Length between the first byte and the rest. */
function packet(firstByte: string, rest: string): string {
  const length = bytes(rest).length
  assert.ok(length < 128)
  return `${firstByte} ${length.toString(16).padStart(2, '0')} ${rest}`
}

/** A CONNECT of MQTT 5.0 with these Properties. */
function connect5(properties: string): string {
  const length = bytes(properties).length.toString(16).padStart(2, '0')
  return packet('10', `0004 4d515454 05 02 0000 ${length} ${properties} 0001 63`)
}

/** A PUBLISH of MQTT 5.0 at QoS 0 with these Properties. */
function publish5(properties: string, topic = '0001 61'): string {
  return packet('30', `${topic} ${bytes(properties).length.toString(16).padStart(2, '0')} ${properties}`)
}

/** A CONNECT of MQTT 5.0 with a Will with these Properties. */
function will5(properties: string, topic = '0001 77'): string {
  const length = bytes(properties).length.toString(16).padStart(2, '0')
  return packet('10', `0004 4d515454 05 06 0000 00 0001 63 ${length} ${properties} ${topic} 0000`)
}

interface Rule {
  readonly name: string
  readonly code: number
  /** With the Protocol Level that is known before, or undefined for a first packet. */
  readonly packets: readonly (readonly [level: 3 | 4 | 5 | undefined, hex: string])[]
}

const connect4 = '0004 4d515454 04'

const rules: readonly Rule[] = [
  {
    name: 'anything but CONNECT as the first packet is refused with its first byte [MQTT-3.1.0-1]',
    code: 0x82,
    packets: [
      [undefined, '30'],
      [undefined, '00'],
      [undefined, 'c0 00'],
      [undefined, 'f0 00'],
      [undefined, Buffer.from('GET / HTTP/1.1').toString('hex')],
    ],
  },
  {
    name: 'a TLS hello on a plain port is malformed',
    code: 0x81,
    packets: [[undefined, '16 03 01 02']],
  },
  {
    name: 'a Remaining Length of five bytes is malformed',
    code: 0x81,
    packets: [
      [undefined, '10 ff ff ff ff 7f'],
      [4, '30 80 80 80 80 01'],
    ],
  },
  {
    name: 'a variable byte integer longer than it must be is malformed [MQTT-1.5.5-1]',
    code: 0x81,
    packets: [
      [4, 'c0 80 00'],
      [4, '30 83 00 0001 61'],
      [5, packet('30', '0001 61 80 00')],
      [5, publish5('0b 81 00')],
      [5, publish5('0b 80 80 80 80 01')],
      [5, packet('30', '0001 61 ff ff ff ff 01')],
    ],
  },
  {
    name: 'packet type 0 is malformed',
    code: 0x81,
    packets: [
      [4, '00 00'],
      [5, '0f 00'],
    ],
  },
  {
    name: 'AUTH is a protocol error in MQTT 3',
    code: 0x82,
    packets: [
      [3, 'f0 00'],
      [4, 'f0 00'],
    ],
  },
  {
    name: 'reserved flags in the fixed header are malformed [MQTT-2.1.3-1]',
    code: 0x81,
    packets: [
      [undefined, '11'],
      [4, '21'],
      [4, '42'],
      [4, '51'],
      [4, '60 02 0001'],
      [5, '6a 02 0001'],
      [4, '72 02 0001'],
      [4, '80 06 0001 0001 61 00'],
      [4, '8a 06 0001 0001 61 00'],
      [3, '83 06 0001 0001 61 00'],
      [3, '80 06 0001 0001 61 00'],
      [4, '92'],
      [4, 'a0 05 0001 0001 61'],
      [4, 'b2'],
      [4, 'c1 00'],
      [4, 'd8 00'],
      [4, 'e1 00'],
      [5, 'f2 00'],
    ],
  },
  {
    name: 'another protocol name is a protocol error [MQTT-3.1.2-1]',
    code: 0x82,
    packets: [
      [undefined, packet('10', '0004 4d515458 04 02 0000 0001 63')],
      [undefined, packet('10', '0004 6d717474 04 02 0000 0001 63')],
      [undefined, packet('10', '0000 04 02 0000 0001 63')],
    ],
  },
  {
    name: 'another version of the protocol is refused as that [MQTT-3.1.2-2]',
    code: 0x84,
    packets: [
      [undefined, packet('10', '0004 4d515454 06 02 0000 0001 63')],
      [undefined, packet('10', '0004 4d515454 00 02 0000 0001 63')],
      [undefined, packet('10', '0004 4d515454 03 02 0000 0001 63')],
      [undefined, packet('10', '0004 4d515454 85 02 0000 0001 63')], // Bridges of mosquitto have 84 in MQTT 3.1.1,
      [undefined, packet('10', '0004 4d515454 83 02 0000 0001 63')],
      [undefined, packet('10', '0006 4d5149736470 84 02 0000 0001 63')], // and 83 in MQTT 3.1.
      [undefined, packet('10', '0006 4d5149736470 04 02 0000 0001 63')],
    ],
  },
  {
    name: 'Connect Flags that contradict each other are malformed',
    code: 0x81,
    packets: [
      [undefined, packet('10', `${connect4} 03 0000 0001 63`)], // reserved [MQTT-3.1.2-3]
      [undefined, packet('10', `${connect4} 0a 0000 0001 63`)], // Will QoS without a Will
      [undefined, packet('10', `${connect4} 22 0000 0001 63`)], // Will Retain without a Will
      [undefined, packet('10', `${connect4} 1e 0000 0001 63 0001 77 0000`)], // Will QoS 3
      [undefined, packet('10', `${connect4} 42 0000 0001 63 0001 70`)], // a password without a user name
      [undefined, packet('10', '0006 4d5149736470 03 42 0000 0001 63 0001 70')],
    ],
  },
  {
    name: 'a CONNECT that misses a part or has one too many is malformed',
    code: 0x81,
    packets: [
      [undefined, packet('10', `${connect4} 02 0000`)],
      [undefined, packet('10', `${connect4} 82 0000 0001 63`)],
      [undefined, packet('10', `${connect4} c2 0000 0001 63 0001 75`)],
      [undefined, packet('10', `${connect4} 06 0000 0001 63 0001 77`)],
      [undefined, packet('10', `${connect4} 02 0000 0009 63`)],
      [undefined, packet('10', `${connect4} 02 0000 0001 63 00`)],
      [undefined, packet('10', `${connect4} 02 0000 0001 63 0001 75`)], // [MQTT-3.1.2-16]
      [undefined, '10 00'],
      [undefined, '10 01 00'],
    ],
  },
  {
    name: 'a Will Topic that is empty or has a wildcard is not a Topic Name',
    code: 0x90,
    packets: [
      [undefined, packet('10', `${connect4} 06 0000 0001 63 0003 612f23 0000`)],
      [undefined, packet('10', `${connect4} 06 0000 0001 63 0001 2b 0000`)],
      [undefined, packet('10', `${connect4} 06 0000 0001 63 0000 0000`)],
      [undefined, will5('', '0001 23')],
    ],
  },
  {
    name: 'a string that is not UTF-8 is malformed, in every field [MQTT-1.5.4-1] [MQTT-1.5.4-2]',
    code: 0x81,
    packets: ['c080', 'eda080', 'ff', 'c3', 'e282', 'f4908080', '6100', 'edb080', 'f8888080 80'].flatMap((bad) => {
      const string = `${bytes(bad).length.toString(16).padStart(4, '0')} ${bad}`
      return [
        [undefined, packet('10', `${connect4} 02 0000 ${string}`)],
        [undefined, packet('10', `${connect4} 82 0000 0001 63 ${string}`)],
        [undefined, packet('10', `${connect4} 06 0000 0001 63 ${string} 0000`)],
        [undefined, packet('10', `${string} 04 02 0000 0001 63`)],
        [undefined, connect5(`15 ${string}`)],
        [undefined, connect5(`26 ${string} 0001 61`)],
        [undefined, connect5(`26 0001 61 ${string}`)],
        [undefined, will5(`03 ${string}`)],
        [4, packet('30', string)],
        [5, publish5(`08 ${string}`)],
        [4, packet('82', `0001 ${string} 00`)],
        [4, packet('a2', `0001 ${string}`)],
        [5, packet('e0', `00 ${(1 + bytes(string).length).toString(16).padStart(2, '0')} 1f ${string}`)],
      ] as const
    }),
  },
  {
    name: 'control characters and non-characters in a string are malformed',
    code: 0x81,
    packets: ['01', '1f', '7f', 'c280', 'c29f', 'efbfbf', 'efbfbe', 'efb790', 'efb7af', 'f09fbfbe', 'f48fbfbf'].map(
      (bad) => [4, packet('30', `${(1 + bytes(bad).length).toString(16).padStart(4, '0')} 61 ${bad}`)] as const,
    ),
  },
  {
    name: 'QoS 3, and DUP at QoS 0, are malformed in a PUBLISH [MQTT-3.3.1-4] [MQTT-3.3.1-2]',
    code: 0x81,
    packets: [
      [4, packet('36', '0001 61 0001')],
      [5, packet('3e', '0001 61 0001 00')],
      [4, packet('38', '0001 61')],
      [5, packet('38', '0001 61 00')],
    ],
  },
  {
    name: 'a wildcard in a Topic Name is refused [MQTT-3.3.2-2]',
    code: 0x90,
    packets: [
      [4, packet('30', '0001 2b')],
      [4, packet('30', '0003 612f23')],
      [5, packet('30', '0003 c3a923 00')],
    ],
  },
  {
    name: 'an empty Topic Name is a protocol error without a Topic Alias',
    code: 0x82,
    packets: [
      [3, packet('30', '0000')],
      [4, packet('30', '0000')],
      [5, packet('30', '0000 00')],
      [5, publish5('01 01', '0000')],
    ],
  },
  {
    name: 'Packet Identifier 0 is a protocol error [MQTT-2.2.1-3]',
    code: 0x82,
    packets: [
      [4, packet('32', '0001 61 0000')],
      [4, packet('34', '0001 61 0000')],
      [4, '40 02 0000'],
      [4, '50 02 0000'],
      [4, '62 02 0000'],
      [4, '70 02 0000'],
      [4, packet('82', '0000 0001 61 00')],
      [4, packet('a2', '0000 0001 61')],
      [4, '90 03 0000 00'],
      [4, 'b0 02 0000'],
    ],
  },
  {
    name: 'a PUBLISH that ends too early is malformed',
    code: 0x81,
    packets: [
      [4, '30 00'],
      [4, packet('30', '00')],
      [4, packet('30', '0005 61')],
      [4, packet('32', '0001 61')],
      [4, packet('32', '0001 61 00')],
      [5, packet('30', '0001 61')],
      [5, packet('30', '0001 61 05 01 01')],
    ],
  },
  {
    name: 'a packet of the wrong length is malformed',
    code: 0x81,
    packets: [
      [4, '40 01 00'],
      [4, '40 03 0001 00'],
      [4, '62 00'],
      [4, 'c0 01 00'],
      [4, 'd0 01 00'],
      [4, 'e0 01 00'],
      [5, 'e0 03 00 00 00'],
      [5, '40 05 0001 00 00 00'],
      [4, '20 03 00 00 00'],
      [5, '20 02 00 00'],
      [4, 'b0 03 0001 00'],
      [5, 'f0 01 18'],
      [4, packet('82', '0001 0001 61')],
      [4, packet('82', '0001 0005 61 00')],
      [4, packet('a2', '0001 0001')],
      [4, '82 01 00'],
    ],
  },
  {
    name: 'no Topic Filter, and no Reason Code, is a protocol error [MQTT-3.8.3-2] [MQTT-3.10.3-2]',
    code: 0x82,
    packets: [
      [4, '82 02 0001'],
      [5, '82 03 0001 00'],
      [4, 'a2 02 0001'],
      [5, 'a2 03 0001 00'],
      [4, '90 02 0001'],
      [5, 'b0 03 0001 00'],
    ],
  },
  {
    name: 'reserved Subscription Options are malformed [MQTT-3.8.3-5]',
    code: 0x81,
    packets: [
      [4, packet('82', '0001 0001 61 04')],
      [3, packet('82', '0001 0001 61 80')],
      [5, packet('82', '0001 00 0001 61 40')],
      [5, packet('82', '0001 00 0001 61 80')],
    ],
  },
  {
    name: 'QoS 3 and Retain Handling 3 in a SUBSCRIBE are protocol errors',
    code: 0x82,
    packets: [
      [4, packet('82', '0001 0001 61 03')],
      [5, packet('82', '0001 00 0001 61 03')],
      [5, packet('82', '0001 00 0001 61 30')],
    ],
  },
  {
    name: 'a Reason Code that the packet may not carry is malformed',
    code: 0x81,
    packets: [
      [5, '40 03 0001 92'],
      [5, '50 03 0001 01'],
      [5, '62 03 0001 10'],
      [5, '70 03 0001 80'],
      [5, 'e0 01 01'],
      [5, 'e0 01 88'],
      [5, 'f0 02 01 00'],
      [5, '20 03 00 04 00'],
      [4, '20 02 00 06'],
      [4, '20 02 02 00'],
      [4, '90 03 0001 87'],
      [5, '90 04 0001 00 03'],
      [5, 'b0 04 0001 00 01'],
    ],
  },
  {
    name: 'an unknown Property is malformed',
    code: 0x81,
    packets: [
      [undefined, connect5('04 00')],
      [undefined, connect5('7f 00')],
      [5, publish5('00 00')],
      [5, publish5('ff 00')],
    ],
  },
  {
    name: 'a Property of another packet makes a packet malformed (section 2.2.2.2)',
    code: 0x81,
    packets: [
      [undefined, connect5('01 01')],
      [undefined, connect5('18 00000001')],
      [undefined, will5('11 00000001')],
      [undefined, will5('23 0001')],
      [5, publish5('11 00000001')],
      [5, publish5('1f 0001 61')],
      [5, packet('82', '0001 03 23 0001 0001 61 00')],
      [5, packet('a2', '0001 02 0b 01 0001 61')],
      [5, packet('40', '0001 00 02 01 01')],
      [5, packet('e0', '00 03 21 0001')],
    ],
  },
  {
    name: 'a Property that may come once comes twice: a protocol error',
    code: 0x82,
    packets: [
      [undefined, connect5('11 00000001 11 00000001')],
      [undefined, connect5('21 0001 21 0002')],
      [undefined, connect5('17 00 17 00')],
      [undefined, will5('02 00000000 02 00000000')],
      [5, publish5('02 00000001 02 00000001')],
      [5, publish5('03 0000 03 0000')],
      [5, publish5('09 0000 09 0000')],
      [5, packet('82', '0001 04 0b 01 0b 02 0001 61 00')],
    ],
  },
  {
    name: 'a value that a Property may not have is a protocol error',
    code: 0x82,
    packets: [
      [undefined, connect5('21 0000')],
      [undefined, connect5('27 00000000')],
      [undefined, connect5('17 02')],
      [undefined, connect5('19 ff')],
      [undefined, connect5('16 0001 61')], // Authentication Data without a method
      [5, publish5('01 02')],
      [5, publish5('08 0000')],
      [5, publish5('08 0001 2b')],
      [5, publish5('08 0003 612f23')],
      [undefined, will5('08 0001 23')],
      [5, publish5('0b 00')],
      [5, packet('82', '0001 02 0b 00 0001 61 00')],
      [5, 'f0 06 18 04 16 0001 61'],
    ],
  },
  { name: 'Topic Alias 0 is refused [MQTT-3.3.2-8]', code: 0x94, packets: [[5, publish5('23 0000')]] },
  {
    name: 'a Property that reaches past the Property Length, or a Property Length past the packet, is malformed',
    code: 0x81,
    packets: [
      [5, packet('30', '0001 61 02 23 0001')],
      [5, packet('30', '0001 61 03 03 0004 61616161')],
      [5, packet('30', '0001 61 05 26 0001 61 00 0161')],
      [5, packet('30', '0001 61 7f 01 01')],
      [5, 'e0 02 00 05'],
    ],
  },
]

for (const { name, code, packets } of rules) {
  test(name, () => {
    for (const [protocolLevel, hex] of packets) {
      const options: DecoderOptions = protocolLevel === undefined ? {} : { protocolLevel }
      assert.equal(reasonCodeFor(hex, options), code, `level ${protocolLevel}: ${hex}`)
    }
  })
}

test('what looks like a fault and is none is accepted', () => {
  const accepted: [3 | 4 | 5 | undefined, string][] = [
    [undefined, packet('10', '0004 4d515454 05 42 0000 00 0001 63 0001 70')], // a password alone, in MQTT 5.0
    [5, publish5('23 0001', '0000')],
    [5, publish5('0b 01 0b 01')],
    [5, publish5('09 0000')],
    [5, packet('82', '0001 00 0000 00')], // the filter is judged by who knows filters
    [4, packet('a2', '0001 0000')],
    [4, packet('30', '0005 24535953 2f')],
    [3, '20 02 ff 00'],
  ]
  for (const [protocolLevel, hex] of accepted) {
    const options: DecoderOptions = protocolLevel === undefined ? {} : { protocolLevel }
    assert.equal(reasonCodeFor(hex, options), 'accepted', hex)
  }
})

test('control characters are taken where the application wants them, U+0000 never', () => {
  const options = { protocolLevel: 4, allowControlCharacters: true } as const
  assert.equal(reasonCodeFor(packet('30', '0002 6101'), options), 'accepted')
  assert.equal(reasonCodeFor(packet('30', '0003 efbfbf'), options), 'accepted')
  assert.equal(reasonCodeFor(packet('30', '0002 6100'), options), 0x81)
})

test('a packet beyond the maximum packet size is refused with its fixed header', () => {
  assert.equal(reasonCodeFor('10 ff ff ff 7f', { maximumPacketSize: 1_048_576 }), 0x95)
  assert.equal(reasonCodeFor('30 1f', { protocolLevel: 4, maximumPacketSize: 32 }), 0x95)
  assert.equal(reasonCodeFor('30 1e', { protocolLevel: 4, maximumPacketSize: 32 }), 'incomplete')
  const decoder = new Decoder({ protocolLevel: 4 })
  decoder.maximumPacketSize = 3
  decoder.push(bytes('c000 30 02'))
  assert.equal(decoder.next()?.type, 'pingreq')
  assert.throws(() => decoder.next(), { reasonCode: 0x95 })
})

test('more User Properties than the limit are refused, counted over the whole packet', () => {
  const pair = '26 0001 61 0001 62'
  const options = { protocolLevel: 5, maximumUserProperties: 2 } as const
  assert.equal(reasonCodeFor(publish5(`${pair} ${pair}`), options), 'accepted')
  assert.equal(reasonCodeFor(publish5(`${pair} ${pair} ${pair}`), options), 0x97)
  const connect = packet('10', `0004 4d515454 05 06 0000 0e ${pair} ${pair} 0001 63 07 ${pair} 0001 77 0000`)
  assert.equal(reasonCodeFor(connect, options), 0x97)
})

test('the Protocol Level of a CONNECT is known even if the rest of it is wrong, so that the answer has its form', () => {
  const decoder = new Decoder()
  decoder.push(bytes(packet('10', '0004 4d515454 05 03 0000 00 0001 63')))
  assert.throws(() => decoder.next(), { reasonCode: 0x81 })
  assert.equal(decoder.protocolLevel, 5)
})

test('a topic is checked each time, also when it looks like the one before', () => {
  const decoder = new Decoder({ protocolLevel: 4 })
  decoder.push(bytes('30 03 0001 61 30 04 0002 c3a9 30 04 0002 c3a8 30 03 0001 e8'))
  assert.deepEqual(
    [decoder.next(), decoder.next(), decoder.next()].map((each) => each?.type === 'publish' && each.topic),
    ['a', 'é', 'è'],
  )
  assert.throws(() => decoder.next(), { reasonCode: 0x81 })
})

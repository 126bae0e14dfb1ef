import type { ProtocolLevel } from '../../types/packets.ts'

/** One bad input and what the broker may do about it. */
export interface Vector {
  readonly id: string
  readonly what: string
  /** In the notation of `notation.ts`. */
  readonly send: string
  /** Accepted at MQTT 3.1 and 3.1.1: packets, then `close` or `open`. Absent: not asked there. */
  readonly mqtt3?: readonly string[]
  /** Accepted at MQTT 5.0. */
  readonly mqtt5?: readonly string[]
  /** Where MQTT 3.1 differs from 3.1.1; an empty list leaves it out. */
  readonly mqtt31?: readonly string[]
}

const close = ['close']
const open = ['open']
/** Refused with a CONNACK or ended with a DISCONNECT that has one of these Reason Codes. */
const connack = (...codes: string[]): string[] => codes.map((code) => `connack ${code}, close`)
const disconnect = (...codes: string[]): string[] => codes.map((code) => `disconnect ${code}, close`)
const malformed = disconnect('81')
const violation = disconnect('82')

export function reactionsTo(vector: Vector, level: ProtocolLevel): readonly string[] | undefined {
  const accepted = level === 5 ? vector.mqtt5 : level === 3 ? (vector.mqtt31 ?? vector.mqtt3) : vector.mqtt3
  return accepted?.length === 0 ? undefined : accepted
}

// Section 1.5.4: what no string may have in it, with the two bytes of its length.
const badStrings: Readonly<Record<string, string>> = {
  'an overlong encoding': '0002 c080',
  'a surrogate': '0003 eda080',
  'the byte FF': '0001 ff',
  'a character cut in two': '0002 e282',
  'a code point above U+10FFFF': '0004 f4908080',
  'U+0000': '0003 610062',
}

/** The same vector with each bad string where `%` is. */
function withBadStrings(id: string, vector: Omit<Vector, 'id'>): Vector[] {
  return Object.entries(badStrings).map(([name, hex]) => ({
    ...vector,
    id,
    what: `${vector.what} with ${name}`,
    send: vector.send.replace('%', hex),
  }))
}

function each(id: string, contents: readonly string[], vector: Omit<Vector, 'id'>): Vector[] {
  return contents.map((content) => ({
    ...vector,
    id,
    what: `${vector.what} ${content}`,
    send: vector.send.replace('%', content),
  }))
}

/** The first bytes of a connection. */
export const beforeConnect: readonly Vector[] = [
  { id: 'B01', what: 'PUBLISH', send: '30 <"a" NONE>', mqtt3: close, mqtt5: close },
  { id: 'B02', what: 'the packet type 0', send: '00 00', mqtt3: close, mqtt5: close },
  { id: 'B03', what: 'PINGREQ', send: 'c0 00', mqtt3: close, mqtt5: close },
  { id: 'B04', what: 'AUTH', send: 'f0 00', mqtt3: close, mqtt5: close },
  { id: 'B05', what: 'a Remaining Length of five bytes', send: '10 ffffffff01', mqtt3: close, mqtt5: close },
  { id: 'B06', what: '256 MB announced', send: '10 ffffff7f', mqtt3: close, mqtt5: close },
  {
    id: 'B07',
    what: '256 MB announced, and their first bytes',
    send: '10 ffffff7f NAME 02 0000 {4096 00}',
    mqtt3: close,
    mqtt5: [...close, ...connack('95')],
  },
  { id: 'B08', what: 'an HTTP request', send: "'GET / HTTP/1.1' 0d0a 'Host: a' 0d0a 0d0a", mqtt3: close, mqtt5: close },
  { id: 'B09', what: 'a TLS handshake', send: '16 0301 0046 01 000042 0303 {64 5a}', mqtt3: close, mqtt5: close },
  { id: 'B10', what: 'the Protocol Name MQTX', send: '10 <"MQTX" 04 02 0000 "c">', mqtt3: close, mqtt5: close },
  { id: 'B11', what: 'Protocol Level 6', send: '10 <"MQTT" 06 02 0000 00 "c">', mqtt3: connack('01') },
  { id: 'B12', what: 'Protocol Level 2', send: '10 <"MQTT" 02 02 0000 "c">', mqtt3: connack('01') },
  { id: 'B12', what: 'MQIsdp with Protocol Level 4', send: '10 <"MQIsdp" 04 02 0000 "c">', mqtt3: connack('01') },
  {
    id: 'B13',
    what: 'the reserved Connect Flag',
    send: '10 <NAME 03 0000 NONE "c">',
    mqtt3: close,
    mqtt5: connack('81'),
  },
  {
    id: 'B14',
    what: 'the reserved Connect Flag alone',
    send: '10 <NAME 01 0000 NONE "c">',
    mqtt3: close,
    mqtt5: connack('81'),
  },
  {
    id: 'B15',
    what: 'Will QoS 3',
    send: '10 <NAME 1e 0000 NONE "c" NONE "w" "x">',
    mqtt3: close,
    mqtt5: connack('81'),
  },
  {
    id: 'B16',
    what: 'Will QoS without a Will',
    send: '10 <NAME 0a 0000 NONE "c">',
    mqtt3: close,
    mqtt5: connack('81'),
  },
  {
    id: 'B16',
    what: 'Will Retain without a Will',
    send: '10 <NAME 22 0000 NONE "c">',
    mqtt3: close,
    mqtt5: connack('81'),
  },
  {
    id: 'B17',
    what: 'a password without a user name',
    send: '10 <NAME 42 0000 NONE "c" "p">',
    mqtt3: close,
    mqtt5: ['connack 00, open'],
  },
  {
    id: 'B18',
    what: 'a user name that is announced and missing',
    send: '10 <NAME 82 0000 NONE "c">',
    mqtt31: ['connack 00, open'], // There the Remaining Length counts more than the flag.
    mqtt3: close,
    mqtt5: connack('81'),
  },
  { id: 'B19', what: 'no Client Identifier', send: '10 <NAME 02 0000 NONE>', mqtt3: close, mqtt5: connack('81') },
  {
    id: 'B20',
    what: 'a Client Identifier longer than the packet',
    send: '10 <NAME 02 0000 NONE 00ff 63>',
    mqtt3: close,
    mqtt5: connack('81'),
  },
  {
    id: 'B21',
    what: 'bytes after the payload',
    send: '10 <NAME 02 0000 NONE "c" 00>',
    mqtt3: close,
    mqtt5: connack('81'),
  },
  ...withBadStrings('B22', {
    what: 'a Client Identifier',
    send: '10 <NAME 02 0000 NONE %>',
    mqtt3: close,
    mqtt5: connack('81', '85'),
  }),
  ...withBadStrings('B22', {
    what: 'a Will Topic',
    send: '10 <NAME 06 0000 NONE "c" NONE % "x">',
    mqtt3: close,
    mqtt5: connack('81'),
  }),
  ...withBadStrings('B22', {
    what: 'a user name',
    send: '10 <NAME 82 0000 NONE "c" %>',
    mqtt3: close,
    mqtt5: connack('81'),
  }),
  ...withBadStrings('B22', {
    what: 'an Authentication Method',
    send: '10 <NAME 02 0000 <15 %> "c">',
    mqtt5: connack('81'),
  }),
  ...withBadStrings('B22', {
    what: 'the Content Type of a Will',
    send: '10 <NAME 06 0000 00 "c" <03 %> "w" "x">',
    mqtt5: connack('81'),
  }),
  {
    id: 'B23',
    what: 'no Client Identifier without a clean session',
    send: '10 <NAME 00 0000 ""> ',
    mqtt3: connack('02'),
  },
  {
    id: 'B24',
    what: 'an empty Client Identifier at MQTT 3.1',
    send: '10 <NAME 02 0000 "">',
    mqtt31: connack('02'),
    mqtt3: ['connack 00, open'],
  },
  {
    id: 'B24',
    what: 'a Client Identifier of 24 characters',
    send: '10 <NAME 02 0000 "123456789012345678901234">',
    mqtt31: connack('02'),
    mqtt3: ['connack 00, open'],
  },
  {
    id: 'B25',
    what: 'an empty Client Identifier',
    send: '10 <NAME 02 0000 NONE "">',
    mqtt31: [],
    mqtt3: ['connack 00, open'],
    mqtt5: ['connack 00, open'],
  },
  {
    id: 'B26',
    what: 'flags in the fixed header of CONNECT',
    send: '11 <NAME 02 0000 NONE "c">',
    mqtt3: close,
    mqtt5: close,
  },
  {
    id: 'B27',
    what: 'the Session Expiry Interval twice',
    send: '10 <NAME 02 0000 <11 0000000a 11 0000000a> "c">',
    mqtt5: connack('82'),
  },
  {
    id: 'B27',
    what: 'the Will Delay Interval twice',
    send: '10 <NAME 06 0000 00 "c" <18 00000001 18 00000001> "w" "x">',
    mqtt5: connack('82'),
  },
  {
    id: 'B28',
    what: 'an unknown Property',
    send: '10 <NAME 02 0000 <7f 00> "c">',
    mqtt5: connack('81', '82'),
  },
  {
    id: 'B29',
    what: 'a Property Length beyond the packet',
    send: '10 <NAME 02 0000 7f 11 0000000a "c">',
    mqtt5: connack('81'),
  },
  {
    id: 'B30',
    what: 'a Property Length of five bytes',
    send: '10 <NAME 02 0000 8080808001 "c">',
    mqtt5: connack('81'),
  },
  {
    id: 'B30',
    what: 'a Property Length longer than it must be',
    send: '10 <NAME 02 0000 8000 "c">',
    mqtt5: connack('81'),
  },
  { id: 'B31', what: 'Receive Maximum 0', send: '10 <NAME 02 0000 <21 0000> "c">', mqtt5: connack('82') },
  { id: 'B32', what: 'Maximum Packet Size 0', send: '10 <NAME 02 0000 <27 00000000> "c">', mqtt5: connack('82') },
  {
    id: 'B33',
    what: 'Authentication Data without a Method',
    send: '10 <NAME 02 0000 <16 "d"> "c">',
    mqtt5: connack('82'),
  },
  {
    id: 'B34',
    what: 'an unknown Authentication Method',
    send: '10 <NAME 02 0000 <15 "m"> "c">',
    mqtt5: connack('8c', '87'),
  },
  { id: 'B35', what: 'Request Problem Information 2', send: '10 <NAME 02 0000 <17 02> "c">', mqtt5: connack('82') },
  { id: 'B35', what: 'Request Response Information 2', send: '10 <NAME 02 0000 <19 02> "c">', mqtt5: connack('82') },
  {
    id: 'B36',
    what: 'a Property of another packet',
    send: '10 <NAME 02 0000 <13 000a> "c">',
    mqtt5: connack('81', '82'),
  },
  {
    id: 'B37',
    what: 'a Property of CONNECT in its Will',
    send: '10 <NAME 06 0000 00 "c" <21 000a> "w" "x">',
    mqtt5: connack('81', '82'),
  },
  ...each('B38', ['"a/#"', '"+/a"', '"#"'], {
    what: 'the Will Topic',
    send: '10 <NAME 06 0000 NONE "c" NONE % "x">',
    mqtt3: close,
    mqtt5: connack('90', '81'),
  }),
  {
    id: 'B39',
    what: 'an empty Will Topic',
    send: '10 <NAME 06 0000 NONE "c" NONE "" "x">',
    mqtt3: close,
    mqtt5: connack('90', '81', '82'),
  },
  {
    id: 'B40',
    what: 'a Will that says that it is text and is not',
    send: '10 <NAME 06 0000 00 "c" <01 01> "w" 0002 ff00>',
    mqtt5: ['connack 00, open', ...connack('99')],
  },
  {
    id: 'B41',
    what: 'a Will Topic of 30,001 levels',
    send: '10 <NAME 06 0000 NONE "c" NONE 7530 {30000 2f} "x">',
    mqtt3: [...close, ...connack('02'), ...connack('05'), ...connack('03')],
    mqtt5: connack('90'),
  },
  {
    id: 'B42',
    what: '3,000 User Properties',
    send: '10 <NAME 02 0000 <{3000 26 "a" "b"}> "c">',
    mqtt5: connack('95', '97'),
  },
  {
    id: 'B43',
    what: 'an empty password without a user name',
    send: '10 <NAME 42 0000 NONE "c" "">',
    mqtt3: close,
    mqtt5: ['connack 00, open'],
  },
  {
    id: 'B83',
    what: 'a Will for $SYS',
    send: '10 <NAME 06 0000 NONE "c" NONE "$SYS/x" "x">',
    mqtt3: connack('05'),
    mqtt5: connack('87'),
  },
]

/** What a Client that is connected sends. */
export const afterConnect: readonly Vector[] = [
  { id: 'B50', what: 'a second CONNECT', send: '10 <NAME 02 0000 NONE "c">', mqtt3: close, mqtt5: violation },
  { id: 'B51', what: 'PUBLISH at QoS 3', send: '36 <"a" 0001 NONE>', mqtt3: close, mqtt5: malformed },
  {
    id: 'B52',
    what: 'PUBLISH without a Topic Name and without an alias',
    send: '30 <"" NONE 78>',
    mqtt3: close,
    mqtt5: violation,
  },
  ...each('B53', ['"#"', '"+"', '"a/#"', '"a/+/b"', '"a+"'], {
    what: 'PUBLISH to',
    send: '30 <% NONE 78>',
    mqtt3: close,
    mqtt5: disconnect('90', '81', '82'),
  }),
  ...withBadStrings('B54', {
    what: 'a Topic Name',
    send: '30 <% NONE 78>',
    mqtt3: close,
    mqtt5: malformed,
  }),
  ...withBadStrings('B55', {
    what: 'a Topic Filter',
    send: '82 <0001 NONE % 00>',
    mqtt3: close,
    mqtt5: malformed,
  }),
  ...withBadStrings('B55', {
    what: 'a Topic Filter to leave',
    send: 'a2 <0001 NONE %>',
    mqtt3: close,
    mqtt5: malformed,
  }),
  ...withBadStrings('B55', { what: 'a Response Topic', send: '30 <"a" <08 %> 78>', mqtt5: malformed }),
  ...withBadStrings('B55', { what: 'a Content Type', send: '30 <"a" <03 %> 78>', mqtt5: malformed }),
  ...withBadStrings('B55', { what: 'a Reason String', send: 'e0 <00 <1f %>>', mqtt5: malformed }),
  {
    id: 'B56',
    what: 'PUBLISH at QoS 1 with Packet Identifier 0',
    send: '32 <"a" 0000 NONE>',
    mqtt3: close,
    mqtt5: violation,
  },
  {
    id: 'B56',
    what: 'PUBLISH at QoS 2 with Packet Identifier 0',
    send: '34 <"a" 0000 NONE>',
    mqtt3: close,
    mqtt5: violation,
  },
  { id: 'B57', what: 'PUBLISH cut before its Packet Identifier', send: '32 <"a">', mqtt3: close, mqtt5: malformed },
  { id: 'B57', what: 'PUBLISH cut in its Packet Identifier', send: '32 <"a" 00>', mqtt3: close, mqtt5: malformed },
  { id: 'B58', what: 'a Topic Name longer than its packet', send: '30 <ffff 61>', mqtt3: close, mqtt5: malformed },
  { id: 'B58', what: 'PUBLISH of no bytes', send: '30 00', mqtt3: close, mqtt5: malformed },
  { id: 'B59', what: 'DUP with QoS 0', send: '38 <"a" NONE>', mqtt3: close, mqtt5: disconnect('81', '82') },
  {
    id: 'B60',
    what: 'PUBLISH to a topic of 65,536 levels',
    send: '32 <ffff {65535 2f} 0001 NONE>',
    mqtt3: ['puback 00, open', ...close],
    mqtt5: ['puback 90, open', ...disconnect('90')],
  },
  {
    id: 'B61',
    what: 'the header of a PUBLISH above the maximum',
    send: '30 ffffff7f',
    mqtt3: close,
    mqtt5: disconnect('95'),
  },
  ...each('B62', ['80', '81', '83'], {
    what: 'SUBSCRIBE with the first byte',
    send: '% <0001 NONE "a" 00>',
    mqtt3: close,
    mqtt5: malformed,
  }),
  {
    id: 'B62',
    what: 'SUBSCRIBE with DUP, which MQTT 3.1 knows',
    send: '8a <0001 NONE "a" 00>',
    mqtt31: ['suback 00, open'],
    mqtt3: close,
    mqtt5: malformed,
  },
  { id: 'B63', what: 'SUBSCRIBE without filters', send: '82 <0001 NONE>', mqtt3: close, mqtt5: violation },
  {
    id: 'B64',
    what: 'SUBSCRIBE cut before its options',
    send: '82 <0001 NONE "a">',
    mqtt3: close,
    mqtt5: malformed,
  },
  {
    id: 'B64',
    what: 'SUBSCRIBE whose second filter has no options',
    send: '82 <0001 NONE "a" 00 "b">',
    mqtt3: close,
    mqtt5: malformed,
  },
  {
    id: 'B65',
    what: 'a subscription at QoS 3',
    send: '82 <0001 NONE "a" 03>',
    mqtt3: close,
    mqtt5: disconnect('82', '81'),
  },
  { id: 'B66', what: 'reserved Subscription Options', send: '82 <0001 NONE "a" c0>', mqtt3: close, mqtt5: malformed },
  { id: 'B66', what: 'options of MQTT 5.0 at MQTT 3', send: '82 <0001 "a" 04>', mqtt3: close },
  {
    id: 'B67',
    what: 'SUBSCRIBE with Packet Identifier 0',
    send: '82 <0000 NONE "a" 00>',
    mqtt3: close,
    mqtt5: violation,
  },
  {
    id: 'B67',
    what: 'UNSUBSCRIBE with Packet Identifier 0',
    send: 'a2 <0000 NONE "a">',
    mqtt3: close,
    mqtt5: violation,
  },
  {
    id: 'B68',
    what: 'an empty Topic Filter',
    send: '82 <0001 NONE "" 00>',
    mqtt3: close,
    mqtt5: malformed,
  },
  {
    id: 'B68',
    what: 'an empty Topic Filter in UNSUBSCRIBE',
    send: 'a2 <0001 NONE "">',
    mqtt3: close,
    mqtt5: malformed,
  },
  ...each('B69', ['"a/#/b"', '"a#"', '"#/a"', '"a+"', '"+a/b"', '"a/b+/c"', '"##"', '"++"'], {
    what: 'the Topic Filter',
    send: '82 <0001 NONE % 00>',
    mqtt3: close,
    mqtt5: malformed,
  }),
  {
    id: 'B70',
    what: 'the reserved Topic Filter $share',
    send: '82 <0001 NONE "$share" 00>',
    mqtt31: close,
    mqtt3: ['suback 80, open'],
    mqtt5: ['suback 8f, open'],
  },
  ...each('B70', ['"$share/a#b/t"', '"$share/g/a#"'], {
    what: 'the shared Topic Filter',
    send: '82 <0001 NONE % 00>',
    mqtt3: close,
    mqtt5: malformed,
  }),
  ...each('B70', ['"$share/"', '"$share/g"', '"$share//t"', '"$share/g/"', '"$share/+/t"'], {
    what: 'the shared Topic Filter',
    send: '82 <0001 NONE % 00>',
    mqtt31: close,
    mqtt3: ['suback 80, open'],
    mqtt5: malformed,
  }),
  {
    id: 'B71',
    what: 'a Topic Filter of 65,536 levels',
    send: '82 <0001 NONE ffff {65535 2f} 00>',
    mqtt31: close,
    mqtt3: ['suback 80, open'],
    mqtt5: ['suback 8f, open'],
  },
  {
    id: 'B71',
    what: 'a Topic Filter of 32,768 wildcards',
    send: "82 <0001 NONE ffff {32767 2b 2f} '+' 00>",
    mqtt31: close,
    mqtt3: ['suback 80, open'],
    mqtt5: ['suback 8f, open'],
  },
  { id: 'B72', what: 'UNSUBSCRIBE without filters', send: 'a2 <0001 NONE>', mqtt3: close, mqtt5: violation },
  ...each('B73', ['a0', 'a1', 'a3'], {
    what: 'UNSUBSCRIBE with the first byte',
    send: '% <0001 NONE "a">',
    mqtt3: close,
    mqtt5: malformed,
  }),
  {
    id: 'B73',
    what: 'UNSUBSCRIBE with DUP, which MQTT 3.1 knows',
    send: 'aa <0001 NONE "a">',
    mqtt31: ['unsuback, open'],
    mqtt3: close,
    mqtt5: malformed,
  },
  {
    id: 'B74',
    what: 'UNSUBSCRIBE from what was not subscribed to',
    send: 'a2 <0001 NONE "nowhere">',
    mqtt3: ['unsuback, open'],
    mqtt5: ['unsuback 11, open'],
  },
  ...each('B75', ['60', '61', '63'], {
    what: 'PUBREL with the first byte',
    send: '% <0001>',
    mqtt3: close,
    mqtt5: malformed,
  }),
  {
    id: 'B75',
    what: 'PUBREL with DUP, which MQTT 3.1 knows',
    send: '6a <0001>',
    mqtt31: ['pubcomp 00, open'],
    mqtt3: close,
    mqtt5: malformed,
  },
  {
    id: 'B76',
    what: 'PUBREL for nothing',
    send: '62 <1234>',
    mqtt3: ['pubcomp 00, open'],
    mqtt5: ['pubcomp 92, open'],
  },
  { id: 'B77', what: 'PUBACK for nothing', send: '40 <1234>', mqtt3: open, mqtt5: open },
  { id: 'B77', what: 'PUBCOMP for nothing', send: '70 <1234>', mqtt3: open, mqtt5: open },
  {
    id: 'B77',
    what: 'PUBREC for nothing',
    send: '50 <1234>',
    mqtt3: [...open, 'pubrel 00, open'],
    mqtt5: ['pubrel 92, open'],
  },
  { id: 'B78', what: 'PUBACK of one byte', send: '40 <12>', mqtt3: close, mqtt5: malformed },
  { id: 'B78', what: 'PUBACK for Packet Identifier 0', send: '40 <0000>', mqtt3: close, mqtt5: violation },
  ...each('B79', ['20 <00 00 NONE>', '90 <0001 NONE 00>', 'b0 <0001 NONE>', 'd0 00'], {
    what: 'what only a Server sends:',
    send: '%',
    mqtt3: close,
    mqtt5: disconnect('82', '81'),
  }),
  { id: 'B80', what: 'PINGREQ with a payload', send: 'c0 <00>', mqtt3: close, mqtt5: malformed },
  { id: 'B80', what: 'PINGREQ with flags', send: 'c1 00', mqtt3: close, mqtt5: malformed },
  { id: 'B81', what: 'DISCONNECT with flags', send: 'e1 00', mqtt3: close, mqtt5: malformed },
  { id: 'B82', what: 'the packet type 0', send: '00 00', mqtt3: close, mqtt5: disconnect('81', '82') },
  { id: 'B82', what: 'the packet type 15 at MQTT 3', send: 'f0 00', mqtt3: close },
  {
    id: 'B83',
    what: 'PUBLISH to $SYS',
    send: '32 <"$SYS/x" 0001 NONE 78>',
    mqtt3: ['puback 00, open'],
    mqtt5: ['puback 87, open'],
  },
  {
    id: 'B83',
    what: 'PUBLISH at QoS 2 to $SYS',
    send: '34 <"$SYS/x" 0001 NONE 78>',
    mqtt3: ['pubrec 00, open'],
    mqtt5: ['pubrec 87, open'],
  },
  {
    id: 'B83',
    what: 'PUBLISH to another topic with a dollar sign',
    send: '32 <"$x" 0001 NONE 78>',
    mqtt3: ['puback 00, open'],
    mqtt5: ['puback 10, open'],
  },
  {
    id: 'B84',
    what: '1,000 PINGREQ at once',
    send: '{999 c0 00} 82 <0001 NONE "many" 00>',
    // The first answer ends the reaction; that there are a thousand is a test of its own.
    mqtt3: open,
    mqtt5: open,
  },
  { id: 'B90', what: 'Topic Alias 0', send: '30 <"a" <23 0000> 78>', mqtt5: disconnect('94') },
  { id: 'B91', what: 'a Topic Alias above the maximum', send: '30 <"a" <23 0011> 78>', mqtt5: disconnect('94') },
  {
    id: 'B92',
    what: 'a Topic Alias that stands for nothing',
    send: '30 <"" <23 0001> 78>',
    mqtt5: disconnect('82', '94'),
  },
  { id: 'B93', what: 'a Subscription Identifier from a Client', send: '30 <"a" <0b 01> 78>', mqtt5: violation },
  { id: 'B94', what: 'Payload Format Indicator 2', send: '30 <"a" <01 02> 78>', mqtt5: disconnect('82', '81') },
  ...each('B95', ['"a/#"', '"+"', '""'], {
    what: 'the Response Topic',
    send: '30 <"a" <08 %> 78>',
    mqtt5: disconnect('82', '81'),
  }),
  { id: 'B96', what: 'a Response Topic that is cut', send: '32 <"topic" 04d2 01 08>', mqtt5: malformed },
  {
    id: 'B97',
    what: 'the Message Expiry Interval twice',
    send: '30 <"a" <02 0000000a 02 0000000a> 78>',
    mqtt5: violation,
  },
  { id: 'B98', what: 'Retain Handling 3', send: '82 <0001 NONE "a" 30>', mqtt5: disconnect('82', '81') },
  { id: 'B99', what: 'No Local on a shared subscription', send: '82 <0001 NONE "$share/g/t" 04>', mqtt5: violation },
  { id: 'B100', what: 'Subscription Identifier 0', send: '82 <0001 <0b 00> "a" 00>', mqtt5: violation },
  { id: 'B101', what: 'two Subscription Identifiers', send: '82 <0001 <0b 01 0b 02> "a" 00>', mqtt5: violation },
  { id: 'B102', what: 'AUTH without a Method in CONNECT', send: 'f0 <18 <15 "m">>', mqtt5: violation },
  { id: 'B102', what: 'AUTH without anything', send: 'f0 00', mqtt5: disconnect('82', '81') },
  {
    id: 'B103',
    what: 'a session that ends with its connection made to last',
    send: 'e0 <00 <11 0000000a>>',
    mqtt5: violation,
  },
  { id: 'B104', what: 'a DISCONNECT that only a Server sends', send: 'e0 <8b>', mqtt5: disconnect('82', '81') },
  { id: 'B105', what: 'an undefined Reason Code in DISCONNECT', send: 'e0 <7f>', mqtt5: disconnect('81', '82') },
  { id: 'B105', what: 'an undefined Reason Code in PUBACK', send: '40 <0001 7f>', mqtt5: disconnect('81', '82') },
  { id: 'B106', what: 'a User Property that is cut', send: '30 <"a" 04 26 0001 61>', mqtt5: malformed },
  ...withBadStrings('B107', {
    what: 'the name of a User Property',
    send: '30 <"a" <26 % "v"> 78>',
    mqtt5: malformed,
  }),
  ...withBadStrings('B107', {
    what: 'the value of a User Property',
    send: '30 <"a" <26 "n" %> 78>',
    mqtt5: malformed,
  }),
]

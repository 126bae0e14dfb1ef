import type { Packet, ProtocolLevel } from '../../types/packets.ts'

/** A packet, the Protocol Levels at which it has these bytes, and the bytes. */
export interface Sample {
  readonly name: string
  readonly levels: readonly ProtocolLevel[]
  readonly hex: string
  readonly packet: Packet
}

const none = { properties: undefined }
const all = [3, 4, 5] as const
const mqtt3 = [3, 4] as const
const mqtt5 = [5] as const

/** Spaces are for the eye. */
export function bytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex')
}

const willOfAllParts = {
  topic: 'w',
  payload: bytes('01 02'),
  qos: 2,
  retain: true,
} as const

export const samples: readonly Sample[] = [
  {
    name: 'CONNECT of MQTT 3.1',
    levels: [3],
    hex: '10 0f 0006 4d5149736470 03 02 003c 0001 63',
    packet: {
      type: 'connect',
      protocolLevel: 3,
      cleanStart: true,
      keepAlive: 60,
      clientId: 'c',
      will: undefined,
      username: undefined,
      password: undefined,
      ...none,
    },
  },
  {
    name: 'CONNECT of MQTT 3.1.1 with everything',
    levels: [4],
    hex: '10 1b 0004 4d515454 04 f4 000a 0001 63 0001 77 0002 0102 0001 75 0002 ff00',
    packet: {
      type: 'connect',
      protocolLevel: 4,
      cleanStart: false,
      keepAlive: 10,
      clientId: 'c',
      will: { ...willOfAllParts, ...none },
      username: 'u',
      password: bytes('ff 00'),
      ...none,
    },
  },
  {
    name: 'CONNECT of MQTT 5.0 without anything',
    levels: [5],
    hex: '10 0d 0004 4d515454 05 00 0000 00 0000',
    packet: {
      type: 'connect',
      protocolLevel: 5,
      cleanStart: false,
      keepAlive: 0,
      clientId: '',
      will: undefined,
      username: undefined,
      password: undefined,
      ...none,
    },
  },
  {
    name: 'CONNECT of MQTT 5.0 with everything',
    levels: [5],
    hex:
      '10 5c 0004 4d515454 05 76 0000 24 11 0000000a 21 000a 27 00000100 22 0003 19 01 17 00' +
      ' 26 0001 61 0001 62 15 0001 6d 16 0002 0910 0001 63' +
      ' 1f 18 00000005 01 01 02 0000000a 03 0001 74 08 0001 72 09 0001 aa 26 0001 61 0001 62 0001 77 0002 0102 0001 70',
    packet: {
      type: 'connect',
      protocolLevel: 5,
      cleanStart: true,
      keepAlive: 0,
      clientId: 'c',
      will: {
        ...willOfAllParts,
        properties: {
          willDelayInterval: 5,
          payloadFormatIndicator: 1,
          messageExpiryInterval: 10,
          contentType: 't',
          responseTopic: 'r',
          correlationData: bytes('aa'),
          userProperties: [['a', 'b']],
        },
      },
      username: undefined,
      password: bytes('70'),
      properties: {
        sessionExpiryInterval: 10,
        receiveMaximum: 10,
        maximumPacketSize: 256,
        topicAliasMaximum: 3,
        requestResponseInformation: 1,
        requestProblemInformation: 0,
        userProperties: [['a', 'b']],
        authenticationMethod: 'm',
        authenticationData: bytes('09 10'),
      },
    },
  },
  {
    name: 'CONNACK with Session Present',
    levels: [4],
    hex: '20 02 01 00',
    packet: { type: 'connack', sessionPresent: true, reasonCode: 0, ...none },
  },
  {
    name: 'CONNACK that refuses',
    levels: mqtt3,
    hex: '20 02 00 05',
    packet: { type: 'connack', sessionPresent: false, reasonCode: 5, ...none },
  },
  {
    name: 'CONNACK of MQTT 5.0',
    levels: mqtt5,
    hex: '20 03 01 00 00',
    packet: { type: 'connack', sessionPresent: true, reasonCode: 0, ...none },
  },
  {
    name: 'CONNACK with everything',
    levels: mqtt5,
    hex:
      '20 3f 00 9d 3c 11 00000001 21 0002 24 01 25 00 27 00000003 12 0001 69 22 0004 1f 0001 72' +
      ' 26 0001 61 0001 62 28 00 29 01 2a 00 13 0005 1a 0001 66 1c 0001 73 15 0001 6d 16 0001 64',
    packet: {
      type: 'connack',
      sessionPresent: false,
      reasonCode: 0x9d,
      properties: {
        sessionExpiryInterval: 1,
        receiveMaximum: 2,
        maximumQoS: 1,
        retainAvailable: 0,
        maximumPacketSize: 3,
        assignedClientIdentifier: 'i',
        topicAliasMaximum: 4,
        reasonString: 'r',
        userProperties: [['a', 'b']],
        wildcardSubscriptionAvailable: 0,
        subscriptionIdentifiersAvailable: 1,
        sharedSubscriptionAvailable: 0,
        serverKeepAlive: 5,
        responseInformation: 'f',
        serverReference: 's',
        authenticationMethod: 'm',
        authenticationData: bytes('64'),
      },
    },
  },
  {
    name: 'PUBLISH at QoS 0',
    levels: mqtt3,
    hex: '30 07 0003 612f62 6869',
    packet: {
      type: 'publish',
      topic: 'a/b',
      payload: bytes('6869'),
      qos: 0,
      retain: false,
      dup: false,
      packetId: 0,
      ...none,
    },
  },
  {
    name: 'PUBLISH at QoS 2, retained and sent again',
    levels: mqtt3,
    hex: '3d 07 0003 612f62 1234',
    packet: {
      type: 'publish',
      topic: 'a/b',
      payload: bytes(''),
      qos: 2,
      retain: true,
      dup: true,
      packetId: 0x1234,
      ...none,
    },
  },
  {
    name: 'PUBLISH of MQTT 5.0',
    levels: mqtt5,
    hex: '32 08 0002 c3a9 0001 00 78',
    packet: {
      type: 'publish',
      topic: 'é',
      payload: bytes('78'),
      qos: 1,
      retain: false,
      dup: false,
      packetId: 1,
      ...none,
    },
  },
  {
    name: 'PUBLISH with everything',
    levels: mqtt5,
    hex:
      '32 32 0000 0001 2c 01 01 02 0000000a 03 0001 74 08 0001 72 09 0002 0102' +
      ' 26 0001 61 0001 62 26 0001 61 0001 62 23 0001 0b 01 0b ffffff7f 78',
    packet: {
      type: 'publish',
      topic: '',
      payload: bytes('78'),
      qos: 1,
      retain: false,
      dup: false,
      packetId: 1,
      properties: {
        payloadFormatIndicator: 1,
        messageExpiryInterval: 10,
        contentType: 't',
        responseTopic: 'r',
        correlationData: bytes('0102'),
        userProperties: [
          ['a', 'b'],
          ['a', 'b'],
        ],
        topicAlias: 1,
        subscriptionIdentifiers: [1, 268_435_455],
      },
    },
  },
  ...(['puback', 'pubrec', 'pubrel', 'pubcomp'] as const).flatMap((type): Sample[] => {
    const firstByte = { puback: '40', pubrec: '50', pubrel: '62', pubcomp: '70' }[type]
    const reasonCode = type === 'puback' || type === 'pubrec' ? 0x10 : 0x92
    const reason = reasonCode.toString(16)
    return [
      {
        name: `${type.toUpperCase()} that says success`,
        levels: all,
        hex: `${firstByte} 02 0007`,
        packet: { type, packetId: 7, reasonCode: 0, ...none },
      },
      {
        name: `${type.toUpperCase()} with a Reason Code`,
        levels: mqtt5,
        hex: `${firstByte} 03 0007 ${reason}`,
        packet: { type, packetId: 7, reasonCode, ...none },
      },
      {
        name: `${type.toUpperCase()} with everything`,
        levels: mqtt5,
        hex: `${firstByte} 0f 0007 ${reason} 0b 1f 0001 72 26 0001 61 0001 62`,
        packet: {
          type,
          packetId: 7,
          reasonCode,
          properties: { reasonString: 'r', userProperties: [['a', 'b']] },
        },
      },
    ]
  }),
  {
    name: 'SUBSCRIBE',
    levels: mqtt3,
    hex: '82 0c 0001 0003 612f62 01 0001 23 02',
    packet: {
      type: 'subscribe',
      packetId: 1,
      subscriptions: [
        { topicFilter: 'a/b', qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 },
        { topicFilter: '#', qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0 },
      ],
      ...none,
    },
  },
  {
    name: 'SUBSCRIBE with everything',
    levels: mqtt5,
    hex: '82 14 ffff 0a 0b 8001 26 0001 61 0001 62 0001 23 2e 0000 10',
    packet: {
      type: 'subscribe',
      packetId: 0xffff,
      subscriptions: [
        { topicFilter: '#', qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 },
        { topicFilter: '', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 1 },
      ],
      properties: { subscriptionIdentifier: 128, userProperties: [['a', 'b']] },
    },
  },
  {
    name: 'SUBACK',
    levels: mqtt3,
    hex: '90 06 0001 00 01 02 80',
    packet: { type: 'suback', packetId: 1, reasonCodes: [0, 1, 2, 0x80], ...none },
  },
  {
    name: 'SUBACK with everything',
    levels: mqtt5,
    hex: '90 0f 0001 0b 1f 0001 72 26 0001 61 0001 62 97',
    packet: {
      type: 'suback',
      packetId: 1,
      reasonCodes: [0x97],
      properties: { reasonString: 'r', userProperties: [['a', 'b']] },
    },
  },
  {
    name: 'UNSUBSCRIBE',
    levels: mqtt3,
    hex: 'a2 08 0001 0001 61 0001 62',
    packet: { type: 'unsubscribe', packetId: 1, topicFilters: ['a', 'b'], ...none },
  },
  {
    name: 'UNSUBSCRIBE of MQTT 5.0',
    levels: mqtt5,
    hex: 'a2 0d 0001 07 26 0001 61 0001 62 0001 62',
    packet: { type: 'unsubscribe', packetId: 1, topicFilters: ['b'], properties: { userProperties: [['a', 'b']] } },
  },
  {
    name: 'UNSUBACK',
    levels: mqtt3,
    hex: 'b0 02 0001',
    packet: { type: 'unsuback', packetId: 1, reasonCodes: [], ...none },
  },
  {
    name: 'UNSUBACK of MQTT 5.0',
    levels: mqtt5,
    hex: 'b0 05 0001 00 00 11',
    packet: { type: 'unsuback', packetId: 1, reasonCodes: [0, 0x11], ...none },
  },
  { name: 'PINGREQ', levels: all, hex: 'c0 00', packet: { type: 'pingreq' } },
  { name: 'PINGRESP', levels: all, hex: 'd0 00', packet: { type: 'pingresp' } },
  {
    name: 'DISCONNECT',
    levels: all,
    hex: 'e0 00',
    packet: { type: 'disconnect', reasonCode: 0, ...none },
  },
  {
    name: 'DISCONNECT with a Reason Code',
    levels: mqtt5,
    hex: 'e0 01 04',
    packet: { type: 'disconnect', reasonCode: 4, ...none },
  },
  {
    name: 'DISCONNECT with everything',
    levels: mqtt5,
    hex: 'e0 16 9c 14 11 ffffffff 1f 0001 72 26 0001 61 0001 62 1c 0001 73',
    packet: {
      type: 'disconnect',
      reasonCode: 0x9c,
      properties: {
        sessionExpiryInterval: 0xffff_ffff,
        reasonString: 'r',
        userProperties: [['a', 'b']],
        serverReference: 's',
      },
    },
  },
  { name: 'AUTH', levels: mqtt5, hex: 'f0 00', packet: { type: 'auth', reasonCode: 0, ...none } },
  {
    name: 'AUTH with everything',
    levels: mqtt5,
    hex: 'f0 15 18 13 15 0001 6d 16 0001 64 1f 0001 72 26 0001 61 0001 62',
    packet: {
      type: 'auth',
      reasonCode: 0x18,
      properties: {
        authenticationMethod: 'm',
        authenticationData: bytes('64'),
        reasonString: 'r',
        userProperties: [['a', 'b']],
      },
    },
  },
]

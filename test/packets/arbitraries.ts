import fc from 'fast-check'
import type { Packet, ProtocolLevel } from '../../types/packets.ts'
import type { Properties } from '../../types/properties.ts'

type Model<Type> = { [Key in keyof Type]: fc.Arbitrary<Type[Key]> }

// No control characters, no surrogates of their own, no non-characters: what any receiver takes.
const character = fc
  .integer({ min: 0x20, max: 0x10ffff })
  .map((codePoint) =>
    (codePoint >= 0x7f && codePoint <= 0x9f) ||
    (codePoint >= 0xd800 && codePoint <= 0xdfff) ||
    (codePoint >= 0xfdd0 && codePoint <= 0xfdef) ||
    (codePoint & 0xfffe) === 0xfffe
      ? 'x'
      : String.fromCodePoint(codePoint),
  )
const text = fc.oneof(
  fc.string({ unit: character, maxLength: 40 }),
  fc.string({ unit: 'grapheme-ascii', maxLength: 40 }),
  fc.constant('x'.repeat(300)),
)
const topic = text.map((name) => `t${name.replaceAll(/[#+]/g, '/')}`)
const binary = fc.uint8Array({ maxLength: 200 }).map((data) => Buffer.from(data))
const flag = fc.constantFrom<0 | 1>(0, 1)
const uint16 = fc.integer({ min: 0, max: 0xffff })
const positive16 = fc.integer({ min: 1, max: 0xffff })
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff })
const subscriptionIdentifier = fc.oneof(
  fc.constantFrom(1, 127, 128, 16_384, 2_097_152),
  fc.integer({ min: 1, max: 268_435_455 }),
)

const property: Required<Model<Properties>> = {
  payloadFormatIndicator: flag,
  messageExpiryInterval: uint32,
  contentType: text,
  responseTopic: topic,
  correlationData: binary,
  subscriptionIdentifier,
  subscriptionIdentifiers: fc.array(subscriptionIdentifier, { minLength: 1, maxLength: 4 }),
  sessionExpiryInterval: uint32,
  assignedClientIdentifier: text,
  serverKeepAlive: uint16,
  authenticationMethod: text,
  authenticationData: binary,
  requestProblemInformation: flag,
  willDelayInterval: uint32,
  requestResponseInformation: flag,
  responseInformation: text,
  serverReference: text,
  reasonString: text,
  receiveMaximum: positive16,
  topicAliasMaximum: uint16,
  topicAlias: positive16,
  maximumQoS: flag,
  retainAvailable: flag,
  userProperties: fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 4 }),
  maximumPacketSize: fc.integer({ min: 1, max: 0xffff_ffff }),
  wildcardSubscriptionAvailable: flag,
  subscriptionIdentifiersAvailable: flag,
  sharedSubscriptionAvailable: flag,
}

/** Some of these Properties, or undefined: at MQTT 3, and where there would be none. */
function some<Name extends keyof Properties>(
  level: ProtocolLevel,
  ...names: readonly Name[]
): fc.Arbitrary<Pick<Properties, Name> | undefined> {
  if (level < 5) return fc.constant(undefined)
  const model = Object.fromEntries(names.map((name) => [name, property[name]])) as Record<string, fc.Arbitrary<unknown>>
  return fc.record(model, { requiredKeys: [] }).map((values) => {
    const chosen = values as Properties
    if (chosen.authenticationMethod === undefined) delete chosen.authenticationData
    return Object.keys(chosen).length === 0 ? undefined : chosen
  })
}

const acknowledgement = ['reasonString', 'userProperties'] as const
const ofMessage = [
  'payloadFormatIndicator',
  'messageExpiryInterval',
  'contentType',
  'responseTopic',
  'correlationData',
  'userProperties',
] as const

function type<Type extends Packet['type']>(name: Type): fc.Arbitrary<Type> {
  return fc.constant(name)
}

/** Any packet that the decoder gives at this Protocol Level, one arbitrary for each type. */
export function packetsOf(level: ProtocolLevel): Record<Packet['type'], fc.Arbitrary<Packet>> {
  const mqtt5 = level === 5
  const code = (...codes: number[]): fc.Arbitrary<number> => fc.constantFrom(...(mqtt5 ? codes : [0]))
  const qos = fc.constantFrom<0 | 1 | 2>(0, 1, 2)
  const onlyMqtt5 = mqtt5 ? fc.boolean() : fc.constant(false)
  const published = code(0, 0x10, 0x87, 0x97)
  const acknowledges = some(level, ...acknowledgement)
  return {
    connect: fc
      .record({
        type: type('connect'),
        protocolLevel: fc.constant(level),
        cleanStart: fc.boolean(),
        keepAlive: uint16,
        clientId: text,
        will: fc.option(
          fc.record({
            topic,
            payload: binary,
            qos,
            retain: fc.boolean(),
            properties: some(level, ...ofMessage, 'willDelayInterval'),
          }),
          { nil: undefined },
        ),
        username: fc.option(text, { nil: undefined }),
        password: fc.option(binary, { nil: undefined }),
        properties: some(
          level,
          'sessionExpiryInterval',
          'receiveMaximum',
          'maximumPacketSize',
          'topicAliasMaximum',
          'requestResponseInformation',
          'requestProblemInformation',
          'userProperties',
          'authenticationMethod',
          'authenticationData',
        ),
      })
      .map((packet) => (!mqtt5 && packet.username === undefined ? { ...packet, password: undefined } : packet)),
    connack: fc.record({
      type: type('connack'),
      sessionPresent: level > 3 ? fc.boolean() : fc.constant(false),
      reasonCode: mqtt5 ? fc.constantFrom(0, 0x80, 0x87, 0x9f) : fc.integer({ min: 0, max: 5 }),
      properties: some(
        level,
        'sessionExpiryInterval',
        'receiveMaximum',
        'maximumQoS',
        'retainAvailable',
        'maximumPacketSize',
        'assignedClientIdentifier',
        'topicAliasMaximum',
        'reasonString',
        'userProperties',
        'wildcardSubscriptionAvailable',
        'subscriptionIdentifiersAvailable',
        'sharedSubscriptionAvailable',
        'serverKeepAlive',
        'responseInformation',
        'serverReference',
        'authenticationMethod',
        'authenticationData',
      ),
    }),
    publish: fc
      .record({
        type: type('publish'),
        topic,
        payload: fc.oneof(
          binary,
          fc.constantFrom(0, 100, 127, 128, 16_383, 16_384, 70_000).map((size) => Buffer.alloc(size, 7)),
        ),
        qos,
        retain: fc.boolean(),
        dup: fc.boolean(),
        packetId: positive16,
        properties: some(level, ...ofMessage, 'topicAlias', 'subscriptionIdentifiers'),
      })
      .map((packet) => (packet.qos === 0 ? { ...packet, dup: false, packetId: 0 } : packet)),
    puback: fc.record({ type: type('puback'), packetId: positive16, reasonCode: published, properties: acknowledges }),
    pubrec: fc.record({ type: type('pubrec'), packetId: positive16, reasonCode: published, properties: acknowledges }),
    pubrel: fc.record({
      type: type('pubrel'),
      packetId: positive16,
      reasonCode: code(0, 0x92),
      properties: acknowledges,
    }),
    pubcomp: fc.record({
      type: type('pubcomp'),
      packetId: positive16,
      reasonCode: code(0, 0x92),
      properties: acknowledges,
    }),
    subscribe: fc.record({
      type: type('subscribe'),
      packetId: positive16,
      subscriptions: fc.array(
        fc.record({
          topicFilter: topic,
          qos,
          noLocal: onlyMqtt5,
          retainAsPublished: onlyMqtt5,
          retainHandling: mqtt5 ? fc.constantFrom<0 | 1 | 2>(0, 1, 2) : fc.constant<0>(0),
        }),
        { minLength: 1, maxLength: 5 },
      ),
      properties: some(level, 'subscriptionIdentifier', 'userProperties'),
    }),
    suback: fc.record({
      type: type('suback'),
      packetId: positive16,
      reasonCodes: fc.array(mqtt5 ? fc.constantFrom(0, 1, 2, 0x87, 0xa2) : fc.constantFrom(0, 1, 2, 0x80), {
        minLength: 1,
        maxLength: 5,
      }),
      properties: acknowledges,
    }),
    unsubscribe: fc.record({
      type: type('unsubscribe'),
      packetId: positive16,
      topicFilters: fc.array(topic, { minLength: 1, maxLength: 5 }),
      properties: some(level, 'userProperties'),
    }),
    unsuback: fc.record({
      type: type('unsuback'),
      packetId: positive16,
      reasonCodes: mqtt5
        ? fc.array(fc.constantFrom(0, 0x11, 0x87), { minLength: 1, maxLength: 5 })
        : fc.constant<number[]>([]),
      properties: acknowledges,
    }),
    pingreq: fc.record({ type: type('pingreq') }),
    pingresp: fc.record({ type: type('pingresp') }),
    disconnect: fc.record({
      type: type('disconnect'),
      reasonCode: code(0, 4, 0x81, 0x9c),
      properties: some(level, 'sessionExpiryInterval', 'reasonString', 'userProperties', 'serverReference'),
    }),
    auth: fc.record({
      type: type('auth'),
      reasonCode: code(0, 0x18, 0x19),
      properties: some(level, 'authenticationMethod', 'authenticationData', 'reasonString', 'userProperties'),
    }),
  }
}

/** Any packet that may come after CONNECT at this Protocol Level. */
export function packetOf(level: ProtocolLevel): fc.Arbitrary<Packet> {
  const { connect: _first, auth, ...others } = packetsOf(level)
  return fc.oneof(...Object.values(others), ...(level === 5 ? [auth] : []))
}

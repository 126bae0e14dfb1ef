/** The event `connectionRefused`: who was refused and why. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MqttError } from '../../lib/errors.ts'
import type { BrokerOptions } from '../../types/options.ts'
import type { RefusedConnect } from '../../types/events.ts'
import type { ProtocolLevel } from '../../types/packets.ts'
import { type ConnectOptions, connectPacket, levels, settle, start, type TestClient, will } from '../support/client.ts'

type Authenticate = NonNullable<NonNullable<BrokerOptions['plugins']>[number]['authenticate']>

const PASSWORD = 'correct horse battery staple'
const credentials: ConnectOptions = { username: 'alice', password: PASSWORD }
const versions = { 3: '3.1', 4: '3.1.1', 5: '5.0' } as const

interface Refused {
  readonly message: string
  readonly reasonCode: number | undefined
  readonly connect: RefusedConnect
}

/** A broker, and the events that it emitted. */
function scene(t: Parameters<typeof start>[0], options: BrokerOptions = {}) {
  const setting = start(t, options)
  const refused: Refused[] = []
  setting.broker.on('connectionRefused', (info, error, connect) => {
    refused.push({ message: error.message, reasonCode: error.reasonCode, connect })
    assert.ok(
      !JSON.stringify([info, error, Object.entries(error), connect]).includes(PASSWORD),
      'the password is in no argument',
    )
  })
  return { ...setting, refused }
}

function authenticating(authenticate: Authenticate): BrokerOptions {
  return { plugins: [{ name: 'users', authenticate }] }
}

for (const [name, authenticate, message] of [
  ['returns false', () => false, /an authenticate hook refused the Client/],
  ['returns null', () => null, /an authenticate hook refused the Client/],
  ['has no opinion', () => undefined, /no authenticate hook knows the Client/],
  ['returns false later', async () => false, /an authenticate hook refused the Client/],
  [
    'throws an MqttError with a message',
    () => {
      throw new MqttError('banned', 'three strikes')
    },
    /^three strikes$/,
  ],
  [
    'throws an MqttError without a message',
    () => {
      throw new MqttError('banned')
    },
    /^banned$/,
  ],
  [
    'throws an Error',
    () => {
      throw new Error('the database is away')
    },
    /users failed: the database is away/,
  ],
  ['throws an Error without a message', () => Promise.reject(new Error()), /authenticate of plugin users failed/],
] as [string, Authenticate, RegExp][]) {
  test(`connectionRefused has Client Identifier, user name and the reason when authenticate ${name}`, async (t) => {
    for (const level of levels) {
      const { open, refused } = scene(t, authenticating(authenticate))
      const connack = await open(level).connect('lamp', credentials)
      assert.notEqual(connack.reasonCode, 0)
      assert.equal(refused.length, 1)
      const [event] = refused as [Refused]
      assert.match(event.message, message)
      assert.deepEqual(event.connect, { clientId: 'lamp', username: 'alice', protocolVersion: versions[level] })
    }
  })
}

test('a message that says why a hook refused is for the application, and not sent to the Client', async (t) => {
  for (const authenticate of [() => false as const, () => Promise.reject(new Error('database at 10.0.0.7 is away'))]) {
    const { open } = scene(t, authenticating(authenticate))
    const connack = await open().connect('lamp', credentials)
    assert.equal(connack.properties?.reasonString, undefined)
  }
})

test('an MqttError may have another Reason String for the Client than its message', async (t) => {
  const { open, refused } = scene(
    t,
    authenticating(() => {
      throw new MqttError('banned', 'address list 7', { reasonString: 'not from here' })
    }),
  )
  const connack = await open().connect('lamp')
  assert.equal(connack.properties?.reasonString, 'not from here')
  assert.equal(refused[0]?.message, 'address list 7')
})

test('connectionRefused says so when authenticate takes longer than its time limit', async (t) => {
  const { open, refused, clock } = scene(
    t,
    authenticating(() => new Promise(() => undefined)),
  )
  const one = open()
  one.send(connectPacket('lamp', credentials))
  await settle()
  clock.advance(10_000)
  await one.receives('connack')
  assert.match(refused[0]?.message ?? '', /no answer within 10000 ms/)
  assert.equal(refused[0]?.connect.clientId, 'lamp')
})

test('connectionRefused has the Client Identifier that was assigned to a Client without one', async (t) => {
  const { open, refused } = scene(
    t,
    authenticating(() => false),
  )
  await open().connect('')
  assert.match(refused[0]?.connect.clientId ?? '', /^auto-/)
})

for (const [name, level, clientId, options, brokerOptions, message] of [
  ['a Will on an invalid topic', 5, 'lamp', { will: will('a/#', 'x') }, {}, /Will Topic/],
  ['a Client Identifier that MQTT 3.1 does not permit', 3, 'l'.repeat(24), credentials, {}, /1 to 23/],
  ['an empty Client Identifier with a persistent session', 4, '', { cleanStart: false }, {}, /Clean Session/],
  ['too many sessions', 5, 'lamp', credentials, { limits: { maxSessions: 0 } }, /too many sessions/],
  [
    'an Authentication Method without a hook',
    5,
    'lamp',
    { properties: { authenticationMethod: 'x' } },
    {},
    /authenticate hook/,
  ],
  [
    'a Will that authorizePublish refuses',
    5,
    'lamp',
    { ...credentials, will: will('a', 'x') },
    { plugins: [{ name: 'rules', authorizePublish: () => false }] },
    /authorizePublish/,
  ],
] as [string, ProtocolLevel, string, ConnectOptions, BrokerOptions, RegExp][]) {
  test(`connectionRefused has the fields of the CONNECT and the reason for ${name}`, async (t) => {
    const { open, refused } = scene(t, brokerOptions)
    const one = open(level)
    one.send(connectPacket(clientId, { level, ...options }))
    await one.receivesAny()
    assert.equal(refused.length, 1)
    const [event] = refused as [Refused]
    assert.match(event.message, message)
    assert.equal(event.connect.clientId, clientId === '' ? undefined : clientId)
    assert.equal(event.connect.username, options.username)
  })
}

test('connectionRefused has the fields of a malformed CONNECT that could be read', async (t) => {
  for (const [packet, connect] of [
    ['10 <"MQTT" 05 01 0000 00 "lamp">', { clientId: undefined, username: undefined }], // The reserved flag is set.
    ['10 <"MQTT" 05 82 0000 00 "lamp" ff>', { clientId: 'lamp', username: undefined }], // The user name is cut off.
    ['10 <"MQTT" 05 82 0000 00 "lamp" "alice" 00>', { clientId: 'lamp', username: 'alice' }], // Bytes are left over.
  ] as const) {
    const { open, refused } = scene(t)
    const one = open()
    one.write(packet)
    await one.closed
    assert.deepEqual(refused[0]?.connect, { ...connect, protocolVersion: '5.0' })
    assert.notEqual(refused[0]?.message, '')
  }
})

test('connectionRefused says which user has the Client Identifier already', async (t) => {
  const { open, refused } = scene(
    t,
    authenticating(() => 'session'),
  )
  await open().connect('lamp', { username: 'alice' })
  await open().connect('lamp', { username: 'bob' })
  assert.deepEqual(refused[0]?.connect, { clientId: 'lamp', username: 'bob', protocolVersion: '5.0' })
  assert.match(refused[0]?.message ?? '', /another user/)
})

for (const [name, say, message] of [
  ['an unknown protocol', (one: TestClient) => one.write('10 <"MQTX" 05 02 0000 00 "x">'), /Protocol Name/],
  ['an unknown version', (one: TestClient) => one.write('10 <"MQTT" 09 02 0000 00 "x">'), /Protocol Level/],
  ['another packet than CONNECT', (one: TestClient) => one.write('c0 00'), /./],
  ['a packet larger than the limit', (one: TestClient) => one.write('10 ff ff ff 7f'), /./],
] as [string, (one: TestClient) => void, RegExp][]) {
  test(`connectionRefused has a reason, and no fields of a CONNECT, for ${name}`, async (t) => {
    const { open, refused } = scene(t)
    const one = open()
    say(one)
    await one.closed
    assert.equal(refused.length, 1)
    assert.match(refused[0]?.message ?? '', message)
    assert.deepEqual(refused[0]?.connect, {})
  })
}

test('connectionRefused has a reason when no CONNECT comes, for too many connections and for a connect hook', async (t) => {
  const late = scene(t)
  late.open()
  await settle()
  late.clock.advance(10_000)
  await settle()
  assert.match(late.refused[0]?.message ?? '', /no CONNECT within the time limit/)

  const full = scene(t, { limits: { maxConnections: 0 } })
  await full.open().closed
  assert.match(full.refused[0]?.message ?? '', /too many connections/)
  assert.deepEqual(full.refused[0]?.connect, {})

  const listed = scene(t, { plugins: [{ name: 'addresses', connect: () => false }] })
  await listed.open().closed
  assert.match(listed.refused[0]?.message ?? '', /connection refused/)
})

test('connectionRefused says that the broker is closing', async (t) => {
  const { broker, open, refused } = scene(t)
  const closed = broker.close()
  await open().closed
  await closed
  assert.match(refused[0]?.message ?? '', /closing/)
})

import assert from 'node:assert/strict'
import { MqttError } from '../../lib/index.ts'
import { test } from './broker-under-test.ts'
import { connectPacket } from './client.ts'

test('there is no DISCONNECT before a CONNACK that accepts [MQTT-3.14.0-1]', async ({ open }) => {
  for (const packet of [
    'c0 00',
    '10 ["MQTT" 05 03 0000 [] "c"]',
    '10 ["MQTX" 05 02 0000 [] "c"]',
    '10 ["MQTT" 05 02 0000 [21 0000] "c"]',
    '36 [00]',
  ]) {
    const client = await open()
    client.sends(packet)
    for (const received of await client.isClosed()) assert.equal(received[0], 0x20)
  }
})

test('a DISCONNECT with reserved flags ends the connection as an error [MQTT-3.14.1-1]', async ({ connect }) => {
  const bob = await connect('bob')
  await bob.subscribes('"will" 00', '00')
  for (const flags of '123456789abcdef') {
    const client = await connect('alice', { will: { topic: 'will' } })
    client.sends(`e${flags} 00`)
    await client.isDisconnected(0x81, 0x82)
    await bob.receives(`30 ["will" [] 'gone']`)
  }
})

test('a DISCONNECT with a code that a Client does not have is an error [MQTT-3.14.2-1]', async ({ connect }) => {
  const bob = await connect('bob')
  await bob.subscribes('"will" 00', '00')
  for (const code of ['01', '05', '7f', 'ff', '8b', '8e']) {
    const client = await connect('alice', { will: { topic: 'will' } })
    client.sends(`e0 01 ${code}`)
    await client.isDisconnected(0x81, 0x82)
    await bob.receives(`30 ["will" [] 'gone']`)
  }
})

test('every code that a Client may have in DISCONNECT is taken [MQTT-3.14.2-1] [MQTT-3.14.4-3]', async ({
  connect,
}) => {
  const bob = await connect('bob')
  await bob.subscribes('"will" 00', '00')
  for (const code of ['04', '80', '81', '82', '83', '90', '93', '94', '95', '96', '97', '98', '99']) {
    const client = await connect('alice', { will: { topic: 'will' } })
    client.sends(`e0 [${code} [1f "because" 26 "n" "v"]]`)
    assert.deepEqual(await client.isClosed(), [])
    await bob.receives(`30 ["will" [] 'gone']`)
  }
})

const disconnectCodes = [
  0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98,
  0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
]

test('a DISCONNECT from the Server has a listed code and no Session Expiry Interval [MQTT-3.14.2-1] [MQTT-3.14.2-2]', {
  clock: true,
}, async ({ connect, server }) => {
  const properties = '11 0000ffff'
  const wrong = await connect('wrong', { properties })
  wrong.sends('82 [0001 []]')
  const idle = await connect('idle', { properties, keepAlive: 10 })
  await server.advance(16_000)
  const taken = await connect('taken', { properties })
  await connect('taken', { clean: false, properties, sessionPresent: 1 })
  const closed = await connect('closed', { properties })
  await server.broker!.close({ graceMs: 0 })
  for (const [client, codes] of [
    [wrong, [0x82, 0x81]],
    [idle, [0x8d]],
    [taken, [0x8e]],
    [closed, [0x8b]],
  ] as const) {
    assert.ok(codes.every((code) => disconnectCodes.includes(code)))
    await client.isDisconnected(...codes)
  }
})

test('a DISCONNECT that would be too large goes without Reason String and User Properties [MQTT-3.14.2-3] [MQTT-3.14.2-4]', async ({
  connect,
}) => {
  for (const size of [20, 30, 40, 60]) {
    const alice = await connect('alice', { properties: `27 ${size.toString(16).padStart(8, '0')}` })
    alice.sends(`30 ["${'long/'.repeat(50)}#" [] 'hi']`)
    const packets = await alice.isClosed()
    for (const packet of packets) assert.ok(packet.length <= size)
  }
})

test('the application may end a connection with any words [MQTT-3.14.2-3] [MQTT-3.14.2-4] [MQTT-3.14.4-1]', {
  options: {
    plugins: [
      {
        name: 'nothing',
        authorizePublish: () => {
          throw new MqttError('not-authorized')
        },
      },
    ],
  },
}, async ({ connect, server }) => {
  for (const size of [20, 80, 120, 1000]) {
    const alice = await connect('alice', { properties: `27 ${size.toString(16).padStart(8, '0')}` })
    const [client] = [...server.broker!.clients.values()]
    const ended = client!.disconnect('administrative-action', {
      reasonString: 'a reason that is longer than what the Client takes',
      userProperties: [['name', 'and a User Property that is longer than that']],
    })
    const packets = await alice.isClosed()
    await ended
    assert.equal(packets.length, 1)
    assert.equal(packets[0]![0], 0xe0)
    assert.equal(packets[0]![packets[0]!.length > 130 ? 3 : 2], 0x98)
    assert.ok(packets[0]!.length <= size)
  }
})

test('nothing follows a DISCONNECT of the Server, which then closes [MQTT-3.14.4-1] [MQTT-3.14.4-2]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  await alice.subscribes('"t" 00', '00')
  const bob = await connect('bob')
  alice.sends('82 [0001 []]', 'c0 00', `30 ["t" [] 'hi']`)
  await bob.publishes('t', 'hi')
  const packets = await alice.isClosed()
  const disconnect = packets.findIndex((packet) => packet[0] === 0xe0)
  assert.ok(disconnect === -1 || disconnect === packets.length - 1)
  assert.ok(packets.every((packet) => packet[0] !== 0xd0))
})

test('nothing that follows a DISCONNECT of the Client is done, and the Server closes [MQTT-3.14.4-1] [MQTT-3.14.4-2]', async ({
  connect,
}) => {
  const bob = await connect('bob')
  await bob.subscribes('"#" 00', '00')
  const alice = await connect('alice')
  alice.sends(`30 ["t" [] 'before']`, 'e0 00', `30 ["t" [] 'after']`, 'c0 00', `31 ["t" [] 'after']`)
  assert.deepEqual(await alice.isClosed(), [])
  await bob.receives(`30 ["t" [] 'before']`)
  await bob.receivesNothing()
})

test('DISCONNECT with Normal disconnection discards the Will [MQTT-3.14.4-3] [MQTT-3.1.2-10]', async ({ connect }) => {
  const bob = await connect('bob')
  await bob.subscribes('"will" 00', '00')
  for (const packet of ['e0 00', 'e0 01 00', 'e0 02 00 00', 'e0 [00 [11 00000000]]']) {
    const alice = await connect('alice', { will: { topic: 'will' } })
    alice.sends(packet)
    assert.deepEqual(await alice.isClosed(), [])
  }
  const carol = await connect('carol')
  await carol.publishes('will', 'marker')
  await bob.receives(`30 ["will" [] 'marker']`)
})

test('DISCONNECT can change the Session Expiry Interval, but not from 0 [MQTT-4.1.0-2] [MQTT-4.13.1-1]', async ({
  connect,
  open,
}) => {
  const alice = await connect('alice', { properties: '11 0000ffff' })
  alice.sends('e0 [00 [11 00000000]]')
  await alice.isClosed()
  const again = await connect('alice', { clean: false, sessionPresent: 0 })
  again.sends('e0 [00 [11 0000ffff]]')
  await again.isDisconnected(0x82)
  const third = await open()
  third.sends(connectPacket({ id: 'alice', clean: false }))
  await third.receivesConnack(0)
})

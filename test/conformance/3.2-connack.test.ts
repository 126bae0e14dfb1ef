import assert from 'node:assert/strict'
import { MqttError } from '../../lib/index.ts'
import { test } from './broker-under-test.ts'
import { connectPacket, readLength } from './client.ts'

const lasting = '11 0000ffff'

test('CONNACK comes before every other packet, messages that waited included [MQTT-3.2.0-1]', async ({
  connect,
  open,
}) => {
  const alice = await connect('alice', { properties: lasting })
  await alice.subscribes('"t" 01', '01')
  await alice.disconnects()
  const bob = await connect('bob')
  for (const payload of ['one', 'two', 'three']) await bob.publishes('t', payload)
  const back = await open()
  back.sends(connectPacket({ id: 'alice', clean: false }), 'c0 00')
  await back.receivesConnack(1)
  // The answer to PINGREQ may come between the messages.
  await back.receivesInAnyOrder(`32 ["t" ____ [] 'one']`, `32 ["t" ____ [] 'two']`, `32 ["t" ____ [] 'three']`, 'd0 00')
})

test('there is one CONNACK on a connection [MQTT-3.2.0-2]', async ({ connect }) => {
  const alice = await connect('alice')
  await alice.receivesNothing()
  alice.sends(connectPacket({ id: 'alice' }))
  await alice.isDisconnected(0x82) // No CONNACK among the last packets.
})

test('bits 7 to 1 of the Connect Acknowledge Flags are 0 [MQTT-3.2.2-1]', async ({ connect, open }) => {
  const alice = await connect('alice', { properties: lasting })
  assert.equal(alice.connack[2], 0)
  await alice.disconnects()
  const back = await connect('alice', { clean: false, sessionPresent: 1 })
  assert.equal(back.connack[2], 1)
  const refused = await open()
  refused.sends('10 ["MQTT" 06 00 0000 [] "alice"]')
  const [connack] = await refused.isClosed()
  if (connack !== undefined) assert.equal(connack[2], 0)
})

test('Session Present says whether there was a session [MQTT-3.2.2-2] [MQTT-3.2.2-3]', async ({ connect }) => {
  const first = await connect('alice', { clean: false, properties: lasting, sessionPresent: 0 })
  await first.disconnects()
  const second = await connect('alice', { clean: false, properties: lasting, sessionPresent: 1 })
  await second.drops()
  const third = await connect('alice', { clean: true, sessionPresent: 0 })
  await third.disconnects()
  const fourth = await connect('alice', { clean: false, sessionPresent: 0 })
  await fourth.receivesNothing()
})

const refusals = new Map<string, number>([
  ['unspecified-error', 0x80],
  ['implementation-specific-error', 0x83],
  ['bad-user-name-or-password', 0x86],
  ['not-authorized', 0x87],
  ['server-unavailable', 0x88],
  ['server-busy', 0x89],
  ['banned', 0x8a],
  ['quota-exceeded', 0x97],
  ['connection-rate-exceeded', 0x9f],
])

test('a CONNACK that refuses has Session Present 0, a listed code and is the last packet [MQTT-3.2.2-6] [MQTT-3.2.2-7] [MQTT-3.2.2-8] [MQTT-4.13.2-1]', {
  options: {
    plugins: [
      {
        name: 'refuses',
        authenticate: ({ username }) => {
          const code = Number(username)
          if (code > 0) throw new MqttError(code)
          return true
        },
      },
    ],
  },
}, async ({ connect, open }) => {
  const alice = await connect('alice', { properties: lasting, username: '0' })
  await alice.disconnects()
  // 0x92, 0x8e and 0x00 have no place in a CONNACK; something else must take theirs.
  for (const code of [...refusals.values(), 0x92, 0x8e, 0xa1]) {
    const client = await open()
    client.sends(connectPacket({ id: 'alice', clean: false, username: String(code) }))
    await client.isRefused(...refusals.values())
  }
})

test('a Server that announces no Maximum QoS takes QoS 0, 1 and 2 [MQTT-3.2.2-9] [MQTT-3.2.2-10] [MQTT-3.2.2-12]', async ({
  open,
}) => {
  const client = await open()
  client.sends(connectPacket({ will: { topic: 'will', qos: 2 } }))
  const properties = await client.receivesConnack()
  assert.ok(!properties.has(0x24), 'Maximum QoS is not among the Properties')
  await client.subscribes('"a" 00 "b" 01 "c" 02', '00 01 02')
  for (const qos of [0, 1, 2] as const) await client.publishes('t', 'hi', { qos })
})

test('a Server that announces no Retain Available takes retained messages and Wills [MQTT-3.2.2-13]', async ({
  open,
  connect,
}) => {
  const client = await open()
  client.sends(connectPacket({ will: { topic: 'will', retain: true } }))
  const properties = await client.receivesConnack()
  assert.ok(!properties.has(0x25), 'Retain Available is not among the Properties')
  await client.publishes('t', 'kept', { retain: true })
  const bob = await connect('bob')
  await bob.subscribes('"t" 00', '00')
  await bob.receives(`31 ["t" [] 'kept']`)
})

test('a Maximum QoS is announced, granted and enforced [MQTT-3.2.2-9] [MQTT-3.2.2-10] [MQTT-3.2.2-12]', {
  options: { maximumQoS: 1 },
}, async ({ open }) => {
  const client = await open()
  client.sends(connectPacket({ will: { topic: 'will', qos: 1 } }))
  const properties = await client.receivesConnack()
  assert.deepEqual(properties.get(0x24), ['01'])
  await client.subscribes('"a" 00 "b" 01 "c" 02', '00 01 01')
  await client.publishes('t', 'hi', { qos: 1 })
  client.sends(`34 ["t" 0001 [] 'hi']`)
  await client.isDisconnected(0x9b)
  const willing = await open()
  willing.sends(connectPacket({ will: { topic: 'will', qos: 2 } }))
  await willing.isRefused(0x9b)
})

test('Retain Available 0 is announced and enforced [MQTT-3.2.2-13]', {
  options: { retainAvailable: false },
}, async ({ open }) => {
  const client = await open()
  client.sends(connectPacket())
  const properties = await client.receivesConnack()
  assert.deepEqual(properties.get(0x25), ['00'])
  client.sends(`31 ["t" [] 'hi']`)
  await client.isDisconnected(0x9a)
  const willing = await open()
  willing.sends(connectPacket({ will: { topic: 'will', retain: true } }))
  await willing.isRefused(0x9a)
})

test('a packet larger than the Maximum Packet Size of the Server ends the connection [MQTT-3.2.2-15]', {
  options: { limits: { maxPacketSize: 1000 } },
}, async ({ open, connect }) => {
  const client = await open()
  client.sends(connectPacket())
  const properties = await client.receivesConnack()
  assert.deepEqual(properties.get(0x27), ['000003e8'])
  client.sends(`30 ["t" [] '${'p'.repeat(993)}']`) // 1 + 2 + 3 + 1 + 993 bytes.
  await client.receivesNothing()
  client.sends(`30 ["t" [] '${'p'.repeat(994)}']`)
  await client.isDisconnected(0x95)
  // It is known from the fixed header.
  const other = await connect('other')
  other.sends('30 ff ff ff 7f')
  await other.isDisconnected(0x95)
})

test('a Topic Alias above the maximum of the Server ends the connection [MQTT-3.2.2-17] [MQTT-3.3.2-9]', async ({
  open,
}) => {
  const client = await open()
  client.sends(connectPacket())
  const [maximum = '0000'] = (await client.receivesConnack()).get(0x22) ?? []
  const next = (Number.parseInt(maximum, 16) + 1).toString(16).padStart(4, '0')
  client.sends(`30 ["t" [23 ${next}] 'hi']`)
  await client.isDisconnected(0x94)
})

test('a Topic Alias for a Server that announced none ends the connection [MQTT-3.2.2-18]', {
  options: { limits: { topicAliasMaximum: 0 } },
}, async ({ open }) => {
  const client = await open()
  client.sends(connectPacket())
  assert.equal((await client.receivesConnack()).has(0x22), false)
  client.sends(`30 ["t" [23 0001] 'hi']`)
  await client.isDisconnected(0x94)
})

test('a CONNACK that would be larger than the Client takes is sent without Reason String and User Properties [MQTT-3.2.2-19] [MQTT-3.2.2-20]', {
  options: {
    plugins: [
      {
        name: 'wordy',
        authenticate: () => {
          throw new MqttError('banned', 'a reason that is a good deal longer than what the Client takes', {
            userProperties: [['name', 'and a User Property that is longer still than the reason']],
          })
        },
      },
    ],
  },
}, async ({ open }) => {
  for (const size of [20, 80, 110, 300]) {
    const client = await open()
    client.sends(connectPacket({ properties: `27 ${size.toString(16).padStart(8, '0')}` }))
    const packets = await client.isClosed()
    assert.equal(packets.length, 1)
    const connack = packets[0]!
    assert.equal(connack[1 + readLength(connack, 1)!.size + 1], 0x8a)
    assert.ok(connack.length <= size, `${connack.length} bytes for ${size}`)
  }
})

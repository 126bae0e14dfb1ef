/** CONNECT and CONNACK: sections 3.1 and 3.2 of MQTT 3.1.1. */
import assert from 'node:assert/strict'
import { test } from '../broker-under-test.ts'
import { connectPacket } from '../client.ts'

const level = 4
const passwords = {
  options: {
    plugins: [
      {
        name: 'passwords',
        authenticate: ({ password }: { password?: Buffer | undefined }): boolean => password?.toString() === 'word',
      },
    ],
  },
}

test('a first packet other than CONNECT closes the connection [MQTT-3.1.1: 3.1.0-1] [MQTT-3.1.1: 3.2.0-1]', async ({
  open,
}) => {
  for (const packet of [`30 ["t" 'hi']`, '40 [0001]', '82 [0001 "t" 00]', 'c0 00', 'e0 00', 'f0 00', '00 00']) {
    const client = await open(level)
    client.sends(packet)
    assert.deepEqual(await client.isClosed(), [])
  }
})

test('a second CONNECT closes the connection [MQTT-3.1.1: 3.1.0-2]', async ({ connect }) => {
  const alice = await connect('alice', { level })
  alice.sends(connectPacket({ level, id: 'alice' }))
  await alice.isDisconnected()
})

test('another Protocol Name closes the connection [MQTT-3.1.1: 3.1.2-1]', async ({ open }) => {
  for (const name of ['MQTX', 'mqtt', 'MQIsdq', '']) {
    const client = await open(level)
    client.sends(`10 ["${name}" 04 02 0000 "c"]`)
    await client.isRefused(0x01)
  }
})

test('an unknown level is answered with CONNACK 0x01 [MQTT-3.1.1: 3.1.2-2] [MQTT-3.1.1: 3.2.2-4] [MQTT-3.1.1: 3.2.2-5]', async ({
  open,
}) => {
  for (const unknown of ['00', '01', '02', '06', '7f']) {
    const client = await open(level)
    client.sends(`10 ["MQTT" ${unknown} 02 0000 "c"]`)
    const packets = await client.isClosed()
    assert.equal(packets.length, 1)
    // From level 6 on a later version may be meant, and its code.
    assert.match(packets[0]!.toString('hex'), unknown < '03' ? /^20020001$/ : /^2002000(1)$|^20030084/)
  }
})

test('the reserved Connect Flag closes the connection without CONNACK [MQTT-3.1.1: 3.1.2-3] [MQTT-3.1.1: 3.1.4-1] [MQTT-3.1.1: 3.2.2-6]', async ({
  open,
}) => {
  const client = await open(level)
  client.sends('10 ["MQTT" 04 03 0000 "c"]')
  await client.isRefused()
})

test('a session with CleanSession 0 stays, with its subscriptions and its messages [MQTT-3.1.1: 3.1.2-4] [MQTT-3.1.1: 3.1.2-5] [MQTT-3.1.1: 3.1.3-2] [MQTT-3.1.1: 3.1.4-3] [MQTT-3.1.1: 3.2.2-2] [MQTT-3.1.1: 3.2.2-3] [MQTT-3.1.1: 4.1.0-1] [MQTT-3.1.1: 4.5.0-1]', async ({
  connect,
}) => {
  const alice = await connect('alice', { level, clean: false, sessionPresent: 0 })
  await alice.subscribes('"t" 02', '02')
  await alice.disconnects()
  const bob = await connect('bob', { level })
  await bob.publishes('t', 'one', { qos: 1 })
  await bob.publishes('t', 'two', { qos: 2 })
  const back = await connect('alice', { level, clean: false, sessionPresent: 1 })
  await back.receives(`32 ["t" ____ 'one']`)
  await back.receives(`34 ["t" ____ 'two']`)
  await bob.publishes('t', 'new')
  await back.receives(`32 ["t" ____ 'new']`)
})

test('CleanSession 1 drops the session before and leaves none [MQTT-3.1.1: 3.1.2-6] [MQTT-3.1.1: 3.2.2-1] [MQTT-3.1.1: 3.1.4-3]', async ({
  connect,
}) => {
  const first = await connect('alice', { level, clean: false })
  await first.subscribes('"t" 01', '01')
  first.sends(`34 ["q" 0001 'hi']`)
  await first.receives('50 02 0001')
  await first.disconnects()
  const second = await connect('alice', { level, clean: true, sessionPresent: 0 })
  const bob = await connect('bob', { level })
  await bob.subscribes('"q" 00', '00')
  await bob.publishes('t', 'hi')
  await second.receivesNothing()
  // The exchange with QoS 2 is gone as well: the same Packet Identifier is a new message.
  await second.publishes('q', 'new', { qos: 2, packetId: '0001' })
  await bob.receives(`30 ["q" 'new']`)
  await second.subscribes('"t" 01', '01')
  await second.disconnects()
  const third = await connect('alice', { level, clean: false, sessionPresent: 0 })
  await bob.publishes('t', 'hi')
  await third.receivesNothing()
})

test('retained messages do not end with a session [MQTT-3.1.1: 3.1.2-7]', async ({ connect }) => {
  const alice = await connect('alice', { level })
  await alice.publishes('t', 'kept', { retain: true })
  await alice.disconnects()
  const bob = await connect('bob', { level })
  await bob.subscribes('"t" 00', '00')
  await bob.receives(`31 ["t" 'kept']`)
})

test('a Will is published when the connection ends without DISCONNECT, once [MQTT-3.1.1: 3.1.2-8] [MQTT-3.1.1: 3.1.2-10] [MQTT-3.1.1: 3.1.2-12] [MQTT-3.1.1: 3.14.4-3]', async ({
  connect,
}) => {
  const bob = await connect('bob', { level })
  await bob.subscribes('"will" 02', '02')
  const carol = await connect('carol', { level })
  for (const how of ['end', 'reset'] as const) {
    const alice = await connect('alice', { level, will: { topic: 'will', qos: 1 } })
    await alice.drops(how)
    await bob.receives(`32 ["will" ____ 'gone']`)
  }
  const wrong = await connect('alice', { level, will: { topic: 'will' } })
  wrong.sends(`36 ["t" 0001 'hi']`)
  await wrong.isDisconnected()
  await bob.receives(`30 ["will" 'gone']`)
  const polite = await connect('alice', { level, will: { topic: 'will' } })
  await polite.disconnects()
  const without = await connect('alice', { level })
  await without.drops()
  await carol.publishes('will', 'marker', { qos: 0 })
  await bob.receives(`30 ["will" 'marker']`)
})

test('the fields of a Will are there exactly when Will Flag says so, and its QoS is not 3 [MQTT-3.1.1: 3.1.2-9] [MQTT-3.1.1: 3.1.2-11] [MQTT-3.1.1: 3.1.2-13] [MQTT-3.1.1: 3.1.2-14] [MQTT-3.1.1: 3.1.2-15] [MQTT-3.1.1: 3.1.3-1]', async ({
  open,
}) => {
  for (const packet of [
    '10 ["MQTT" 04 06 0000 "c"]',
    '10 ["MQTT" 04 06 0000 "c" "will"]',
    '10 ["MQTT" 04 02 0000 "c" "will" "gone"]',
    '10 ["MQTT" 04 0a 0000 "c"]',
    '10 ["MQTT" 04 12 0000 "c"]',
    '10 ["MQTT" 04 22 0000 "c"]',
    '10 ["MQTT" 04 1e 0000 "c" "will" "gone"]',
  ]) {
    const client = await open(level)
    client.sends(packet)
    await client.isRefused()
  }
})

test('a Will is retained if Will Retain is 1, and not if it is 0 [MQTT-3.1.1: 3.1.2-16] [MQTT-3.1.1: 3.1.2-17]', async ({
  connect,
}) => {
  const bob = await connect('bob', { level })
  await bob.subscribes('"will/#" 00', '00')
  for (const retain of [false, true]) {
    const alice = await connect('alice', { level, will: { topic: `will/${retain}`, retain } })
    await alice.drops()
    await bob.receives(`30 ["will/${retain}" 'gone']`)
  }
  const carol = await connect('carol', { level })
  await carol.subscribes('"will/#" 00', '00')
  await carol.receives(`31 ["will/true" 'gone']`)
  await carol.receivesNothing()
})

test('user name and password are there exactly when their flags say so [MQTT-3.1.1: 3.1.2-18] [MQTT-3.1.1: 3.1.2-19] [MQTT-3.1.1: 3.1.2-20] [MQTT-3.1.1: 3.1.2-21] [MQTT-3.1.1: 3.1.4-1]', async ({
  open,
}) => {
  for (const packet of [
    '10 ["MQTT" 04 02 0000 "c" "user"]',
    '10 ["MQTT" 04 82 0000 "c"]',
    '10 ["MQTT" 04 82 0000 "c" "user" "word"]',
    '10 ["MQTT" 04 c2 0000 "c" "user"]',
    '10 ["MQTT" 04 c2 0000 "c" "user" "word" 00]',
    '10 ["MQTT" 04 02 0000]',
    '10 ["MQTT" 04 02]',
    '10 00',
  ]) {
    const client = await open(level)
    client.sends(packet)
    await client.isRefused()
  }
})

test('a password without user name closes the connection [MQTT-3.1.1: 3.1.2-22]', async ({ open }) => {
  const client = await open(level)
  client.sends('10 ["MQTT" 04 42 0000 "c" "word"]')
  await client.isRefused()
})

test('a Client that is silent for one and a half times its Keep Alive is disconnected [MQTT-3.1.1: 3.1.2-24]', {
  clock: true,
}, async ({ connect, server }) => {
  const bob = await connect('bob', { level })
  await bob.subscribes('"will" 00', '00')
  const alice = await connect('alice', { level, keepAlive: 10, will: { topic: 'will' } })
  await server.advance(14_000)
  await alice.receivesNothing()
  await server.advance(14_000)
  await bob.receivesNothing()
  await server.advance(2000)
  await alice.isDisconnected()
  await bob.receives(`30 ["will" 'gone']`)
})

test('the Client Identifier comes first; 1 to 23 letters and digits are always allowed [MQTT-3.1.1: 3.1.3-3] [MQTT-3.1.1: 3.1.3-5] [MQTT-3.1.1: 3.1.4-4]', async ({
  open,
}) => {
  for (const id of ['a', '0', '0123456789abcdefghijklm', 'nopqrstuvwxyzABCDEFGHIJ', 'KLMNOPQRSTUVWXYZ']) {
    const client = await open(level)
    client.sends(`10 ["MQTT" 04 02 0000 "${id}"]`)
    await client.receives('20 02 00 00')
  }
})

test('an empty Client Identifier stands for a new one, with CleanSession 1 only [MQTT-3.1.1: 3.1.3-6] [MQTT-3.1.1: 3.1.3-7] [MQTT-3.1.1: 3.1.3-8] [MQTT-3.1.1: 3.1.3-9] [MQTT-3.1.1: 3.2.2-5]', async ({
  open,
}) => {
  const [first, second] = [await open(level), await open(level)]
  for (const client of [first, second]) {
    client.sends('10 ["MQTT" 04 02 0000 ""]')
    await client.receives('20 02 00 00')
  }
  await first.receivesNothing() // The second one has not taken its place.
  const refused = await open(level)
  refused.sends('10 ["MQTT" 04 00 0000 ""]')
  await refused.receives('20 02 00 02')
  assert.deepEqual(await refused.isClosed(), [])
})

test('a Client Identifier that connects again ends the connection before [MQTT-3.1.1: 3.1.4-2]', async ({
  connect,
}) => {
  const first = await connect('alice', { level, clean: false })
  const second = await connect('alice', { level, clean: false, sessionPresent: 1 })
  await first.isDisconnected()
  await second.receivesNothing()
})

test(
  'a refused CONNECT is answered with a code of 1 to 5, and nothing after it is done [MQTT-3.1.1: 3.1.4-5] [MQTT-3.1.1: 3.2.2-4] [MQTT-3.1.1: 3.2.2-5]',
  passwords,
  async ({ open, connect }) => {
    const alice = await connect('alice', { level, username: 'u', password: 'word' })
    await alice.subscribes('"#" 00', '00')
    const mallory = await open(level)
    mallory.sends(
      connectPacket({ level, id: 'mallory', username: 'u', password: 'wrong', will: { topic: 'will' } }),
      '82 [0001 "t" 00]',
      `31 ["t" 'hi']`,
    )
    await mallory.isRefused(0x04, 0x05)
    await alice.receivesNothing()
  },
)

test('CONNACK is the first packet, before messages that waited [MQTT-3.1.1: 3.2.0-1]', async ({ connect, open }) => {
  const alice = await connect('alice', { level, clean: false })
  await alice.subscribes('"t" 01', '01')
  await alice.disconnects()
  const bob = await connect('bob', { level })
  await bob.publishes('t', 'hi')
  const back = await open(level)
  back.sends(connectPacket({ level, id: 'alice', clean: false }))
  await back.receives('20 02 01 00')
  await back.receives(`32 ["t" ____ 'hi']`)
})

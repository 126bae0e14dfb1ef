import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from './broker-under-test.ts'
import { connectPacket } from './client.ts'

test('a first packet other than CONNECT closes the connection without an answer [MQTT-3.1.0-1]', async ({ open }) => {
  for (const packet of [
    `30 ["t" [] 'hi']`,
    '40 [0001]',
    '50 [0001]',
    '62 [0001]',
    '70 [0001]',
    '82 [0001 [] "t" 00]',
    'a2 [0001 [] "t"]',
    'c0 00',
    'e0 00',
    'f0 00',
    '20 [00 00 []]',
    '00 00',
  ]) {
    const client = await open()
    client.sends(packet)
    assert.deepEqual(await client.isClosed(), [])
  }
})

test('a second CONNECT ends the connection [MQTT-3.1.0-2]', async ({ connect }) => {
  const alice = await connect('alice')
  alice.sends(connectPacket({ id: 'alice' }))
  await alice.isDisconnected(0x82)
  const bob = await connect('bob')
  bob.sends(connectPacket({ id: 'other', level: 4 }))
  await bob.isDisconnected(0x81, 0x82)
})

test('a Protocol Name other than MQTT is refused [MQTT-3.1.2-1]', async ({ open }) => {
  for (const name of ['MQTX', 'mqtt', 'MQT', 'MQTTT', '', 'HTTP']) {
    const client = await open()
    client.sends(`10 ["${name}" 05 02 0000 [] "c"]`)
    await client.isRefused(0x84, 0x81)
  }
})

test('an unknown Protocol Version is refused [MQTT-3.1.2-2]', async ({ open }) => {
  for (const version of ['00', '01', '02', '06', '07', 'ff']) {
    const client = await open()
    client.sends(`10 ["MQTT" ${version} 02 0000 [] "c"]`)
    // A Server that takes the version for an older one answers as that did: 0x01.
    await client.isRefused(0x84, 0x01)
  }
})

test('the reserved Connect Flag is 0 [MQTT-3.1.2-3]', async ({ open }) => {
  for (const flags of ['01', '03']) {
    const client = await open()
    client.sends(`10 ["MQTT" 05 ${flags} 0000 [] "c"]`)
    await client.isRefused(0x81, 0x82)
  }
})

const lasting = '11 0000ffff'

test('Clean Start 1 ends the stored session, its subscriptions and its messages [MQTT-3.1.2-4] [MQTT-3.1.4-4] [MQTT-3.2.2-2]', async ({
  connect,
}) => {
  const first = await connect('alice', { properties: lasting })
  await first.subscribes('"t" 01', '01')
  await first.disconnects()
  const bob = await connect('bob')
  await bob.publishes('t', 'waiting')
  const alice = await connect('alice', { clean: true, properties: lasting, sessionPresent: 0 })
  await bob.publishes('t', 'new')
  await alice.receivesNothing()
})

test('Clean Start 0 goes on with the stored session [MQTT-3.1.2-5] [MQTT-3.1.2-23] [MQTT-3.2.2-3] [MQTT-4.5.0-1] [MQTT-4.1.0-1]', async ({
  connect,
}) => {
  const first = await connect('alice', { properties: lasting })
  await first.subscribes('"t" 01', '01')
  await first.disconnects()
  const bob = await connect('bob')
  await bob.publishes('t', 'waiting')
  const alice = await connect('alice', { clean: false, properties: lasting, sessionPresent: 1 })
  await alice.receives(`32 ["t" ____ [] 'waiting']`)
  await bob.publishes('t', 'new')
  await alice.receives(`32 ["t" ____ [] 'new']`)
})

test('Clean Start 0 without a stored session begins a new one [MQTT-3.1.2-6] [MQTT-3.2.2-3]', async ({ connect }) => {
  const alice = await connect('alice', { clean: false, sessionPresent: 0 })
  await alice.subscribes('"t" 00', '00')
  alice.sends(`30 ["t" [] 'hi']`)
  await alice.receives(`30 ["t" [] 'hi']`)
})

test('a Client Identifier is the name of the session [MQTT-3.1.3-2]', async ({ connect }) => {
  const alice = await connect('alice', { properties: lasting })
  await alice.subscribes('"t" 01', '01')
  await alice.disconnects()
  const other = await connect('Alice', { clean: false, sessionPresent: 0 })
  await other.publishes('t', 'waiting')
  await other.receivesNothing()
  const back = await connect('alice', { clean: false, sessionPresent: 1 })
  await back.receives(`32 ["t" ____ [] 'waiting']`)
})

test('a Will is published when the connection ends without DISCONNECT [MQTT-3.1.2-8] [MQTT-3.1.2-7]', async ({
  connect,
}) => {
  const bob = await connect('bob')
  await bob.subscribes('"will/#" 02', '02')
  const ended = await connect('ended', { will: { topic: 'will/end' } })
  await ended.drops('end')
  await bob.receives(`30 ["will/end" [] 'gone']`)

  const reset = await connect('reset', { will: { topic: 'will/reset' } })
  await reset.drops('reset')
  await bob.receives(`30 ["will/reset" [] 'gone']`)

  const wrong = await connect('wrong', { will: { topic: 'will/error' } })
  wrong.sends(`36 ["t" 0001 [] 'QoS 3']`)
  await wrong.isDisconnected(0x81, 0x82)
  await bob.receives(`30 ["will/error" [] 'gone']`)

  const wish = await connect('wish', { will: { topic: 'will/wish' } })
  wish.sends('e0 01 04')
  await wish.isClosed()
  await bob.receives(`30 ["will/wish" [] 'gone']`)
})

test('a Will waits for its Will Delay Interval, or for the end of its session if that comes first [MQTT-3.1.2-8] [MQTT-4.1.0-2]', {
  clock: true,
}, async ({ connect, server }) => {
  const bob = await connect('bob')
  await bob.subscribes('"will/#" 00', '00')
  const late = await connect('late', {
    properties: '11 00000064',
    will: { topic: 'will/delay', properties: '18 0000000a' },
  })
  const early = await connect('early', {
    properties: '11 00000005',
    will: { topic: 'will/session', properties: '18 0000000a' },
  })
  await late.drops()
  await early.drops()
  await server.advance(4000)
  await bob.receivesNothing()
  await server.advance(2000)
  await bob.receives(`30 ["will/session" [] 'gone']`)
  await bob.receivesNothing()
  await server.advance(5000)
  await bob.receives(`30 ["will/delay" [] 'gone']`)
})

test('a Will with a delay is published at once when a Clean Start ends its session [MQTT-3.1.2-8]', async ({
  connect,
}) => {
  const bob = await connect('bob')
  await bob.subscribes('"will" 00', '00')
  const alice = await connect('alice', {
    properties: lasting,
    will: { topic: 'will', properties: '18 00000064' },
  })
  await alice.drops()
  await connect('alice', { clean: true })
  await bob.receives(`30 ["will" [] 'gone']`)
})

test('a Client that is back before the Will Delay Interval has passed keeps its Will from being sent [MQTT-3.1.3-9]', {
  clock: true,
}, async ({ connect, server }) => {
  const bob = await connect('bob')
  await bob.subscribes('"will" 00', '00')
  const alice = await connect('alice', {
    properties: '11 00000064',
    will: { topic: 'will', properties: '18 0000000a' },
  })
  await alice.drops()
  await server.advance(9000)
  await connect('alice', { clean: false, properties: '11 00000064', sessionPresent: 1 })
  await server.advance(20_000)
  await bob.receivesNothing()
})

test('a Will has Properties, a topic and a payload, and its QoS and RETAIN are used [MQTT-3.1.2-9] [MQTT-3.1.3-1]', async ({
  connect,
  open,
}) => {
  const bob = await connect('bob')
  await bob.subscribes('"will" 02', '02')
  const alice = await open()
  alice.sends(
    `10 ["MQTT" 05 f6 0000 [] "alice" [01 01 02 00001000 03 "text" 08 "answer" 09 (0102)] "will" "gone" "user" "word"]`,
  )
  await alice.receivesConnack()
  await alice.drops()
  const published = await bob.receivesPacket()
  assert.equal(published[0]! & 0x0f, 0x04)
  assert.ok(published.includes('gone'))
  // Each of the fields left out.
  for (const packet of [
    '10 ["MQTT" 05 06 0000 [] "c"]',
    '10 ["MQTT" 05 06 0000 [] "c" []]',
    '10 ["MQTT" 05 06 0000 [] "c" [] "will"]',
    '10 ["MQTT" 05 06 0000 [] "c" "will" "gone"]',
  ]) {
    const client = await open()
    client.sends(packet)
    await client.isRefused(0x81, 0x82)
  }
})

test('every Property of a Will reaches its subscribers, User Properties in their order [MQTT-3.1.3-10] [MQTT-3.1.2-9]', async ({
  connect,
}) => {
  const bob = await connect('bob')
  await bob.subscribes('"will" 00', '00')
  const alice = await connect('alice', {
    will: { topic: 'will', properties: '26 "z" "1" 26 "a" "2" 26 "z" "0" 26 "z" "1"' },
  })
  await alice.drops()
  await bob.receives(`30 ["will" [26 "z" "1" 26 "a" "2" 26 "z" "0" 26 "z" "1"] 'gone']`)
})

test('a Will is gone once it was published, and after DISCONNECT [MQTT-3.1.2-10] [MQTT-3.14.4-3]', async ({
  connect,
}) => {
  const bob = await connect('bob')
  const dave = await connect('dave')
  await bob.subscribes('"will" 00', '00')
  const properties = lasting
  const alice = await connect('alice', { properties, will: { topic: 'will' } })
  await alice.drops()
  await bob.receives(`30 ["will" [] 'gone']`)
  const again = await connect('alice', { clean: false, properties, sessionPresent: 1 })
  await again.drops()
  await dave.publishes('will', 'marker')
  await bob.receives(`30 ["will" [] 'marker']`)

  const carol = await connect('carol', { properties, will: { topic: 'will', retain: true } })
  await carol.disconnects()
  const carolAgain = await connect('carol', { clean: false, properties, sessionPresent: 1 })
  await carolAgain.drops()
  await dave.publishes('will', 'marker')
  await bob.receives(`30 ["will" [] 'marker']`)
  await bob.receivesNothing()
})

test('without Will Flag there is no Will QoS and no Will Retain, and Will QoS is not 3 [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13]', async ({
  open,
}) => {
  for (const flags of ['0a', '12', '1a', '22', '3a']) {
    const client = await open()
    client.sends(`10 ["MQTT" 05 ${flags} 0000 [] "c"]`)
    await client.isRefused(0x81, 0x82)
  }
  for (const flags of ['1e', '3e']) {
    const client = await open()
    client.sends(`10 ["MQTT" 05 ${flags} 0000 [] "c" [] "will" "gone"]`)
    await client.isRefused(0x81, 0x82)
  }
})

test('a Will without Will Retain is not retained [MQTT-3.1.2-14]', async ({ connect }) => {
  const bob = await connect('bob')
  await bob.subscribes('"will" 00', '00')
  const alice = await connect('alice', { will: { topic: 'will' } })
  await alice.drops()
  await bob.receives(`30 ["will" [] 'gone']`)
  await bob.subscribes('"will" 00', '00')
  await bob.receivesNothing()
})

test('a Will with Will Retain is retained [MQTT-3.1.2-15]', async ({ connect }) => {
  const bob = await connect('bob')
  await bob.subscribes('"will" 01', '01')
  const alice = await connect('alice', { will: { topic: 'will', qos: 1, retain: true } })
  await alice.drops()
  await bob.receives(`32 ["will" ____ [] 'gone']`)
  const carol = await connect('carol')
  await carol.subscribes('"will" 01', '01')
  await carol.receives(`33 ["will" ____ [] 'gone']`)
})

test('User Name and Password are there exactly when their flags say so [MQTT-3.1.2-16] [MQTT-3.1.2-17] [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.4-1]', async ({
  open,
}) => {
  for (const packet of [
    '10 ["MQTT" 05 02 0000 [] "c" "user"]',
    '10 ["MQTT" 05 82 0000 [] "c"]',
    '10 ["MQTT" 05 82 0000 [] "c" "user" "word"]',
    '10 ["MQTT" 05 42 0000 [] "c"]',
    '10 ["MQTT" 05 42 0000 [] "c" "user" "word"]',
    '10 ["MQTT" 05 c2 0000 [] "c" "user"]',
    '10 ["MQTT" 05 c2 0000 [] "c" "user" "word" 00]',
  ]) {
    const client = await open()
    client.sends(packet)
    await client.isRefused(0x81, 0x82)
  }
})

test('a Password needs no User Name [MQTT-3.1.2-18] [MQTT-3.1.2-19]', {
  options: {
    plugins: [
      {
        name: 'passwords',
        authenticate: ({ username, password }) => username === undefined && password?.toString() === 'word',
      },
    ],
  },
}, async ({ connect, open }) => {
  await connect('alice', { password: 'word' })
  const bob = await open()
  bob.sends(connectPacket({ id: 'bob', password: 'other' }))
  await bob.isRefused(0x86, 0x87)
})

test('a Client that sends no packet for one and a half times its Keep Alive is disconnected [MQTT-3.1.2-22] [MQTT-3.2.2-22]', {
  clock: true,
}, async ({ connect, server }) => {
  const bob = await connect('bob')
  await bob.subscribes('"will" 00', '00')
  const alice = await connect('alice', { keepAlive: 10, will: { topic: 'will' } })
  await server.advance(14_000)
  await alice.receivesNothing()
  await server.advance(14_000)
  await alice.receivesNothing()
  // Bytes that make no packet do not count.
  alice.sends('30 10')
  await bob.receivesNothing()
  await server.advance(14_000)
  await bob.receivesNothing()
  alice.sends('0001')
  await bob.receivesNothing()
  await server.advance(3000)
  await alice.isDisconnected(0x8d)
  await bob.receives(`30 ["will" [] 'gone']`)
})

test('Keep Alive 0 is no limit [MQTT-3.2.2-22]', { clock: true }, async ({ connect, server }) => {
  const alice = await connect('alice', { keepAlive: 0 })
  await server.advance(1_000_000_000)
  await alice.receivesNothing()
})

test('a Server Keep Alive takes the place of the Keep Alive [MQTT-3.1.2-21] [MQTT-3.2.2-21]', {
  clock: true,
  options: { limits: { maxKeepAlive: 10 } },
}, async ({ open, server }) => {
  const alice = await open()
  alice.sends(connectPacket({ id: 'alice', keepAlive: 100 }))
  const properties = await alice.receivesConnack()
  assert.deepEqual(properties.get(0x13), ['000a'])
  await server.advance(14_000)
  await alice.receivesNothing()
  await server.advance(16_000)
  await alice.isDisconnected(0x8d)
})

test('a session lives for its Session Expiry Interval and not longer [MQTT-3.1.2-23] [MQTT-4.1.0-2] [MQTT-3.2.2-3]', {
  clock: true,
}, async ({ connect, server }) => {
  const properties = '11 0000000a'
  const alice = await connect('alice', { properties })
  await alice.subscribes('"t" 01', '01')
  await server.advance(100_000) // Not while connected.
  await alice.receivesNothing()
  await alice.disconnects()
  await server.advance(9000)
  const again = await connect('alice', { clean: false, properties, sessionPresent: 1 })
  await again.disconnects()
  await server.advance(11_000)
  const bob = await connect('bob')
  await bob.publishes('t', 'lost')
  const late = await connect('alice', { clean: false, properties, sessionPresent: 0 })
  await bob.publishes('t', 'lost')
  await late.receivesNothing()
})

test('no packet is larger than the Maximum Packet Size of the Client [MQTT-3.1.2-24] [MQTT-3.1.2-25]', async ({
  connect,
}) => {
  const alice = await connect('alice', { properties: '27 00000028 21 0001' }) // 40 bytes, Receive Maximum 1.
  assert.ok(alice.connack.length <= 40)
  await alice.subscribes('"t" 02', '02')
  const bob = await connect('bob')
  await bob.publishes('t', 'p'.repeat(40), { qos: 1 })
  await bob.publishes('t', 'p'.repeat(40), { qos: 2 })
  await bob.publishes('t', 'p'.repeat(40), { qos: 0 })
  await bob.publishes('t', 'p'.repeat(40), { qos: 1 })
  // 2 + 3 + 2 + 1 + 32 bytes are 40. The larger ones count as delivered: they hold no place in the window of one.
  await bob.publishes('t', 'p'.repeat(33), { qos: 1 })
  await bob.publishes('t', 'p'.repeat(32), { qos: 1 })
  await alice.receives(`32 ["t" ____ [] '${'p'.repeat(32)}']`)
  await alice.receivesNothing()
})

test('a queued message that is too large for the Client that comes back is dropped [MQTT-3.1.2-25]', async ({
  connect,
}) => {
  const alice = await connect('alice', { properties: lasting })
  await alice.subscribes('"t" 01', '01')
  await alice.disconnects()
  const bob = await connect('bob')
  await bob.publishes('t', 'p'.repeat(100))
  await bob.publishes('t', 'small')
  const back = await connect('alice', { clean: false, properties: `${lasting} 27 00000028`, sessionPresent: 1 })
  await back.receives(`32 ["t" ____ [] 'small']`)
  await back.receivesNothing()
})

test('a Server sends no Topic Alias above the Topic Alias Maximum of the Client [MQTT-3.1.2-26] [MQTT-3.3.2-11]', async ({
  connect,
}) => {
  const alice = await connect('alice', { properties: '22 0002' })
  await alice.subscribes('"#" 00', '00')
  const bob = await connect('bob')
  const topics = new Map<string, string>()
  for (const topic of ['a', 'b', 'c', 'a', 'b', 'c', 'd']) {
    await bob.publishes(topic, 'hi', { qos: 0 })
    const packet = await alice.receivesPacket()
    assert.equal(packet[0], 0x30)
    const name = packet.toString('utf8', 4, 4 + packet.readUInt16BE(2))
    const properties = packet.subarray(4 + name.length)
    if (properties[0] === 3) {
      assert.equal(properties[1], 0x23)
      const alias = properties.toString('hex', 2, 4)
      assert.ok(alias === '0001' || alias === '0002', `alias ${alias}`)
      if (name !== '') topics.set(alias, name)
      assert.equal(topics.get(alias), topic)
    } else {
      assert.equal(name, topic)
    }
  }
})

test('a Client without Topic Alias Maximum gets no Topic Alias [MQTT-3.1.2-27]', async ({ connect }) => {
  for (const properties of ['', '22 0000']) {
    const alice = await connect('alice', { properties })
    await alice.subscribes('"t" 00', '00')
    for (let count = 0; count < 5; count += 1) {
      alice.sends(`30 ["t" [] 'hi']`)
      await alice.receives(`30 ["t" [] 'hi']`)
    }
  }
})

test('a Client that does not ask for Response Information gets none [MQTT-3.1.2-28]', async ({ open }) => {
  for (const properties of ['', '19 00']) {
    const client = await open()
    client.sends(connectPacket({ properties }))
    const values = await client.receivesConnack()
    assert.ok(!values.has(0x1a))
  }
})

test('Response Information is for those who ask for it [MQTT-3.1.2-28]', {
  options: { responseInformation: 'answers/' },
}, async ({ open }) => {
  for (const [properties, expected] of [
    ['', undefined],
    ['19 00', undefined],
    ['19 01', [Buffer.from('answers/').toString('hex')]],
  ] as const) {
    const client = await open()
    client.sends(connectPacket({ properties }))
    const values = await client.receivesConnack()
    assert.deepEqual(values.get(0x1a), expected)
  }
})

test('a Client that wants no problem information gets no Reason String and no User Property but in PUBLISH, CONNACK and DISCONNECT [MQTT-3.1.2-29]', {
  options: {
    plugins: [
      {
        name: 'refuses',
        authorizePublish: ({ topic }) => topic !== 'secret',
        authorizeSubscribe: () => false,
      },
    ],
  },
}, async ({ connect }) => {
  const alice = await connect('alice', { properties: '17 00' })
  alice.sends(`32 ["secret" 0001 [] 'hi']`)
  await alice.receivesOneOf('40 03 0001 87', '40 04 0001 87 00')
  alice.sends(`34 ["secret" 0002 [] 'hi']`)
  await alice.receivesOneOf('50 03 0002 87', '50 04 0002 87 00')
  alice.sends('62 [0003]')
  await alice.receivesOneOf('70 03 0003 92', '70 04 0003 92 00')
  alice.sends('82 [0004 [] "a" 00 "b" 00]')
  await alice.receives('90 [0004 [] 87 87]')
  alice.sends('a2 [0005 [] "a"]')
  await alice.receives('b0 [0005 [] 11]')
})

test('before CONNACK a Client with an Authentication Method sends AUTH and DISCONNECT only [MQTT-3.1.2-30]', {
  options: {
    plugins: [
      {
        name: 'challenge',
        authenticate: async (_request, _info, _signal, authentication) => {
          await authentication.exchange(Buffer.from('?'))
          return true
        },
      },
    ],
  },
}, async ({ open }) => {
  for (const packet of [`30 ["t" [] 'hi']`, '82 [0001 [] "t" 00]', 'c0 00', connectPacket()]) {
    const client = await open()
    client.sends(connectPacket({ properties: '15 "method"' }))
    await client.receives(`f0 [18 [15 "method" 16 ('?')]]`)
    client.sends(packet)
    await client.isRefused(0x81, 0x82)
  }
})

test('the Client Identifier comes first in the payload and is not left out [MQTT-3.1.3-3] [MQTT-3.1.3-1]', async ({
  open,
}) => {
  const client = await open()
  client.sends('10 ["MQTT" 05 02 0000 []]')
  await client.isRefused(0x81, 0x82, 0x85)
})

test('a Client Identifier of 1 to 23 letters and digits is always allowed [MQTT-3.1.3-5]', async ({ connect }) => {
  const characters = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
  await connect(characters.slice(0, 23))
  await connect(characters.slice(23, 46))
  await connect(characters.slice(46))
  for (let length = 1; length <= 23; length += 1) {
    await connect([...randomBytes(length)].map((byte) => characters[byte % 62]).join(''))
  }
})

test('a Client without Client Identifier is given one that no other has [MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16]', async ({
  open,
}) => {
  const assigned = new Set<string>()
  for (let count = 0; count < 20; count += 1) {
    const client = await open()
    client.sends(connectPacket({ id: '', clean: count % 2 === 0 }))
    const [id] = (await client.receivesConnack()).get(0x12) ?? []
    assert.ok(id !== undefined && id !== '')
    assigned.add(id)
  }
  assert.equal(assigned.size, 20)
})

test('an assigned Client Identifier can be used to come back [MQTT-3.1.3-7]', async ({ open, connect }) => {
  const client = await open()
  client.sends(connectPacket({ id: '', properties: lasting }))
  const [id] = (await client.receivesConnack()).get(0x12) ?? []
  await client.disconnects()
  await connect(Buffer.from(id!, 'hex').toString(), { clean: false, sessionPresent: 1 })
})

test('a Client Identifier that is refused is followed by the end of the connection [MQTT-3.1.3-8] [MQTT-3.2.2-7]', {
  options: {
    plugins: [
      {
        name: 'names',
        authenticate: ({ clientId }) => clientId === 'good',
      },
    ],
  },
}, async ({ open, connect }) => {
  await connect('good')
  const bad = await open()
  bad.sends(connectPacket({ id: 'bad' }))
  await bad.isRefused(0x85, 0x87)
})

test('a CONNECT that is not formed well closes the connection [MQTT-3.1.4-1]', async ({ open }) => {
  for (const packet of [
    '10 00',
    '10 ["MQTT"]',
    '10 ["MQTT" 05]',
    '10 ["MQTT" 05 02]',
    '10 ["MQTT" 05 02 00]',
    '10 ["MQTT" 05 02 0000]',
    '10 ["MQTT" 05 02 0000 05 "c"]',
    '10 ["MQTT" 05 02 0000 [] 0005 63]',
    '10 ["MQTT" 05 02 0000 [] "c" 00]',
    '10 ["MQTT" 05 02 0000 [11 00] "c"]',
    '10 ["MQTT" 05 02 0000 ffffffff7f "c"]',
    '10 ffffffffff7f',
  ]) {
    const client = await open()
    client.sends(packet)
    await client.isRefused(0x81, 0x82, 0x84, 0x85)
  }
})

test('a Client that fails the checks of the application is refused [MQTT-3.1.4-2] [MQTT-3.2.2-7]', {
  options: { plugins: [{ name: 'words', authenticate: ({ password }) => password?.toString() === 'word' }] },
}, async ({ open, connect }) => {
  await connect('alice', { username: 'alice', password: 'word' })
  for (const password of ['wrong', undefined]) {
    const client = await open()
    client.sends(connectPacket({ id: 'bob', username: 'bob', ...(password === undefined ? {} : { password }) }))
    await client.isRefused(0x86, 0x87)
  }
})

test('a Client Identifier that connects again ends the connection before [MQTT-3.1.4-3]', async ({ connect }) => {
  const first = await connect('alice', { properties: lasting, will: { topic: 'will' } })
  const bob = await connect('bob')
  await bob.subscribes('"will" 00', '00')
  const second = await connect('alice', { clean: false, properties: lasting, sessionPresent: 1 })
  const packets = await first.isClosed()
  assert.equal(packets.length, 1)
  assert.equal(packets[0]!.toString('hex', 0, 1), 'e0')
  assert.equal(packets[0]![2], 0x8e)
  await bob.receives(`30 ["will" [] 'gone']`)
  await second.receivesNothing()
})

test('CONNACK with Success answers a CONNECT that is accepted [MQTT-3.1.4-5]', async ({ open }) => {
  const client = await open()
  client.sends('10 0e 0004 4d515454 05 02 003c 00 0001 63')
  await client.receivesConnack(0, 0)
})

test('nothing that follows a refused CONNECT is done [MQTT-3.1.4-6]', {
  options: {
    plugins: [
      {
        name: 'slow',
        authenticate: async ({ clientId }) => {
          await new Promise((resolve) => setImmediate(resolve))
          return clientId !== 'mallory'
        },
      },
    ],
  },
}, async ({ open, connect }) => {
  const alice = await connect('alice')
  await alice.subscribes('"#" 00', '00')
  const mallory = await open()
  mallory.sends(
    connectPacket({ id: 'mallory', will: { topic: 'will' } }),
    '82 [0001 [] "t" 00]',
    `31 ["t" [] 'hi']`,
    `32 ["t" 0001 [] 'hi']`,
    'c0 00',
  )
  await mallory.isRefused(0x86, 0x87)
  await alice.receivesNothing()
  await alice.subscribes('"#" 00', '00')
  await alice.receivesNothing()
})

test('a Client need not wait for CONNACK [MQTT-3.1.4-5]', async ({ open }) => {
  const client = await open()
  client.sends(connectPacket(), '82 [0001 [] "t" 00]', `30 ["t" [] 'hi']`, 'c0 00')
  await client.receivesConnack()
  await client.receivesCodes('SUBACK', '0001', '00')
  await client.receives(`30 ["t" [] 'hi']`)
  await client.receives('d0 00')
})

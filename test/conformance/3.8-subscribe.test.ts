import assert from 'node:assert/strict'
import { test } from './broker-under-test.ts'

test('a SUBSCRIBE with other flags than 0010 ends the connection [MQTT-3.8.1-1]', async ({ connect }) => {
  for (const flags of '013456789abcdef') {
    const client = await connect('alice')
    client.sends(`8${flags} [0001 [] "t" 00]`)
    await client.isDisconnected(0x81, 0x82)
  }
})

test('a SUBSCRIBE without a Topic Filter ends the connection [MQTT-3.8.3-2]', async ({ connect }) => {
  for (const packet of ['82 [0001 []]', '82 [0001 [0b 01]]']) {
    const client = await connect('alice')
    client.sends(packet)
    await client.isDisconnected(0x82, 0x81)
  }
})

test('No Local keeps a message from the Client that published it [MQTT-3.8.3-3]', async ({ connect }) => {
  const alice = await connect('alice')
  const bob = await connect('bob')
  await alice.subscribes('"t" 04', '00')
  await bob.subscribes('"t" 00', '00')
  await alice.publishes('t', 'own', { qos: 1 })
  await alice.receivesNothing()
  await bob.receives(`30 ["t" [] 'own']`)
  bob.sends(`30 ["t" [] 'other']`)
  await alice.receives(`30 ["t" [] 'other']`)
  await bob.receives(`30 ["t" [] 'other']`)
  // From a later connection of the same Client, too.
  const lasting = '11 0000ffff'
  const carol = await connect('carol', { properties: lasting })
  await carol.subscribes('"t" 05', '01')
  await carol.disconnects()
  const again = await connect('carol', { clean: false, properties: lasting, sessionPresent: 1 })
  await again.publishes('t', 'own')
  await again.receivesNothing()
})

test('No Local on a shared subscription is an error [MQTT-3.8.3-4]', async ({ connect }) => {
  const alice = await connect('alice')
  alice.sends('82 [0001 [] "$share/group/t" 04]')
  await alice.isDisconnected(0x82)
})

test('reserved Subscription Options end the connection [MQTT-3.8.3-5]', async ({ connect }) => {
  for (const options of ['40', '80', 'c0', '41', '03', '30']) {
    const client = await connect('alice')
    client.sends(`82 [0001 [] "t" ${options}]`)
    await client.isDisconnected(0x81, 0x82)
  }
})

test('SUBSCRIBE is answered with SUBACK, with its Packet Identifier [MQTT-3.8.4-1] [MQTT-3.8.4-2]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  alice.sends('82 09 000a 00 0003 612f2b 01', '82 09 000b 00 0003 612f62 02')
  await alice.receivesCodes('SUBACK', '000a', '01')
  await alice.receivesCodes('SUBACK', '000b', '02')
})

test('a subscription to the same Topic Filter replaces the one before [MQTT-3.8.4-3]', async ({ connect }) => {
  const alice = await connect('alice')
  await alice.subscribes('"t" 00', '00', '0b 01')
  await alice.subscribes('"t" 01', '01', '0b 02')
  const bob = await connect('bob')
  await bob.publishes('t', 'hi')
  await alice.receives(`32 ["t" ____ [0b 02] 'hi']`)
  await alice.receivesNothing()
  await alice.subscribes('"t" 00', '00')
  await bob.publishes('t', 'hi')
  await alice.receives(`30 ["t" [] 'hi']`)
  await alice.receivesNothing()
  await alice.unsubscribes('"t"', '00')
  await alice.unsubscribes('"t"', '11')
})

test('no message is lost while a subscription is replaced [MQTT-3.8.4-4]', async ({ connect }) => {
  const alice = await connect('alice')
  const bob = await connect('bob')
  await alice.subscribes('"t" 01', '01')
  const count = 200
  for (let number = 0; number < count; number += 1) {
    bob.sends(`32 ["t" ${(number + 1).toString(16).padStart(4, '0')} [] '${number}']`)
    alice.sends(`82 [0001 [] "t" ${number % 2 === 0 ? '01' : '02'}]`)
  }
  for (let number = 0; number < count; number += 1) assert.equal((await bob.receivesPacket())[0], 0x40)
  const numbers: number[] = []
  while (numbers.length < count) {
    const packet = await alice.receivesPacket()
    if (packet[0] === 0x90) continue
    assert.equal(packet[0], 0x32)
    numbers.push(Number(packet.toString('utf8', 8)))
    alice.sends(`40 02 ${packet.toString('hex', 5, 7)}`)
  }
  assert.deepEqual(
    numbers,
    Array.from({ length: count }, (_, number) => number),
  )
})

test('several Topic Filters have one SUBACK, with a code for each in their order [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.9.3-1]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  await alice.subscribes('"a" 00 "b" 02 "a" 01 "c" 00', '00 02 01 00')
  const bob = await connect('bob')
  await bob.publishes('a', 'hi', { qos: 2 })
  await alice.receives(`32 ["a" ____ [] 'hi']`)
  await bob.publishes('b', 'hi', { qos: 2 })
  await alice.receives(`34 ["b" ____ [] 'hi']`)
  await bob.publishes('c', 'hi', { qos: 2 })
  await alice.receives(`30 ["c" [] 'hi']`)
})

test('a Topic Filter that stands twice in a SUBSCRIBE is subscribed to twice, with its retained messages [MQTT-3.8.4-5]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  await alice.publishes('a', 'kept', { retain: true })
  await alice.subscribes('"a" 00 "a" 01', '00 01')
  // The second may have been done before the first message is sent.
  await alice.receivesOneOf(`31 ["a" [] 'kept']`, `33 ["a" ____ [] 'kept']`)
  await alice.receives(`33 ["a" ____ [] 'kept']`)
})

test('each code is the granted QoS or says that the subscription failed [MQTT-3.8.4-7] [MQTT-3.9.3-1] [MQTT-3.9.3-2]', {
  options: {
    plugins: [
      {
        name: 'guard',
        authorizePublish: () => true,
        authorizeSubscribe: (subscription) =>
          subscription.topicFilter === 'less'
            ? { ...subscription, qos: 0 }
            : !subscription.topicFilter.startsWith('secret'),
      },
    ],
  },
}, async ({ connect }) => {
  const alice = await connect('alice')
  await alice.subscribes('"a" 02 "secret" 01 "less" 02 "b" 01 "secret/#" 00', '02 87 00 01 87')
  const bob = await connect('bob')
  for (const topic of ['secret', 'a', 'less', 'b']) await bob.publishes(topic, 'hi', { qos: 1 })
  await alice.receives(`32 ["a" ____ [] 'hi']`)
  await alice.receives(`30 ["less" [] 'hi']`)
  await alice.receives(`32 ["b" ____ [] 'hi']`)
  await alice.receivesNothing()
})

test('a message is delivered with the lower of its QoS and the granted one [MQTT-3.8.4-8]', async ({ connect }) => {
  const alice = await connect('alice')
  const bob = await connect('bob')
  for (const granted of [0, 1, 2] as const) {
    await alice.subscribes(`"t" 0${granted}`, `0${granted}`)
    for (const qos of [0, 1, 2] as const) {
      await bob.publishes('t', 'hi', { qos })
      const lower = Math.min(granted, qos)
      await alice.receives(lower === 0 ? `30 ["t" [] 'hi']` : `3${lower * 2} ["t" ____ [] 'hi']`)
    }
  }
})

test('the same holds for retained messages [MQTT-3.8.4-8]', async ({ connect }) => {
  const alice = await connect('alice')
  for (const qos of [0, 1, 2] as const) {
    await alice.publishes('t', 'kept', { qos, retain: true })
    for (const granted of [0, 1, 2] as const) {
      await alice.subscribes(`"t" 0${granted}`, `0${granted}`)
      const lower = Math.min(granted, qos)
      await alice.receives(lower === 0 ? `31 ["t" [] 'kept']` : `3${lower * 2 + 1} ["t" ____ [] 'kept']`)
      await alice.unsubscribes('"t"', '00')
    }
  }
})

/** QoS, resending and order: sections 4.1 to 4.6. */
import assert from 'node:assert/strict'
import { test } from './broker-under-test.ts'

const lasting = '11 0000ffff'

test('the session of a connected Client stays, however short its Session Expiry Interval [MQTT-4.1.0-1]', {
  clock: true,
}, async ({ connect, server }) => {
  const alice = await connect('alice', { properties: '11 00000001' })
  await alice.subscribes('"t" 01', '01')
  await alice.drops()
  const back = await connect('alice', { clean: false, properties: '11 00000001', sessionPresent: 1 })
  await server.advance(100_000)
  const bob = await connect('bob')
  await bob.publishes('t', 'hi')
  await back.receives(`32 ["t" ____ [] 'hi']`)
})

test('a session without Session Expiry Interval ends with its connection [MQTT-4.1.0-2]', async ({ connect }) => {
  const alice = await connect('alice')
  await alice.subscribes('"t" 01', '01')
  await alice.drops()
  const back = await connect('alice', { clean: false, sessionPresent: 0 })
  const bob = await connect('bob')
  await bob.publishes('t', 'hi')
  await back.receivesNothing()
})

test('bytes arrive in order and none is lost [MQTT-4.2.0-1]', async ({ connect }) => {
  const alice = await connect('alice')
  await alice.subscribes('"t" 00', '00')
  const bob = await connect('bob')
  for (let number = 0; number < 500; number += 1) bob.sends(`30 ["t" [] '${'x'.repeat(number * 3)}${number}']`)
  for (let number = 0; number < 500; number += 1) {
    await alice.receives(`30 ["t" [] '${'x'.repeat(number * 3)}${number}']`)
  }
})

test('a message with QoS 0 is sent once, with DUP 0 [MQTT-4.3.1-1]', async ({ connect }) => {
  const alice = await connect('alice', { properties: lasting })
  await alice.subscribes('"t" 00', '00')
  alice.sends(`30 ["t" [] 'hi']`)
  await alice.receives(`30 ["t" [] 'hi']`)
  await alice.drops()
  const back = await connect('alice', { clean: false, sessionPresent: 1 })
  await back.receivesNothing()
})

test('a message with QoS 1 counts as unacknowledged until PUBACK and is not sent again before a reconnect [MQTT-4.3.2-3] [MQTT-4.3.2-2] [MQTT-4.4.0-1]', {
  clock: true,
}, async ({ connect, server }) => {
  const alice = await connect('alice', { properties: lasting })
  await alice.subscribes('"t" 01', '01')
  const bob = await connect('bob')
  await bob.publishes('t', 'one')
  const first = await alice.receives(`32 ["t" ____ [] 'one']`)
  await bob.publishes('t', 'two')
  const second = await alice.receives(`32 ["t" ____ [] 'two']`)
  alice.sends(`40 02 ${first}`)
  await server.advance(3_600_000)
  await alice.receivesNothing()
  await alice.drops()
  const back = await connect('alice', { clean: false, properties: lasting, sessionPresent: 1 })
  await back.receives(`3a ["t" ${second} [] 'two']`)
  await back.receivesNothing()
  await back.drops()
  const third = await connect('alice', { clean: false, properties: lasting, sessionPresent: 1 })
  await third.receives(`3a ["t" ${second} [] 'two']`)
  third.sends(`40 02 ${second}`)
  await third.receivesNothing()
  await third.drops()
  const last = await connect('alice', { clean: false, sessionPresent: 1 })
  await last.receivesNothing()
})

test('PUBACK and PUBREC come when the Server has taken over the message: it reaches those who are away [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.5.0-1]', async ({
  connect,
}) => {
  const alice = await connect('alice', { properties: lasting })
  const carol = await connect('carol', { properties: lasting })
  await alice.subscribes('"t" 02', '02')
  await carol.subscribes('"#" 01', '01')
  await alice.disconnects()
  await carol.drops()
  const bob = await connect('bob', { properties: lasting })
  bob.sends(`32 ["t" 0001 [] 'one']`)
  await bob.receivesAcknowledgement('40', '0001')
  bob.sends(`34 ["t" 0002 [] 'two']`)
  await bob.receivesAcknowledgement('50', '0002')
  await bob.drops()
  // The exchange goes on where it was.
  const bobAgain = await connect('bob', { clean: false, sessionPresent: 1 })
  bobAgain.sends('62 02 0002')
  await bobAgain.receivesAcknowledgement('70', '0002', 0)
  const aliceAgain = await connect('alice', { clean: false, sessionPresent: 1 })
  await aliceAgain.receives(`32 ["t" ____ [] 'one']`)
  await aliceAgain.receives(`34 ["t" ____ [] 'two']`)
  const carolAgain = await connect('carol', { clean: false, sessionPresent: 1 })
  await carolAgain.receives(`32 ["t" ____ [] 'one']`)
  await carolAgain.receives(`32 ["t" ____ [] 'two']`)
})

test('there is no PUBACK and no PUBREC before the application has agreed [MQTT-4.3.2-4] [MQTT-4.3.3-8]', {
  options: {
    plugins: [
      {
        name: 'slow',
        authorizePublish: async () => {
          for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
          return true
        },
      },
    ],
  },
}, async ({ connect }) => {
  const alice = await connect('alice', { properties: lasting })
  await alice.subscribes('"t" 02', '02')
  const bob = await connect('bob')
  bob.sends(`32 ["t" 0001 [] 'one']`, `34 ["t" 0002 [] 'two']`, '62 02 0002')
  await bob.receivesAcknowledgement('40', '0001')
  await bob.receivesAcknowledgement('50', '0002')
  await bob.receivesAcknowledgement('70', '0002', 0)
  await alice.receives(`32 ["t" ____ [] 'one']`)
  await alice.receives(`34 ["t" ____ [] 'two']`)
})

test('after PUBACK the same Packet Identifier is a new message, whatever DUP says [MQTT-4.3.2-5]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  await alice.subscribes('"t" 00', '00')
  const bob = await connect('bob')
  for (const first of ['32', '32', '3a', '3a']) {
    bob.sends(`${first} ["t" 0001 [] 'hi']`)
    await bob.receivesAcknowledgement('40', '0001')
    await alice.receives(`30 ["t" [] 'hi']`)
  }
})

test('a message with QoS 2 is unacknowledged until PUBREC, its PUBREL until PUBCOMP [MQTT-4.3.3-2] [MQTT-4.3.3-3] [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT-4.4.0-1]', {
  clock: true,
}, async ({ connect, server }) => {
  let alice = await connect('alice', { properties: lasting })
  const again = async (): Promise<void> => {
    await alice.drops()
    alice = await connect('alice', { clean: false, properties: lasting, sessionPresent: 1 })
  }
  await alice.subscribes('"t" 02', '02')
  const bob = await connect('bob')
  await bob.publishes('t', 'hi', { qos: 2 })
  const id = await alice.receives(`34 ["t" ____ [] 'hi']`)
  await server.advance(3_600_000)
  await alice.receivesNothing()
  await again()
  await alice.receives(`3c ["t" ${id} [] 'hi']`)
  alice.sends(`50 02 ${id}`)
  await alice.receivesAcknowledgement('62', id, 0)
  await server.advance(3_600_000)
  await alice.receivesNothing()
  await again()
  await alice.receivesAcknowledgement('62', id, 0)
  await alice.receivesNothing()
  await again()
  await alice.receivesAcknowledgement('62', id, 0)
  alice.sends(`70 02 ${id}`)
  await alice.receivesNothing()
  await again()
  await alice.receivesNothing()
})

test('what was sent goes on to its end, though the message has expired meanwhile [MQTT-4.3.3-7] [MQTT-4.3.3-13]', {
  clock: true,
}, async ({ connect, server }) => {
  const alice = await connect('alice', { properties: lasting })
  await alice.subscribes('"t" 02', '02')
  const bob = await connect('bob')
  bob.sends(`34 ["t" 0001 [02 00000005] 'hi']`)
  await bob.receivesAcknowledgement('50', '0001')
  bob.sends('62 02 0001')
  await bob.receivesAcknowledgement('70', '0001', 0)
  const captured = await alice.receives(`34 ["t" ____ [02 ________] 'hi']`)
  const id = captured.slice(0, 4)
  // As a receiver, too: PUBREL comes when the message has expired.
  bob.sends(`34 ["elsewhere" 0002 [02 00000005] 'hi']`)
  await bob.receivesAcknowledgement('50', '0002')
  await server.advance(10_000)
  bob.sends('62 02 0002')
  await bob.receivesAcknowledgement('70', '0002', 0)
  await alice.drops()
  const back = await connect('alice', { clean: false, sessionPresent: 1 })
  const packet = await back.receivesPacket()
  assert.equal(packet[0], 0x3c)
  assert.equal(packet.toString('hex', 5, 7), id)
  back.sends(`50 02 ${id}`)
  await back.receivesAcknowledgement('62', id, 0)
  back.sends(`70 02 ${id}`)
  await back.receivesNothing()
})

test('after a PUBREC with an error the Packet Identifier is free, and the next PUBLISH a new message [MQTT-4.3.3-9]', {
  options: {
    plugins: [
      {
        name: 'guard',
        authorizePublish: ({ payload }) => Buffer.from(payload).toString() !== 'bad',
        authorizeSubscribe: () => true,
      },
    ],
  },
}, async ({ connect }) => {
  const alice = await connect('alice')
  await alice.subscribes('"t" 00', '00')
  const bob = await connect('bob')
  bob.sends(`34 ["t" 0001 [] 'bad']`)
  await bob.receivesAcknowledgement('50', '0001', 0x87)
  await bob.publishes('t', 'good', { qos: 2, packetId: '0001' })
  await alice.receives(`30 ["t" [] 'good']`)
  await alice.receivesNothing()
})

test('a PUBLISH with QoS 2 that comes again before PUBREL gets PUBREC and is delivered once [MQTT-4.3.3-10] [MQTT-4.3.3-11] [MQTT-4.3.3-12]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  await alice.subscribes('"t" 00', '00')
  const bob = await connect('bob', { properties: lasting })
  for (const first of ['34', '3c', '34']) {
    bob.sends(`${first} ["t" 0001 [] 'hi']`)
    await bob.receivesAcknowledgement('50', '0001')
  }
  await bob.drops()
  const back = await connect('bob', { clean: false, sessionPresent: 1 })
  back.sends(`3c ["t" 0001 [] 'hi']`)
  await back.receivesAcknowledgement('50', '0001')
  back.sends('62 02 0001')
  await back.receivesAcknowledgement('70', '0001', 0)
  await alice.receives(`30 ["t" [] 'hi']`)
  await alice.receivesNothing()
  // After PUBCOMP it is a new message.
  back.sends(`34 ["t" 0001 [] 'new']`)
  await back.receivesAcknowledgement('50', '0001')
  back.sends('62 02 0001')
  await back.receivesAcknowledgement('70', '0001', 0)
  await alice.receives(`30 ["t" [] 'new']`)
  await alice.receivesNothing()
})

test('PUBACK and PUBREC with an error acknowledge the message, too [MQTT-4.4.0-2]', async ({ connect }) => {
  const alice = await connect('alice', { properties: lasting })
  await alice.subscribes('"one" 01 "two" 02', '01 02')
  const bob = await connect('bob')
  await bob.publishes('one', 'hi', { qos: 1 })
  const first = await alice.receives(`32 ["one" ____ [] 'hi']`)
  await bob.publishes('two', 'hi', { qos: 2 })
  const second = await alice.receives(`34 ["two" ____ [] 'hi']`)
  alice.sends(`40 03 ${first} 97`, `50 03 ${second} 83`)
  await alice.receivesNothing()
  await alice.drops()
  const back = await connect('alice', { clean: false, sessionPresent: 1 })
  await back.receivesNothing()
})

test('a topic is in order for each QoS, also for the Client that comes back [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT-4.4.0-1]', async ({
  connect,
}) => {
  let alice = await connect('alice', { properties: `${lasting} 21 0005` })
  await alice.subscribes('"one" 01 "two" 02', '01 02')
  const bob = await connect('bob')
  for (let number = 0; number < 12; number += 1) {
    await bob.publishes(number % 2 === 0 ? 'one' : 'two', String(number), { qos: number % 2 === 0 ? 1 : 2 })
  }
  // Five are on their way, the others wait; what was sent is sent again first.
  const seen: Record<string, number[]> = { one: [], two: [] }
  for (let round = 0; round < 3; round += 1) {
    for (let count = 0; count < 5; count += 1) {
      const packet = await alice.receivesPacket()
      if (round > 0) assert.equal(packet[0]! & 0x08, 0x08, 'DUP')
      assert.equal(Number(packet.toString('utf8', 10)), count)
    }
    await alice.drops()
    alice = await connect('alice', { clean: false, properties: `${lasting} 21 0005`, sessionPresent: 1 })
  }
  for (let count = 0; count < 12; count += 1) {
    let packet = await alice.receivesPacket()
    while (packet[0] === 0x62) {
      alice.sends(`70 02 ${packet.toString('hex', 2, 4)}`)
      packet = await alice.receivesPacket()
    }
    seen[packet.toString('utf8', 4, 7)]!.push(Number(packet.toString('utf8', 10)))
    alice.sends(`${(packet[0]! & 0x06) === 2 ? '40' : '50'} 02 ${packet.toString('hex', 7, 9)}`)
  }
  assert.deepEqual(seen, { one: [0, 2, 4, 6, 8, 10], two: [1, 3, 5, 7, 9, 11] })
})

test('a topic is in order though the application answers at different times [MQTT-4.6.0-5] [MQTT-4.6.0-6]', {
  options: {
    plugins: [
      {
        name: 'slow',
        authorizePublish: async ({ payload }) => {
          const turns = (Number(Buffer.from(payload).toString()) * 7) % 5
          for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve))
          return true
        },
        authorizeSubscribe: () => true,
      },
    ],
  },
}, async ({ connect }) => {
  const alice = await connect('alice')
  const bob = await connect('bob')
  await alice.subscribes('"t" 02', '02')
  bob.sends(...Array.from({ length: 50 }, (_, number) => `30 ["t" [] '${number}']`))
  for (let number = 0; number < 50; number += 1) await alice.receives(`30 ["t" [] '${number}']`)
})

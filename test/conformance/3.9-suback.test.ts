/** SUBACK, UNSUBSCRIBE, UNSUBACK: sections 3.9 to 3.11. */
import assert from 'node:assert/strict'
import { MqttError } from '../../lib/index.ts'
import { test } from './broker-under-test.ts'

const subackCodes = [0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2]

test('SUBACK and UNSUBACK are not larger than the Client takes [MQTT-3.9.2-1] [MQTT-3.9.2-2] [MQTT-3.11.2-1] [MQTT-3.11.2-2]', {
  options: {
    plugins: [
      {
        name: 'wordy',
        authorizeSubscribe: () => {
          throw new MqttError('quota-exceeded', 'a reason that is longer than what the Client takes', {
            userProperties: [['name', 'and a User Property that is longer than that']],
          })
        },
      },
    ],
  },
}, async ({ connect }) => {
  for (const size of [20, 70, 100, 500]) {
    const alice = await connect('alice', { properties: `27 ${size.toString(16).padStart(8, '0')}` })
    alice.sends('82 [0001 [] "a" 00]')
    const suback = await alice.receivesPacket()
    assert.equal(suback[0], 0x90)
    assert.equal(suback.at(-1), 0x97)
    assert.ok(suback.length <= size)
    alice.sends('a2 [0001 [] "a"]')
    const unsuback = await alice.receivesPacket()
    assert.equal(unsuback[0], 0xb0)
    assert.equal(unsuback.at(-1), 0x11)
    assert.ok(unsuback.length <= size)
    await alice.disconnects()
  }
})

test('SUBACK has listed Reason Codes [MQTT-3.9.3-2]', {
  options: {
    plugins: [
      {
        name: 'refuses',
        authorizeSubscribe: ({ topicFilter }) => {
          throw new MqttError(Number.parseInt(topicFilter, 16))
        },
      },
    ],
  },
}, async ({ connect }) => {
  const alice = await connect('alice')
  // 0x86, 0x99 and 0x92 have no place in SUBACK.
  for (const code of ['80', '83', '87', '8f', '97', '9e', 'a2', '86', '99', '92']) {
    alice.sends(`82 [0001 [] "${code}" 00]`)
    const suback = await alice.receivesPacket()
    assert.equal(suback[0], 0x90)
    assert.ok(suback.at(-1)! >= 0x80 && subackCodes.includes(suback.at(-1)!), `code ${suback.at(-1)!.toString(16)}`)
  }
})

test('an UNSUBSCRIBE with other flags than 0010 ends the connection [MQTT-3.10.1-1]', async ({ connect }) => {
  for (const flags of '013456789abcdef') {
    const client = await connect('alice')
    client.sends(`a${flags} [0001 [] "t"]`)
    await client.isDisconnected(0x81, 0x82)
  }
})

test('an UNSUBSCRIBE without a Topic Filter ends the connection [MQTT-3.10.3-2]', async ({ connect }) => {
  const alice = await connect('alice')
  alice.sends('a2 [0001 []]')
  await alice.isDisconnected(0x82, 0x81)
})

test('UNSUBSCRIBE removes the subscription with the same characters and no other [MQTT-3.10.4-1]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  await alice.subscribes('"a/b" 00 "a/+" 00 "é" 00 "$share/g/a/b" 00', '00 00 00 00')
  await alice.unsubscribes('"a/#" "A/b" "a/b/" "e\u0301" "+/b"', '11 11 11 11 11')
  await alice.unsubscribes('"a/b"', '00')
  const bob = await connect('bob')
  await bob.publishes('a/b', 'hi')
  // From a/+ and from the shared subscription.
  await alice.receives(`30 ["a/b" [] 'hi']`)
  await alice.receives(`30 ["a/b" [] 'hi']`)
  await alice.unsubscribes('"$share/g/a/b"', '00')
  await bob.publishes('a/b', 'hi')
  await alice.receives(`30 ["a/b" [] 'hi']`)
  await alice.receivesNothing()
  await alice.unsubscribes('"a/+" "é"', '00 00')
  await bob.publishes('a/b', 'hi')
  await alice.receivesNothing()
})

test('after UNSUBSCRIBE nothing is added, and what was begun is completed [MQTT-3.10.4-2] [MQTT-3.10.4-3]', async ({
  connect,
}) => {
  const properties = '11 0000ffff'
  const alice = await connect('alice', { properties })
  await alice.subscribes('"one" 01 "two" 02', '01 02')
  const bob = await connect('bob')
  await bob.publishes('one', 'begun', { qos: 1 })
  const first = await alice.receives(`32 ["one" ____ [] 'begun']`)
  await bob.publishes('two', 'begun', { qos: 2 })
  const second = await alice.receives(`34 ["two" ____ [] 'begun']`)
  await alice.unsubscribes('"one" "two"', '00 00')
  await bob.publishes('one', 'later', { qos: 1 })
  await bob.publishes('two', 'later', { qos: 2 })
  await alice.receivesNothing()
  await alice.drops()
  const back = await connect('alice', { clean: false, properties, sessionPresent: 1 })
  await back.receives(`3a ["one" ${first} [] 'begun']`)
  await back.receives(`3c ["two" ${second} [] 'begun']`)
  back.sends(`40 02 ${first}`, `50 02 ${second}`)
  await back.receivesAcknowledgement('62', second, 0)
  back.sends(`70 02 ${second}`)
  await back.receivesNothing()
})

test('UNSUBSCRIBE is answered with UNSUBACK, also when nothing was removed [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.11.3-2]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  await alice.subscribes('"t" 00', '00')
  alice.sends('a2 [1234 [] "t"]')
  await alice.receivesCodes('UNSUBACK', '1234', '00')
  alice.sends('a2 [1235 [] "t"]')
  await alice.receivesCodes('UNSUBACK', '1235', '11')
})

test('several Topic Filters are answered with one UNSUBACK, in their order [MQTT-3.10.4-6] [MQTT-3.11.3-1]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  await alice.subscribes('"a" 00 "c" 00', '00 00')
  await alice.unsubscribes('"a" "b" "c" "a"', '00 11 00 11')
  await alice.receivesNothing()
})

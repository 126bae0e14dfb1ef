import assert from 'node:assert/strict'
import { test } from './broker-under-test.ts'
import { show } from './notation.ts'

test('reserved flags of the fixed header other than listed end the connection [MQTT-2.1.3-1] [MQTT-3.1.4-1]', async ({
  open,
  connect,
}) => {
  for (let flags = 1; flags < 16; flags += 1) {
    const client = await open()
    client.sends(`1${flags.toString(16)} ["MQTT" 05 02 0000 [] "c"]`)
    await client.isRefused(0x81)
  }
  const packets: Record<string, [string, number]> = {
    PUBACK: ['4', 0],
    PUBREC: ['5', 0],
    PUBREL: ['6', 2],
    PUBCOMP: ['7', 0],
    SUBSCRIBE: ['8', 2],
    UNSUBSCRIBE: ['a', 2],
    PINGREQ: ['c', 0],
    DISCONNECT: ['e', 0],
    AUTH: ['f', 0],
  }
  const rest: Record<string, string> = {
    SUBSCRIBE: '[0001 [] "t" 00]',
    UNSUBSCRIBE: '[0001 [] "t"]',
    PINGREQ: '[]',
    DISCONNECT: '[]',
    AUTH: '[]',
  }
  for (const [name, [type, right]] of Object.entries(packets)) {
    for (let flags = 0; flags < 16; flags += 1) {
      if (flags === right) continue
      const client = await connect('alice')
      client.sends(`${type}${flags.toString(16)} ${rest[name] ?? '[0001]'}`)
      await client.isDisconnected(0x81, 0x82)
    }
  }
})

test('a PUBLISH with QoS 0 has no Packet Identifier [MQTT-2.2.1-2]', async ({ connect }) => {
  const alice = await connect('alice')
  await alice.subscribes('"granted 0" 00 "granted 2" 02', '00 02')
  const bob = await connect('bob')
  await bob.publishes('granted 0', 'one', { qos: 1 })
  await alice.receives(`30 ["granted 0" [] 'one']`)
  await bob.publishes('granted 2', 'two', { qos: 0 })
  await alice.receives(`30 ["granted 2" [] 'two']`)
})

test('Packet Identifier 0 is an error [MQTT-2.2.1-3]', async ({ connect }) => {
  for (const packet of [`32 ["t" 0000 [] 'hi']`, `34 ["t" 0000 [] 'hi']`, '82 [0000 [] "t" 00]', 'a2 [0000 [] "t"]']) {
    const client = await connect('alice')
    client.sends(packet)
    await client.isDisconnected(0x81, 0x82)
  }
})

test('every message sent with QoS 1 or 2 has a Packet Identifier that is not 0 and not in use [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1]', async ({
  connect,
}) => {
  const alice = await connect('alice', { properties: '21 ffff' })
  const bob = await connect('bob')
  await alice.subscribes('"one" 01 "two" 02', '01 02')
  const inUse = new Set<string>()
  // Some are never acknowledged, …
  for (const [topic, qos, first] of [
    ['one', 1, '32'],
    ['two', 2, '34'],
    ['one', 1, '32'],
  ] as const) {
    await bob.publishes(topic, 'kept', { qos })
    const id = await alice.receives(`${first} ["${topic}" ____ [] 'kept']`)
    assert.ok(!inUse.has(id) && id !== '0000', `a new identifier, got ${id}`)
    inUse.add(id)
  }
  // … while the others go through all 65,535 identifiers and begin again.
  const batch = 20
  for (let round = 0; round < 66_000 / batch; round += 1) {
    bob.sends(
      ...Array.from(
        { length: batch },
        (_, index) => `32 ["one" 00${(index + 1).toString(16).padStart(2, '0')} [] 'next']`,
      ),
    )
    const acknowledgements: string[] = []
    for (let index = 0; index < batch; index += 1) {
      const id = await alice.receives(`32 ["one" ____ [] 'next']`)
      assert.ok(!inUse.has(id) && id !== '0000', `an identifier that is not in use, got ${id}`)
      acknowledgements.push(`40 02 ${id}`)
    }
    assert.equal(new Set(acknowledgements).size, batch)
    alice.sends(...acknowledgements)
    for (let index = 0; index < batch; index += 1) assert.equal((await bob.receivesPacket())[0], 0x40)
  }
})

test('PUBACK, PUBREC, PUBREL and PUBCOMP have the Packet Identifier of their PUBLISH [MQTT-2.2.1-5] [MQTT-3.3.4-1]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  for (const id of ['0001', '00ff', '1234', 'ffff']) {
    alice.sends(`32 ["t" ${id} [] 'one']`)
    await alice.receivesAcknowledgement('40', id)
    alice.sends(`34 ["t" ${id} [] 'two']`)
    await alice.receivesAcknowledgement('50', id)
    alice.sends(`62 02 ${id}`)
    await alice.receivesAcknowledgement('70', id, 0)
  }
  await alice.subscribes('"s" 02', '02')
  const bob = await connect('bob')
  await bob.publishes('s', 'out', { qos: 2 })
  const id = await alice.receives(`34 ["s" ____ [] 'out']`)
  alice.sends(`50 02 ${id}`)
  await alice.receivesAcknowledgement('62', id, 0)
})

test('SUBACK and UNSUBACK have the Packet Identifier of their request [MQTT-2.2.1-6] [MQTT-3.8.4-2] [MQTT-3.10.4-5]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  for (const id of ['0001', '00ff', '1234', 'ffff']) {
    alice.sends(`82 [${id} [] "t" 01]`)
    await alice.receivesCodes('SUBACK', id, '01')
    alice.sends(`a2 [${id} [] "t"]`)
    await alice.receivesCodes('UNSUBACK', id, '00')
    alice.sends(`a2 [${id} [] "t"]`)
    await alice.receivesCodes('UNSUBACK', id, '11')
  }
})

test('a packet without Properties says so with Property Length 0 [MQTT-2.2.2-1]', async ({ connect }) => {
  const alice = await connect('alice')
  // CONNACK with or without Properties: receivesConnack has read them.
  assert.ok(alice.connack.length >= 5, show(alice.connack))
  alice.sends('82 [0001 [] "t" 02]')
  const suback = await alice.receivesPacket()
  assert.ok(suback.length >= 6, show(suback))
  const bob = await connect('bob')
  await bob.publishes('t', 'hi', { qos: 0 })
  await alice.receives(`30 ["t" [] 'hi']`)
  await bob.publishes('t', 'hi', { qos: 1 })
  await alice.receives(`32 ["t" ____ [] 'hi']`)
  await bob.publishes('t', 'hi', { qos: 2 })
  await alice.receives(`34 ["t" ____ [] 'hi']`)
  alice.sends('a2 [0001 [] "t"]')
  const unsuback = await alice.receivesPacket()
  assert.ok(unsuback.length >= 6, show(unsuback))
})

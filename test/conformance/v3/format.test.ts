/** Data and formats: chapters 1 and 2 of MQTT 3.1.1. */
import assert from 'node:assert/strict'
import { test } from '../broker-under-test.ts'

const level = 4

test('a string that is not well-formed UTF-8 closes the connection [MQTT-3.1.1: 1.5.3-1] [MQTT-3.1.1: 3.1.3-4] [MQTT-3.1.1: 3.1.3-10] [MQTT-3.1.1: 3.1.3-11] [MQTT-3.1.1: 3.3.2-1] [MQTT-3.1.1: 3.8.3-1] [MQTT-3.1.1: 3.10.3-1]', async ({
  open,
  connect,
}) => {
  for (const string of ['c080', 'eda080', 'edbfbf', 'ff', '61e282', 'f4908080']) {
    for (const packet of [
      `10 ["MQTT" 04 02 0000 (${string})]`,
      `10 ["MQTT" 04 82 0000 "c" (${string})]`,
      `10 ["MQTT" 04 06 0000 "c" (${string}) "gone"]`,
    ]) {
      const client = await open(level)
      client.sends(packet)
      await client.isRefused(0x02, 0x04)
    }
    for (const packet of [`30 [(${string}) 'hi']`, `82 [0001 (${string}) 00]`, `a2 [0001 (${string})]`]) {
      const client = await connect('alice', { level })
      client.sends(packet)
      await client.isDisconnected()
    }
  }
})

test('a string with the null character closes the connection [MQTT-3.1.1: 1.5.3-2] [MQTT-3.1.1: 4.7.3-2]', async ({
  open,
  connect,
}) => {
  for (const packet of ['10 ["MQTT" 04 02 0000 (6100)]', '10 ["MQTT" 04 82 0000 "c" (6100)]']) {
    const client = await open(level)
    client.sends(packet)
    await client.isRefused(0x02, 0x04)
  }
  for (const packet of ["30 [(6100) 'hi']", '82 [0001 (6100) 00]', 'a2 [0001 (6100)]']) {
    const client = await connect('alice', { level })
    client.sends(packet)
    await client.isDisconnected()
  }
})

test('EF BB BF is a character like any other [MQTT-3.1.1: 1.5.3-3]', async ({ connect }) => {
  const alice = await connect('alice', { level })
  const bob = await connect('bob', { level })
  await alice.subscribes('(efbbbf61) 00', '00')
  await bob.subscribes('"a" 00', '00')
  await bob.publishes('\ufeffa', 'on', { qos: 0 })
  await alice.receives(`30 [(efbbbf61) 'on']`)
})

test('flags of the fixed header other than listed close the connection [MQTT-3.1.1: 2.2.2-1] [MQTT-3.1.1: 2.2.2-2] [MQTT-3.1.1: 3.6.1-1] [MQTT-3.1.1: 3.8.1-1] [MQTT-3.1.1: 3.10.1-1] [MQTT-3.1.1: 3.14.1-1]', async ({
  open,
  connect,
}) => {
  for (let flags = 1; flags < 16; flags += 1) {
    const client = await open(level)
    client.sends(`1${flags.toString(16)} ["MQTT" 04 02 0000 "c"]`)
    await client.isRefused()
  }
  for (const [type, right, rest] of [
    ['4', 0, '[0001]'],
    ['5', 0, '[0001]'],
    ['6', 2, '[0001]'],
    ['7', 0, '[0001]'],
    ['8', 2, '[0001 "t" 00]'],
    ['a', 2, '[0001 "t"]'],
    ['c', 0, '[]'],
    ['e', 0, '[]'],
  ] as const) {
    for (let flags = 0; flags < 16; flags += 1) {
      if (flags === right) continue
      const client = await connect('alice', { level })
      client.sends(`${type}${flags.toString(16)} ${rest}`)
      await client.isDisconnected()
    }
  }
})

test('Packet Identifier 0 closes the connection [MQTT-3.1.1: 2.3.1-1]', async ({ connect }) => {
  for (const packet of [`32 ["t" 0000 'hi']`, `34 ["t" 0000 'hi']`, '82 [0000 "t" 00]', 'a2 [0000 "t"]']) {
    const client = await connect('alice', { level })
    client.sends(packet)
    await client.isDisconnected()
  }
})

test('messages with QoS 1 and 2 have a free Packet Identifier, those with QoS 0 none [MQTT-3.1.1: 2.3.1-4] [MQTT-3.1.1: 2.3.1-5]', async ({
  connect,
}) => {
  const alice = await connect('alice', { level })
  const bob = await connect('bob', { level })
  await alice.subscribes('"zero" 00 "one" 01 "two" 02', '00 01 02')
  const ids = new Set<string>()
  for (let count = 0; count < 100; count += 1) {
    await bob.publishes('zero', 'hi')
    await alice.receives(`30 ["zero" 'hi']`)
    await bob.publishes('one', 'hi')
    const id = await alice.receives(`32 ["one" ____ 'hi']`)
    assert.ok(id !== '0000' && !ids.has(id))
    ids.add(id)
    if (count % 3 === 0) {
      alice.sends(`40 02 ${id}`)
      await alice.receivesNothing()
      ids.delete(id)
    }
    if (ids.size > 15) {
      for (const each of ids) alice.sends(`40 02 ${each}`)
      await alice.receivesNothing()
      ids.clear()
    }
  }
})

test('every answer has the Packet Identifier of its request [MQTT-3.1.1: 2.3.1-6] [MQTT-3.1.1: 2.3.1-7] [MQTT-3.1.1: 3.8.4-2] [MQTT-3.1.1: 3.10.4-4] [MQTT-3.1.1: 3.10.4-5] [MQTT-3.1.1: 3.3.4-1]', async ({
  connect,
}) => {
  const alice = await connect('alice', { level })
  for (const id of ['0001', '00ff', '1234', 'ffff']) {
    alice.sends(`32 ["t" ${id} 'one']`)
    await alice.receives(`40 02 ${id}`)
    alice.sends(`34 ["t" ${id} 'two']`)
    await alice.receives(`50 02 ${id}`)
    alice.sends(`62 02 ${id}`)
    await alice.receives(`70 02 ${id}`)
    alice.sends(`82 [${id} "t" 00]`)
    await alice.receives(`90 [${id} 00]`)
    alice.sends(`a2 [${id} "t"]`)
    await alice.receives(`b0 02 ${id}`)
    alice.sends(`a2 [${id} "t"]`)
    await alice.receives(`b0 02 ${id}`)
  }
  alice.sends(`30 ["t" 'zero']`)
  await alice.receivesNothing()
})

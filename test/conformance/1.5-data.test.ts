import assert from 'node:assert/strict'
import { test } from './broker-under-test.ts'

/** Overlong, surrogate, never a UTF-8 byte, cut short, beyond U+10FFFF. */
const illFormed = ['c080', 'eda080', 'edbfbf', 'ff', '61e282', 'f4908080']

/** CONNECT with these bytes in each of its strings. */
function connectsWith(string: string): Record<string, string> {
  return {
    'Client Identifier': `10 ["MQTT" 05 02 0000 [] (${string})]`,
    'User Name': `10 ["MQTT" 05 82 0000 [] "c" (${string})]`,
    'Will Topic': `10 ["MQTT" 05 06 0000 [] "c" [] (${string}) "gone"]`,
    'User Property name': `10 ["MQTT" 05 02 0000 [26 (${string}) "v"] "c"]`,
    'User Property value': `10 ["MQTT" 05 02 0000 [26 "n" (${string})] "c"]`,
    'Authentication Method': `10 ["MQTT" 05 02 0000 [15 (${string})] "c"]`,
    'Content Type of the Will': `10 ["MQTT" 05 06 0000 [] "c" [03 (${string})] "w" "gone"]`,
    'Response Topic of the Will': `10 ["MQTT" 05 06 0000 [] "c" [08 (${string})] "w" "gone"]`,
  }
}

/** The same for the packets that follow. */
function packetsWith(string: string): Record<string, string> {
  return {
    'Topic Name': `30 [(${string}) [] 'hi']`,
    'Content Type': `30 ["t" [03 (${string})] 'hi']`,
    'Response Topic': `30 ["t" [08 (${string})] 'hi']`,
    'User Property name of PUBLISH': `30 ["t" [26 (${string}) "v"] 'hi']`,
    'User Property value of PUBLISH': `30 ["t" [26 "n" (${string})] 'hi']`,
    'Topic Filter of SUBSCRIBE': `82 [0001 [] (${string}) 00]`,
    'User Property of SUBSCRIBE': `82 [0001 [26 "n" (${string})] "t" 00]`,
    'Topic Filter of UNSUBSCRIBE': `a2 [0001 [] (${string})]`,
    'Reason String of PUBACK': `40 [0001 00 [1f (${string})]]`,
    'Reason String of DISCONNECT': `e0 [04 [1f (${string})]]`,
  }
}

// Malformed Packet, or what the Server has for a name that it cannot take.
const connectCodes = [0x81, 0x85, 0x86, 0x8c, 0x90]
const codes = [0x81, 0x8f, 0x90]

test('a string that is not well-formed UTF-8 is a malformed packet [MQTT-1.5.4-1] [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12] [MQTT-3.3.2-1] [MQTT-3.3.2-13] [MQTT-3.3.2-19] [MQTT-3.8.3-1] [MQTT-3.10.3-1]', async ({
  open,
  connect,
}) => {
  for (const string of illFormed) {
    for (const packet of Object.values(connectsWith(string))) {
      const client = await open()
      client.sends(packet)
      await client.isRefused(...connectCodes)
    }
    for (const packet of Object.values(packetsWith(string))) {
      const client = await connect('alice')
      client.sends(packet)
      await client.isDisconnected(...codes)
    }
  }
})

test('a string with the null character is a malformed packet [MQTT-1.5.4-2] [MQTT-4.7.3-2]', async ({
  open,
  connect,
}) => {
  for (const packet of Object.values(connectsWith('610062'))) {
    const client = await open()
    client.sends(packet)
    await client.isRefused(...connectCodes)
  }
  for (const packet of Object.values(packetsWith('610062'))) {
    const client = await connect('alice')
    client.sends(packet)
    await client.isDisconnected(...codes)
  }
})

test('EF BB BF is a character like any other and not dropped [MQTT-1.5.4-3]', async ({ connect }) => {
  const alice = await connect('alice')
  const bob = await connect('bob')
  await alice.subscribes('(efbbbf61) 00', '00')
  await bob.subscribes('"a" 00', '00')
  await bob.publishes('\ufeffa', '\ufeffon', { qos: 0, properties: '26 "\ufeffn" "\ufeffv"' })
  await alice.receives(`30 [(efbbbf61) [26 (efbbbf6e) (efbbbf76)] efbbbf6f6e]`)
  await bob.receivesNothing()
})

test('a length has the shortest form [MQTT-1.5.5-1]', async ({ connect }) => {
  const alice = await connect('alice')
  await alice.subscribes('"t" 00', '00')
  // Remaining Lengths and Property Lengths of one to three bytes and their limits; Client checks every length it reads.
  for (const size of [0, 122, 123, 124, 125, 16_378, 16_379, 16_380, 16_381]) {
    const payload = 'p'.repeat(size)
    alice.sends(`30 ["t" [] '${payload}']`)
    await alice.receives(`30 ["t" [] '${payload}']`)
  }
  for (const size of [120, 121, 122, 123, 124, 16_376, 16_377, 16_378, 16_379, 16_380]) {
    const type = 'c'.repeat(size)
    alice.sends(`30 ["t" [03 "${type}"]]`)
    await alice.receives(`30 ["t" [03 "${type}"]]`)
  }
})

test('both halves of a User Property are well-formed strings [MQTT-1.5.7-1]', async ({ open, connect }) => {
  for (const pair of ['(ff) "v"', '"n" (ff)', '(6100) "v"', '"n" (7600)', '"n" 0005 61', '"n"']) {
    const refused = await open()
    refused.sends(`10 ["MQTT" 05 02 0000 [26 ${pair}] "c"]`)
    await refused.isRefused(0x81)
    const client = await connect('alice')
    client.sends(`30 ["t" [26 ${pair}] 'hi']`)
    await client.isDisconnected(0x81)
  }
})

test('a User Property may have an empty name, an empty value and any characters [MQTT-1.5.7-1]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  await alice.subscribes('"t" 00', '00')
  alice.sends(`30 ["t" [26 "" "" 26 "ключ" "🐝"] 'hi']`)
  assert.equal(await alice.receives(`30 ["t" [26 "" "" 26 "ключ" "🐝"] 'hi']`), '')
})

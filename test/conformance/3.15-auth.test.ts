/** AUTH and enhanced authentication: sections 3.15 and 4.12. */
import assert from 'node:assert/strict'
import type { BrokerOptions, Plugin } from '../../lib/index.ts'
import { test } from './broker-under-test.ts'
import { connectPacket } from './client.ts'

/** Asks one question, `?`; the answer is `!`. */
const challenge: Plugin = {
  name: 'challenge',
  authenticate: async (request, _info, _signal, authentication) => {
    if (authentication.method === undefined) return request.username === undefined
    if (authentication.method !== 'question') return undefined
    const answer = await authentication.exchange(Buffer.from('?'))
    return answer?.toString() === '!'
  },
  reauthenticate: async (authentication) => {
    const answer = await authentication.exchange(Buffer.from('??'))
    return answer?.toString() === '!!' && { done: true }
  },
}
const asks: { options: BrokerOptions } = { options: { plugins: [challenge] } }

test(
  'a Client answers the question of the Server and is let in [MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-5] [MQTT-3.15.1-1] [MQTT-3.15.2-1]',
  asks,
  async ({ open }) => {
    const client = await open()
    client.sends(connectPacket({ properties: '15 "question"' }))
    await client.receives(`f0 [18 [15 "question" 16 ('?')]]`)
    client.sends(`f0 [18 [15 "question" 16 ('!')]]`)
    const properties = await client.receivesConnack()
    assert.deepEqual(properties.get(0x15), [Buffer.from('question').toString('hex')])
    await client.receivesNothing()
  },
)

test('a Client with the wrong answer is refused [MQTT-4.12.0-4]', asks, async ({ open }) => {
  const client = await open()
  client.sends(connectPacket({ properties: '15 "question"' }))
  await client.receives(`f0 [18 [15 "question" 16 ('?')]]`)
  client.sends(`f0 [18 [15 "question" 16 ('no')]]`)
  await client.isRefused(0x86, 0x87)
})

test('an Authentication Method that the Server does not have is refused [MQTT-4.12.0-1]', async ({ open }) => {
  const client = await open()
  client.sends(connectPacket({ properties: '15 "nobody knows it" 16 (0102)' }))
  await client.isRefused(0x8c, 0x87)
})

test('nor is one that the application does not have [MQTT-4.12.0-1]', asks, async ({ open }) => {
  const client = await open()
  client.sends(connectPacket({ properties: '15 "other"' }))
  await client.isRefused(0x8c, 0x87)
})

test(
  'an AUTH of another method, or not with 0x18, is an error [MQTT-4.12.0-3] [MQTT-4.12.0-5] [MQTT-3.15.2-1]',
  asks,
  async ({ open }) => {
    for (const packet of [
      `f0 [18 [15 "other" 16 ('!')]]`,
      `f0 [19 [15 "question" 16 ('!')]]`,
      `f0 [00 [15 "question" 16 ('!')]]`,
      `f0 [42 [15 "question" 16 ('!')]]`,
      `f1 [18 [15 "question" 16 ('!')]]`,
      `f0 [18 [16 ('!')]]`,
    ]) {
      const client = await open()
      client.sends(connectPacket({ properties: '15 "question"' }))
      await client.receives(`f0 [18 [15 "question" 16 ('?')]]`)
      client.sends(packet)
      await client.isRefused(0x81, 0x82, 0x8c, 0x87)
    }
  },
)

test('a Client without Authentication Method gets no AUTH and no method in CONNACK, and may not send AUTH [MQTT-4.12.0-6] [MQTT-4.12.0-7]', async ({
  open,
}) => {
  for (const packet of [`f0 [18 [15 "question"]]`, `f0 [19 [15 "question"]]`, 'f0 00']) {
    const client = await open()
    client.sends(connectPacket())
    const properties = await client.receivesConnack()
    assert.ok(!properties.has(0x15) && !properties.has(0x16))
    client.sends(packet)
    await client.isDisconnected(0x82, 0x81)
  }
})

test('the same where the application knows methods [MQTT-4.12.0-6]', asks, async ({ open }) => {
  const client = await open()
  client.sends(connectPacket())
  const properties = await client.receivesConnack()
  assert.ok(!properties.has(0x15) && !properties.has(0x16))
  await client.receivesNothing()
})

test(
  'a Client authenticates again with AUTH 0x19 and goes on meanwhile [MQTT-4.12.1-1] [MQTT-4.12.0-2] [MQTT-3.15.2-1]',
  asks,
  async ({ open }) => {
    const client = await open()
    client.sends(connectPacket({ properties: '15 "question"' }))
    await client.receives(`f0 [18 [15 "question" 16 ('?')]]`)
    client.sends(`f0 [18 [15 "question" 16 ('!')]]`)
    await client.receivesConnack()
    client.sends(`f0 [19 [15 "question"]]`)
    await client.receives(`f0 [18 [15 "question" 16 ('??')]]`)
    await client.receivesNothing()
    client.sends(`f0 [18 [15 "question" 16 ('!!')]]`)
    await client.receives(`f0 [00 [15 "question"]]`)
    await client.receivesNothing()
  },
)

test('a Client that fails to authenticate again is disconnected [MQTT-4.12.1-2]', asks, async ({ open }) => {
  for (const answer of [`f0 [18 [15 "question" 16 ('no')]]`, `f0 [18 [15 "other" 16 ('!!')]]`]) {
    const client = await open()
    client.sends(connectPacket({ properties: '15 "question"' }))
    await client.receives(`f0 [18 [15 "question" 16 ('?')]]`)
    client.sends(`f0 [18 [15 "question" 16 ('!')]]`)
    await client.receivesConnack()
    client.sends(`f0 [19 [15 "question"]]`)
    await client.receives(`f0 [18 [15 "question" 16 ('??')]]`)
    client.sends(answer)
    await client.isDisconnected(0x87, 0x86, 0x82, 0x8c)
  }
})

test(
  'an AUTH is never larger than the Client takes [MQTT-3.15.2-2] [MQTT-3.15.2-3]',
  asks,
  async ({ open, server }) => {
    const client = await open()
    client.sends(connectPacket({ properties: '15 "question" 27 00000010' }))
    const other = await open()
    other.sends(connectPacket({ id: 'other', properties: '15 "question" 27 00000014' }))
    await other.receives(`f0 [18 [15 "question" 16 ('?')]]`)
    // The question alone needs 19 bytes: it cannot be asked, and the hook has its time limit.
    await server.advance(20_000)
    const packets = await client.isClosed()
    for (const packet of packets) assert.ok(packet.length <= 16)
  },
)

import assert from 'node:assert/strict'
import { test } from './broker-under-test.ts'

test('a malformed packet and a protocol error close the connection [MQTT-4.13.1-1] [MQTT-4.13.2-1]', async ({
  connect,
}) => {
  for (const [packet, ...codes] of [
    ['36 00', 0x81],
    ['30 ff ff ff ff 01', 0x81],
    ['30 04 0001 74 05', 0x81],
    ['00 00', 0x81, 0x82],
    ['20 03 00 00 00', 0x82, 0x81],
    ['90 [0001 [] 00]', 0x82, 0x81],
    ['b0 [0001 [] 00]', 0x82, 0x81],
    ['d0 00', 0x82, 0x81],
    ['c0 01 00', 0x81],
    ['40 01 00', 0x81],
    [`30 ["t" [7f 00] 'hi']`, 0x81, 0x82],
    [`30 ["t" [11 00000000] 'hi']`, 0x81, 0x82],
    [`30 ["t" [01 01 01 01] 'hi']`, 0x82, 0x81],
    [`30 ["t" [01 02] 'hi']`, 0x82, 0x81],
    ['82 [0001 [0b 00] "t" 00]', 0x82, 0x81],
    ['82 [0001 [0b 01 0b 02] "t" 00]', 0x82, 0x81],
    ['82 [0001 [] "t" 03]', 0x82, 0x81],
  ] as const) {
    const client = await connect('alice')
    client.sends(packet)
    await client.isDisconnected(...codes)
  }
})

test('a connection that ends because of an error has no effect on others [MQTT-4.13.1-1]', async ({ connect }) => {
  const bob = await connect('bob')
  await bob.subscribes('"t" 00', '00')
  const alice = await connect('alice')
  alice.sends(`30 ["t" [] 'before']`, '36 00', `30 ["t" [] 'after']`)
  const packets = await alice.isClosed()
  assert.ok(packets.length <= 1)
  await bob.receives(`30 ["t" [] 'before']`)
  await bob.receivesNothing()
})

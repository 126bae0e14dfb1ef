import { test } from './broker-under-test.ts'

test('PINGREQ is answered with PINGRESP [MQTT-3.12.4-1]', async ({ connect }) => {
  const alice = await connect('alice')
  alice.sends('c0 00')
  await alice.receives('d0 00')
  alice.sends('c0 00'.repeat(1000))
  for (let count = 0; count < 1000; count += 1) await alice.receives('d0 00')
  await alice.receivesNothing()
})

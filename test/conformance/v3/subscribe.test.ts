/** SUBSCRIBE to DISCONNECT: sections 3.8 to 3.14 of MQTT 3.1.1. */
import assert from 'node:assert/strict'
import { test } from '../broker-under-test.ts'

const level = 4

test('SUBSCRIBE without filter, with reserved bits or QoS 3 closes the connection [MQTT-3.1.1: 3.8.3-3] [MQTT-3.1.1: 3.8.3-4]', async ({
  connect,
}) => {
  for (const packet of ['82 [0001]', '82 [0001 "t" 03]', '82 [0001 "t" 04]', '82 [0001 "t" 80]', '82 [0001 "t"]']) {
    const client = await connect('alice', { level })
    client.sends(packet)
    await client.isDisconnected()
  }
})

test('filters with wildcards are taken, or refused with 0x80 [MQTT-3.1.1: 3.8.3-2]', async ({ connect }) => {
  const alice = await connect('alice', { level })
  await alice.subscribes('"a/+" 01 "b/#" 02', '01 02')
  alice.sends(`30 ["a/1" 'hi']`, `30 ["b/1/2" 'hi']`)
  await alice.receives(`30 ["a/1" 'hi']`)
  await alice.receives(`30 ["b/1/2" 'hi']`)
})

test('SUBACK has a code for each filter, in order [MQTT-3.1.1: 3.8.4-1] [MQTT-3.1.1: 3.8.4-4] [MQTT-3.1.1: 3.8.4-5] [MQTT-3.1.1: 3.9.3-1]', async ({
  connect,
}) => {
  const alice = await connect('alice', { level })
  alice.sends('82 [000a "a/+" 00 "b" 02 "c" 01 "d" 00]')
  await alice.receives('90 [000a 00 02 01 00]')
})

test('a refused subscription has code 0x80 [MQTT-3.1.1: 3.8.4-5] [MQTT-3.1.1: 3.9.3-2]', {
  options: { plugins: [{ name: 'guard', authorizeSubscribe: ({ topicFilter }) => topicFilter !== 'secret' }] },
}, async ({ connect }) => {
  const alice = await connect('alice', { level })
  alice.sends('82 [000a "a" 01 "secret" 01 "b" 02]')
  await alice.receives('90 [000a 01 80 02]')
})

test('the same filter replaces the subscription, and retained messages are sent again [MQTT-3.1.1: 3.8.4-3]', async ({
  connect,
}) => {
  const alice = await connect('alice', { level })
  await alice.publishes('t', 'kept', { retain: true })
  for (const qos of [0, 1]) {
    await alice.subscribes(`"t" 0${qos}`, `0${qos}`)
    await alice.receives(qos === 0 ? `31 ["t" 'kept']` : `33 ["t" ____ 'kept']`)
  }
  const bob = await connect('bob', { level })
  await bob.publishes('t', 'hi')
  await alice.receives(`32 ["t" ____ 'hi']`)
  await alice.receivesNothing()
})

test('a message is delivered with the lower QoS [MQTT-3.1.1: 3.8.4-6]', async ({ connect }) => {
  const alice = await connect('alice', { level })
  const bob = await connect('bob', { level })
  for (const granted of [0, 1, 2] as const) {
    await alice.subscribes(`"t" 0${granted}`, `0${granted}`)
    for (const qos of [0, 1, 2] as const) {
      await bob.publishes('t', 'hi', { qos })
      const lower = Math.min(granted, qos)
      await alice.receives(lower === 0 ? `30 ["t" 'hi']` : `3${lower * 2} ["t" ____ 'hi']`)
    }
  }
})

test('UNSUBSCRIBE without filter closes the connection [MQTT-3.1.1: 3.10.3-2]', async ({ connect }) => {
  const alice = await connect('alice', { level })
  alice.sends('a2 [0001]')
  await alice.isDisconnected()
})

test('UNSUBSCRIBE removes the filter with the same bytes, and messages stop [MQTT-3.1.1: 3.10.4-1] [MQTT-3.1.1: 3.10.4-2] [MQTT-3.1.1: 3.10.4-6]', async ({
  connect,
}) => {
  const alice = await connect('alice', { level })
  const bob = await connect('bob', { level })
  await alice.subscribes('"a/b" 00 "a/+" 00', '00 00')
  alice.sends('a2 [0002 "a/#" "A/b" "a/b/"]')
  await alice.receives('b0 02 0002')
  await bob.publishes('a/b', 'hi')
  await alice.receives(`30 ["a/b" 'hi']`)
  alice.sends('c0 00')
  if ((await alice.receivesPacket())[0] === 0x30) await alice.receives('d0 00') // A copy for each subscription is allowed.
  alice.sends('a2 [0003 "a/b" "a/+"]')
  await alice.receives('b0 02 0003')
  await bob.publishes('a/b', 'hi')
  await alice.receivesNothing()
})

test('a delivery that was begun is completed after UNSUBSCRIBE [MQTT-3.1.1: 3.10.4-3]', async ({ connect }) => {
  const alice = await connect('alice', { level, clean: false })
  await alice.subscribes('"t" 01', '01')
  const bob = await connect('bob', { level })
  await bob.publishes('t', 'hi')
  const id = await alice.receives(`32 ["t" ____ 'hi']`)
  await alice.unsubscribes('"t"', '00')
  await alice.drops()
  const back = await connect('alice', { level, clean: false, sessionPresent: 1 })
  await back.receives(`3a ["t" ${id} 'hi']`)
})

test('PINGREQ is answered with PINGRESP [MQTT-3.1.1: 3.12.4-1]', async ({ connect }) => {
  const alice = await connect('alice', { level })
  alice.sends('c0 00')
  await alice.receives('d0 00')
})

test('after DISCONNECT the Server closes, and what follows is ignored [MQTT-3.1.1: 3.14.4-2] [MQTT-3.1.1: 3.14.4-3]', async ({
  connect,
}) => {
  const bob = await connect('bob', { level })
  await bob.subscribes('"#" 00', '00')
  const alice = await connect('alice', { level, will: { topic: 'will' } })
  alice.sends('e0 00', `30 ["t" 'after']`, 'c0 00')
  assert.deepEqual(await alice.isClosed(), [])
  const carol = await connect('carol', { level })
  await carol.publishes('marker', 'hi')
  await bob.receives(`30 ["marker" 'hi']`)
})

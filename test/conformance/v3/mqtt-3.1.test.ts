/** MQTT 3.1 has no numbered statements; this is where it differs from MQTT 3.1.1. */
import { test } from '../broker-under-test.ts'

const level = 3

test('a Client of MQTT 3.1 says MQIsdp and level 3', async ({ open }) => {
  const client = await open(level)
  client.sends('10 ["MQIsdp" 03 02 0000 "client"]')
  await client.receives('20 02 00 00')
  for (const packet of ['10 ["MQIsdp" 04 02 0000 "c"]', '10 ["MQTT" 03 02 0000 "c"]']) {
    const wrong = await open(level)
    wrong.sends(packet)
    await wrong.isRefused(0x01)
  }
})

test('a Client Identifier of MQTT 3.1 is not empty', async ({ open }) => {
  const client = await open(level)
  client.sends('10 ["MQIsdp" 03 02 0000 ""]')
  await client.isRefused(0x02)
})

test('CONNACK of MQTT 3.1 has no Session Present', async ({ connect, open }) => {
  const alice = await connect('alice', { level, clean: false })
  await alice.subscribes('"t" 01', '01')
  await alice.disconnects()
  const bob = await connect('bob', { level })
  await bob.publishes('t', 'waiting')
  const back = await open(level)
  back.sends('10 ["MQIsdp" 03 00 0000 "alice"]')
  await back.receives('20 02 00 00')
  await back.receives(`32 ["t" ____ 'waiting']`)
})

test('QoS 1 and 2 go both ways in MQTT 3.1', async ({ connect }) => {
  const alice = await connect('alice', { level })
  await alice.subscribes('"t" 02', '02')
  const bob = await connect('bob', { level })
  for (const qos of [0, 1, 2] as const) {
    await bob.publishes('t', 'hi', { qos })
    const id = await alice.receives(qos === 0 ? `30 ["t" 'hi']` : `3${qos * 2} ["t" ____ 'hi']`)
    if (qos === 1) alice.sends(`40 02 ${id}`)
    if (qos === 2) {
      alice.sends(`50 02 ${id}`)
      await alice.receives(`62 02 ${id}`)
      alice.sends(`70 02 ${id}`)
    }
  }
  await alice.receivesNothing()
})

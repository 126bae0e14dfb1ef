/** Sessions, QoS, order, topics and WebSocket: chapters 4 and 6 of MQTT 3.1.1. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from '../broker-under-test.ts'
import { connectPacket } from '../client.ts'
import { parseBytes } from '../notation.ts'

const level = 4

function hex(number: number): string {
  return number.toString(16).padStart(4, '0')
}

test('a session lasts as long as its connection [MQTT-3.1.1: 4.1.0-2] [MQTT-3.1.1: 4.1.0-1]', { clock: true }, async ({
  connect,
  server,
}) => {
  const alice = await connect('alice', { level })
  await alice.subscribes('"t" 01', '01')
  await server.advance(1_000_000_000)
  alice.sends(`30 ["t" 'hi']`)
  await alice.receives(`30 ["t" 'hi']`)
})

test('QoS 1 as a sender: unacknowledged until PUBACK, sent again at a reconnect [MQTT-3.1.1: 4.3.2-1] [MQTT-3.1.1: 4.4.0-1]', async ({
  connect,
}) => {
  const alice = await connect('alice', { level, clean: false })
  await alice.subscribes('"t" 01', '01')
  const bob = await connect('bob', { level })
  await bob.publishes('t', 'one')
  await bob.publishes('t', 'two')
  const first = await alice.receives(`32 ["t" ____ 'one']`)
  const second = await alice.receives(`32 ["t" ____ 'two']`)
  alice.sends(`40 02 ${first}`)
  await alice.receivesNothing()
  await alice.drops()
  const back = await connect('alice', { level, clean: false, sessionPresent: 1 })
  await back.receives(`3a ["t" ${second} 'two']`)
  back.sends(`40 02 ${second}`)
  await back.receivesNothing()
})

test('QoS 1 as a receiver: after PUBACK the same identifier is a new message [MQTT-3.1.1: 4.3.2-2] [MQTT-3.1.1: 4.5.0-1]', async ({
  connect,
}) => {
  const alice = await connect('alice', { level, clean: false })
  await alice.subscribes('"t" 01', '01')
  await alice.disconnects()
  const bob = await connect('bob', { level })
  for (const first of ['32', '3a']) {
    bob.sends(`${first} ["t" 0001 'hi']`)
    await bob.receives('40 02 0001')
  }
  const back = await connect('alice', { level, clean: false, sessionPresent: 1 })
  await back.receives(`32 ["t" ____ 'hi']`)
  await back.receives(`32 ["t" ____ 'hi']`)
})

test('QoS 2 as a sender: PUBLISH until PUBREC, then PUBREL until PUBCOMP [MQTT-3.1.1: 4.3.3-1] [MQTT-3.1.1: 4.4.0-1]', async ({
  connect,
}) => {
  let alice = await connect('alice', { level, clean: false })
  await alice.subscribes('"t" 02', '02')
  const bob = await connect('bob', { level })
  await bob.publishes('t', 'hi', { qos: 2 })
  const id = await alice.receives(`34 ["t" ____ 'hi']`)
  await alice.drops()
  alice = await connect('alice', { level, clean: false, sessionPresent: 1 })
  await alice.receives(`3c ["t" ${id} 'hi']`)
  alice.sends(`50 02 ${id}`)
  await alice.receives(`62 02 ${id}`)
  await alice.drops()
  alice = await connect('alice', { level, clean: false, sessionPresent: 1 })
  await alice.receives(`62 02 ${id}`)
  alice.sends(`70 02 ${id}`)
  await alice.receivesNothing()
})

test('QoS 2 as a receiver: one delivery, PUBREC for each PUBLISH, PUBCOMP for each PUBREL [MQTT-3.1.1: 4.3.3-2]', async ({
  connect,
}) => {
  const alice = await connect('alice', { level })
  await alice.subscribes('"t" 00', '00')
  const bob = await connect('bob', { level, clean: false })
  bob.sends(`34 ["t" 0001 'hi']`, `3c ["t" 0001 'hi']`)
  await bob.receives('50 02 0001')
  await bob.receives('50 02 0001')
  await bob.drops()
  const back = await connect('bob', { level, clean: false, sessionPresent: 1 })
  back.sends(`3c ["t" 0001 'hi']`)
  await back.receives('50 02 0001')
  back.sends('62 02 0001', '62 02 0001')
  await back.receives('70 02 0001')
  await back.receives('70 02 0001')
  await alice.receives(`30 ["t" 'hi']`)
  await alice.receivesNothing()
})

test('messages and answers keep their order, the first time and again [MQTT-3.1.1: 4.6.0-1] [MQTT-3.1.1: 4.6.0-2] [MQTT-3.1.1: 4.6.0-3] [MQTT-3.1.1: 4.6.0-4] [MQTT-3.1.1: 4.6.0-5] [MQTT-3.1.1: 4.6.0-6]', async ({
  connect,
}) => {
  const numbers = Array.from({ length: 10 }, (_, index) => index + 1)
  const alice = await connect('alice', { level, clean: false })
  await alice.subscribes('"one" 01 "two" 02', '01 02')
  const bob = await connect('bob', { level })
  bob.sends(...numbers.map((number) => `32 ["one" ${hex(number)} '${number}']`))
  for (const number of numbers) await bob.receives(`40 02 ${hex(number)}`)
  bob.sends(...numbers.map((number) => `34 ["two" ${hex(number)} '${number}']`))
  for (const number of numbers) await bob.receives(`50 02 ${hex(number)}`)
  bob.sends(...numbers.map((number) => `62 02 ${hex(number)}`))
  for (const number of numbers) await bob.receives(`70 02 ${hex(number)}`)
  for (const number of numbers) await alice.receives(`32 ["one" ____ '${number}']`)
  const ids: string[] = []
  for (const number of numbers) ids.push(await alice.receives(`34 ["two" ____ '${number}']`))
  await alice.drops()
  const back = await connect('alice', { level, clean: false, sessionPresent: 1 })
  for (const number of numbers) await back.receives(`3a ["one" ____ '${number}']`)
  for (const [index, number] of numbers.entries()) await back.receives(`3c ["two" ${ids[index]} '${number}']`)
  back.sends(...ids.map((id) => `50 02 ${id}`))
  for (const id of ids) await back.receives(`62 02 ${id}`)
})

test('# and + stand where they may only [MQTT-3.1.1: 4.7.1-1] [MQTT-3.1.1: 4.7.1-2] [MQTT-3.1.1: 4.7.1-3]', async ({
  connect,
}) => {
  for (const filter of ['a#', '#/a', 'a/#/b', '##', 'a+', '+a', 'a/b+/c', '++']) {
    const client = await connect('alice', { level })
    client.sends(`82 [0001 "${filter}" 00]`)
    await client.isDisconnected()
  }
  const bob = await connect('bob', { level })
  await bob.subscribes('"#" 00 "a/#" 00 "+" 00 "+/a/#" 00 "/+" 00', '00 00 00 00 00')
})

test('a filter that begins with a wildcard matches no topic that begins with $ [MQTT-3.1.1: 4.7.2-1]', async ({
  connect,
}) => {
  const alice = await connect('alice', { level })
  await alice.subscribes('"#" 00 "+/a" 00 "$other/#" 00', '00 00 00')
  const bob = await connect('bob', { level })
  await bob.publishes('$other/a', 'hi', { qos: 0 })
  await alice.receives(`30 ["$other/a" 'hi']`)
  await alice.receivesNothing()
})

test('names have 1 to 65,535 bytes and are not normalised [MQTT-3.1.1: 4.7.3-1] [MQTT-3.1.1: 4.7.3-3] [MQTT-3.1.1: 4.7.3-4]', async ({
  connect,
}) => {
  const empty = await connect('empty', { level })
  empty.sends(`30 ["" 'hi']`)
  await empty.isDisconnected()
  const filter = await connect('filter', { level })
  filter.sends('82 [0001 "" 00]')
  await filter.isDisconnected()
  const unsubscribing = await connect('filter', { level })
  unsubscribing.sends('a2 [0001 ""]')
  await unsubscribing.isDisconnected()
  const alice = await connect('alice', { level })
  const long = 'a'.repeat(65_535)
  await alice.subscribes(`"${long}" 00 "é" 00 "A" 00`, '00 00 00')
  const bob = await connect('bob', { level })
  bob.sends(`30 ["e\u0301" 'hi']`, `30 ["a" 'hi']`, `30 ["é" 'hi']`, `30 ["A" 'hi']`, `30 ["${long}" 'hi']`)
  await alice.receives(`30 ["é" 'hi']`)
  await alice.receives(`30 ["A" 'hi']`)
  await alice.receives(`30 ["${long}" 'hi']`)
})

test('an error in the protocol closes the connection, and only that one [MQTT-3.1.1: 4.8.0-1]', async ({ connect }) => {
  const bob = await connect('bob', { level })
  for (const packet of [
    '00 00',
    'f0 00',
    '20 02 00 00',
    '90 [0001 00]',
    'b0 [0001]',
    'd0 00',
    'c0 01 00',
    '40 01 00',
    '40 03 0001 00',
    '30 ff ff ff ff 01',
    '82 [0001 0005 74 00]',
  ]) {
    const client = await connect('alice', { level })
    client.sends(packet)
    await client.isDisconnected()
  }
  await bob.receivesNothing()
})

test('a message on which the application fails is not delivered, and its connection closed or answered as for a refusal [MQTT-3.1.1: 4.8.0-2]', {
  options: {
    plugins: [
      {
        name: 'trouble',
        authorizeSubscribe: () => true,
        inspect: ({ topic }) => {
          if (topic === 'trouble') throw new Error('the store does not answer')
        },
      },
    ],
  },
}, async ({ connect, server }) => {
  server.broker!.on('error', () => {})
  const bob = await connect('bob', { level })
  await bob.subscribes('"#" 00', '00')
  const alice = await connect('alice', { level })
  alice.sends(`32 ["trouble" 0001 'hi']`)
  const packet = await alice.receivesPacket().catch(() => undefined)
  assert.ok(packet === undefined || packet.toString('hex') === '40020001')
  await bob.receivesNothing()
})

test('WebSocket: a text frame closes the connection [MQTT-3.1.1: 6.0.0-1]', async ({ openWebSocket }) => {
  const socket = await openWebSocket()
  socket.send('hello')
  await once(socket, 'close')
})

test('WebSocket: packets need not begin and end with frames [MQTT-3.1.1: 6.0.0-2]', async ({
  openWebSocket,
  webSocketClient,
}) => {
  const socket = await openWebSocket()
  const client = webSocketClient(socket, level)
  for (const byte of parseBytes(connectPacket({ level }))) socket.send(Buffer.of(byte))
  await client.receivesConnack()
  socket.send(Buffer.concat([parseBytes('82 [0001 "t" 00]'), parseBytes(`30 ["t" 'hi']`), parseBytes('c0 00')]))
  await client.receives('90 [0001 00]')
  await client.receives(`30 ["t" 'hi']`)
  await client.receives('d0 00')
  socket.terminate()
})

test('WebSocket: the Server selects mqtt [MQTT-3.1.1: 6.0.0-3] [MQTT-3.1.1: 6.0.0-4]', async ({ openWebSocket }) => {
  const socket = await openWebSocket(['other', 'mqtt'])
  assert.equal(socket.protocol, 'mqtt')
  socket.terminate()
})

/** Topic Names, Topic Filters and shared subscriptions: sections 4.7 and 4.8. */
import assert from 'node:assert/strict'
import { test } from './broker-under-test.ts'
import type { Client } from './client.ts'

const lasting = '11 0000ffff'

/** A filter that is not well-formed is malformed; 0x8F is for one that is correctly formed but not accepted. */
async function isRefused(client: Client, filter: string): Promise<void> {
  client.sends(`82 [0001 [] "${filter}" 00]`)
  await client.isDisconnected(0x81, 0x82)
}

test('# stands alone or after a slash, and last [MQTT-4.7.1-1]', async ({ connect }) => {
  for (const filter of ['a#', '#/a', 'a/#/b', 'a/b#', '##', '#+', '/#/', 'a/#/', '#a']) {
    await isRefused(await connect('alice'), filter)
  }
  const bob = await connect('bob')
  await bob.subscribes('"#" 00 "/#" 00 "a/#" 00 "a/b/#" 00', '00 00 00 00')
})

test('+ stands for a whole level [MQTT-4.7.1-2]', async ({ connect }) => {
  for (const filter of ['a+', '+a', 'a/b+', 'a/+b/c', '++', '+#', 'a/++/b']) {
    await isRefused(await connect('alice'), filter)
  }
  const bob = await connect('bob')
  await bob.subscribes('"+" 00 "+/+" 00 "a/+" 00 "+/a/#" 00 "/+" 00 "+/" 00', '00 00 00 00 00 00')
})

test('wildcards are for Topic Filters only [MQTT-4.7.0-1]', async ({ connect }) => {
  const bob = await connect('bob')
  await bob.subscribes('"#" 00', '00')
  const alice = await connect('alice')
  alice.sends(`30 ["a/+" [] 'hi']`)
  await alice.isDisconnected(0x90, 0x81, 0x82)
  await bob.receivesNothing()
})

test('a filter that begins with a wildcard matches no topic that begins with $ [MQTT-4.7.2-1]', async ({
  connect,
  open,
}) => {
  const alice = await connect('alice')
  await alice.subscribes(
    '"#" 00 "+/a" 00 "+/#" 00 "$share/g/#" 00 "$share/g/+/a" 00 "$other/#" 00',
    '00 00 00 00 00 00',
  )
  const bob = await connect('bob')
  await bob.publishes('$other/a', 'live', { qos: 0, retain: true })
  await alice.receives(`30 ["$other/a" [] 'live']`)
  await alice.receivesNothing()
  const carol = await connect('carol')
  await carol.subscribes('"#" 00 "+/a" 00', '00 00')
  await carol.receivesNothing()
  await carol.subscribes('"$other/+" 00', '00')
  await carol.receives(`31 ["$other/a" [] 'live']`)
  const dying = await open()
  dying.sends(`10 ["MQTT" 05 06 0000 [] "dying" [] "$other/will" "gone"]`)
  await dying.receivesConnack()
  await dying.drops()
  await alice.receives(`30 ["$other/will" [] 'gone']`)
  await alice.receivesNothing()
})

test('a Topic Name and a Topic Filter have at least one character [MQTT-4.7.3-1]', async ({ connect }) => {
  await isRefused(await connect('alice'), '')
  const bob = await connect('bob')
  bob.sends(`30 ["" [] 'hi']`)
  await bob.isDisconnected(0x82, 0x81, 0x90)
  const carol = await connect('carol')
  carol.sends('a2 [0001 [] ""]')
  await carol.isDisconnected(0x81, 0x82)
  const dave = await connect('dave')
  await dave.subscribes('"/" 00 " " 00', '00 00')
  await dave.publishes('elsewhere', 'hi')
  dave.sends(`30 ["/" [] 'hi']`, `30 [" " [] 'hi']`)
  await dave.receives(`30 ["/" [] 'hi']`)
  await dave.receives(`30 [" " [] 'hi']`)
})

test('a Topic Name may have 65,535 bytes [MQTT-4.7.3-3]', async ({ connect }) => {
  const topic = 'é'.repeat(32_767) + 'a'
  assert.equal(Buffer.byteLength(topic), 65_535)
  const alice = await connect('alice')
  await alice.subscribes(`"${topic}" 00`, '00')
  alice.sends(`30 ["${topic}" [] 'hi']`)
  await alice.receives(`30 ["${topic}" [] 'hi']`)
  await alice.unsubscribes(`"${topic}"`, '00')
})

test('names are compared as they are: nothing is normalised [MQTT-4.7.3-4]', async ({ connect }) => {
  const alice = await connect('alice')
  const names = [
    'é',
    'e\u0301',
    'É',
    'a',
    'A',
    'a/',
    '/a',
    'a//b',
    'a/b',
    'ﬁ',
    'fi',
    'a ',
    ' a',
    '\u212b',
    '\u00c5',
    '.',
    'a/../b',
  ]
  const bob = await connect('bob')
  for (const name of names) {
    await alice.subscribes(`"${name}" 00`, '00')
    bob.sends(...names.map((topic) => `30 ["${topic}" [] 'hi']`))
    await bob.receivesNothing()
    await alice.receives(`30 ["${name}" [] 'hi']`)
    await alice.receivesNothing()
    await alice.unsubscribes(`"${name}"`, '00')
  }
})

test('a shared subscription has a ShareName without wildcards and a Topic Filter [MQTT-4.8.2-1] [MQTT-4.8.2-2]', async ({
  connect,
}) => {
  for (const filter of [
    '$share/',
    '$share/g',
    '$share//t',
    '$share/g/',
    '$share/+/t',
    '$share/a#b/t',
    '$share/#/t',
    '$share/#',
  ]) {
    await isRefused(await connect('alice'), filter)
  }
  const bob = await connect('bob')
  await bob.subscribes('"$share/g/t" 00 "$share/g/#" 00 "$share/é/+/a" 00 "$share/g//" 00', '00 00 00 00')
})

test('a message goes to one member of a shared subscription, with the QoS of that member [MQTT-4.8.2-3]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  const carol = await connect('carol')
  const other = await connect('other')
  await alice.subscribes('"$share/g/t/+" 00', '00')
  await carol.subscribes('"$share/g/t/+" 01', '01')
  await other.subscribes('"$share/h/t/+" 01', '01')
  const bob = await connect('bob')
  const count = 20
  for (let number = 10; number < 10 + count; number += 1) await bob.publishes(`t/${number}`, 'hi', { qos: 2 })
  for (let number = 10; number < 10 + count; number += 1) {
    const packet = await other.receivesPacket()
    assert.equal(packet[0], 0x32)
    other.sends(`40 02 ${packet.toString('hex', 8, 10)}`)
  }
  const received: string[] = []
  for (const [client, first] of [
    [alice, 0x30],
    [carol, 0x32],
  ] as const) {
    client.sends('c0 00')
    for (;;) {
      const packet = await client.receivesPacket()
      if (packet[0] === 0xd0) break
      assert.equal(packet[0], first)
      received.push(packet.toString('utf8', 4, 8))
    }
  }
  assert.deepEqual(
    received.toSorted(),
    Array.from({ length: count }, (_, index) => `t/${index + 10}`),
  )
})

test('a shared message with QoS 2 that was begun is completed with the same member when it comes back [MQTT-4.8.2-4]', async ({
  connect,
}) => {
  const alice = await connect('alice', { properties: lasting })
  await alice.subscribes('"$share/g/t" 02', '02')
  const bob = await connect('bob')
  await bob.publishes('t', 'hi', { qos: 2 })
  const id = await alice.receives(`34 ["t" ____ [] 'hi']`)
  const carol = await connect('carol')
  await carol.subscribes('"$share/g/t" 02', '02')
  await alice.drops()
  await carol.receivesNothing()
  const back = await connect('alice', { clean: false, properties: lasting, sessionPresent: 1 })
  await back.receives(`3c ["t" ${id} [] 'hi']`)
  back.sends(`50 02 ${id}`)
  await back.receivesAcknowledgement('62', id, 0)
  back.sends(`70 02 ${id}`)
  await carol.receivesNothing()
})

test('a shared message with QoS 2 goes to no other member when the session of the first ends [MQTT-4.8.2-5]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  await alice.subscribes('"$share/g/t" 02', '02')
  const bob = await connect('bob')
  await bob.publishes('t', 'hi', { qos: 2 })
  await alice.receives(`34 ["t" ____ [] 'hi']`)
  const carol = await connect('carol')
  await carol.subscribes('"$share/g/t" 02', '02')
  await alice.drops()
  await connect('alice', { clean: true })
  await carol.receivesNothing()
})

test('a shared message that is answered with an error goes to no other member [MQTT-4.8.2-6]', async ({ connect }) => {
  const alice = await connect('alice')
  await alice.subscribes('"$share/g/one" 01 "$share/g/two" 02', '01 02')
  const bob = await connect('bob')
  await bob.publishes('one', 'hi', { qos: 1 })
  const first = await alice.receives(`32 ["one" ____ [] 'hi']`)
  await bob.publishes('two', 'hi', { qos: 2 })
  const second = await alice.receives(`34 ["two" ____ [] 'hi']`)
  const carol = await connect('carol')
  await carol.subscribes('"$share/g/one" 01 "$share/g/two" 02', '01 02')
  alice.sends(`40 03 ${first} 97`, `50 03 ${second} 97`)
  await alice.receivesNothing()
  await carol.receivesNothing()
})

test('a shared subscription gets no retained messages', async ({ connect }) => {
  const alice = await connect('alice')
  await alice.publishes('t', 'kept', { retain: true })
  await alice.subscribes('"$share/g/t" 00', '00')
  await alice.receivesNothing()
})

/** PUBLISH and its answers: sections 3.3 to 3.7 of MQTT 3.1.1. */
import { test } from '../broker-under-test.ts'

const level = 4

test('DUP is 1 when a message is sent again, 0 with QoS 0, and not passed on [MQTT-3.1.1: 3.3.1-1] [MQTT-3.1.1: 3.3.1-2] [MQTT-3.1.1: 3.3.1-3] [MQTT-3.1.1: 4.3.1-1]', async ({
  connect,
}) => {
  const alice = await connect('alice', { level, clean: false })
  await alice.subscribes('"t" 01', '01')
  const bob = await connect('bob', { level })
  bob.sends(`3a ["t" 0001 'hi']`)
  await bob.receives('40 02 0001')
  const id = await alice.receives(`32 ["t" ____ 'hi']`)
  await alice.drops()
  const back = await connect('alice', { level, clean: false, sessionPresent: 1 })
  await back.receives(`3a ["t" ${id} 'hi']`)
  bob.sends(`30 ["t" 'zero']`)
  await back.receives(`30 ["t" 'zero']`)
  bob.sends(`38 ["t" 'hi']`)
  await bob.isDisconnected()
})

test('QoS 3 closes the connection [MQTT-3.1.1: 3.3.1-4] [MQTT-3.1.1: 4.8.0-1]', async ({ connect }) => {
  for (const first of ['36', '3e', '37']) {
    const client = await connect('alice', { level })
    client.sends(`${first} ["t" 0001 'hi']`)
    await client.isDisconnected()
  }
})

test('a retained message is stored with its QoS and sent to new subscriptions with RETAIN 1 [MQTT-3.1.1: 3.3.1-5] [MQTT-3.1.1: 3.3.1-6] [MQTT-3.1.1: 3.3.1-7] [MQTT-3.1.1: 3.3.1-8] [MQTT-3.1.1: 3.3.1-9]', async ({
  connect,
}) => {
  const alice = await connect('alice', { level })
  const bob = await connect('bob', { level })
  await alice.subscribes('"t" 02', '02')
  await bob.publishes('t', 'first', { retain: true, qos: 1 })
  await alice.receives(`32 ["t" ____ 'first']`)
  const carol = await connect('carol', { level })
  await carol.subscribes('"t" 02', '02')
  await carol.receives(`33 ["t" ____ 'first']`)
  await bob.publishes('t', 'second', { retain: true, qos: 0 })
  await alice.receives(`30 ["t" 'second']`)
  const dave = await connect('dave', { level })
  await dave.subscribes('"t" 02', '02')
  await dave.receives(`31 ["t" 'second']`)
  await dave.receivesNothing()
})

test('an empty retained message is delivered, removes what was retained and is not stored [MQTT-3.1.1: 3.3.1-10] [MQTT-3.1.1: 3.3.1-11] [MQTT-3.1.1: 3.3.1-12]', async ({
  connect,
}) => {
  const alice = await connect('alice', { level })
  const bob = await connect('bob', { level })
  await bob.publishes('t', 'kept', { retain: true })
  await bob.publishes('t', 'passing')
  await bob.publishes('t', '')
  await alice.subscribes('"t" 00', '00')
  await alice.receives(`31 ["t" 'kept']`)
  await bob.publishes('t', '', { retain: true })
  await alice.receives(`30 ["t"]`)
  await alice.subscribes('"#" 00', '00')
  await alice.receivesNothing()
})

test('a Topic Name comes first and has no wildcard [MQTT-3.1.1: 3.3.2-1] [MQTT-3.1.1: 3.3.2-2] [MQTT-3.1.1: 4.7.1-1]', async ({
  connect,
}) => {
  for (const packet of ['30 00', '30 [00]', '30 [0005 61]', `30 ["#" 'hi']`, `30 ["a/+" 'hi']`, `30 ["a+" 'hi']`]) {
    const client = await connect('alice', { level })
    client.sends(packet)
    await client.isDisconnected()
  }
})

test('the topic of a delivered message matches the filter [MQTT-3.1.1: 3.3.2-3]', async ({ connect }) => {
  const alice = await connect('alice', { level })
  const bob = await connect('bob', { level })
  for (const [filter, matching, other] of [
    ['a/+/c', ['a/b/c', 'a//c'], ['a/c', 'a/b/c/d', 'b/b/c']],
    ['a/#', ['a', 'a/', 'a/b/c'], ['b', '/a', 'ab']],
    ['+', ['a', ' '], ['/', 'a/', 'a/b']],
    ['/+', ['/', '/a'], ['a', '//']],
    ['a', ['a'], ['A', 'a/', '/a']],
  ] as const) {
    await alice.subscribes(`"${filter}" 00`, '00')
    bob.sends(...[...other, ...matching].map((topic) => `30 ["${topic}" 'hi']`))
    await bob.receivesNothing()
    for (const topic of matching) await alice.receives(`30 ["${topic}" 'hi']`)
    await alice.receivesNothing()
    await alice.unsubscribes(`"${filter}"`, '00')
  }
})

test('QoS 1 is answered with PUBACK, QoS 2 with PUBREC and PUBCOMP [MQTT-3.1.1: 3.3.4-1]', async ({ connect }) => {
  const alice = await connect('alice', { level })
  alice.sends(`32 ["t" 0001 'hi']`, `34 ["t" 0002 'hi']`, '62 02 0002')
  await alice.receives('40 02 0001')
  await alice.receives('50 02 0002')
  await alice.receives('70 02 0002')
})

test('of overlapping subscriptions the highest QoS counts [MQTT-3.1.1: 3.3.5-1]', async ({ connect }) => {
  const alice = await connect('alice', { level })
  const bob = await connect('bob', { level })
  await alice.subscribes('"a/#" 00 "a/b" 01', '00 01')
  await bob.publishes('a/b', 'hi', { qos: 2 })
  const first = await alice.receivesPacket()
  if (first[0] === 0x30) await alice.receives(`32 ["a/b" ____ 'hi']`)
})

test('a message that is not allowed is acknowledged as usual, or the connection closed [MQTT-3.1.1: 3.3.5-2]', {
  options: {
    plugins: [{ name: 'guard', authorizePublish: ({ topic }) => topic !== 'secret', authorizeSubscribe: () => true }],
  },
}, async ({ connect }) => {
  const bob = await connect('bob', { level })
  await bob.subscribes('"#" 00', '00')
  for (const [packet, answer] of [
    [`32 ["secret" 0001 'hi']`, '40 02 0001'],
    [`34 ["secret" 0001 'hi']`, '50 02 0001'],
  ] as const) {
    const alice = await connect('alice', { level })
    alice.sends(packet)
    const received = await alice.receivesPacket().catch(() => undefined)
    if (received !== undefined && received.toString('hex') !== answer.replaceAll(' ', '')) throw new Error('no answer')
  }
  await bob.receivesNothing()
})

import assert from 'node:assert/strict'
import { test } from './broker-under-test.ts'
import { connectPacket } from './client.ts'

const lasting = '11 0000ffff'

test('DUP is 1 when a PUBLISH is sent again [MQTT-3.3.1-1] [MQTT-4.4.0-1]', async ({ connect }) => {
  const alice = await connect('alice', { properties: lasting })
  await alice.subscribes('"one" 01 "two" 02', '01 02')
  const bob = await connect('bob')
  await bob.publishes('one', 'hi', { qos: 1 })
  const first = await alice.receives(`32 ["one" ____ [] 'hi']`)
  await bob.publishes('two', 'hi', { qos: 2 })
  const second = await alice.receives(`34 ["two" ____ [] 'hi']`)
  await alice.drops()
  const back = await connect('alice', { clean: false, sessionPresent: 1 })
  await back.receives(`3a ["one" ${first} [] 'hi']`)
  await back.receives(`3c ["two" ${second} [] 'hi']`)
})

test('DUP is 0 with QoS 0 [MQTT-3.3.1-2] [MQTT-4.3.1-1]', async ({ connect }) => {
  const alice = await connect('alice')
  await alice.subscribes('"t" 00', '00')
  const bob = await connect('bob')
  bob.sends(`3a ["t" 0001 [] 'hi']`)
  await bob.receivesAcknowledgement('40', '0001')
  await alice.receives(`30 ["t" [] 'hi']`)
  bob.sends(`38 ["t" [] 'hi']`)
  await bob.isDisconnected(0x81, 0x82)
})

test('DUP of a received PUBLISH is not passed on [MQTT-3.3.1-3] [MQTT-4.3.2-2] [MQTT-4.3.3-2]', async ({ connect }) => {
  const alice = await connect('alice')
  await alice.subscribes('"one" 01 "two" 02', '01 02')
  const bob = await connect('bob')
  bob.sends(`3a ["one" 0001 [] 'hi']`)
  await bob.receivesAcknowledgement('40', '0001')
  await alice.receives(`32 ["one" ____ [] 'hi']`)
  bob.sends(`3c ["two" 0002 [] 'hi']`)
  await bob.receivesAcknowledgement('50', '0002')
  bob.sends('62 02 0002')
  await bob.receivesAcknowledgement('70', '0002', 0)
  await alice.receives(`34 ["two" ____ [] 'hi']`)
})

test('QoS 3 is a malformed packet [MQTT-3.3.1-4]', async ({ connect }) => {
  for (const first of ['36', '37', '3e', '3f']) {
    const client = await connect('alice')
    client.sends(`${first} ["t" 0001 [] 'hi']`)
    await client.isDisconnected(0x81, 0x82)
  }
})

test('RETAIN 1 stores the message and replaces the one before [MQTT-3.3.1-5]', async ({ connect }) => {
  const bob = await connect('bob')
  await bob.publishes('t', 'first', { retain: true, qos: 1, properties: '03 "text"' })
  const alice = await connect('alice')
  await alice.subscribes('"t" 01', '01')
  await alice.receives(`33 ["t" ____ [03 "text"] 'first']`)
  await bob.publishes('t', 'second', { retain: true, qos: 0 })
  await alice.receives(`30 ["t" [] 'second']`)
  const carol = await connect('carol')
  await carol.subscribes('"t" 01', '01')
  await carol.receives(`31 ["t" [] 'second']`)
  await carol.receivesNothing()
})

test('an empty retained message is delivered and removes the retained message [MQTT-3.3.1-6] [MQTT-3.3.1-7]', async ({
  connect,
}) => {
  const bob = await connect('bob')
  await bob.publishes('t', 'kept', { retain: true })
  const alice = await connect('alice')
  await alice.subscribes('"t" 00', '00')
  await alice.receives(`31 ["t" [] 'kept']`)
  await bob.publishes('t', '', { retain: true })
  await alice.receives(`30 ["t" []]`)
  await bob.publishes('never', '', { retain: true })
  const carol = await connect('carol')
  await carol.subscribes('"#" 00', '00')
  await carol.receivesNothing()
})

test('RETAIN 0 leaves the retained message as it is [MQTT-3.3.1-8]', async ({ connect }) => {
  const bob = await connect('bob')
  await bob.publishes('t', 'kept', { retain: true })
  await bob.publishes('t', 'passing')
  await bob.publishes('t', '')
  await bob.publishes('other', 'passing')
  const alice = await connect('alice')
  await alice.subscribes('"#" 00', '00')
  await alice.receives(`31 ["t" [] 'kept']`)
  await alice.receivesNothing()
})

test('Retain Handling 0 sends the retained messages at every SUBSCRIBE [MQTT-3.3.1-9] [MQTT-3.8.4-4]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  await alice.publishes('a/b', 'kept', { retain: true })
  for (let count = 0; count < 3; count += 1) {
    await alice.subscribes('"a/+" 00', '00')
    await alice.receives(`31 ["a/b" [] 'kept']`)
    await alice.receivesNothing()
  }
})

test('Retain Handling 1 sends the retained messages only when the subscription is new [MQTT-3.3.1-10]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  await alice.publishes('a/b', 'kept', { retain: true })
  await alice.subscribes('"a/+" 10', '00')
  await alice.receives(`31 ["a/b" [] 'kept']`)
  await alice.subscribes('"a/+" 10', '00')
  await alice.receivesNothing()
  await alice.unsubscribes('"a/+"', '00')
  await alice.subscribes('"a/+" 10', '00')
  await alice.receives(`31 ["a/b" [] 'kept']`)
  await alice.receivesNothing()
})

test('Retain Handling 2 sends no retained messages [MQTT-3.3.1-11]', async ({ connect }) => {
  const alice = await connect('alice')
  await alice.publishes('a/b', 'kept', { retain: true })
  await alice.subscribes('"a/+" 20', '00')
  await alice.receivesNothing()
})

test('Retain As Published 0 passes messages on with RETAIN 0, 1 as they came [MQTT-3.3.1-12] [MQTT-3.3.1-13]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  const carol = await connect('carol')
  await alice.subscribes('"t" 00', '00')
  await carol.subscribes('"t" 08', '00')
  const bob = await connect('bob')
  await bob.publishes('t', 'kept', { retain: true })
  await alice.receives(`30 ["t" [] 'kept']`)
  await carol.receives(`31 ["t" [] 'kept']`)
  await bob.publishes('t', 'passing')
  await alice.receives(`30 ["t" [] 'passing']`)
  await carol.receives(`30 ["t" [] 'passing']`)
})

test('the Topic Name is the first field and cannot be left out [MQTT-3.3.2-1]', async ({ connect }) => {
  for (const packet of ['30 00', '30 01 00', '30 02 0005', '30 04 0005 6161', '32 [0001]']) {
    const client = await connect('alice')
    client.sends(packet)
    await client.isDisconnected(0x81, 0x82)
  }
})

test('a wildcard in a Topic Name ends the connection [MQTT-3.3.2-2] [MQTT-4.7.0-1]', async ({ connect }) => {
  for (const topic of ['#', '+', 'a/#', 'a/+/b', '+/a', 'a+', 'a#']) {
    const client = await connect('alice')
    client.sends(`30 ["${topic}" [] 'hi']`)
    await client.isDisconnected(0x90, 0x81, 0x82)
  }
})

/** By the words of section 4.7, one level after the other. */
function matches(filter: readonly string[], topic: readonly string[]): boolean {
  const [level, ...others] = filter
  if (level === undefined) return topic.length === 0
  if (level === '#') return true
  const [name, ...rest] = topic
  if (name === undefined) return false
  return (level === '+' || level === name) && matches(others, rest)
}

test('a message goes to the subscribers whose filter matches its topic and to no others [MQTT-3.3.2-3]', async ({
  connect,
}) => {
  const levels = ['', 'a', 'b']
  const topics: string[][] = []
  for (const first of levels) {
    for (const second of levels) {
      topics.push([first, second])
      for (const third of levels) topics.push([first, second, third])
    }
  }
  topics.push(['a'], ['b'], ['a', 'b', 'a', 'b'])
  const filters = [
    ...topics,
    ...[
      '#',
      '+',
      '+/+',
      '/+',
      '+/',
      'a/#',
      'a/+',
      '+/a',
      'a/+/b',
      '+/+/+',
      'a/b/#',
      '/#',
      '//#',
      '+/#',
      '+/b/#',
      'a/+/#',
      'a/b/a/b/#',
      '+//+',
    ].map((filter) => filter.split('/')),
  ]
  const alice = await connect('alice')
  const bob = await connect('bob')
  for (const filter of filters) {
    await alice.subscribes(`"${filter.join('/')}" 00`, '00')
    bob.sends(...topics.map((topic) => `30 ["${topic.join('/')}" [] 'hi']`))
    await bob.receivesNothing()
    for (const topic of topics) {
      if (matches(filter, topic)) await alice.receives(`30 ["${topic.join('/')}" [] 'hi']`)
    }
    await alice.unsubscribes(`"${filter.join('/')}"`, '00')
  }
})

test('the Payload Format Indicator is passed on as it came [MQTT-3.3.2-4]', async ({ connect }) => {
  const alice = await connect('alice')
  await alice.subscribes('"t" 00', '00')
  for (const properties of ['01 01', '01 00', '']) {
    alice.sends(`30 ["t" [${properties}] 'hi']`)
    // 0 is what it means when it is not there.
    if (properties === '01 00') await alice.receivesOneOf(`30 ["t" [01 00] 'hi']`, `30 ["t" [] 'hi']`)
    else await alice.receives(`30 ["t" [${properties}] 'hi']`)
  }
})

test('a message whose Message Expiry Interval has passed is not delivered [MQTT-3.3.2-5]', { clock: true }, async ({
  connect,
  server,
}) => {
  const alice = await connect('alice', { properties: lasting })
  await alice.subscribes('"t" 01 "kept" 01', '01 01')
  await alice.disconnects()
  const bob = await connect('bob')
  await bob.publishes('t', 'short', { properties: '02 00000005' })
  await bob.publishes('t', 'long', { properties: '02 00000064' })
  await bob.publishes('kept', 'short', { properties: '02 00000005', retain: true })
  await server.advance(6000)
  const back = await connect('alice', { clean: false, sessionPresent: 1 })
  await back.receives(`32 ["t" ____ [02 0000005e] 'long']`)
  await back.receivesNothing()
  await bob.subscribes('"kept" 00', '00')
  await bob.receivesNothing()
})

test('a message that waited goes out with what is left of its Message Expiry Interval [MQTT-3.3.2-6]', {
  clock: true,
}, async ({ connect, server }) => {
  const alice = await connect('alice', { properties: lasting })
  await alice.subscribes('"t" 01', '01')
  await alice.disconnects()
  const bob = await connect('bob')
  await bob.publishes('t', 'hi', { properties: '02 00000064', retain: true })
  await server.advance(30_000)
  const back = await connect('alice', { clean: false, sessionPresent: 1 })
  await back.receives(`32 ["t" ____ [02 00000046] 'hi']`)
  await bob.subscribes('"t" 00', '00')
  await bob.receives(`31 ["t" [02 00000046] 'hi']`)
})

test('Topic Aliases end with the connection [MQTT-3.3.2-7]', async ({ connect }) => {
  const alice = await connect('alice', { properties: lasting })
  alice.sends(`30 ["t" [23 0001] 'hi']`)
  await alice.receivesNothing()
  await alice.disconnects()
  const back = await connect('alice', { clean: false, properties: lasting, sessionPresent: 1 })
  back.sends(`30 ["" [23 0001] 'hi']`)
  await back.isDisconnected(0x82, 0x94)
})

test('Topic Alias 0 ends the connection [MQTT-3.3.2-8]', async ({ connect }) => {
  const alice = await connect('alice')
  alice.sends(`30 ["t" [23 0000] 'hi']`)
  await alice.isDisconnected(0x94)
})

test('every Topic Alias up to the maximum of the Server is accepted, and can be given another topic [MQTT-3.3.2-12]', async ({
  open,
}) => {
  const alice = await open()
  alice.sends(connectPacket({ id: 'alice' }))
  const [maximum = '0000'] = (await alice.receivesConnack()).get(0x22) ?? []
  await alice.subscribes('"#" 00', '00')
  const last = Number.parseInt(maximum, 16)
  for (let alias = 1; alias <= last; alias += 1) {
    const hex = alias.toString(16).padStart(4, '0')
    alice.sends(`30 ["first/${alias}" [23 ${hex}] 'hi']`, `30 ["" [23 ${hex}] 'ho']`)
    await alice.receives(`30 ["first/${alias}" [] 'hi']`)
    await alice.receives(`30 ["first/${alias}" [] 'ho']`)
  }
  for (let alias = 1; alias <= last; alias += 1) {
    const hex = alias.toString(16).padStart(4, '0')
    alice.sends(`30 ["" [23 ${hex}] 'hi']`, `30 ["second" [23 ${hex}] 'hi']`, `30 ["" [23 ${hex}] 'ho']`)
    await alice.receives(`30 ["first/${alias}" [] 'hi']`)
    await alice.receives(`30 ["second" [] 'hi']`)
    await alice.receives(`30 ["second" [] 'ho']`)
  }
})

test('a Response Topic with a wildcard ends the connection [MQTT-3.3.2-14]', async ({ connect }) => {
  for (const topic of ['#', 'a/+', '+', 'a/#']) {
    const client = await connect('alice')
    client.sends(`30 ["t" [08 "${topic}"] 'hi']`)
    await client.isDisconnected(0x82, 0x81, 0x90)
  }
})

test('Response Topic, Correlation Data and Content Type are passed on as they came [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-20]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  await alice.subscribes('"t" 00', '00')
  const everything = ['', '00', 'ff00fe', 'ab'.repeat(1000), '7f'.repeat(65_535)]
  for (const data of everything) {
    alice.sends(`30 ["t" [09 (${data})] 'hi']`)
    await alice.receives(`30 ["t" [09 (${data})] 'hi']`)
  }
  for (const text of ['answer/é/🐝', 'a', 'b'.repeat(500)]) {
    alice.sends(`30 ["t" [08 "${text}"] 'hi']`)
    await alice.receives(`30 ["t" [08 "${text}"] 'hi']`)
  }
  for (const text of ['text/plain', '', 'é/🐝 #+']) {
    alice.sends(`30 ["t" [03 "${text}"] 'hi']`)
    await alice.receives(`30 ["t" [03 "${text}"] 'hi']`)
  }
})

test('User Properties are passed on, all of them and in their order [MQTT-3.3.2-17] [MQTT-3.3.2-18]', async ({
  connect,
}) => {
  const alice = await connect('alice', { properties: lasting })
  await alice.subscribes('"t" 01', '01')
  await alice.disconnects()
  const bob = await connect('bob')
  const properties = '26 "b" "2" 26 "a" "1" 26 "b" "2" 26 "a" "" 26 "" "0" 26 "__proto__" "x"'
  await bob.publishes('t', 'hi', { properties, retain: true })
  const back = await connect('alice', { clean: false, sessionPresent: 1 })
  await back.receives(`32 ["t" ____ [${properties}] 'hi']`)
  await bob.subscribes('"t" 00', '00')
  await bob.receives(`31 ["t" [${properties}] 'hi']`)
})

test('QoS 0 has no answer, QoS 1 PUBACK, QoS 2 PUBREC [MQTT-3.3.4-1]', async ({ connect }) => {
  const alice = await connect('alice')
  alice.sends(`30 ["t" [] 'hi']`)
  await alice.receivesNothing()
  alice.sends(`32 ["t" 0001 [] 'hi']`)
  await alice.receivesAcknowledgement('40', '0001')
  await alice.receivesNothing()
  alice.sends(`34 ["t" 0001 [] 'hi']`)
  await alice.receivesAcknowledgement('50', '0001')
  await alice.receivesNothing()
})

test('of overlapping subscriptions the highest granted QoS counts [MQTT-3.3.4-2]', async ({ connect }) => {
  const alice = await connect('alice')
  await alice.subscribes('"a/#" 00 "a/b" 02 "+/b" 01', '00 02 01')
  const bob = await connect('bob')
  await bob.publishes('a/b', 'hi', { qos: 2 })
  // One copy, or one for each subscription with its own QoS.
  const firsts: number[] = []
  while (!firsts.includes(0x34)) firsts.push((await alice.receivesPacket())[0]!)
  assert.ok(firsts.every((first) => [0x30, 0x32, 0x34].includes(first)))
})

test('the Subscription Identifiers of the subscriptions that match are sent [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]', async ({
  connect,
}) => {
  const alice = await connect('alice')
  await alice.subscribes('"a/#" 00', '00', '0b 01')
  await alice.subscribes('"a/b" 00', '00', '0b ffffff7f')
  await alice.subscribes('"+/b" 00', '00', '0b 8001')
  await alice.subscribes('"a/+" 00', '00')
  await alice.subscribes('"other" 00', '00', '0b 05')
  const bob = await connect('bob')
  await bob.publishes('a/b', 'hi', { qos: 0 })
  const seen: string[] = []
  let copies = 0
  alice.sends('c0 00')
  for (;;) {
    const packet = await alice.receivesPacket()
    if (packet[0] === 0xd0 && copies > 0) break
    if (packet[0] === 0xd0) {
      alice.sends('c0 00')
      continue
    }
    copies += 1
    const length = packet[7]!
    const properties = packet.toString('hex', 8, 8 + length)
    seen.push(...(properties.match(/0b(?:[89a-f].)*[0-7]./g) ?? []))
  }
  assert.deepEqual(seen.toSorted(), ['0b01', '0b8001', '0bffffff7f'])
  assert.ok(copies === 1 || copies === 4, `one copy or one for each subscription, got ${copies}`)
})

test('a subscription without Subscription Identifier adds none [MQTT-3.3.4-3]', async ({ connect }) => {
  const alice = await connect('alice')
  await alice.subscribes('"t" 00', '00', '0b 01')
  await alice.subscribes('"t" 00', '00') // Replaces it.
  alice.sends(`30 ["t" [] 'hi']`)
  await alice.receives(`30 ["t" [] 'hi']`)
})

test('a Subscription Identifier in a PUBLISH from a Client ends the connection [MQTT-3.3.4-6]', async ({ connect }) => {
  const alice = await connect('alice')
  alice.sends(`30 ["t" [0b 01] 'hi']`)
  await alice.isDisconnected(0x82, 0x81)
})

test('more unacknowledged messages than the Receive Maximum of the Server end the connection [MQTT-3.3.4-7]', async ({
  open,
}) => {
  const client = await open()
  client.sends(connectPacket())
  const [maximum = 'ffff'] = (await client.receivesConnack()).get(0x21) ?? []
  const count = Number.parseInt(maximum, 16)
  for (let id = 1; id <= count; id += 1) client.sends(`34 ["t" ${id.toString(16).padStart(4, '0')} [] 'hi']`)
  for (let id = 1; id <= count; id += 1) assert.equal((await client.receivesPacket())[0], 0x50)
  // As many as the Client may send; the same ones again count once.
  client.sends(`3c ["t" 0001 [] 'hi']`)
  await client.receivesAcknowledgement('50', '0001')
  client.sends(`34 ["t" fffe [] 'hi']`)
  await client.isDisconnected(0x93)
})

test('a Server sends no more unacknowledged messages than the Receive Maximum of the Client [MQTT-3.3.4-9] [MQTT-4.9.0-1] [MQTT-4.9.0-2]', async ({
  connect,
}) => {
  const bob = await connect('bob')
  for (const maximum of [1, 3]) {
    const alice = await connect('alice', { properties: `21 000${maximum}` })
    await alice.subscribes('"one" 01 "two" 02', '01 02')
    for (const payload of ['1', '2', '3', '4', '5']) await bob.publishes('one', payload)
    const ids: string[] = []
    for (let count = 1; count <= maximum; count += 1) ids.push(await alice.receives(`32 ["one" ____ [] '${count}']`))
    await alice.receivesNothing()
    for (let count = maximum + 1; count <= 5; count += 1) {
      alice.sends(`40 02 ${ids.shift()}`)
      ids.push(await alice.receives(`32 ["one" ____ [] '${count}']`))
      await alice.receivesNothing()
    }
    for (const id of ids) alice.sends(`40 02 ${id}`)
    // A QoS 2 message is complete with PUBCOMP, or with an error in PUBREC.
    for (const payload of ['1', '2', '3', '4', '5']) await bob.publishes('two', payload, { qos: 2 })
    for (let count = 1; count <= maximum; count += 1) ids.push(await alice.receives(`34 ["two" ____ [] '${count}']`))
    const [id] = ids.splice(-maximum, 1)
    alice.sends(`50 02 ${id}`)
    await alice.receivesAcknowledgement('62', id!, 0)
    await alice.receivesNothing()
    alice.sends(`70 02 ${id}`)
    const next = await alice.receives(`34 ["two" ____ [] '${maximum + 1}']`)
    await alice.receivesNothing()
    alice.sends(`50 03 ${next} 97`)
    await alice.receives(`34 ["two" ____ [] '${maximum + 2}']`)
    await alice.receivesNothing()
    await alice.disconnects()
  }
})

test('a full window delays nothing but PUBLISH with QoS 1 and 2 [MQTT-3.3.4-10] [MQTT-4.9.0-3]', async ({
  connect,
}) => {
  const alice = await connect('alice', { properties: '21 0001' })
  await alice.subscribes('"one" 01 "two" 02 "zero" 00', '01 02 00')
  const bob = await connect('bob')
  await bob.publishes('two', 'hi', { qos: 2 })
  const id = await alice.receives(`34 ["two" ____ [] 'hi']`)
  await bob.publishes('one', 'waits')
  await alice.receivesNothing()
  await alice.subscribes('"other" 00', '00')
  await alice.unsubscribes('"other"', '00')
  await alice.publishes('elsewhere', 'hi', { qos: 2 })
  await alice.publishes('elsewhere', 'hi', { qos: 1 })
  await bob.publishes('zero', 'now', { qos: 0 })
  await alice.receives(`30 ["zero" [] 'now']`)
  alice.sends(`50 02 ${id}`)
  await alice.receivesAcknowledgement('62', id, 0)
  alice.sends(`70 02 ${id}`)
  await alice.receives(`32 ["one" ____ [] 'waits']`)
})

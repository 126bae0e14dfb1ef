/** Abuse that takes more than one packet (S01 to S50): sessions, exchanges, time and the end of connections. */
import { strict as assert } from 'node:assert'
import type { AddressInfo, Socket } from 'node:net'
import { after, test } from 'node:test'
import { Broker } from '../../lib/index.ts'
import type { BrokerOptions } from '../../types/options.ts'
import type { ProtocolLevel } from '../../types/packets.ts'
import { Random } from '../fuzz/random.ts'
import { ManualClock } from '../support/clock.ts'
import { Faults } from './faults.ts'
import { memoryClient, type RawClient, tcpClient, turns, until } from './raw-client.ts'

const faults = new Faults()
const brokers: Broker[] = []
after(async () => {
  for (const broker of brokers) await broker.close()
  faults.stop()
})

function open(options: BrokerOptions = {}): Broker {
  const broker = new Broker({ sysInterval: false, ...options })
  brokers.push(broker)
  faults.watch(broker)
  return broker
}

const levels: readonly ProtocolLevel[] = [3, 4, 5]
const mqtt4And5: readonly ProtocolLevel[] = [4, 5]

/** A Client that sees all there is. */
async function watch(broker: Broker, filter = '#'): Promise<RawClient> {
  const watcher = memoryClient(broker)
  await watcher.connects('watcher')
  await watcher.sends(`82 <0001 NONE "${filter}" 02>`).receives('suback 02')
  return watcher
}

/** A Client with a session that lasts; at MQTT 3 it lasts without saying so. */
async function connectLasting(broker: Broker, level: ProtocolLevel, clean = false): Promise<RawClient> {
  const client = memoryClient(broker, level)
  await client.connects('lasting', clean ? '02' : '00', level === 5 ? '<11 00000e10>' : '')
  return client
}

for (const level of levels) {
  test(`S16 a thousand times the same PUBLISH at QoS 2 is one message at Protocol Level ${level} [MQTT-4.3.3-10]`, async () => {
    const broker = open()
    const watcher = await watch(broker)
    const client = memoryClient(broker, level)
    await client.connects('c')
    client.sends('{1000 34 <"t" 0001 NONE 78>} {1000 62 02 0001} {1000 50 02 0007} {1000 70 02 0007} c0 00')
    for (let count = 0; count < 1000; count += 1) await client.receives('pubrec 00')
    await client.receives('pubcomp 00')
    for (let count = 1; count < 1000; count += 1) await client.receives(level === 5 ? 'pubcomp 92' : 'pubcomp 00')
    for (let count = 0; count < 1000; count += 1) await client.receives(level === 5 ? 'pubrel 92' : 'pubrel 00')
    await client.receives('pingresp')
    await watcher.receives('publish 2 t x')
    await watcher.hasNothing()
  })
}

for (const level of mqtt4And5) {
  test(`S17 more messages at QoS 2 at once than the Receive Maximum end the connection of MQTT 5.0 only: level ${level} [MQTT-3.3.4-7]`, async () => {
    const broker = open({ limits: { receiveMaximum: 100 } })
    const client = memoryClient(broker, level)
    await client.connects('c')
    const all: string[] = []
    for (let packetId = 1; packetId <= 2000; packetId += 1) {
      all.push(`34 <"t" ${packetId.toString(16).padStart(4, '0')} NONE 78>`)
    }
    client.sends(all.join(' '))
    const accepted = level === 5 ? 100 : 2000 // MQTT 3 has no Receive Maximum.
    for (let count = 0; count < accepted; count += 1) await client.receives(level === 5 ? 'pubrec 10' : 'pubrec 00')
    if (level === 5) await client.receives('disconnect 93', 'close')
    await client.drops()
    await turns()
    assert.equal(broker.stats().sessions, 0)
  })
}

test('S18 a Client Identifier has one owner, however many fight for it [MQTT-3.1.4-3]', async () => {
  const broker = open()
  const taken: RawClient[] = []
  for (let round = 0; round < 100; round += 1) {
    for (const level of [3, 4, 5, 5] as const) {
      const client = memoryClient(broker, level)
      client.sends(
        `10 <NAME 00 0000 ${level === 5 ? '<11 00000e10>' : ''} "id"> 82 <0001 NONE "x/${round % 7}" 01> a2 <0002 NONE "x/${(round + 3) % 7}">`,
      )
      taken.push(client)
    }
    await broker.publish({ topic: `x/${round % 7}`, qos: 1 })
    if (round % 10 === 0) await turns(2)
  }
  await turns(30)
  const open5 = taken.filter((client) => !client.ended)
  assert.equal(open5.length, 1)
  assert.equal(broker.clients.size, 1)
  assert.equal(broker.stats().sessions, 1)
  assert.equal(broker.clients.get('id')?.subscriptions.size, broker.stats().subscriptions)
  for (const client of taken) {
    const last = client.answers.at(-1)?.text
    if (client.ended && client.level === 5) assert.equal(last, 'disconnect 8e')
  }
})

test('S26 a session ends after its Session Expiry Interval and not before, however long it is', async () => {
  for (const [hex, seconds] of [
    ['00000000', 0],
    ['00000001', 1],
    ['7fffffff', 0x7fff_ffff],
    ['fffffffe', 0xffff_fffe],
    ['ffffffff', Infinity],
  ] as const) {
    const clock = new ManualClock()
    const broker = open({ clock })
    const watcher = await watch(broker)
    const client = memoryClient(broker)
    // The Will waits for as long as it can: it goes with the session.
    client.sends(`10 <NAME 06 0000 <11 ${hex}> "c" <18 ffffffff> "will" "gone">`)
    await client.receives('connack 00')
    await client.drops()
    await turns()
    if (seconds > 0) {
      const before = seconds === Infinity ? 0xffff_ffff - 1 : seconds - 1
      clock.advance(before * 1000 + 999)
      assert.equal(broker.clients.size + broker.stats().sessions, 3, hex)
      await watcher.hasNothing()
      clock.advance(1)
    }
    if (seconds === Infinity) continue
    assert.equal(broker.stats().sessions, 1, hex)
    await watcher.receives('publish 0 will gone')
    clock.advance(1e15)
    await watcher.hasNothing()
  }
})

test('S26 the policy is told to the Client when it is shorter [MQTT-3.1.2-23]', async () => {
  const broker = open({ limits: { maxSessionExpiry: 60 } })
  const client = memoryClient(broker)
  const connack = await client.connects('c', '02', '<11 ffffffff>')
  assert.ok(connack.body.toString('hex').includes('110000003c'))
})

test('S27 sessions are limited, and the one that ends makes room', async () => {
  const broker = open({ limits: { maxSessions: 5 } })
  for (let count = 0; count < 5; count += 1) {
    const client = memoryClient(broker)
    await client.connects(`c${count}`, '02', '<11 ffffffff>')
    await client.drops()
  }
  await memoryClient(broker).sends('10 <NAME 02 0000 00 "more">').receives('connack 97', 'close')
  await memoryClient(broker, 4).sends('10 <NAME 02 0000 "more">').receives('connack 03', 'close')
  const back = memoryClient(broker)
  await back.connects('c0', '00', '<11 00000000>')
  await back.sends('e0 00').receives('close')
  await memoryClient(broker).connects('more')
})

test('S28 subscriptions and shared subscriptions come and go and nothing stays', async () => {
  const broker = open()
  const random = new Random(28)
  const filters = [
    'a',
    'a/b',
    'a/+',
    '#',
    '+',
    'a/#',
    '+/b',
    '$share/g/a',
    '$share/g/a/b',
    '$share/h/a/#',
    '$share/g/#',
  ]
  const clients = await Promise.all(
    ['1', '2', '3'].map(async (clientId) => {
      const client = memoryClient(broker)
      await client.connects(clientId)
      return { client, held: new Set<string>() }
    }),
  )
  for (let step = 0; step < 5000; step += 1) {
    const { client, held } = random.pick(clients)
    const filter = random.pick(filters)
    if (random.oneIn(2)) {
      await client.sends(`82 <0001 NONE "${filter}" 0${random.below(3)}>`).next()
      held.add(filter)
    } else {
      await client.sends(`a2 <0001 NONE "${filter}">`).receives(held.delete(filter) ? 'unsuback 00' : 'unsuback 11')
    }
    const { subscriptions } = broker.stats()
    assert.equal(
      subscriptions,
      clients.reduce((sum, one) => sum + one.held.size, 0),
    )
  }
  for (const { client } of clients) await client.drops()
  await turns()
  assert.equal(broker.stats().subscriptions, 0)
  assert.equal(broker.stats().sharedSubscriptions, 0)
})

test('S29 messages at QoS 2 that are never completed end with their sessions', async () => {
  const broker = open()
  for (let count = 0; count < 500; count += 1) {
    const client = memoryClient(broker, count % 2 === 0 ? 4 : 5)
    await client.connects(`c${count}`)
    await client.sends('34 <"t" 0001 NONE 78>').receives(client.level === 5 ? 'pubrec 10' : 'pubrec 00')
    await client.drops()
  }
  await turns()
  const { sessions, timers, queuedMessages, queuedBytes } = broker.stats()
  assert.deepEqual(
    { sessions, timers, queuedMessages, queuedBytes },
    { sessions: 0, timers: 0, queuedMessages: 0, queuedBytes: 0 },
  )
})

test('S30 a message is handed over at PUBLISH; when the right is lost before PUBREL the exchange is still completed', async () => {
  let mayPublish = true
  const broker = open({ plugins: [{ name: 'test', authorizePublish: () => mayPublish }] })
  const watcher = await watch(broker)
  const client = await connectLasting(broker, 5, true)
  await client.sends('34 <"t" 0001 NONE 78>').receives('pubrec 00')
  await client.drops()
  mayPublish = false
  const back = await connectLasting(broker, 5)
  await back.sends('3c <"t" 0001 NONE 78>').receives('pubrec 00')
  await back.sends('62 02 0001').receives('pubcomp 00')
  await back.sends('34 <"t" 0001 NONE 79>').receives('pubrec 87')
  await watcher.receives('publish 2 t x')
  await watcher.hasNothing()
})

test('S31 retained messages are limited: MQTT 5.0 is told, MQTT 3 has its message delivered and not kept', async () => {
  const broker = open({ limits: { maxRetained: 3 } })
  const watcher = await watch(broker)
  const client = memoryClient(broker)
  await client.connects('c')
  for (const topic of ['a', 'b', 'c']) await client.sends(`33 <"${topic}" 0001 NONE 78>`).receives('puback 00')
  await client.sends('33 <"d" 0001 NONE 78>').receives('puback 97')
  await client.sends('33 <"a" 0001 NONE 79>').receives('puback 00')
  const mqtt4 = memoryClient(broker, 4)
  await mqtt4.connects('c4')
  await mqtt4.sends('33 <"d" 0001 78>').receives('puback 00')
  await watcher.receives('publish 1 a x', 'publish 1 b x', 'publish 1 c x', 'publish 1 a y', 'publish 1 d x')
  assert.equal(broker.stats().retainedMessages, 3)
  await client.sends('33 <"a" 0001 NONE>').receives('puback 00')
  await client.sends('33 <"d" 0001 NONE 78>').receives('puback 00')
})

test('S37 the keep-alive has a limit, and bytes without a packet do not count as one', async () => {
  const clock = new ManualClock()
  const broker = open({ clock, limits: { maxKeepAlive: 10 } })
  const mqtt5 = memoryClient(broker)
  const connack = await mqtt5.connects('c5')
  assert.ok(connack.body.toString('hex').includes('13000a'), 'Server Keep Alive')
  const mqtt4 = memoryClient(broker, 4)
  await mqtt4.connects('c4')
  const alive = memoryClient(broker)
  await alive.connects('alive')
  for (let second = 0; second < 14; second += 2) {
    clock.advance(2000)
    await alive.hasNothing()
    mqtt5.sends(second === 0 ? '30 7f' : '00')
    mqtt4.sends(second === 0 ? '30 7f' : '00')
    await turns(3)
  }
  assert.ok(!mqtt5.ended && !mqtt4.ended)
  clock.advance(1000)
  await mqtt5.receives('disconnect 8d', 'close')
  await mqtt4.receives('close')
  await alive.hasNothing()
})

test('S38 who takes too long for a CONNECT is closed, and new Clients are let in meanwhile', async () => {
  const clock = new ManualClock()
  const broker = open({ clock, limits: { connectTimeoutMs: 5000 } })
  const slow = Array.from({ length: 200 }, () => memoryClient(broker))
  for (let second = 0; second < 4; second += 1) {
    for (const client of slow) client.sends(['10', '20', '00', '04'][second] as string)
    clock.advance(1000)
    await turns(2)
    const quick = memoryClient(broker)
    await quick.connects(`quick${second}`)
    await quick.drops()
  }
  assert.ok(slow.every((client) => !client.ended))
  clock.advance(1000)
  for (const client of slow) await client.receives('close')
  await until(() => broker.stats().timers === 0, 'no timers')
})

test('S39 what came before the end of a connection counts, what comes after DISCONNECT does not [MQTT-3.14.4-1]', async () => {
  const broker = open()
  const [listener] = await broker.listen({ tcp: 0 })
  const { port } = (listener as { address: AddressInfo }).address
  const watcher = await watch(broker)
  const willing = '10 <NAME 06 0000 NONE "c" NONE "will" "gone">'
  const publish = '30 <"t" NONE 78>'

  const polite = await tcpClient(port)
  await polite.sends(`${willing} ${publish} e0 00 ${publish}`).receives('connack 00', 'close')
  await watcher.receives('publish 0 t x')

  const keepsWill = await tcpClient(port)
  await keepsWill.sends(`${willing} ${publish} e0 <04> ${publish}`).receives('connack 00', 'close')
  await watcher.receives('publish 0 t x', 'publish 0 will gone')

  const half = await tcpClient(port)
  half.sends(`${willing} ${publish} 32 <"t" 0001 NONE 79>`).stream.end()
  await half.receives('connack 00')
  await watcher.receives('publish 0 t x', 'publish 1 t y', 'publish 0 will gone')

  const reset = await tcpClient(port)
  await reset.sends(willing).receives('connack 00')
  ;(reset.stream as Socket).resetAndDestroy()
  await watcher.receives('publish 0 will gone')
  await watcher.hasNothing()
})

test('S46 a payload that says that it is text is forwarded as it came [MQTT-3.3.2-4]', async () => {
  const broker = open()
  const watcher = await watch(broker)
  const client = memoryClient(broker)
  await client.connects('c')
  client.sends('30 <"t" <01 01> ff00>')
  assert.ok((await watcher.next())?.body.toString('hex').endsWith('020101ff00'))
})

test('S48 a message is not sent after its Message Expiry Interval, and what is left of it decreases [MQTT-3.3.2-5] [MQTT-3.3.2-6]', async () => {
  const clock = new ManualClock()
  const broker = open({ clock })
  const client = await connectLasting(broker, 5, true)
  await client.sends('82 <0001 NONE "#" 01>').receives('suback 01')
  await client.drops()
  const publisher = memoryClient(broker)
  await publisher.connects('p')
  for (const [payload, expiry] of [
    ['30', '00000000'],
    ['31', '00000001'],
    ['39', '00000009'],
  ] as const) {
    await publisher.sends(`32 <"t" 0001 <02 ${expiry}> ${payload}>`).receives('puback 00')
  }
  clock.advance(4000)
  const back = await connectLasting(broker, 5)
  const message = await back.receives('publish 1 t 9')
  assert.ok(message?.body.toString('hex').includes('050200000005'))
  await back.hasNothing()
})

for (const level of mqtt4And5) {
  const resumed = async (broker: Broker): Promise<RawClient> => connectLasting(broker, level)

  test(`S49 an exchange goes on where the connection was lost: from the Client, level ${level}`, async () => {
    const broker = open()
    const watcher = await watch(broker)
    let client = await connectLasting(broker, level, true)
    if (level === 4) {
      await client.drops() // A clean session of MQTT 3 would not stay.
      client = await resumed(broker)
    }
    client.sends('34 <"t" 0005 NONE 78>')
    await turns()
    await client.drops() // The PUBREC may be lost.
    client = await resumed(broker)
    await client.sends('3c <"t" 0005 NONE 78>').receives('pubrec 00')
    await client.drops()
    client = await resumed(broker)
    client.sends('62 02 0005')
    await turns()
    await client.drops() // The PUBCOMP may be lost.
    client = await resumed(broker)
    await client.sends('62 02 0005').receives(level === 5 ? 'pubcomp 92' : 'pubcomp 00')
    await client.sends('34 <"t" 0005 NONE 79>').receives('pubrec 00')
    await watcher.receives('publish 2 t x', 'publish 2 t y')
    await watcher.hasNothing()
  })

  test(`S49 an exchange goes on where the connection was lost: to the Client, level ${level} [MQTT-4.4.0-1]`, async () => {
    const broker = open()
    let client = await resumed(broker)
    client.sends('82 <0001 NONE "#" 02>')
    await turns()
    await client.drops() // The SUBACK may be lost; the subscription is made.
    client = await resumed(broker)
    await broker.publish({ topic: 't', payload: 'one', qos: 2 })
    const first = await client.receives('publish 2 t one')
    await client.drops()
    client = await resumed(broker)
    const again = await client.receives('publish 2 t one')
    assert.equal(again?.packetId, first?.packetId)
    assert.equal((again?.flags ?? 0) & 8, 8, 'DUP')
    const packetId = (first?.packetId ?? 0).toString(16).padStart(4, '0')
    client.sends(`50 02 ${packetId}`)
    await client.receives('pubrel 00')
    await client.drops()
    client = await resumed(broker)
    await client.receives('pubrel 00') // And not the PUBLISH [MQTT-4.3.3-6].
    client.sends(`70 02 ${packetId}`)
    await client.hasNothing()
    await client.drops()
    client = await resumed(broker)
    await client.hasNothing()
  })

  test(`S50 the end of the broker in the middle of everything says so: level ${level}`, async () => {
    let permit: (() => void) | undefined
    const slow = new Promise<boolean>((resolve) => {
      permit = () => resolve(true)
    })
    const broker = new Broker({
      sysInterval: false,
      plugins: [{ name: 'test', authorizePublish: ({ topic }) => (topic === 'slow' ? slow : true) }],
    })
    const states: [RawClient, string][] = []
    const inState = async (clientId: string, notation: string, ...answers: string[]): Promise<void> => {
      const client = memoryClient(broker, level)
      await client.connects(clientId)
      await client.sends(notation).receives(...answers)
      states.push([client, level === 5 ? 'disconnect 8b' : 'close'])
    }
    await inState('subscribed', '82 <0001 NONE "t" 02>', 'suback 02')
    await inState('publishing', '34 <"x" 0001 NONE 78>', level === 5 ? 'pubrec 10' : 'pubrec 00')
    await inState('waiting', '32 <"slow" 0001 NONE 78>')
    const half = memoryClient(broker, level).sends('10')
    await turns()
    const closed = broker.close({ graceMs: 100 })
    for (const [client, expected] of states) await client.receives(expected)
    await half.receives('close')
    permit?.() // `close` waits for it.
    await closed
    const late = memoryClient(broker, level).sends('10 <NAME 02 0000 NONE "late">')
    await late.receives('close')
    assert.equal(broker.stats().timers, 0)
    assert.equal(broker.clients.size, 0)
  })
}

for (const transport of ['tcp', 'memory'] as const) {
  test(`S39 what a Client sent before it closed counts, however long a hook takes: ${transport} [MQTT-3.14.4-3]`, async () => {
    const broker = open({
      plugins: [
        {
          name: 'slow',
          authenticate: () => turns(5).then(() => true),
          authorizePublish: () => turns(5).then(() => true),
        },
      ],
    })
    const seen: string[] = []
    broker.on('published', ({ topic }) => seen.push(topic))
    const [listener] = await broker.listen({ tcp: 0 })
    const { port } = (listener as { address: AddressInfo }).address
    const client = transport === 'tcp' ? await tcpClient(port) : memoryClient(broker)
    client.sends('10 <NAME 06 0000 NONE "c" NONE "will" "gone"> 30 <"a" NONE 78> 30 <"b" NONE 78> e0 00')
    client.stream.end()
    await until(() => seen.length === 2, 'both messages')
    await turns()
    assert.deepEqual(seen, ['a', 'b'])
  })
}

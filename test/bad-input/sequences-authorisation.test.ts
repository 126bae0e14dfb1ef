/**
 * Abuse that takes more than one packet (S01 to S50): who may do what. The other files have the rest.
 *
 * Not here, because there is nothing to abuse:
 * S09 (patterns with identities in them): the broker has no pattern language, permissions are functions.
 * S13 (line breaks in logs): strings with control characters are refused before they reach a log; that is tested.
 * S21 (timing of passwords): the broker verifies none itself.
 * S22 (certificates): test/transports/tls.test.ts.
 * S24 (metrics): there are no labels; that $SYS names no Client is tested.
 * S25 (bridges), S45 (PROXY protocol): the broker has neither.
 * S32 (names inside a cluster): other brokers are reached through the emitter, beside the topics; $SYS is tested.
 * Parts of S12, S29 and S50 that need a store on disk: the stores' own tests.
 */
import { strict as assert } from 'node:assert'
import { after, test } from 'node:test'
import { inspect } from 'node:util'
import { Broker, MqttError, topicMatches } from '../../lib/index.ts'
import type { Plugin } from '../../types/hooks.ts'
import type { BrokerOptions } from '../../types/options.ts'
import type { ProtocolLevel } from '../../types/packets.ts'
import { ManualClock } from '../support/clock.ts'
import { Faults } from './faults.ts'
import { memoryClient, type RawClient, turns } from './raw-client.ts'

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

function withPlugin(plugin: Omit<Plugin, 'name'>, options: BrokerOptions = {}): Broker {
  return open({ ...options, plugins: [{ name: 'test', ...plugin }] })
}

const mqtt4And5: readonly ProtocolLevel[] = [4, 5]
const refusal = (level: ProtocolLevel): string => (level === 5 ? 'connack 87' : 'connack 05')

/** CONNECT with a user name, for a session that outlives its connection. */
function login(client: RawClient, clientId: string, user: string, clean = false): RawClient {
  const properties = client.level === 5 ? '<11 00000064>' : ''
  return client.sends(`10 <NAME ${clean ? 'c2' : 'c0'} 0000 ${properties} "${clientId}" "${user}" "p">`)
}

/** A Will with a topic. */
function connectWithWill(client: RawClient, topic: string): RawClient {
  return client.sends(`10 <NAME 06 0000 NONE "willing" NONE "${topic}" "gone">`)
}

for (const level of mqtt4And5) {
  for (const clean of [true, false]) {
    for (const online of [true, false]) {
      test(`S01 a session is not for another user: level ${level}, clean ${clean}, owner ${online ? 'there' : 'away'}`, async () => {
        const broker = withPlugin({ authenticate: ({ username }) => username })
        let owner = memoryClient(broker, level)
        await login(owner, 'id', 'alice').receives('connack 00')
        await owner.sends('82 <0001 NONE "x" 01>').receives('suback 01')
        if (!online) await owner.drops()
        const other = memoryClient(broker, level)
        await login(other, 'id', 'mallory', clean).receives(refusal(level), 'close')
        await broker.publish({ topic: 'x', payload: 'kept', qos: 1 })
        if (!online) {
          owner = memoryClient(broker, level)
          const connack = await login(owner, 'id', 'alice').receives('connack 00')
          assert.equal(connack?.body[0], 1, 'Session Present')
        }
        await owner.receives('publish 1 x kept')
        await owner.hasNothing()
      })
    }
  }
}

test('S02 a subscription whose right was lost meanwhile is gone before the first message', async () => {
  const rights = new Set(['x', 'y'])
  const broker = withPlugin({ authorizeSubscribe: ({ topicFilter }) => rights.has(topicFilter) })
  const client = memoryClient(broker)
  await client.connects('id', '02', '<11 00000064>')
  await client.sends('82 <0001 NONE "x" 01 "y" 01>').receives('suback 01 01')
  await client.drops()
  rights.delete('x')
  const back = memoryClient(broker)
  await back.connects('id', '00', '<11 00000064>')
  await broker.publish({ topic: 'x', payload: 'secret', qos: 1 })
  await broker.publish({ topic: 'y', payload: 'open', qos: 1 })
  await back.receives('publish 1 y open')
  await back.hasNothing()
  assert.equal(broker.stats().subscriptions, 1)
})

test('S02 what was queued for a subscription whose right was lost is not sent', async () => {
  const rights = new Set(['x'])
  const broker = withPlugin({
    authorizeSubscribe: ({ topicFilter }) => rights.has(topicFilter),
    authorizeDeliver: ({ topic }) => rights.has(topic),
  })
  const client = memoryClient(broker)
  await client.connects('id', '02', '<11 00000064>')
  await client.sends('82 <0001 NONE "x" 01>').receives('suback 01')
  await client.drops()
  rights.delete('x')
  await broker.publish({ topic: 'x', payload: 'secret', qos: 1 })
  const back = memoryClient(broker)
  await back.connects('id', '00', '<11 00000064>')
  await back.hasNothing()
})

for (const level of mqtt4And5) {
  test(`S03 a Will needs the right to publish, at CONNECT and when it is sent: level ${level}`, async () => {
    const rights = new Set(['allowed'])
    const broker = withPlugin({
      authenticate: ({ username }) => username !== 'mallory',
      authorizePublish: ({ topic }) => rights.has(topic),
    })
    const seen: string[] = []
    broker.on('published', ({ topic }) => seen.push(topic))
    await connectWithWill(memoryClient(broker, level), 'forbidden').receives(refusal(level), 'close')
    // Refused by `authenticate`: its Will is nobody's.
    const stranger = memoryClient(broker, level)
    stranger.sends('10 <NAME 86 0000 NONE "id" NONE "allowed" "gone" "mallory">')
    assert.match((await stranger.next())?.text ?? '', /connack (04|86|87|05)/)
    await stranger.drops()
    const client = memoryClient(broker, level)
    await connectWithWill(client, 'allowed').receives('connack 00')
    rights.clear()
    await client.drops()
    await turns()
    assert.deepEqual(seen, [])
    rights.add('allowed')
    const again = memoryClient(broker, level)
    await connectWithWill(again, 'allowed').receives('connack 00')
    await again.drops()
    await turns()
    assert.deepEqual(seen, ['allowed'])
  })
}

test('S04 a retained message is not for those who may not have it, and can be removed', async () => {
  const broker = withPlugin({ authorizeDeliver: ({ topic }) => !topic.startsWith('secret/') })
  await broker.publish({ topic: 'secret/x', payload: '1', retain: true })
  await broker.publish({ topic: 'public', payload: '2', retain: true })
  const client = memoryClient(broker)
  await client.connects('id')
  await client.sends('82 <0001 NONE "#" 00 "secret/x" 00>').receives('suback 00 00', 'publish 0 public 2')
  await client.hasNothing()
  await broker.publish({ topic: 'secret/x', retain: true })
  assert.equal(broker.stats().retainedMessages, 1)
})

test('S05 what was queued or in flight when the right was lost is skipped and its Packet Identifier is free', async () => {
  const forbidden = new Set<string>()
  const broker = withPlugin({ authorizeDeliver: ({ topic }) => !forbidden.has(topic) })
  const dropped: string[] = []
  broker.on('dropped', ({ topic }, _clientId, why) => dropped.push(`${topic} ${why}`))
  const client = memoryClient(broker)
  await client.connects('id', '02', '<11 00000064 21 0001>')
  await client.sends('82 <0001 NONE "#" 01>').receives('suback 01')
  await broker.publish({ topic: 'x', payload: 'in flight', qos: 1 })
  await broker.publish({ topic: 'x', payload: 'queued', qos: 1 })
  await broker.publish({ topic: 'y', payload: 'open', qos: 1 })
  await client.receives('publish 1 x in flight')
  await client.drops()
  forbidden.add('x')
  const back = memoryClient(broker)
  await back.connects('id', '00', '<11 00000064 21 0001>')
  await back.receives('publish 1 y open')
  await back.hasNothing()
  assert.deepEqual(dropped, ['x not-authorized', 'x not-authorized'])
})

test('S06 who was refused a shared subscription is no member of it', async () => {
  const broker = withPlugin({ authorizeSubscribe: (_subscription, { id }) => id === 'member' })
  const [member, other] = [memoryClient(broker), memoryClient(broker)]
  await member.connects('member')
  await other.connects('other')
  await member.sends('82 <0001 NONE "$share/g/s" 00>').receives('suback 00')
  await other.sends('82 <0001 NONE "$share/g/s" 00>').receives('suback 87')
  for (let count = 0; count < 10; count += 1) await broker.publish({ topic: 's', payload: String(count) })
  for (let count = 0; count < 10; count += 1) await member.receives(`publish 0 s ${count}`)
  await other.hasNothing()
})

test('S07 each filter of a SUBSCRIBE is decided alone', async () => {
  const broker = withPlugin({ authorizeSubscribe: async ({ topicFilter }) => topicFilter === 'allowed' })
  for (const [level, answer] of [
    [5, 'suback 01 87 8f'],
    [4, 'suback 01 80 80'],
  ] as const) {
    const client = memoryClient(broker, level)
    await client.connects('id')
    await client.sends('82 <0001 NONE "allowed" 01 "denied" 01 "$share" 01>').receives(answer)
    assert.equal(broker.stats().subscriptions, 1)
    await broker.publish({ topic: 'denied', qos: 1 })
    await client.hasNothing()
    await client.drops()
  }
})

test('S08 wildcards at the start do not reach topics with a dollar sign [MQTT-4.7.2-1]', async () => {
  const broker = open()
  await broker.publish({ topic: '$SYS/x', payload: 'kept', retain: true })
  const client = memoryClient(broker)
  await client.connects('id')
  await client
    .sends('82 <0001 NONE "#" 00 "+/+/+" 00 "+/x" 00 "$share/g/#" 00 "+/#" 00>')
    .receives('suback 00 00 00 00 00')
  await broker.publish({ topic: '$SYS/x' })
  await broker.publish({ topic: '$a/b/c' })
  await client.hasNothing()
  await client.sends('82 <0001 NONE "$SYS/#" 00>').receives('suback 00')
  await broker.publish({ topic: '$SYS/x', payload: 'now' })
  await client.receives('publish 0 $SYS/x kept', 'publish 0 $SYS/x now')
})

test('S10 a filter allows what it matches and nothing that looks like it', () => {
  for (const topic of ['allowed/x', 'allowedx', '/allowed', 'Allowed', 'allowed/'])
    assert.ok(!topicMatches('allowed', topic))
  assert.ok(topicMatches('allowed', 'allowed'))
  assert.ok(topicMatches('a/#', 'a'))
  assert.ok(!topicMatches('a/#', 'ab'))
})

test('S11 what a hook puts in the place of a topic or a filter is checked again', async () => {
  const broker = new Broker({
    sysInterval: false,
    plugins: [
      {
        name: 'changes',
        authorizePublish: (message) => ({ ...message, topic: message.topic.replace('wild', 'a/#') }),
        authorizeSubscribe: (subscription) => ({ ...subscription, topicFilter: 'a/#/b' }),
      },
    ],
  })
  brokers.push(broker)
  broker.on('error', () => undefined) // It may be told that its hook answers nonsense.
  const seen: string[] = []
  broker.on('published', ({ topic }) => seen.push(topic))
  const client = memoryClient(broker)
  await client.connects('id')
  assert.match((await client.sends('32 <"wild" 0001 NONE>').next())?.text ?? '', /^puback (80|90)$/)
  assert.match((await client.sends('34 <"wild" 0002 NONE>').next())?.text ?? '', /^pubrec (80|90)$/)
  assert.match((await client.sends('82 <0001 NONE "x" 00>').next())?.text ?? '', /^suback (80|8f)$/)
  const mqtt4 = memoryClient(broker, 4)
  await mqtt4.connects('id4')
  await mqtt4.sends('32 <"wild" 0001>').receives('puback 00')
  assert.match((await connectWithWill(memoryClient(broker), 'wild').next())?.text ?? '', /^connack (80|90)$/)
  await turns()
  assert.deepEqual(seen, [])
})

const odd = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'a:b', '😀', 'x_meta', '*?[', 'valueOf']

test('S12 names that mean something to JavaScript or to a store are names like any other', async () => {
  const broker = open()
  for (const name of odd) {
    const client = memoryClient(broker)
    await client.connects(name, '02', '<11 00000064>')
    await client.sends(`82 <0001 NONE "${name}" 01>`).receives('suback 01')
    await client.drops()
  }
  assert.equal(broker.stats().sessions, odd.length)
  for (const name of odd) await broker.publish({ topic: name, payload: 'x', qos: 1, retain: true })
  for (const name of odd) {
    const client = memoryClient(broker)
    assert.equal((await client.connects(name, '00')).body[0], 1, 'Session Present')
    await client.receives(`publish 1 ${name} x`)
    await client.hasNothing()
    await client.sends(`82 <0001 NONE "$share/s${name}/${name}" 00>`).receives('suback 00')
    await client.sends(`a2 <0001 NONE "${name}">`).receives('unsuback 00')
    await client.drops()
  }
  assert.equal(broker.stats().retainedMessages, odd.length)
  assert.equal(broker.stats().sessions, 0)
})

test('S13 control characters are refused unless they are allowed', async () => {
  const strict = open()
  const lax = open({ allowControlCharacters: true })
  for (const hex of ['0d', '0a', '1b', 'c285']) {
    const length = (hex.length / 2 + 1).toString(16).padStart(4, '0')
    const connect = `10 <NAME 02 0000 NONE ${length} 61 ${hex}>`
    await memoryClient(strict).sends(connect).receives('connack 81', 'close')
    await memoryClient(lax).sends(connect).receives('connack 00')
  }
})

// What a hook may do wrong. Whatever it is, the answer is no and others are served.
const wrong: Readonly<Record<string, () => unknown>> = {
  throws: () => {
    throw new Error('a fault of the hook')
  },
  rejects: () => Promise.reject(new Error('a fault of the hook')),
  'never answers': () => new Promise(() => undefined),
  'answers nothing': () => undefined,
  'answers later, and nothing': async () => undefined,
  'answers "true"': () => 'true',
  'answers 1': () => 1,
  'answers {}': () => ({}),
  'answers null': () => null,
}

for (const [what, misbehave] of Object.entries(wrong)) {
  test(`S14 a hook that ${what} refuses`, async () => {
    const clock = new ManualClock()
    const bad = misbehave as () => never
    // A `connect` or `authenticate` hook may say more than yes and no: what is not false or undefined is a yes.
    const isNo = !/answers ("true"|1|\{\}|null)/.test(what)
    const broker = new Broker({
      sysInterval: false,
      clock,
      plugins: [
        {
          name: 'bad',
          authenticate: ({ clientId }) => (clientId === 'nobody' ? bad() : true),
          authorizePublish: ({ topic }, { id }) => (id === 'bad' && topic === 'publish' ? bad() : true),
          authorizeSubscribe: (_subscription, { id }) => (id === 'bad' ? bad() : true),
          authorizeDeliver: ({ topic }) => (topic === 'deliver' ? bad() : true),
          inspect: ({ topic }) => (topic === 'inspect' && isNo && what !== 'answers nothing' ? bad() : undefined),
        },
      ],
    })
    brokers.push(broker)
    const reported: Error[] = []
    broker.on('error', (error) => reported.push(error))
    const answer = async (client: RawClient): Promise<string | undefined> => {
      await turns(20)
      clock.advance(11_000)
      return (await client.next())?.text
    }
    if (isNo) {
      const nobody = memoryClient(broker)
      nobody.sends('10 <NAME 02 0000 NONE "nobody">')
      assert.match((await answer(nobody)) ?? '', /connack (80|83|87)/)
      await nobody.receives('close')
    }
    const client = memoryClient(broker)
    await client.connects('bad')
    client.sends('82 <0001 NONE "t" 00>')
    assert.match((await answer(client)) ?? '', /suback (80|83|87)/)
    client.sends('32 <"publish" 0001 NONE>')
    assert.match((await answer(client)) ?? '', /puback (80|83|87)/)
    if (isNo && !what.includes('nothing')) {
      client.sends('32 <"inspect" 0001 NONE>')
      assert.match((await answer(client)) ?? '', /puback (80|83|87)/)
    }
    const good = memoryClient(broker)
    await good.connects('good')
    await good.sends('82 <0001 NONE "#" 00>').receives('suback 00')
    await broker.publish({ topic: 'deliver' })
    await broker.publish({ topic: 'fine', payload: 'x' })
    await good.receives('publish 0 fine x')
    await client.drops()
    await good.drops()
    for (const error of reported) assert.ok(error instanceof Error)
    assert.equal(reported.length > 0, /throws|rejects|never|later|"|1|\{|null/.test(what))
  })
}

test('S14 a hook that answers after its Client left changes nothing', async () => {
  let answer: ((allowed: boolean) => void) | undefined
  const broker = withPlugin({ authenticate: () => new Promise((resolve) => (answer = resolve)) })
  const client = memoryClient(broker)
  client.sends('10 <NAME 06 0000 NONE "late" NONE "will" "gone">')
  await turns()
  await client.drops()
  answer?.(true)
  await turns()
  assert.equal(broker.stats().sessions, 0)
  assert.equal(broker.clients.size, 0)
})

test('S15 options that are none do not make a broker', () => {
  const bad: unknown[] = [
    { limits: { maxPacketSize: '4' } },
    { limits: { maxPacketSise: 4 } },
    { limits: { receiveMaximum: 0 } },
    { plugin: [] },
    { plugins: [{ name: 'x', authorisePublish: () => true }] },
    { plugins: [{ authenticate: () => true }] },
    { plugins: [{ name: 'x', authenticate: true }] },
    { sessionOwner: 'nobody' },
    null,
    [],
  ]
  for (const options of bad)
    assert.throws(() => new Broker(options as BrokerOptions), { code: 'ERR_MQTT_INVALID_OPTION' })
})

test('S15 a plugin whose set-up fails lets nobody in and nothing listens', async () => {
  const broker = new Broker({
    sysInterval: false,
    plugins: [{ name: 'broken', setup: () => Promise.reject(new MqttError('server-unavailable', 'no rules')) }],
  })
  brokers.push(broker)
  const errors: Error[] = []
  broker.on('error', (error) => errors.push(error))
  await assert.rejects(broker.listen({ tcp: 0 }), /no rules/)
  const client = memoryClient(broker)
  assert.match(await client.sends('10 <NAME 02 0000 NONE "c">').reaction(), /^(connack 88, )?close$/)
  assert.match(errors.join(), /^Error: setup of plugin broken failed: no rules$/)
})

test('S19 nothing that comes with a CONNECT is looked at before it is accepted [MQTT-3.1.4-5]', async () => {
  for (const level of mqtt4And5) {
    let answer: ((allowed: boolean) => void) | undefined
    const broker = withPlugin({ authenticate: () => new Promise((resolve) => (answer = resolve)) })
    const seen: string[] = []
    broker.on('published', ({ topic }) => seen.push(topic))
    broker.on('subscribed', ({ topicFilter }) => seen.push(topicFilter))
    const client = memoryClient(broker, level)
    client.sends('10 <NAME 02 0000 NONE "c"> 82 <0001 NONE "s" 00> 32 <"p" 0001 NONE> c0 00')
    await turns()
    assert.equal(client.answers.length, 0)
    answer?.(false)
    await client.receives(refusal(level), 'close')
    assert.deepEqual(seen, [])
  }
})

test('S20 without an authenticate hook nobody from other machines is let in', async () => {
  const broker = open()
  await assert.rejects(broker.listen({ tcp: { port: 0, host: '0.0.0.0' } }), { code: 'ERR_MQTT_INVALID_OPTION' })
  await assert.rejects(broker.listen({ ws: { port: 0, host: '::' } }), { code: 'ERR_MQTT_INVALID_OPTION' })
  const [listener] = await broker.listen({ tcp: 0 })
  assert.match(listener?.url ?? '', /^mqtt:\/\/127\.0\.0\.1:/)
})

test('S23 a password is nowhere to be seen', async () => {
  const password = 'correct-horse'
  const shown: string[] = []
  const broker = withPlugin({ authenticate: ({ password: given }) => given?.toString() === password })
  const look = (...values: unknown[]): void => {
    shown.push(
      inspect(values, { depth: 12, showHidden: true }),
      JSON.stringify(values.filter((value) => value instanceof Error)),
    )
  }
  for (const name of [
    'clientConnected',
    'clientDisconnected',
    'clientError',
    'connectionRefused',
    'published',
  ] as const) {
    broker.on(name, (...values: unknown[]) => look(...values))
  }
  const client = memoryClient(broker)
  await client.sends(`10 <NAME c2 0000 NONE "c" "u" "${password}">`).receives('connack 00')
  look(broker.clients, broker)
  await client.sends('32 <"t" 0001 NONE>').receives('puback 10')
  await client.sends('36 00').receives('disconnect 81', 'close')
  const other = memoryClient(broker)
  await other.sends(`10 <NAME c2 0000 NONE "c" "u" "${password}-not">`).receives('connack 86', 'close')
  assert.ok(shown.length > 8)
  const hex = Buffer.from(password)
    .toString('hex')
    .replaceAll(/(..)(?!$)/g, '$1 ')
  for (const text of shown) assert.ok(!text.includes(password) && !text.includes(hex), text.slice(0, 2000))
})

test('S24 $SYS names no Client', async () => {
  const broker = open({ sysInterval: 1000, clock: new ManualClock() })
  const client = memoryClient(broker)
  await client.connects('<script>alert(1)</script>')
  let count = 0
  for await (const { topic, payload } of broker.retained('$SYS/#')) {
    count += 1
    assert.ok(!topic.includes('<script') && !Buffer.from(payload).includes('<script'))
  }
  assert.ok(count > 10)
})

test('S32 a Client cannot speak in the name of the broker', async () => {
  const broker = open()
  const watcher = memoryClient(broker)
  await watcher.connects('watcher')
  await watcher.sends('82 <0001 NONE "$SYS/#" 00>').receives('suback 00')
  const client = memoryClient(broker)
  await client.connects('c')
  for (const topic of ['$SYS', '$SYS/broker/version', '$SYS/x/new/clients']) {
    await client.sends(`33 <"${topic}" 0001 NONE 78>`).receives('puback 87')
    await client.sends(`31 <"${topic}" NONE 78>`).hasNothing()
  }
  await watcher.hasNothing()
  assert.equal(broker.stats().retainedMessages, 0)
})

test('S47 nobody publishes to a shared subscription', async () => {
  const broker = open()
  const client = memoryClient(broker)
  await client.connects('c')
  await client.sends('82 <0001 NONE "$share/g/t" 00>').receives('suback 00')
  await client.sends('32 <"$share/g/t" 0001 NONE 78>').receives('puback 90')
})

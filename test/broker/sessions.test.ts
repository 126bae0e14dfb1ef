import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Plugin } from '../../types/hooks.ts'
import { levels, settle, start, type TestClient } from '../support/client.ts'

const identity: Plugin = { name: 'identity', authenticate: ({ username }) => username ?? 'nobody' }
const never = 0xffff_ffff

test('a Client Identifier in use is taken over: the older connection receives a DISCONNECT and ends [MQTT-3.1.4-3]', async (t) => {
  const { client, broker } = start(t)
  for (const level of levels) {
    const one = await client('x', { level })
    const two = await client('x', { level })
    await one.endedWith(0x8e)
    await two.quiet()
    assert.equal(broker.clients.size, 1)
    assert.equal(broker.stats().sessions, 1)
    await two.disconnect()
  }
})

test('a storm of 200 connects of one identifier from 4 streams ends with one owner', async (t) => {
  const { open, broker, client } = start(t)
  const watcher = await client('watcher')
  await watcher.subscribe('#')
  let owners = 0
  let most = 0
  broker.on('clientConnected', (one) => {
    if (one.id !== 'x') return
    owners += 1
    most = Math.max(most, owners)
  })
  broker.on('clientDisconnected', (one) => {
    if (one.id === 'x') owners -= 1
  })
  const storm = async (stream: number): Promise<TestClient | undefined> => {
    let last: TestClient | undefined
    for (let round = 0; round < 50; round += 1) {
      const one = open((round + stream) % 2 === 0 ? 5 : 4)
      const connected = one.connect('x', { cleanStart: (round + stream) % 3 === 0 })
      if (process.env.TEST_STORE === undefined) assert.equal((await connected).reasonCode, 0)
      else if ((await connected.catch(() => undefined)) === undefined) continue // Taken over before the store had it.
      one.send({
        type: 'subscribe',
        packetId: 1,
        subscriptions: [{ topicFilter: 't', qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
        properties: undefined,
      })
      await broker.publish({ topic: 't', payload: 'x', qos: 1 })
      last = one
    }
    return last
  }
  const last = await Promise.all([storm(0), storm(1), storm(2), storm(3)])
  await settle()
  assert.equal(most, 1)
  assert.equal(owners, 1)
  assert.equal(last.filter((one) => one?.isClosed === false).length, 1)
  assert.equal(broker.clients.size, 2)
  assert.equal(broker.stats().sessions, 2)
  await last.find((one) => one?.isClosed === false)?.disconnect()
  await watcher.quiet().catch(() => undefined)
})

test('a session keeps its subscriptions and the messages published meanwhile; clean start ends it', async (t) => {
  const { client, resume, broker } = start(t)
  const publisher = await client('publisher')
  for (const level of levels) {
    const options = { level, cleanStart: false, ...(level === 5 && { properties: { sessionExpiryInterval: never } }) }
    const one = await client('x', options)
    await one.subscribe('a', { qos: 1 })
    await one.disconnect()
    await publisher.publish('a', 'while away', { qos: 1 })
    await publisher.publish('a', 'QoS 0 while away')
    const { client: two, connack } = await resume('x', options)
    assert.equal(connack.sessionPresent, level !== 3) // [MQTT-3.2.2-2]
    assert.equal(await two.message(), 'while away')
    await two.quiet()
    await two.disconnect()
    const { client: three, connack: clean } = await resume('x', { level, cleanStart: true })
    assert.equal(clean.sessionPresent, false) // [MQTT-3.2.2-2]
    await publisher.publish('a', 'nobody', { qos: 1 })
    await three.quiet()
    await three.disconnect()
    assert.equal(broker.stats().sessions, 1)
    assert.equal(broker.stats().subscriptions, 0)
  }
})

test('a session of expiry 0 ends with its connection, however that ends', async (t) => {
  const { client, broker, resume } = start(t)
  for (const options of [
    { level: 5 },
    { level: 5, properties: { sessionExpiryInterval: 0 }, cleanStart: false },
    { level: 4, cleanStart: true },
  ] as const) {
    for (const how of ['drop', 'disconnect'] as const) {
      const one = await client('x', options)
      await one.subscribe('a', { qos: 1 })
      await one[how]()
      assert.equal(broker.stats().sessions, 0)
      assert.equal(broker.stats().subscriptions, 0)
      assert.equal((await resume('x', { cleanStart: false })).connack.sessionPresent, false)
      await settle()
    }
  }
})

for (const expiry of [1, 100, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 2]) {
  test(`a session of expiry ${expiry} s ends then, and not before`, async (t) => {
    const { client, clock, broker, resume } = start(t)
    const options = { cleanStart: false, properties: { sessionExpiryInterval: expiry } }
    const one = await client('x', options)
    await one.drop()
    clock.advance(expiry * 1000 - 1)
    assert.equal(broker.stats().sessions, 1)
    const { client: two, connack } = await resume('x', options)
    assert.equal(connack.sessionPresent, true)
    // Its time begins anew, and does not run while the Client is here.
    clock.advance(Math.min(expiry * 2000, 10_000))
    await two.drop()
    clock.advance(expiry * 1000 - 1)
    assert.equal(broker.stats().sessions, 1)
    clock.advance(1)
    assert.equal(broker.stats().sessions, 0)
    assert.equal(broker.stats().timers, 0)
    assert.equal((await resume('x', options)).connack.sessionPresent, false)
  })
}

test('a session of expiry 0xFFFFFFFF never ends, and MQTT 3 sessions do not either', async (t) => {
  const { client, clock, broker } = start(t)
  const one = await client('five', { properties: { sessionExpiryInterval: never } })
  const two = await client('four', { level: 4, cleanStart: false })
  await one.drop()
  await two.disconnect()
  clock.advance(2 ** 42)
  assert.equal(broker.stats().sessions, 2)
  assert.equal(broker.stats().timers, 0)
})

test('DISCONNECT may change the expiry of a session, but not from 0', async (t) => {
  const { client, clock, broker } = start(t)
  const one = await client('one', { properties: { sessionExpiryInterval: 100 } })
  await one.disconnect(0, 5)
  clock.advance(4999)
  assert.equal(broker.stats().sessions, 1)
  clock.advance(1)
  assert.equal(broker.stats().sessions, 0)
  const two = await client('two', { properties: { sessionExpiryInterval: 100 } })
  await two.disconnect(0, 0)
  assert.equal(broker.stats().sessions, 0)
  const three = await client('three', { properties: { sessionExpiryInterval: 1 } })
  await three.disconnect(0, never)
  clock.advance(2 ** 40)
  assert.equal(broker.stats().sessions, 1)
  const four = await client('four')
  four.send({ type: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 10 } })
  await four.endedWith(0x82)
  assert.equal(broker.stats().sessions, 1)
})

test('the expiry of the CONNECT that resumes counts, not that of the one before', async (t) => {
  const { client, clock, broker } = start(t)
  const one = await client('x', { properties: { sessionExpiryInterval: never } })
  await one.drop()
  const two = await client('x', { cleanStart: false, properties: { sessionExpiryInterval: 2 } })
  await two.drop()
  clock.advance(2000)
  assert.equal(broker.stats().sessions, 0)
})

test('an expiry above the maximum is reduced, and the CONNACK says so; MQTT 3 has the maximum too', async (t) => {
  const { resume, clock, broker } = start(t, { limits: { maxSessionExpiry: 60 } })
  const { client: one, connack } = await resume('five', { properties: { sessionExpiryInterval: 3600 } })
  assert.equal(connack.properties?.sessionExpiryInterval, 60)
  const { client: two } = await resume('four', { level: 4, cleanStart: false })
  const { client: three, connack: short } = await resume('short', { properties: { sessionExpiryInterval: 30 } })
  assert.equal(short.properties?.sessionExpiryInterval, undefined)
  await one.disconnect(0, 3600)
  await two.drop()
  await three.drop()
  clock.advance(30_000)
  assert.equal(broker.stats().sessions, 2)
  clock.advance(29_999)
  assert.equal(broker.stats().sessions, 2)
  clock.advance(1)
  assert.equal(broker.stats().sessions, 0)
})

test('only the principal of a session takes it over, online or not, clean or not', async (t) => {
  const { client, open, broker } = start(t, { plugins: [identity] })
  const publisher = await client('publisher')
  const properties = { sessionExpiryInterval: 1000 }
  const owner = await client('x', { username: 'ann', properties })
  await owner.subscribe('a', { qos: 1 })
  for (const online of [true, false]) {
    if (!online) await owner.drop()
    await publisher.publish('a', `online ${online}`, { qos: 1 })
    if (online) assert.equal(await owner.message(), 'online true')
    for (const cleanStart of [true, false]) {
      for (const username of ['bob', undefined]) {
        for (const level of levels) {
          const thief = open(level)
          const connack = await thief.connect('x', { cleanStart, ...(username !== undefined && { username }) })
          assert.equal(connack.reasonCode, level === 5 ? 0x87 : 5)
          await thief.ended()
        }
      }
    }
    if (online) await owner.quiet()
    assert.equal(broker.stats().subscriptions, 1)
  }
  const again = await client('x', { username: 'ann', cleanStart: false, properties })
  assert.equal(await again.message(), 'online false')
  await again.quiet()
})

test('a thief that is refused does not publish the Will of the owner, nor its own', async (t) => {
  const { client, open } = start(t, { plugins: [identity] })
  const watcher = await client('watcher')
  await watcher.subscribe('#')
  const owner = await client('x', {
    username: 'ann',
    will: { topic: 'w', payload: Buffer.from('owner'), qos: 0, retain: false, properties: undefined },
  })
  const thief = open()
  await thief.connect('x', {
    username: 'bob',
    will: { topic: 'w', payload: Buffer.from('thief'), qos: 0, retain: false, properties: undefined },
  })
  await thief.ended()
  await owner.quiet()
  await watcher.quiet()
})

test('sessionOwner: anyone who has the Client Identifier, or the same user even without a hook', async (t) => {
  const anyone = start(t, { plugins: [identity], sessionOwner: 'anyone' })
  await anyone.client('x', { username: 'ann' })
  await anyone.client('x', { username: 'bob' })
  const user = start(t, { sessionOwner: 'user' })
  await user.client('x', { username: 'ann' })
  assert.equal((await user.open().connect('x', { username: 'bob' })).reasonCode, 0x87)
  const open = start(t)
  await open.client('x', { username: 'ann' })
  await open.client('x', { username: 'bob' })
})

test('the limit of sessions refuses a new one and lets known ones come back', async (t) => {
  const { client, open, clock } = start(t, { limits: { maxSessions: 2 } })
  const properties = { sessionExpiryInterval: 10 }
  await client('a', { properties })
  const b = await client('b', { properties })
  await b.drop()
  for (const level of levels) {
    const c = open(level)
    assert.equal((await c.connect('c')).reasonCode, level === 5 ? 0x97 : 3)
    await c.ended()
  }
  await client('a', { cleanStart: false, properties })
  await client('a', { cleanStart: true, properties })
  await (await client('b', { cleanStart: false, properties })).drop()
  clock.advance(10_000)
  await client('c')
})

test('a Client Identifier that the Server assigns is in the CONNACK and not used twice', async (t) => {
  const { open, broker } = start(t)
  const identifiers = new Set<string>()
  for (let number = 0; number < 20; number += 1) {
    const connack = await open().connect('')
    assert.equal(connack.reasonCode, 0)
    identifiers.add(connack.properties?.assignedClientIdentifier ?? '')
  }
  assert.equal(identifiers.size, 20)
  assert.ok(!identifiers.has(''))
  for (const id of identifiers) assert.ok(broker.clients.has(id))
  assert.equal((await open(4).connect('', { cleanStart: true })).reasonCode, 0)
  assert.equal((await open(4).connect('', { cleanStart: false })).reasonCode, 2)
  assert.equal((await open(3).connect('')).reasonCode, 2)
  assert.equal((await open(3).connect('x'.repeat(24))).reasonCode, 2)
})

test('identifiers that look like something else are identifiers', async (t) => {
  const { client, broker } = start(t)
  const names = [
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'a:b',
    '\u{1F600}',
    '*?[',
    '#',
    '+',
    'a/b',
    ' ',
  ]
  for (const [index, name] of names.entries()) {
    const one = await client(name, { properties: { sessionExpiryInterval: 10 } })
    await one.subscribe(`${index}/t`, { qos: 1 })
    await one.drop()
  }
  assert.equal(broker.stats().sessions, names.length)
  for (const [index, name] of names.entries()) {
    await broker.publish({ topic: `${index}/t`, payload: name, qos: 1 })
    const one = await client(name, { cleanStart: false, properties: { sessionExpiryInterval: 10 } })
    assert.equal(await one.message(), name)
    await one.quiet()
  }
})

test('a session that ends leaves nothing: no subscription, no timer, no byte', async (t) => {
  const { client, clock, broker } = start(t)
  for (let round = 0; round < 20; round += 1) {
    const one = await client(`c${round}`, {
      properties: { sessionExpiryInterval: 5 },
      keepAlive: 60,
      will: { topic: 'w', payload: Buffer.from('x'), qos: 1, retain: false, properties: { willDelayInterval: 3 } },
    })
    await one.subscribe('a/#', { qos: 2 })
    await one.subscribe('$share/g/a/#', { qos: 2 })
    await broker.publish({ topic: 'a/b', payload: 'x', qos: 2 })
    await one.drop()
    await broker.publish({ topic: 'a/b', payload: 'y', qos: 2 })
  }
  clock.advance(10_000)
  const { sessions, subscriptions, sharedSubscriptions, queuedMessages, queuedBytes, timers } = broker.stats()
  assert.deepEqual(
    { sessions, subscriptions, sharedSubscriptions, queuedMessages, queuedBytes, timers },
    { sessions: 0, subscriptions: 0, sharedSubscriptions: 0, queuedMessages: 0, queuedBytes: 0, timers: 0 },
  )
})

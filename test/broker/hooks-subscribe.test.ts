import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MqttError } from '../../lib/errors.ts'
import type { Plugin } from '../../types/hooks.ts'
import { deferred, filter, levels, settle, start, unhandled } from '../support/client.ts'

type AuthorizeSubscribe = NonNullable<Plugin['authorizeSubscribe']>

function plugin(answer: () => unknown): Plugin {
  return {
    name: 'test',
    authorizeSubscribe: ((subscription) =>
      subscription.topicFilter === 'asked' ? answer() : true) as AuthorizeSubscribe,
  }
}

function raise(error: unknown): never {
  throw error
}

for (const [name, answer, code, faults] of [
  ['true', () => true, 1, 0],
  ['false', () => false, 0x87, 0],
  ['undefined', () => undefined, 0x87, 0],
  ['MqttError quota-exceeded', () => raise(new MqttError('quota-exceeded')), 0x97, 0],
  ['MqttError banned, which no SUBACK has', () => raise(new MqttError('banned')), 0x87, 0],
  ['an Error', () => raise(new Error('broken')), 0x80, 1],
  ['"true"', () => 'true', 0x80, 1],
  ['1', () => 1, 0x80, 1],
  ['{}', () => ({}), 0x80, 1],
  ['null', () => null, 0x80, 1],
] as [string, () => unknown, number, number][]) {
  for (const way of ['at once', 'later'] as const) {
    test(`authorizeSubscribe returns ${name} ${way}: SUBACK`, async (t) => {
      const rejections = unhandled(t)
      const { client, errors, broker } = start(t, {
        plugins: [
          plugin(
            way === 'at once'
              ? answer
              : async () => {
                  await settle()
                  return answer()
                },
          ),
        ],
      })
      const publisher = await client('publisher')
      for (const level of [4, 5] as const) {
        errors.length = 0
        const one = await client(`one${level}`, { level })
        const expected = code < 0x80 || level === 5 ? code : 0x80
        assert.deepEqual(await one.subscribe([filter('before'), filter('asked', { qos: 1 }), filter('after')]), [
          0,
          expected,
          0,
        ])
        assert.deepEqual(
          [...(broker.clients.get(`one${level}`)?.subscriptions.keys() ?? [])],
          code < 0x80 ? ['before', 'asked', 'after'] : ['before', 'after'],
        )
        await publisher.publish('asked', 'x')
        await publisher.publish('after', 'y')
        if (code < 0x80) assert.equal(await one.message(), 'x')
        assert.equal(await one.message(), 'y')
        assert.equal(errors.length, faults)
      }
      assert.deepEqual(rejections, [])
    })
  }
}

test('authorizeSubscribe whose promise never settles refuses after the time limit; other Clients are served', async (t) => {
  const { client, clock, errors } = start(t, { plugins: [plugin(() => new Promise(() => undefined))] })
  const [one, other] = [await client('one'), await client('other')]
  one.send({ type: 'subscribe', packetId: 1, subscriptions: [filter('a'), filter('asked')], properties: undefined })
  await settle()
  await other.subscribe('a')
  clock.advance(9_999)
  await other.quiet()
  assert.equal(one.received.length, 0)
  clock.advance(1)
  assert.deepEqual((await one.receives('suback')).reasonCodes, [0, 0x80])
  assert.equal(errors.length, 1)
})

test('a Client that disconnects before the hook has decided has no subscription', async (t) => {
  const answer = deferred<boolean>()
  const { client, broker } = start(t, { plugins: [plugin(() => answer.promise)] })
  const one = await client('one', { properties: { sessionExpiryInterval: 0 } })
  one.send({ type: 'subscribe', packetId: 1, subscriptions: [filter('asked')], properties: undefined })
  await settle()
  await one.drop()
  answer.resolve(true)
  await settle()
  assert.equal(broker.stats().subscriptions, 0)
  assert.equal(broker.stats().sessions, 0)
})

test('the decision of a hook for a connection that lost its session adds no subscription', async (t) => {
  const answer = deferred<boolean>()
  const { client, broker } = start(t, { plugins: [plugin(() => answer.promise)] })
  const one = await client('one')
  one.send({ type: 'subscribe', packetId: 1, subscriptions: [filter('asked')], properties: undefined })
  await settle()
  const two = await client('one', { cleanStart: true })
  answer.resolve(true)
  await settle()
  await two.quiet()
  assert.equal(broker.stats().subscriptions, 0)
})

test('SUBSCRIBE with allowed, denied and unacceptable filters: each has its own code, and only what is allowed is stored', async (t) => {
  const { client, broker } = start(t, {
    limits: { maxTopicLevels: 2 },
    plugins: [{ name: 'a', authorizeSubscribe: async ({ topicFilter }) => topicFilter.startsWith('ok') }],
  })
  const filters = ['ok', 'secret', 'ok/x/#', 'ok/+', '$share/g/secret', '$share', 'ok/+/+'].map((name) =>
    filter(name, { qos: 1 }),
  )
  const five = await client('five')
  assert.deepEqual(await five.subscribe(filters), [1, 0x87, 0x8f, 1, 0x87, 0x8f, 0x8f])
  assert.deepEqual([...(broker.clients.get('five')?.subscriptions.keys() ?? [])], ['ok', 'ok/+'])
  const four = await client('four', { level: 4 })
  assert.deepEqual(await four.subscribe(filters), [1, 0x80, 0x80, 1, 0x80, 0x80, 0x80])
  assert.equal(broker.stats().sharedSubscriptions, 0)
})

test('a denied shared subscription is no member: the others get everything', async (t) => {
  const { client } = start(t, {
    plugins: [{ name: 'a', authorizeSubscribe: (_subscription, { id }) => id !== 'denied' }],
  })
  const [denied, member, publisher] = [await client('denied'), await client('member'), await client('publisher')]
  await denied.subscribe('$share/g/t')
  await member.subscribe('$share/g/t')
  for (let number = 0; number < 10; number += 1) await publisher.publish('t', `${number}`)
  for (let number = 0; number < 10; number += 1) assert.equal(await member.message(), `${number}`)
  await denied.quiet()
})

test('MQTT 3.1 has no code for a refusal: what is denied is granted on paper and delivers nothing', async (t) => {
  const { client } = start(t, { plugins: [plugin(() => false)] })
  const [one, publisher] = [await client('one', { level: 3 }), await client('publisher')]
  assert.deepEqual(await one.subscribe('asked', { qos: 1 }), [1])
  await publisher.publish('asked', 'x')
  await one.quiet()
})

test('a subscription that the hook returns replaces the requested one', async (t) => {
  const { client, broker } = start(t, {
    plugins: [
      {
        name: 'a',
        authorizeSubscribe: (subscription) =>
          subscription.topicFilter === 'mine'
            ? { ...subscription, topicFilter: 'tenant/mine', qos: 0, subscriptionIdentifier: 7 }
            : true,
      },
    ],
  })
  const [one, publisher] = [await client('one'), await client('publisher')]
  assert.deepEqual(await one.subscribe('mine', { qos: 2 }), [0])
  await publisher.publish('mine', 'no', { qos: 1 })
  await publisher.publish('tenant/mine', 'yes', { qos: 1 })
  const packet = await one.receives('publish')
  assert.deepEqual([packet.topic, packet.qos, packet.properties?.subscriptionIdentifiers], ['tenant/mine', 0, [7]])
  const listed = [...(broker.clients.get('one')?.subscriptions ?? [])]
  assert.deepEqual(
    listed.map(([asked, { topicFilter }]) => [asked, topicFilter]),
    [['mine', 'tenant/mine']],
  )
  assert.deepEqual(await one.unsubscribe('mine'), [0])
})

for (const [name, change, code] of [
  ['a filter that is none', { topicFilter: 'a/#/b' }, 0x8f],
  ['an empty filter', { topicFilter: '' }, 0x8f],
  ['too many levels', { topicFilter: '/'.repeat(200) }, 0x8f],
  ['a shared filter without a name', { topicFilter: '$share//x' }, 0x8f],
  ['qos 3', { qos: 3 }, 0x80],
  ['Subscription Identifier 0', { subscriptionIdentifier: 0 }, 0x80],
  ['a Subscription Identifier that is too large', { subscriptionIdentifier: 268_435_456 }, 0x80],
  ['retainHandling 3', { retainHandling: 3 }, 0x80],
] as const) {
  test(`a rewritten subscription is looked at as closely as one from a Client: ${name}`, async (t) => {
    const { client, broker } = start(t, {
      plugins: [plugin(() => ({ topicFilter: 'asked', qos: 0, noLocal: false, retainAsPublished: false, ...change }))],
    })
    const one = await client('one')
    assert.deepEqual(await one.subscribe('asked'), [code])
    assert.equal(broker.stats().subscriptions, 0)
    await one.publish('asked', 'x')
    await one.quiet()
  })
}

test('No Local on a filter that a hook makes a shared one is not kept [MQTT-3.8.3-4]', async (t) => {
  const { client } = start(t, {
    plugins: [plugin(() => ({ topicFilter: '$share/g/asked', qos: 0, noLocal: true }))],
  })
  const one = await client('one')
  const [code] = await one.subscribe('asked', { noLocal: true })
  if (code === 0) {
    await one.publish('asked', 'x')
    assert.equal(await one.message(), 'x')
  }
})

test('a hook is asked for each filter, with all that the Client asked for', async (t) => {
  const asked: unknown[] = []
  const { client } = start(t, {
    plugins: [
      {
        name: 'a',
        authorizeSubscribe: (subscription, { id }) => {
          asked.push([id, subscription.topicFilter, subscription.shareName, subscription.qos])
          asked.push([subscription.noLocal, subscription.retainAsPublished, subscription.retainHandling])
          asked.push(subscription.subscriptionIdentifier)
          return true
        },
      },
    ],
  })
  const one = await client('one')
  await one.subscribe(
    [filter('a', { qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 }), filter('$share/g/b')],
    {},
    { subscriptionIdentifier: 9 },
  )
  assert.deepEqual(asked, [
    ['one', 'a', undefined, 2],
    [true, true, 2],
    9,
    ['one', '$share/g/b', 'g', 0],
    [false, false, 0],
    9,
  ])
})

test('the right to a subscription is asked for again when a session is resumed, before the first message', async (t) => {
  for (const way of ['at once', 'later'] as const) {
    for (const level of [4, 5] as const) {
      let revoked = ''
      const { client, resume, broker } = start(t, {
        plugins: [
          {
            name: 'a',
            authorizeSubscribe: ({ topicFilter }) => {
              const answer = topicFilter !== revoked
              return way === 'at once' ? answer : settle().then(() => answer)
            },
          },
        ],
      })
      const persistent = {
        level,
        cleanStart: false,
        ...(level === 5 && { properties: { sessionExpiryInterval: 100 } }),
      }
      const one = await client('one', persistent)
      await one.subscribe([filter('keep', { qos: 1 }), filter('lose', { qos: 1 })])
      await one.disconnect()
      revoked = 'lose'
      const { client: again, connack } = await resume('one', persistent)
      assert.equal(connack.sessionPresent, true)
      const publisher = await client('publisher')
      await publisher.publish('lose', 'x', { qos: 1 })
      await publisher.publish('keep', 'y', { qos: 1 })
      assert.equal(await again.message(), 'y')
      await again.quiet()
      assert.deepEqual([...(broker.clients.get('one')?.subscriptions.keys() ?? [])], ['keep'])
    }
  }
})

test('a hook that fails when a session is resumed removes the subscription, and the Client is connected', async (t) => {
  let broken = false
  const { client, errors, resume } = start(t, {
    plugins: [
      {
        name: 'a',
        authorizeSubscribe: () => {
          if (broken) throw new Error('database is down')
          return true
        },
      },
    ],
  })
  const one = await client('one', { properties: { sessionExpiryInterval: 100 } })
  await one.subscribe('a')
  await one.disconnect()
  broken = true
  const { client: again } = await resume('one', { cleanStart: false })
  assert.equal(errors.length, 1)
  await again.publish('a', 'x')
  await again.quiet()
})

test('a resumed subscription that a hook changes to an invalid filter is removed, and the Client is connected', async (t) => {
  let rewrites = false
  const { client, resume } = start(t, {
    plugins: [
      {
        name: 'a',
        authorizeSubscribe: (subscription) => (rewrites ? { ...subscription, topicFilter: 'a/#/b' } : true),
      },
    ],
  })
  const one = await client('one', { properties: { sessionExpiryInterval: 100 } })
  await one.subscribe('a')
  await one.disconnect()
  rewrites = true
  const { client: again } = await resume('one', { cleanStart: false })
  await again.publish('a', 'x')
  await again.quiet()
})

test('a resumed subscription may be given a lower QoS', async (t) => {
  let rewrites = false
  const { client, resume } = start(t, {
    plugins: [
      { name: 'a', authorizeSubscribe: (subscription) => (rewrites ? { ...subscription, qos: 0 as const } : true) },
    ],
  })
  const one = await client('one', { properties: { sessionExpiryInterval: 100 } })
  await one.subscribe('a', { qos: 2 })
  await one.disconnect()
  rewrites = true
  const { client: again } = await resume('one', { cleanStart: false })
  again.packetId = 10
  await again.publish('a', 'x')
  assert.equal((await again.receives('publish')).qos, 0)
})

test('a clean start asks about no stored subscription', async (t) => {
  let asked = 0
  const { client } = start(t, { plugins: [{ name: 'a', authorizeSubscribe: () => (asked += 1) > 0 }] })
  for (const level of levels) {
    const one = await client('one', { level })
    await one.subscribe('a')
    await one.disconnect()
  }
  assert.equal(asked, 3)
})

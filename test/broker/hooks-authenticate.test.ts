import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MqttError } from '../../lib/errors.ts'
import type { Plugin } from '../../types/hooks.ts'
import type { ConnectRequest } from '../../types/client.ts'
import { connectPacket, deferred, filter, levels, publishPacket, settle, start, unhandled } from '../support/client.ts'

type Authenticate = NonNullable<Plugin['authenticate']>

/** This result for the Client `asked`, true for all others. */
function plugin(answer: Authenticate): Plugin {
  return {
    name: 'test',
    authenticate: (request, ...rest) => (request.clientId === 'asked' ? answer(request, ...rest) : 'someone'),
  }
}

interface Case {
  readonly name: string
  readonly answer: () => unknown
  /** CONNACK codes of MQTT 3 and 5.0; 0 lets the Client in. */
  readonly codes: readonly [mqtt3: number, mqtt5: number]
  readonly faults?: number
}

const decisions: Case[] = [
  { name: 'an object', answer: () => ({ role: 'admin' }), codes: [0, 0] },
  { name: 'true', answer: () => true, codes: [0, 0] },
  { name: 'false', answer: () => false, codes: [5, 0x87] },
  { name: 'undefined', answer: () => undefined, codes: [5, 0x87] },
  { name: 'MqttError banned', answer: () => raise(new MqttError('banned')), codes: [5, 0x8a] },
  { name: 'MqttError server-busy', answer: () => raise(new MqttError('server-busy')), codes: [3, 0x89] },
  { name: 'MqttError bad-credentials', answer: () => raise(new MqttError('bad-credentials')), codes: [4, 0x86] },
  { name: 'MqttError 0x9D', answer: () => raise(new MqttError('server-moved')), codes: [3, 0x9d] },
  { name: 'an Error', answer: () => raise(new Error('database is down')), codes: [3, 0x80], faults: 1 },
  { name: 'a thrown string', answer: () => raise('database is down'), codes: [3, 0x80], faults: 1 },
]

function raise(error: unknown): never {
  throw error
}

for (const { name, answer, codes, faults = 0 } of decisions) {
  for (const way of ['at once', 'later'] as const) {
    for (const level of levels) {
      test(`authenticate answers ${name} ${way}: CONNACK to MQTT level ${level}`, async (t) => {
        const rejections = unhandled(t)
        const { broker, errors, open, client } = start(t, {
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
        const other = await client('other', { level })
        await other.subscribe('a')
        const asked = open(level)
        const connack = await asked.connect('asked')
        const code = level === 5 ? codes[1] : codes[0]
        assert.equal(connack.reasonCode, code)
        assert.equal(connack.sessionPresent, false)
        if (code === 0) await asked.quiet()
        else await asked.ended()
        assert.equal(broker.clients.has('asked'), code === 0)
        assert.equal(errors.length, faults)
        assert.equal(rejections.length, 0)
        await other.publish('a', 'still here')
        assert.equal(await other.message(), 'still here')
      })
    }
  }
}

test('a wrong password is told from no password', async (t) => {
  const { open } = start(t, { plugins: [plugin(() => false)] })
  for (const [level, none, wrong] of [
    [4, 5, 4],
    [5, 0x87, 0x86],
  ] as const) {
    assert.equal((await open(level).connect('asked')).reasonCode, none)
    assert.equal((await open(level).connect('asked', { username: 'u', password: 'p' })).reasonCode, wrong)
  }
})

test('a hook that never answers refuses when its time is over, and the connection ends', async (t) => {
  const { clock, errors, open, broker, client } = start(t, {
    plugins: [plugin(() => new Promise(() => undefined))],
    limits: { hookTimeoutMs: 3000 },
  })
  const other = await client('other')
  for (const level of levels) {
    const asked = open(level)
    asked.send(connectPacket('asked', { level }))
    await settle()
    clock.advance(2999)
    await other.quiet()
    assert.equal(asked.received.length, 0)
    clock.advance(1)
    assert.equal((await asked.receives('connack')).reasonCode, level === 5 ? 0x80 : 3)
    await asked.ended()
  }
  assert.equal(errors.length, 3)
  assert.match(String(errors[0]?.message), /authenticate.*test/)
  assert.equal(broker.stats().clientsConnected, 1)
})

test('an answer that comes after the Client left makes no Client and no session', async (t) => {
  const rejections = unhandled(t)
  for (const outcome of ['yes', 'no', 'error'] as const) {
    const answer = deferred<unknown>()
    const { broker, errors, open } = start(t, { plugins: [plugin(() => answer.promise)] })
    const asked = open()
    asked.send(connectPacket('asked', { properties: { sessionExpiryInterval: 1000 } }))
    await settle()
    await asked.drop()
    if (outcome === 'yes') answer.resolve('somebody')
    else if (outcome === 'no') answer.resolve(false)
    else answer.reject(new MqttError('banned'))
    await settle()
    assert.equal(broker.clients.size, 0)
    assert.equal(broker.stats().sessions, 0)
    assert.deepEqual(errors, [])
    assert.equal(broker.stats().timers, 0)
  }
  assert.deepEqual(rejections, [])
})

test('the signal of authenticate is aborted when the Client leaves meanwhile', async (t) => {
  const aborted = deferred<string>()
  const { open } = start(t, {
    plugins: [
      plugin((_request, _info, signal) => {
        signal.addEventListener('abort', () => aborted.resolve('aborted'))
        return new Promise(() => undefined)
      }),
    ],
  })
  const asked = open()
  asked.send(connectPacket('asked'))
  await settle()
  await asked.drop()
  assert.equal(await Promise.race([aborted.promise, settle().then(() => 'not aborted')]), 'aborted')
})

test('the signal of authenticate is aborted when its time is over', async (t) => {
  let signal: AbortSignal | undefined
  const { open, clock } = start(t, {
    plugins: [
      plugin((_request, _info, given) => {
        signal = given
        return new Promise(() => undefined)
      }),
    ],
  })
  const asked = open()
  asked.send(connectPacket('asked'))
  await settle()
  clock.advance(10_000)
  await asked.receives('connack')
  await asked.ended()
  await settle()
  assert.equal(signal?.aborted, true)
})

test('a hook that fails because its Client left is no fault of the hook', async (t) => {
  const { open, errors } = start(t, {
    plugins: [
      plugin(
        (_request, _info, signal) =>
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
      ),
    ],
  })
  const asked = open()
  asked.send(connectPacket('asked'))
  await settle()
  await asked.drop()
  assert.deepEqual(errors, [])
})

test('the first plugin with an opinion counts', async (t) => {
  const asked: string[] = []
  const one = (name: string, answer: unknown): Plugin => ({
    name,
    authenticate: () => {
      asked.push(name)
      return answer
    },
  })
  const { open, broker } = start(t, {
    plugins: [one('a', undefined), { name: 'without hooks' }, one('b', Promise.resolve(undefined)), one('c', 'c')],
  })
  broker.use(one('d', 'd'))
  await open().connect('x')
  assert.deepEqual(asked, ['a', 'b', 'c'])
  assert.equal(broker.clients.get('x')?.session, 'c')
})

test('a refusal ends the question: the plugins behind it are not asked', async (t) => {
  let asked = 0
  const yes: Plugin = { name: 'yes', authenticate: () => (asked += 1) }
  for (const no of [() => false, () => raise(new Error('broken')), () => raise(new MqttError('banned'))]) {
    const { open } = start(t, { plugins: [{ name: 'no', authenticate: no }, yes] })
    assert.notEqual((await open().connect('x')).reasonCode, 0)
  }
  assert.equal(asked, 0)
})

test('every plugin without an opinion is a no', async (t) => {
  const silent = (name: string): Plugin => ({ name, authenticate: () => undefined })
  const { open } = start(t, { plugins: [silent('a'), silent('b')] })
  assert.equal((await open().connect('x')).reasonCode, 0x87)
  assert.equal((await open(4).connect('x')).reasonCode, 5)
})

test('the hook sees what CONNECT said, no password as undefined and an empty one as empty', async (t) => {
  const requests: ConnectRequest[] = []
  const { broker, client } = start(t, {
    plugins: [{ name: 'a', authenticate: (request) => requests.push(request) }],
  })
  await client('a', { username: 'ann' })
  await client('b', { username: '', password: '' })
  await client('c', { level: 4, username: 'u', password: 's3cret', cleanStart: false, keepAlive: 7 })
  await client('', { level: 5 })
  const [first, second, third, fourth] = requests
  assert.equal(first?.password, undefined)
  assert.equal(first?.username, 'ann')
  assert.equal(second?.password?.length, 0)
  assert.equal(second?.username, '')
  assert.equal(third?.password?.toString(), 's3cret')
  assert.deepEqual([third?.protocolVersion, third?.cleanStart, third?.keepAlive], ['3.1.1', false, 7])
  assert.ok(fourth !== undefined && fourth.clientId.length > 0 && broker.clients.has(fourth.clientId))
  assert.equal(broker.clients.get('c')?.connect.password, undefined, 'the password is not kept')
})

test('CONNECT, SUBSCRIBE, PUBLISH in one segment and a slow refusal: nothing of it happens [MQTT-3.1.4-6]', async (t) => {
  for (const level of levels) {
    const answer = deferred<false>()
    const { broker, client, open } = start(t, { plugins: [plugin(() => answer.promise)] })
    const published: string[] = []
    const subscribed: string[] = []
    broker.on('published', (message) => published.push(message.topic))
    broker.on('subscribed', (subscription) => subscribed.push(subscription.topicFilter))
    const watcher = await client('watcher')
    await watcher.subscribe('#')
    const asked = open(level)
    asked.send(
      connectPacket('asked', {
        level,
        will: { topic: 'w', payload: Buffer.from('w'), qos: 0, retain: true, properties: undefined },
      }),
      { type: 'subscribe', packetId: 1, subscriptions: [filter('a')], properties: undefined },
      publishPacket('a', 'hello', { retain: true }),
      publishPacket('a', 'hello', { qos: 2, packetId: 3 }),
    )
    await settle()
    await watcher.quiet()
    answer.resolve(false)
    assert.equal((await asked.receives('connack')).reasonCode, level === 5 ? 0x87 : 5)
    await asked.ended()
    await watcher.quiet()
    assert.deepEqual(published, [])
    assert.deepEqual(subscribed, ['#'])
    assert.equal(broker.stats().retainedMessages, 0)
    assert.equal(broker.stats().sessions, 1)
  }
})

test('CONNECT, SUBSCRIBE, PUBLISH in one segment and a slow yes: all of it happens, in order', async (t) => {
  const answer = deferred<unknown>()
  const { open } = start(t, { plugins: [plugin(() => answer.promise)] })
  const asked = open()
  asked.send(
    connectPacket('asked'),
    { type: 'subscribe', packetId: 1, subscriptions: [filter('a')], properties: undefined },
    publishPacket('a', 'one'),
    publishPacket('a', 'two', { qos: 1, packetId: 2 }),
  )
  await settle()
  answer.resolve('ok')
  await asked.receives('connack')
  await asked.receives('suback')
  assert.equal(await asked.message(), 'one')
  assert.equal(await asked.message(), 'two')
  assert.equal((await asked.receives('puback')).packetId, 2)
})

test('a refusal carries its text, User Properties and Server Reference to an MQTT 5.0 Client', async (t) => {
  const { open, broker } = start(t, {
    plugins: [
      plugin(() =>
        raise(
          new MqttError('use-another-server', 'too busy here', {
            userProperties: [['retry', 'tomorrow']],
            serverReference: 'b.example',
          }),
        ),
      ),
    ],
  })
  const refused: unknown[] = []
  broker.on('connectionRefused', (_info, error) => refused.push(error.reasonCode))
  const connack = await open().connect('asked')
  assert.equal(connack.reasonCode, 0x9c)
  assert.equal(connack.properties?.reasonString, 'too busy here')
  assert.deepEqual(connack.properties?.userProperties, [['retry', 'tomorrow']])
  assert.equal(connack.properties?.serverReference, 'b.example')
  assert.equal((await open(4).connect('asked')).reasonCode, 3)
  assert.deepEqual(refused, [0x9c, 0x9c])
})

test('a thousand Clients that wait for a hook do not delay one that does not', async (t) => {
  const answer = deferred<unknown>()
  const { open, client } = start(t, { plugins: [plugin(() => answer.promise)] })
  for (let number = 0; number < 1000; number += 1) open().send(connectPacket('asked'))
  await settle()
  const other = await client('other')
  await other.quiet()
  answer.resolve(false)
})

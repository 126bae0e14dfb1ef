import assert from 'node:assert/strict'
import { test } from 'node:test'
import mqemitter from 'mqemitter'
import { Broker } from '../../lib/broker.ts'
import { createBroker } from '../../lib/create-broker.ts'
import { InvalidOptionError, MqttError } from '../../lib/errors.ts'
import type { Emitter } from '../../types/emitter.ts'
import type { MessageInit } from '../../types/message.ts'
import { deferred, publishPacket, settle, start, unhandled } from '../support/client.ts'

// ─── publish ───────────────────────────────────────────────────────────────────────────────────────────────────────

test('publish accepts bytes, strings and objects', async (t) => {
  const { broker, client } = start(t)
  const one = await client('one')
  await one.subscribe('t')
  for (const [payload, expected] of [
    [undefined, ''],
    ['text é', 'text é'],
    [Buffer.from('buffer'), 'buffer'],
    [new Uint8Array([0x61, 0x62]), 'ab'],
    [new Uint8Array(Buffer.from('xaby').buffer.slice(0)).fill(0x63).subarray(0, 2), 'cc'],
    [{ a: 1, b: ['c'] }, '{"a":1,"b":["c"]}'],
    [[1, 2], '[1,2]'],
  ] as [MessageInit['payload'], string][]) {
    await broker.publish(payload === undefined ? { topic: 't' } : { topic: 't', payload })
    assert.equal(await one.message(), expected)
  }
})

test('publish hands on QoS, RETAIN and Properties', async (t) => {
  const { broker, client } = start(t)
  const one = await client('one')
  await one.subscribe('t', { qos: 2, retainAsPublished: true })
  const properties = {
    contentType: 'a/b',
    responseTopic: 'r',
    correlationData: Buffer.from('c'),
    payloadFormatIndicator: 1 as const,
    userProperties: [['x', 'y']] as const,
  }
  await broker.publish({ topic: 't', payload: 'x', qos: 2, retain: true, properties })
  const packet = await one.receives('publish')
  assert.deepEqual([packet.qos, packet.retain, packet.properties], [2, true, properties])
})

for (const [name, init] of [
  ['no topic', {}],
  ['an empty topic', { topic: '' }],
  ['a wildcard', { topic: 'a/#' }],
  ['a plus', { topic: '+' }],
  ['a NUL', { topic: 'a\0' }],
  ['a topic that is too long', { topic: 'x'.repeat(65_536) }],
  ['a topic with too many levels', { topic: '/'.repeat(128) }],
  ['a topic that is a number', { topic: 5 }],
  ['QoS 3', { topic: 't', qos: 3 }],
  ['QoS "1"', { topic: 't', qos: '1' }],
  ['an object that JSON does not know', { topic: 't', payload: { a: 1n } }],
  ['a function', { topic: 't', payload: () => 1 }],
  ['a contentType that is a number', { topic: 't', properties: { contentType: 5 } }],
  ['a responseTopic with a wildcard', { topic: 't', properties: { responseTopic: '#' } }],
  ['userProperties that are an object', { topic: 't', properties: { userProperties: { a: 'b' } } }],
  ['a negative expiry', { topic: 't', properties: { messageExpiryInterval: -5 } }],
  ['an expiry that is a text', { topic: 't', properties: { messageExpiryInterval: 'soon' } }],
  ['a lone surrogate', { topic: '\ud800' }],
] as [string, object][]) {
  test(`publish with ${name} rejects, and reaches no subscriber`, async (t) => {
    const { broker, client, errors } = start(t)
    const got: unknown[] = []
    broker.subscribe('#', (message) => void got.push(message))
    const five = await client('five')
    await five.subscribe('#')
    await assert.rejects(broker.publish({ retain: true, payload: 'x', ...init } as MessageInit), (error: Error) => {
      assert.ok(error instanceof MqttError || error instanceof TypeError, String(error))
      return true
    })
    await five.quiet()
    assert.deepEqual(got, [])
    assert.equal(broker.stats().retainedMessages, 0)
    assert.deepEqual(errors, [])
  })
}

test('publish rejects with quota-exceeded when no more can be retained, and publishes nothing', async (t) => {
  const { broker, client } = start(t, { limits: { maxRetained: 1 } })
  const one = await client('one')
  await one.subscribe('#')
  await broker.publish({ topic: 'a', payload: 'x', retain: true })
  await one.receives('publish')
  await assert.rejects(broker.publish({ topic: 'b', payload: 'x', retain: true }), { code: 'ERR_MQTT_QUOTA_EXCEEDED' })
  await one.quiet()
  await broker.publish({ topic: 'a', payload: 'y', retain: true })
  await broker.publish({ topic: 'a', payload: '', retain: true })
  await broker.publish({ topic: 'b', payload: 'x', retain: true })
})

test('publish with an aborted signal rejects with its reason and does nothing', async (t) => {
  const { broker } = start(t)
  await assert.rejects(
    broker.publish({ topic: 't', payload: 'x', retain: true }, { signal: AbortSignal.abort(new Error('no more')) }),
    /no more/,
  )
  assert.equal(broker.stats().retainedMessages, 0)
})

test('publish may change its buffer afterwards without changing what others get', async (t) => {
  const { broker, client } = start(t)
  const away = await client('away', { properties: { sessionExpiryInterval: 100 } })
  await away.subscribe('t', { qos: 1 })
  await away.drop()
  const payload = Buffer.from('before')
  await broker.publish({ topic: 't', payload, qos: 1, retain: true })
  payload.fill('x')
  const again = await client('away', { cleanStart: false })
  // The types say that a payload is not to be changed; what was written is either the one or the other, and whole.
  assert.match(await again.message(), /^(before|xxxxxx)$/)
})

// ─── subscribe ─────────────────────────────────────────────────────────────────────────────────────────────────────

test('a listener gets retained messages first, then each message in order, also one that throws or takes its time', async (t) => {
  const { broker, client, errors } = start(t)
  await broker.publish({ topic: 'a/1', payload: 'kept', retain: true })
  const got: string[] = []
  let running = 0
  const subscription = broker.subscribe('a/+', async (message) => {
    running += 1
    assert.equal(running, 1, 'one at a time')
    got.push(`${message.payload.toString()} ${message.qos} ${message.retain}`)
    await settle()
    running -= 1
    if (message.payload.toString() === 'bad') throw new Error('bad message')
  })
  const one = await client('one')
  await one.publish('a/2', 'good', { qos: 2 })
  await one.publish('a/2', 'bad', { qos: 1 })
  await one.publish('a/2', 'after')
  await one.quiet()
  for (let round = 0; round < 10; round += 1) await settle()
  assert.deepEqual(got, ['kept 0 true', 'good 2 false', 'bad 1 false', 'after 0 false'])
  assert.equal(errors.length, 1)
  await subscription.close()
  await one.publish('a/2', 'late')
  await one.quiet()
  assert.equal(got.length, 4)
  assert.equal(broker.stats().subscriptions, 0)
})

test('a listener that throws is reported and receives the next message', async (t) => {
  const { broker, errors } = start(t)
  let calls = 0
  broker.subscribe('t', () => {
    calls += 1
    throw new Error('always')
  })
  await broker.publish({ topic: 't' })
  await broker.publish({ topic: 't' })
  assert.equal(calls, 2)
  assert.equal(errors.length, 2)
})

test('a listener that publishes to its own topic gets its message after this one', async (t) => {
  const { broker } = start(t)
  const got: string[] = []
  broker.subscribe('t', async (message) => {
    const text = message.payload.toString()
    got.push(text)
    if (text.length < 5) await broker.publish({ topic: 't', payload: `${text}x` })
  })
  await broker.publish({ topic: 't', payload: 'x' })
  await settle()
  assert.deepEqual(got, ['x', 'xx', 'xxx', 'xxxx', 'xxxxx'])
})

test('subscribe options: QoS, without retained, several filters, and a message that matches two', async (t) => {
  const { broker } = start(t)
  await broker.publish({ topic: 'a', payload: 'kept', retain: true })
  const got: string[] = []
  broker.subscribe(['a', '#', 'b/#'], (message) => void got.push(`${message.topic} ${message.qos}`), {
    qos: 1,
    retained: false,
  })
  assert.deepEqual(got, [])
  await broker.publish({ topic: 'a', qos: 2 })
  await broker.publish({ topic: 'b', qos: 0 })
  assert.deepEqual(got, ['a 1', 'b 0'])
})

test('subscribe to what is no filter throws, and subscribes to nothing', (t) => {
  const { broker } = start(t)
  for (const filter of ['', 'a#', '#/a', 'a+', '$share//a', '$share/g', 'a\0']) {
    assert.throws(() => broker.subscribe(filter), { code: 'ERR_MQTT_TOPIC_FILTER_INVALID' }, filter)
    assert.throws(() => broker.subscribe(['ok', filter]), { code: 'ERR_MQTT_TOPIC_FILTER_INVALID' })
  }
  assert.equal(broker.stats().subscriptions, 0)
})

test('subscribe with a wrong option throws, and subscribes to nothing', (t) => {
  const { broker } = start(t)
  for (const options of [
    { qso: 1 },
    { qos: 3 },
    { highWaterMark: 'x' },
    { highWaterMark: 0 },
    { overflow: 'drop' },
    { retained: 'no' },
    { signal: {} },
  ]) {
    assert.throws(() => broker.subscribe('a', options as object), InvalidOptionError, JSON.stringify(options))
  }
  assert.equal(broker.stats().subscriptions, 0)
})

test('a loop over a subscription gets every message and ends it when it is left', async (t) => {
  const { broker } = start(t)
  const got: string[] = []
  const subscription = broker.subscribe('t')
  for (const payload of ['a', 'b', 'c', 'd']) await broker.publish({ topic: 't', payload })
  for await (const message of subscription) {
    got.push(message.payload.toString())
    if (got.length === 3) break
  }
  assert.deepEqual(got, ['a', 'b', 'c'])
  assert.equal(broker.stats().subscriptions, 0)
  // The next loop is over at once.
  for await (const message of subscription) got.push(message.payload.toString())
  assert.equal(got.length, 3)
})

test('a loop that throws leaves the subscription too', async (t) => {
  const { broker } = start(t)
  const subscription = broker.subscribe('t')
  await broker.publish({ topic: 't' })
  await assert.rejects(async () => {
    for await (const _ of subscription) throw new Error('enough')
  }, /enough/)
  assert.equal(broker.stats().subscriptions, 0)
})

test('a loop that waits ends with close(), with its signal and with the broker', async (t) => {
  const { broker } = start(t)
  const abort = new AbortController()
  const ended = [broker.subscribe('a'), broker.subscribe('b', { signal: abort.signal }), broker.subscribe('c')] as const
  const loops = ended.map(async (subscription) => {
    let count = 0
    for await (const _ of subscription) count += 1
    return count
  })
  await broker.publish({ topic: 'a' })
  await ended[0].close()
  abort.abort()
  await loops[0]
  await loops[1]
  await broker.close()
  assert.equal(await loops[2], 0)
  assert.equal(broker.stats().subscriptions, 0)
})

test('subscribe with an aborted signal throws its reason and subscribes to nothing', async (t) => {
  const { broker } = start(t)
  assert.throws(() => broker.subscribe('a', { signal: AbortSignal.abort(new Error('no more')) }), /no more/)
  assert.equal(broker.stats().subscriptions, 0)
})

test('await using ends a subscription', async (t) => {
  const { broker } = start(t)
  {
    await using subscription = broker.subscribe('a')
    assert.equal(subscription.dropped, 0)
    assert.equal(broker.stats().subscriptions, 1)
  }
  assert.equal(broker.stats().subscriptions, 0)
})

test('several calls of next() resolve in order', async (t) => {
  const { broker } = start(t)
  const iterator = broker.subscribe('t')[Symbol.asyncIterator]()
  const three = [iterator.next(), iterator.next(), iterator.next()]
  await broker.publish({ topic: 't', payload: '1' })
  await broker.publish({ topic: 't', payload: '2' })
  assert.equal((await three[0])?.value.payload.toString(), '1')
  assert.equal((await three[1])?.value.payload.toString(), '2')
  await iterator.return?.()
  assert.equal((await three[2])?.done, true)
})

test('overflow: drop-oldest keeps the newest and counts', async (t) => {
  const { broker } = start(t)
  const subscription = broker.subscribe('t', { highWaterMark: 3 })
  for (let number = 0; number < 10; number += 1) await broker.publish({ topic: 't', payload: `${number}` })
  assert.equal(subscription.dropped, 7)
  const got: string[] = []
  for await (const message of subscription) {
    got.push(message.payload.toString())
    if (got.length === 3) break
  }
  assert.deepEqual(got, ['7', '8', '9'])
})

test('overflow: error ends the subscription with an error, after what it still has', async (t) => {
  const { broker } = start(t)
  const rejections = unhandled(t)
  const subscription = broker.subscribe('t', { highWaterMark: 3, overflow: 'error' })
  for (let number = 0; number < 10; number += 1) await broker.publish({ topic: 't', payload: `${number}` })
  assert.equal(broker.stats().subscriptions, 0)
  const got: string[] = []
  await assert.rejects(async () => {
    for await (const message of subscription) got.push(message.payload.toString())
  })
  assert.deepEqual(got, ['0', '1', '2'])
  assert.deepEqual(rejections, [])
})

test('overflow: pause pauses publishers for as long as necessary, and loses no message', async (t) => {
  const { broker, client, clock } = start(t)
  const subscription = broker.subscribe('t', { highWaterMark: 10, overflow: 'pause' })
  const one = await client('one')
  one.send(
    ...Array.from({ length: 500 }, (_, number) => publishPacket('t', `${number}`, { qos: 1, packetId: number + 1 })),
  )
  await settle()
  clock.advance(1_000_000)
  await settle()
  assert.ok(one.received.length < 100, 'the publisher waits')
  let next = 0
  for await (const message of subscription) {
    assert.equal(message.payload.toString(), `${next}`)
    next += 1
    if (next === 500) break
  }
  for (let number = 0; number < 500; number += 1) await one.receives('puback')
  assert.equal(subscription.dropped, 0)
})

test('a subscriber that stays paused does not stop publishers of other topics', async (t) => {
  const { broker, client } = start(t)
  broker.subscribe('t', { highWaterMark: 1, overflow: 'pause' })
  const [one, other] = [await client('one'), await client('other')]
  one.send(publishPacket('t', '1'), publishPacket('t', '2'), publishPacket('t', '3'))
  await settle()
  await other.publish('elsewhere', 'x', { qos: 1 })
})

// ─── retained, stats, clients ──────────────────────────────────────────────────────────────────────────────────────

test('retained() lists what a filter matches', async (t) => {
  const { broker } = start(t)
  for (const topic of ['a', 'a/b', 'a/c', '$x/y', '/']) await broker.publish({ topic, payload: topic, retain: true })
  const list = async (filter?: string): Promise<string[]> => {
    const topics: string[] = []
    for await (const message of filter === undefined ? broker.retained() : broker.retained(filter))
      topics.push(message.topic)
    return topics.toSorted()
  }
  assert.deepEqual(await list(), ['/', 'a', 'a/b', 'a/c']) // [MQTT-4.7.2-1]
  assert.deepEqual(await list('a/+'), ['a/b', 'a/c'])
  assert.deepEqual(await list('a/#'), ['a', 'a/b', 'a/c'])
  assert.deepEqual(await list('a/b'), ['a/b'])
  assert.deepEqual(await list('$x/#'), ['$x/y'])
  assert.deepEqual(await list('nothing'), [])
})

test('retained() of what is no Topic Filter throws', (t) => {
  const { broker } = start(t)
  for (const filter of ['', 'a#', '#/a', 'a+', 'a\0', 5, null, {}, () => undefined]) {
    assert.throws(() => broker.retained(filter as string), { code: 'ERR_MQTT_TOPIC_FILTER_INVALID' })
  }
})

test('stats() counts', async (t) => {
  const { broker, client } = start(t)
  const one = await client('one')
  await one.subscribe('t')
  await one.publish('t', 'four', { retain: true })
  await one.message()
  const stats = broker.stats()
  assert.equal(stats.clientsConnected, 1)
  assert.equal(stats.sessions, 1)
  assert.equal(stats.subscriptions, 1)
  assert.equal(stats.retainedMessages, 1)
  assert.equal(stats.publishReceived, 1)
  assert.equal(stats.publishSent, 1)
  assert.equal(stats.publishBytesReceived, 4)
  assert.equal(stats.messagesReceived, 3)
  await settle()
  assert.ok(Object.values(broker.stats()).every((value) => Number.isFinite(value) && value >= 0))
})

test('stats() counts the bytes of all packets, small and large, until the last one', async (t) => {
  const { broker, open } = start(t)
  const one = open()
  let bytes = 0
  one.stream.on('data', (chunk: Buffer) => (bytes += chunk.length))
  await one.connect('one')
  await one.subscribe('t')
  for (const size of [0, 1000, 600_000]) {
    await broker.publish({ topic: 't', payload: Buffer.alloc(size) })
    await one.receives('publish')
  }
  await broker.clients.get('one')?.disconnect()
  await one.closed
  assert.ok(bytes > 601_000)
  assert.equal(broker.stats().bytesSent, bytes)
})

test('clients has the connected Clients, with the contents of their CONNECT', async (t) => {
  const { broker, client } = start(t)
  const one = await client('one', { username: 'ann', password: 'secret', keepAlive: 20, level: 5 })
  const known = broker.clients.get('one')
  assert.ok(known !== undefined)
  assert.equal(known.id, 'one')
  assert.equal(known.connected, true)
  assert.equal(known.connection.transport, 'memory')
  assert.equal(known.connect.username, 'ann')
  assert.equal(known.connect.keepAlive, 20)
  assert.equal(known.signal.aborted, false)
  await one.subscribe('a', { qos: 1 })
  assert.equal(known.subscriptions.get('a')?.qos, 1)
  await one.drop()
  assert.equal(known.connected, false)
  assert.equal(known.signal.aborted, true)
  assert.equal(broker.clients.size, 0)
})

test('the password of a Client is in no object, event or error', async (t) => {
  const { inspect } = await import('node:util')
  const { broker, client, errors } = start(t, { plugins: [{ name: 'a', authenticate: () => ({}) }] })
  const told: unknown[] = []
  for (const name of ['clientConnected', 'clientDisconnected', 'clientError'] as const) {
    broker.on(name, (...values: unknown[]) => told.push(...values))
  }
  const one = await client('one', { username: 'ann', password: 's3cr3tpass' })
  const shown = inspect(broker.clients, { depth: 12, showHidden: true })
  one.write('00 00')
  await one.closed
  const all = shown + inspect(told, { depth: 12, showHidden: true }) + inspect(errors) + JSON.stringify(broker.stats())
  assert.ok(!all.includes('s3cr3tpass'))
  assert.ok(
    !all.includes(
      Buffer.from('s3cr3tpass')
        .toString('hex')
        .replaceAll(/(..)(?=.)/g, '$1 '),
    ),
  )
})

test('client.signal is aborted when its connection goes', async (t) => {
  const { broker, client } = start(t)
  const one = await client('one')
  const aborted = deferred()
  broker.clients.get('one')?.signal.addEventListener('abort', () => aborted.resolve())
  await one.disconnect()
  await aborted.promise
})

test('client.disconnect tells MQTT 5.0 Clients why and where to, and resolves when the connection is closed', async (t) => {
  const { broker, client } = start(t)
  const five = await client('five')
  const told = broker.clients.get('five')?.disconnect('use-another-server', {
    reasonString: 'moved',
    serverReference: 'other.example',
    userProperties: [['a', 'b']],
  })
  const packet = await five.receives('disconnect')
  assert.equal(packet.reasonCode, 0x9c)
  assert.deepEqual(packet.properties, {
    reasonString: 'moved',
    serverReference: 'other.example',
    userProperties: [['a', 'b']],
  })
  await told
  await five.ended()
  const four = await client('four', { level: 4 })
  const known = broker.clients.get('four')
  await known?.disconnect()
  await four.ended()
  await known?.disconnect()
  const plain = await client('plain')
  void broker.clients.get('plain')?.disconnect()
  assert.equal((await plain.receives('disconnect')).reasonCode, 0x98)
  const number = await client('number')
  void broker.clients.get('number')?.disconnect(0x96)
  assert.equal((await number.receives('disconnect')).reasonCode, 0x96)
})

// ─── events ────────────────────────────────────────────────────────────────────────────────────────────────────────

test('events are emitted in order', async (t) => {
  const { broker, client } = start(t)
  const told: string[] = []
  broker.on('clientConnected', (one, present) => told.push(`connected ${one.id} ${present}`))
  broker.on('clientDisconnected', (one, { reasonCode, byClient }) =>
    told.push(`gone ${one.id} ${reasonCode} ${byClient}`),
  )
  broker.on('subscribed', ({ topicFilter, qos }, one) => told.push(`subscribed ${one.id} ${topicFilter} ${qos}`))
  broker.on('unsubscribed', (topicFilter, one) => told.push(`unsubscribed ${one.id} ${topicFilter}`))
  broker.on('published', ({ topic }, one) => told.push(`published ${one?.id} ${topic}`))
  broker.on('clientError', (error, _info, one) => told.push(`error ${one?.id} ${error.name}`))
  const one = await client('one', { properties: { sessionExpiryInterval: 10 } })
  await one.subscribe('a', { qos: 1 })
  await one.unsubscribe('a', 'b')
  await one.publish('t', 'x', { qos: 1 })
  await broker.publish({ topic: 'u' })
  await one.disconnect(4)
  const again = await client('one', { cleanStart: false })
  again.write('00 00')
  await again.closed
  assert.deepEqual(told, [
    'connected one false',
    'subscribed one a 1',
    'unsubscribed one a',
    'published one t',
    'published undefined u',
    'gone one 4 true',
    'connected one true',
    'error one ProtocolError',
    'gone one 129 false',
  ])
})

test('an error of a listener is emitted as error, and affects no Client and no other listener', async (t) => {
  const { broker, client, errors } = start(t)
  const told: string[] = []
  for (const name of ['clientConnected', 'published', 'subscribed', 'unsubscribed', 'clientDisconnected'] as const) {
    broker.on(name, () => {
      throw new Error(`listener of ${name}`)
    })
    broker.on(name, () => told.push(name))
  }
  const one = await client('one')
  await one.subscribe('t')
  await one.publish('t', 'x')
  assert.equal(await one.message(), 'x')
  await one.unsubscribe('t')
  await one.quiet()
  await one.drop()
  assert.equal(errors.length, 5)
  assert.deepEqual(told, ['clientConnected', 'subscribed', 'published', 'unsubscribed', 'clientDisconnected'])
})

test('a rejection of a listener is emitted as error', async (t) => {
  const rejections = unhandled(t)
  const { broker, client, errors } = start(t)
  // oxlint-disable-next-line typescript/no-misused-promises -- what is tested is that a rejection harms nobody
  broker.on('clientConnected', async () => {
    await settle()
    throw new Error('later')
  })
  const one = await client('one')
  await one.quiet()
  await settle()
  await settle()
  assert.deepEqual(rejections, [])
  assert.equal(errors.length, 1)
})

test('once() and off() work with events as ever', async (t) => {
  const { broker, client } = start(t)
  let calls = 0
  broker.once('clientConnected', () => (calls += 1))
  await client('one')
  await client('two')
  assert.equal(calls, 1)
})

test('an error without a listener becomes a warning of the process, or a line of the log', async () => {
  const warnings: string[] = []
  const listener = (warning: Error): void => void warnings.push(warning.message)
  process.on('warning', listener)
  const plain = new Broker({ sysInterval: false })
  plain.subscribe('t', () => {
    throw new Error('nobody listens')
  })
  await plain.publish({ topic: 't' })
  await settle()
  assert.deepEqual(warnings, ['nobody listens'])
  const lines: string[] = []
  const write = (line: string): void => void lines.push(line)
  const logged = new Broker({ sysInterval: false, logger: { debug: write, info: write, warn: write, error: write } })
  logged.subscribe('t', () => {
    throw new Error('a line')
  })
  await logged.publish({ topic: 't' })
  await settle()
  assert.equal(warnings.length, 1)
  assert.ok(lines.some((line) => line.includes('a line')))
  process.off('warning', listener)
  await plain.close()
  await logged.close()
})

test('a listener of error that throws becomes a warning', async () => {
  const warnings: string[] = []
  const listener = (warning: Error): void => void warnings.push(warning.message)
  process.on('warning', listener)
  const broker = new Broker({ sysInterval: false })
  broker.on('error', () => {
    throw new Error('even this one')
  })
  broker.subscribe('t', () => {
    throw new Error('first')
  })
  await broker.publish({ topic: 't' })
  await settle()
  process.off('warning', listener)
  assert.deepEqual(warnings, ['even this one'])
  await broker.close()
})

// ─── emitter ───────────────────────────────────────────────────────────────────────────────────────────────────────

test('a listener on broker.emitter receives the messages of Clients and of the application', async (t) => {
  const { broker, client } = start(t)
  const seen: string[] = []
  broker.emitter.on('a/#', (message, done) => {
    seen.push(`${message.topic} ${String(message.payload)} ${String(message.qos)} ${String(message.clientId)}`)
    done()
  })
  const one = await client('one')
  await one.publish('a/b', 'x', { qos: 1 })
  await broker.publish({ topic: 'a', payload: 'y' })
  await broker.publish({ topic: 'b', payload: 'z' })
  await settle()
  assert.deepEqual(seen, ['a/b x 1 one', 'a y 0 undefined'])
})

test('a listener on the emitter that never calls done stops no publisher', async (t) => {
  const { broker, client } = start(t)
  broker.emitter.on('#', (message, _done) => void message)
  const one = await client('one')
  await one.subscribe('t')
  for (let number = 0; number < 200; number += 1) await one.publish('t', `${number}`)
  for (let number = 0; number < 200; number += 1) assert.equal(await one.message(), `${number}`)
})

test('one emitter joins two brokers: messages cross once, retained ones too', async (t) => {
  const emitter = mqemitter() as unknown as Emitter
  const [one, two] = [start(t, { emitter, id: 'one' }), start(t, { emitter, id: 'two' })]
  const [a, b] = [await one.client('a'), await two.client('b')]
  await a.subscribe('#', { qos: 1 })
  await b.subscribe('#', { qos: 1 })
  const publisher = await one.client('publisher')
  await publisher.publish('t', 'from a', { qos: 1, retain: true, properties: { contentType: 'x' } })
  assert.equal(await a.message(), 'from a')
  const crossed = await b.receives('publish')
  assert.deepEqual([crossed.payload.toString(), crossed.qos, crossed.properties?.contentType], ['from a', 1, 'x'])
  await b.acknowledge(crossed)
  await two.broker.publish({ topic: 'u', payload: 'from two', qos: 0 })
  assert.equal(await b.message(), 'from two')
  assert.equal(await a.message(), 'from two')
  await settle()
  await a.quiet()
  await b.quiet()
  assert.equal(two.broker.stats().retainedMessages, 1)
  await one.broker.close()
  assert.notEqual(emitter.closed, true, 'it is the application who closes it')
  await two.broker.publish({ topic: 'v', payload: 'still', qos: 0 })
  assert.equal(await b.message(), 'still')
})

test('nonsense on a shared emitter reaches no Client', async (t) => {
  const emitter = mqemitter() as unknown as Emitter
  const { client, errors } = start(t, { emitter })
  const one = await client('one')
  await one.subscribe('#')
  const valid = { topic: 't', cmd: 'publish', payload: Buffer.from('x'), qos: 0, retain: false, brokerId: 'other' }
  const bad: object[] = [
    { ...valid, cmd: 'subscribe' },
    { ...valid, qos: 7 },
    { ...valid, payload: 5 },
    { ...valid, topic: '$SYS/x' },
    { ...valid, properties: { contentType: 5 } },
    { ...valid, properties: { userProperties: { a: 'b' } } },
  ]
  for (const message of bad) {
    emitter.emit(message as never)
    await settle()
    await one.quiet()
  }
  assert.equal(errors.length, 1, 'reported once a minute at most')
  emitter.emit(valid)
  assert.equal(await one.message(), 'x')
})

test('two brokers share nothing', async (t) => {
  const [one, two] = [start(t), start(t)]
  const [a, b] = [await one.client('x'), await two.client('x')]
  await a.subscribe('#')
  await b.subscribe('#')
  await a.publish('t', 'a', { retain: true })
  assert.equal(await a.message(), 'a')
  await b.quiet()
  assert.equal(two.broker.stats().retainedMessages, 0)
  assert.notEqual(one.broker.id, two.broker.id)
  await one.broker.close()
  await b.quiet()
})

// ─── use, setup, createBroker ──────────────────────────────────────────────────────────────────────────────────────

test('setup is called once with the broker, in order, before a connection is looked at; teardown by close()', async (t) => {
  const told: string[] = []
  const gate = deferred()
  const { broker, open } = start(t, {
    plugins: [
      {
        name: 'a',
        setup: async (given) => {
          await gate.promise
          told.push(`setup a ${given === broker}`)
          return async () => {
            await settle()
            told.push('teardown a')
          }
        },
      },
      { name: 'b', setup: () => void told.push('setup b') },
    ],
  })
  broker.use({
    name: 'c',
    setup: () => {
      told.push('setup c')
      return () => void told.push('teardown c')
    },
  })
  const one = open()
  const connack = one.connect('one')
  await settle()
  assert.equal(broker.clients.size, 0)
  gate.resolve()
  await connack
  assert.deepEqual(told, ['setup a true', 'setup b', 'setup c'])
  await broker.close()
  await broker.close()
  assert.deepEqual(told.slice(3).toSorted(), ['teardown a', 'teardown c'])
})

test('a setup that fails keeps every connection out, and createBroker and listen reject', async (t) => {
  const fails = { name: 'a', setup: () => Promise.reject(new Error('no database')) }
  const { open, broker } = start(t, { plugins: [fails] })
  const one = open()
  one.send()
  await one.ended()
  await assert.rejects(broker.listen({ tcp: 0 }), /no database/)
  await assert.rejects(createBroker({ plugins: [fails], listen: { tcp: 0 } }), /no database/)
  await assert.rejects(createBroker({ plugins: [fails] }), /no database/)
  const throwing = { name: 'b', setup: () => assert.fail('at once') }
  await assert.rejects(createBroker({ plugins: [throwing] }), /at once/)
})

test('a teardown that fails is reported and stops no other', async (t) => {
  const { broker, errors } = start(t, {
    plugins: [
      { name: 'a', setup: () => () => assert.fail('teardown') },
      { name: 'b', setup: () => async () => assert.fail('later') },
    ],
  })
  await settle()
  await broker.close()
  assert.equal(errors.length, 2)
})

test('close() while setup is under way calls its teardown all the same', async (t) => {
  const gate = deferred()
  let tornDown = false
  const { broker } = start(t, {
    plugins: [
      {
        name: 'a',
        setup: async () => {
          await gate.promise
          return () => {
            tornDown = true
          }
        },
      },
    ],
  })
  const closed = broker.close()
  gate.resolve()
  await closed
  await settle()
  assert.equal(tornDown, true)
})

test('createBroker opens its listeners, or nothing', async () => {
  const broker = await createBroker({ sysInterval: false, listen: { tcp: 0, ws: 0 } })
  await broker.close()
  await assert.rejects(createBroker({ listen: { tcp: 0, udp: 0 } as never }), InvalidOptionError)
  await assert.rejects(createBroker({ limit: {} } as never), InvalidOptionError)
  await assert.rejects(createBroker({ listen: { tcp: { port: 0, host: '0.0.0.0' } } }), InvalidOptionError)
})

test('use() with something that is no plugin throws', (t) => {
  const { broker } = start(t)
  for (const plugin of [undefined, null, 5, 'x', [], {}, { name: '' }, { name: 'a', authenticate: true }]) {
    assert.throws(() => broker.use(plugin as never), InvalidOptionError)
  }
  assert.throws(() => broker.use({ name: 'a', authorisePublish: () => false } as never), /authorisePublish/)
  assert.equal(broker.use({ name: 'a' }), broker)
})

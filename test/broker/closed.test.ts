import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { Broker } from '../../lib/broker.ts'
import { InvalidOptionError, MqttError } from '../../lib/errors.ts'
import { closing, deferred, publishPacket, settle, start, unhandled } from '../support/client.ts'

const isClosed = (error: Error): boolean =>
  error instanceof MqttError &&
  error.code === 'ERR_MQTT_SERVER_SHUTTING_DOWN' &&
  error.reasonCode === 0x8b &&
  error.message === 'the broker is closed'

const work: Record<string, (broker: Broker) => unknown> = {
  publish: (broker) => broker.publish({ topic: 'a' }),
  'publish of a wrong message': (broker) => broker.publish({} as never),
  'subscribe with a listener': (broker) => broker.subscribe('a', () => undefined),
  'a loop over subscribe': async (broker) => {
    for await (const _ of broker.subscribe('a')) assert.fail('no message')
  },
  listen: (broker) => broker.listen({ tcp: 0 }),
  attach: (broker) => broker.attach(createServer()),
  use: (broker) => broker.use({ name: 'late', setup: () => assert.fail('not set up') }),
}

for (const [name, act] of Object.entries(work)) {
  test(`a closed broker refuses ${name} with ERR_MQTT_SERVER_SHUTTING_DOWN, and so does one that closes`, async (t) => {
    const gate = deferred()
    const { broker } = start(t, { plugins: [{ name: 'slow', setup: () => () => gate.promise }] })
    await settle()
    const closed = broker.close()
    await assert.rejects(async () => act(broker), isClosed)
    gate.resolve()
    await closed
    await assert.rejects(async () => act(broker), isClosed)
    assert.equal(broker.stats().subscriptions, 0)
  })
}

test('a closed broker destroys streams and connections in memory, and says why', async (t) => {
  const { broker } = start(t)
  const reasons: unknown[] = []
  broker.on('connectionRefused', (_info, { reasonCode }) => reasons.push(reasonCode))
  await broker.close()
  const stream = new PassThrough()
  broker.handle(stream)
  const clientSide = broker.connect()
  await settle()
  assert.deepEqual([stream.destroyed, clientSide.destroyed, reasons], [true, true, [0x8b, 0x8b]])
})

test('what can be read of a broker can be read when it is closed', async (t) => {
  const { broker } = start(t)
  await broker.publish({ topic: 'a', payload: 'x', retain: true })
  await broker.close()
  const topics: string[] = []
  for await (const { topic } of broker.retained()) topics.push(topic)
  assert.deepEqual(topics, ['a'])
  assert.deepEqual([broker.clients.size, broker.openListeners, broker.stats().sessions], [0, [], 0])
})

test('a publish in a timer that nobody waits for does not end a process whose broker is closed', async (t) => {
  const rejections = unhandled(t)
  const { broker } = start(t)
  await broker.close()
  void broker.publish({ topic: 'a' })
  await settle()
  assert.deepEqual(rejections, [])
})

for (const [option, options] of [
  ['close', null],
  ['close', 5],
  ['close.grace', { grace: 5 }],
  ['close.graceMs', { graceMs: '5' }],
  ['close.graceMs', { graceMs: -1 }],
  ['close.graceMs', { graceMs: NaN }],
  ['close.leaveMs', { leaveMs: Infinity }],
  ['close.reason', { reason: 'bye' }],
  ['close.reason', { reason: 0x8b }],
] as [string, never][]) {
  test(`close with ${JSON.stringify(options)} throws and closes nothing`, async (t) => {
    const { broker, client } = start(t)
    const one = await client('one')
    assert.throws(
      () => broker.close(options),
      (error: Error) => error instanceof InvalidOptionError && error.message.startsWith(`${option}:`),
    )
    await one.quiet()
    await broker.publish({ topic: 'a' })
  })
}

test('close with leaveMs lets Clients say goodbye, and goes on when the last one has left', async (t) => {
  const ends: unknown[] = []
  const { broker, client, open } = start(t)
  broker.on('clientDisconnected', ({ id }, { byClient, reasonCode }) => ends.push([id, byClient, reasonCode]))
  const received: string[] = []
  const [one, two] = [await client('one'), await client('two', { level: 4 })]
  await two.subscribe('status', { qos: 1 })
  const closed = broker.close({ leaveMs: 0x7fff_ffff })
  await open().ended()
  one.send(publishPacket('status', 'offline', { qos: 1, packetId: 1 }))
  await one.receives('puback')
  received.push(await two.message())
  one.send({ type: 'disconnect', reasonCode: 0, properties: undefined })
  two.send({ type: 'disconnect', reasonCode: 0, properties: undefined })
  await Promise.all([one.ended(), two.ended(), closed])
  assert.deepEqual(received, ['offline'])
  assert.deepEqual(ends, [
    ['one', true, 0],
    ['two', true, 0],
  ])
})

test('close with leaveMs sends a DISCONNECT to Clients that stay', async (t) => {
  const { broker, client, clock } = start(t)
  const one = await client('one')
  const closed = closing(broker.close({ leaveMs: 20 }), clock)
  await one.endedWith(0x8b)
  await closed
})

for (const way of ['rejects', 'throws'] as const) {
  test(`a setup that ${way} is an error at once, although no connection comes and nobody listens`, async (t) => {
    const cause = new Error('no database')
    const setup = (): Promise<never> => {
      if (way === 'throws') throw cause
      return Promise.reject(cause)
    }
    const { broker, errors } = start(t, {
      plugins: [
        { name: 'rules', setup },
        { name: 'next', setup: () => assert.fail('not set up after one that failed') },
      ],
    })
    const server = createServer()
    broker.attach(server)
    await settle()
    assert.deepEqual(
      errors.map(({ message }) => message),
      ['setup of plugin rules failed: no database'],
    )
    assert.equal(errors[0]?.cause, cause)
  })
}

test('a storage that cannot be opened is an error at once, although no connection comes', async (t) => {
  const cause = new Error('no disk')
  const persistence = {
    open: () => Promise.reject(cause),
    readAll: () => assert.fail('not open'),
    readSession: () => assert.fail('not open'),
    commit: () => assert.fail('not open'),
    close: () => Promise.resolve(),
  }
  const { errors } = start(t, { persistence: persistence as never })
  await settle()
  assert.deepEqual(errors.map(String), ['Error: no disk'])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import mqemitter from 'mqemitter'
import type { Emitter, EmitterMessage } from '../../types/emitter.ts'
import { ManualClock } from '../support/clock.ts'
import { immediates, message, TestBroker } from './brokers.ts'

/** Brokers in one process on one mqemitter, all started. */
async function brokers(...ids: string[]): Promise<{ emitter: Emitter; clock: ManualClock; all: TestBroker[] }> {
  return brokersOn(mqemitter(), ...ids)
}

async function brokersOn(
  emitter: Emitter,
  ...ids: string[]
): Promise<{ emitter: Emitter; clock: ManualClock; all: TestBroker[] }> {
  const clock = new ManualClock()
  const all = ids.map((id) => new TestBroker(emitter, id, clock))
  const started = all.map((one) => one.cluster.start())
  await immediates()
  clock.advance(2_000)
  await Promise.all(started)
  for (const one of all) one.log()
  return { emitter, clock, all }
}

test('the first broker has started after two heartbeats, as nobody answers it', async () => {
  const clock = new ManualClock()
  const one = new TestBroker(mqemitter(), 'one', clock)
  let started = false
  const start = one.cluster.start().then(() => (started = true))
  await immediates()
  clock.advance(1_999)
  await immediates()
  assert.equal(started, false)
  clock.advance(1)
  await start
  assert.deepEqual(one.members, [])
})

test('a broker that comes later has started when all that are there have answered', async () => {
  const {
    emitter,
    clock,
    all: [one, other],
  } = await brokers('one', 'other')
  const newcomer = new TestBroker(emitter, 'newcomer', clock)
  await newcomer.cluster.start() // No time passes.
  assert.deepEqual(newcomer.members, ['one', 'other'])
  assert.deepEqual(one?.log(), ['newcomer joined'])
  assert.deepEqual(other?.log(), ['newcomer joined'])
})

test('messages and notices arrive at the others in the order in which they were given, and not at home', async () => {
  const {
    all: [a, b, c],
  } = await brokers('a', 'b', 'c')
  a?.cluster.publish([message('1')])
  a?.cluster.broadcast('2', {})
  a?.cluster.publish([message('3')])
  for (const other of [b, c]) assert.deepEqual(other?.log(), ['a published 1', 'a told 2', 'a published 3'])
  assert.deepEqual(a?.log(), [])
})

test('what listeners make a broker say comes after what it is saying, for everybody', async () => {
  const {
    all: [a, b, c],
  } = await brokers('a', 'b', 'c')
  assert.ok(a && b && c)
  b.onReceived = ({ topic }) => {
    if (topic === 'question') b.cluster.publish([message('answer')])
  }
  a.onReceived = ({ topic }) => {
    if (topic === 'answer') a.cluster.publish([message('thanks')])
  }
  a.cluster.publish([message('question')])
  assert.deepEqual(
    c.log().filter((line) => line.startsWith('a ') || line.startsWith('missed')),
    ['a published question', 'a published thanks'],
  )
})

test('order is kept on a mqemitter that has a limit of concurrency', async () => {
  const {
    all: [a, b, c],
  } = await brokersOn(mqemitter({ concurrency: 1 }), 'a', 'b', 'c')
  assert.ok(a && b && c)
  b.onReceived = ({ topic }) => {
    if (topic === '1') for (const reply of ['2', '3', '4']) b.cluster.publish([message(reply)])
  }
  a.cluster.publish([message('1')])
  a.cluster.publish([message('5')])
  assert.deepEqual(
    c.log().filter((line) => line.startsWith('b ') || line.startsWith('missed')),
    ['b published 2', 'b published 3', 'b published 4'],
  )
})

test('on the emitter a message has the fields of aedes, its place in the order, and a _stringId of its own', async () => {
  const {
    emitter,
    all: [a],
  } = await brokers('a')
  const seen: EmitterMessage[] = []
  emitter.on('#', (one, done) => {
    seen.push(one)
    done()
  })
  const given = { ...message('t', 'p'), properties: { contentType: 'x' }, clientId: undefined, shared: ['g'] }
  a?.cluster.publish([given])
  a?.cluster.publish([given])
  const { _stringId: name, ...fields } = seen[0] ?? { topic: '' }
  assert.deepEqual(fields, {
    topic: 't',
    payload: Buffer.from('p'),
    qos: 1,
    retain: false,
    properties: { contentType: 'x' },
    shared: ['g'],
    cmd: 'publish',
    brokerId: 'a',
    sequence: 1,
    version: 2,
  })
  assert.equal(typeof name, 'string')
  assert.equal(new Set(seen.map((one) => one['_stringId'])).size, 2)
  assert.deepEqual(Object.keys(given), ['topic', 'payload', 'qos', 'retain', 'properties', 'clientId', 'shared'])
})

test('a topic that the emitter could not take arrives all the same', async () => {
  const {
    all: [a, b],
  } = await brokers('a', 'b')
  for (const topic of [Array(128).fill('x').join('/'), '__sentinel__:hello', '$haltere/leave']) {
    a?.cluster.publish([{ ...message(topic, 'deep'), extra: 1 }])
    const received = b?.messages.at(-1)
    assert.equal(received?.topic, topic)
    assert.deepEqual(received.payload, Buffer.from('deep'))
    assert.equal(received.extra, 1)
    assert.equal(received.cmd, 'publish')
    assert.equal(received.brokerId, 'a')
  }
  assert.deepEqual(b?.members, ['a'])
  assert.deepEqual(a?.errors, [])
})

test('what one broker does to a body is not seen by the others, nor by a receiver what its sender does later', async () => {
  const {
    all: [a, b, c],
  } = await brokers('a', 'b', 'c')
  const body = { list: [1, { deep: true }], bytes: Buffer.from('b'), nothing: undefined, none: null }
  a?.cluster.broadcast('k', body)
  body.list.push(2)
  const atB = b?.bodies[0] as { list: unknown[] }
  assert.deepEqual(atB, { list: [1, { deep: true }], bytes: Buffer.from('b') })
  atB.list.length = 0
  const atC = c?.bodies[0] as typeof atB
  assert.deepEqual(atC.list, [1, { deep: true }])
})

test('a body that refers to itself is refused where it is given, and takes no place in the order', async () => {
  const {
    all: [a, b],
  } = await brokers('a', 'b')
  const body: Record<string, unknown> = {}
  body.body = body
  assert.throws(() => a?.cluster.broadcast('k', body), /plain data/)
  await assert.rejects(async () => a?.cluster.request('k', body, { timeoutMs: 1 }), /plain data/)
  a?.cluster.broadcast('fine', 1)
  assert.deepEqual(b?.log(), ['a told fine'])
})

test('a question has the answers of all, given at once or later', async () => {
  const {
    all: [a, b, c],
  } = await brokers('a', 'b', 'c')
  assert.ok(a && b && c)
  b.answer = (kind, body) => ({ kind, body })
  c.answer = () => Promise.resolve('later')
  const { responses, timedOut } = await a.cluster.request('who', { client: 'x' }, { timeoutMs: 100 })
  assert.deepEqual(responses.get('b'), { kind: 'who', body: { client: 'x' } })
  assert.equal(responses.get('c'), 'later')
  assert.deepEqual(timedOut, [])
  assert.equal(a.timers.size, 1) // The heartbeat.
})

test('a question to one is not asked of the others', async () => {
  const {
    all: [a, b, c],
  } = await brokers('a', 'b', 'c')
  assert.ok(a && b && c)
  c.answer = () => undefined
  const { responses } = await a.cluster.request('who', 1, { timeoutMs: 100, to: 'c' })
  assert.deepEqual([...responses], [['c', undefined]])
  assert.deepEqual(b.log(), [])
  a.cluster.broadcast('next', 1)
  assert.deepEqual(b.log(), ['a told next']) // It was no gap for b.
})

test('a question that nobody can answer is over at once', async () => {
  const {
    all: [a, b],
  } = await brokers('a', 'b')
  assert.ok(a && b)
  assert.deepEqual(await a.cluster.request('who', 1, { timeoutMs: 100, to: 'stranger' }), {
    responses: new Map(),
    timedOut: ['stranger'],
  })
  await b.cluster.stop()
  assert.deepEqual(await a.cluster.request('who', 1, { timeoutMs: 100 }), { responses: new Map(), timedOut: [] })
})

test('who throws, rejects or answers what cannot be sent counts as silent at once, and its broker is told why', async () => {
  const {
    all: [a, b],
  } = await brokers('a', 'b')
  assert.ok(a && b)
  const endless: unknown[] = []
  endless.push(endless)
  const ways = [
    () => {
      throw new Error('no')
    },
    () => Promise.reject(new Error('no')),
    () => endless,
    () => Promise.resolve(endless),
  ]
  for (const way of ways) {
    b.answer = way
    assert.deepEqual(await a.cluster.request('who', 1, { timeoutMs: 100 }), { responses: new Map(), timedOut: ['b'] })
  }
  assert.equal(b.errors.length, ways.length)
})

test('who does not answer in time is silent, and its answer then is for nobody', async () => {
  const {
    clock,
    all: [a, b, c],
  } = await brokers('a', 'b', 'c')
  assert.ok(a && b && c)
  let answerLate: (value: unknown) => void = () => {}
  b.answer = () => new Promise((resolve) => (answerLate = resolve))
  c.answer = () => 'c'
  const asked = a.cluster.request('who', 1, { timeoutMs: 100 })
  clock.advance(100)
  const { responses, timedOut } = await asked
  answerLate('late')
  await immediates()
  assert.deepEqual([...responses], [['c', 'c']])
  assert.deepEqual(timedOut, ['b'])
})

test('nobody waits for the answer of a broker that leaves', async () => {
  const {
    all: [a, b],
  } = await brokers('a', 'b')
  assert.ok(a && b)
  b.answer = () => new Promise(() => {})
  const asked = a.cluster.request('who', 1, { timeoutMs: 1e9 })
  await b.cluster.stop()
  assert.deepEqual((await asked).timedOut, ['b'])
  assert.deepEqual(a.log(), ['b left: leave'])
})

test('a broker that stops says goodbye, hears nothing more, and has no listener and no timer left', async () => {
  const emitter: Emitter = mqemitter()
  let listeners = 0
  const { on, removeListener } = emitter
  emitter.on = function (...args) {
    listeners += 1
    return on.apply(this, args)
  }
  emitter.removeListener = function (...args) {
    listeners -= 1
    return removeListener.apply(this, args)
  }
  const {
    all: [a, b],
  } = await brokersOn(emitter, 'a', 'b')
  assert.ok(a && b)
  assert.equal(listeners, 2)
  const asked = b.cluster.request('who', 1, { timeoutMs: 1_000 })
  a.answer = () => new Promise(() => {})
  await b.cluster.stop()
  await asked
  assert.equal(listeners, 1)
  assert.equal(b.timers.size, 0)
  assert.equal(emitter.closed, false)
  a.cluster.publish([message('t')])
  b.cluster.publish([message('t')])
  b.cluster.broadcast('t', 1)
  assert.deepEqual(b.members, [])
  assert.deepEqual(b.log(), [])
  await b.cluster.stop()
  await b.cluster.start()
})

test('a broker that is stopped while it starts has done both', async () => {
  const clock = new ManualClock()
  const one = new TestBroker(mqemitter(), 'one', clock)
  const start = one.cluster.start()
  await one.cluster.stop()
  await start
  await immediates()
  assert.equal(one.timers.size, 0)
})

test('an emitter that is closed is told once, and stops nobody', async () => {
  const {
    emitter,
    clock,
    all: [a],
  } = await brokers('a', 'b')
  assert.ok(a)
  await new Promise<void>((resolve) => emitter.close(resolve))
  a.cluster.publish([message('t')])
  a.cluster.broadcast('t', 1)
  clock.advance(3_000)
  assert.deepEqual(
    a.errors.map(({ message: text }) => text),
    ['mqemitter is closed'],
  )
  await a.cluster.stop()
})

test('an owner that throws keeps nobody else from hearing', async () => {
  const {
    all: [a, b, c],
  } = await brokers('a', 'b', 'c')
  assert.ok(a && b && c)
  b.onReceived = () => {
    throw new Error('bug')
  }
  a.cluster.publish([message('t')])
  assert.deepEqual(c.log(), ['a published t'])
  assert.deepEqual(
    b.errors.map(({ message: text }) => text),
    ['bug'],
  )
})

test('messages of a plain aedes broker are received, and those without an origin', async () => {
  const {
    emitter,
    all: [a],
  } = await brokers('a')
  assert.ok(a)
  emitter.emit({ ...message('t'), cmd: 'publish', brokerId: 'aedes', brokerCounter: 7, clientId: null } as never)
  emitter.emit({ ...message('t'), cmd: 'publish', brokerId: 'aedes', brokerCounter: 7 } as never)
  emitter.emit({ ...message('t'), cmd: 'publish' } as never)
  emitter.emit({ ...message('t'), cmd: 'publish', brokerId: 'a' } as never)
  emitter.emit({ topic: 't' })
  emitter.emit({ topic: '$haltere/notice' })
  assert.deepEqual(
    a.log(),
    Array.from({ length: 4 }, () => 'another program published t'),
  )
  assert.equal('clientId' in (a.messages[0] ?? {}), false)
  assert.deepEqual(a.members, [])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { copyPlainData } from '../../lib/cluster/plain-data.ts'
import { PROTOCOL_VERSION } from '../../lib/cluster/protocol.ts'
import type { EmitterMessage } from '../../types/emitter.ts'
import { ManualClock } from '../support/clock.ts'
import { message, TestBroker } from './brokers.ts'
import { FaultyBus } from './faulty-bus.ts'

function setting(): { bus: FaultyBus; a: TestBroker; put: (message: unknown) => void; clock: ManualClock } {
  const bus = new FaultyBus()
  const clock = new ManualClock()
  const a = new TestBroker(bus.emitter(), 'a', clock)
  const put = (one: unknown): void => {
    for (const listener of bus.listeners) listener(one as EmitterMessage, () => {})
  }
  void a.cluster.start()
  clock.advance(2_000)
  return { bus, a, put, clock }
}

const getter = Object.defineProperty({}, 'brokerId', {
  get() {
    throw new Error('hostile')
  },
  enumerable: true,
})

const control = { cmd: 'haltere', brokerId: 'x', version: PROTOCOL_VERSION }
const nothing: unknown[] = [
  null,
  undefined,
  1,
  'text',
  [],
  {},
  getter,
  { topic: 't', cmd: 'publish', brokerId: 1 },
  { topic: 't', cmd: 'publish', brokerId: '' },
  { topic: 't', cmd: 'publish', brokerId: 'x'.repeat(1_025) },
  { topic: 't', cmd: 'publish', brokerId: { toString: 1 } },
  { topic: 1, cmd: 'publish', brokerId: 'x' },
  { cmd: 'publish', brokerId: 'x' },
  ...[0, -1, 1.5, Number.NaN, '1', {}, 2 ** 53, Infinity].map((sequence) => ({
    topic: 't',
    cmd: 'publish',
    brokerId: 'x',
    sequence,
    version: PROTOCOL_VERSION,
  })),
  { ...control },
  { ...control, topic: null },
  { ...control, topic: '$haltere/unheard of', last: 1 },
  { ...control, topic: '$haltere/__proto__', last: 1 },
  { ...control, topic: '$haltere/heartbeat' },
  { ...control, topic: '$haltere/heartbeat', last: '1' },
  { ...control, topic: '$haltere/join', last: -1 },
  { ...control, topic: '$haltere/leave' },
  { ...control, topic: '$haltere/notice', sequence: 1, kind: {} },
  { ...control, topic: '$haltere/notice', kind: 'k' },
  { ...control, topic: '$haltere/notice', kind: 'k', sequence: 0 },
  { ...control, topic: '$haltere/request', sequence: 1, kind: 'k' },
  { ...control, topic: '$haltere/request', sequence: 1, kind: 'k', request: 1, to: 5 },
  { ...control, topic: '$haltere/response', last: 0, to: 'a' },
  { ...control, topic: '$haltere/response', last: 0, request: 1 },
  { ...control, topic: '$haltere/message', sequence: 1 },
  { ...control, topic: '$haltere/message', sequence: 1, message: 5 },
  { ...control, topic: '$haltere/message', sequence: 1, message: [] },
  { ...control, topic: '$haltere/message', message: { topic: 't', sequence: 3 } },
]

test('what is no packet of a broker is ignored', () => {
  const { a, put } = setting()
  for (const one of nothing) put(one)
  assert.deepEqual(a.log(), [])
  assert.deepEqual(a.members, [])
  assert.deepEqual(a.errors, [])
})

test('whatever is put onto the emitter, nothing throws and no prototype changes', () => {
  const { a, put } = setting()
  const field = fc.oneof(fc.anything(), fc.constantFrom('a', 'x', 'publish', 'haltere', 0, 1, 2, 7, null))
  const topic = fc.constantFrom(
    ...['t', 'heartbeat', 'join', 'leave', 'notice', 'request', 'response', 'message'].map(
      (name) => `$haltere/${name}`,
    ),
  )
  const any = fc.oneof(
    fc.anything({ withNullPrototype: true }),
    fc.record(
      {
        topic: fc.oneof(topic, field),
        cmd: field,
        brokerId: field,
        sequence: field,
        version: fc.oneof(fc.constant(PROTOCOL_VERSION), field),
        last: field,
        kind: field,
        body: field,
        request: field,
        to: field,
        members: field,
        message: field,
      },
      { requiredKeys: [] },
    ),
  )
  fc.assert(
    fc.property(any, (one) => put(one)),
    { numRuns: 3_000 },
  )
  assert.deepEqual(
    a.errors.filter(({ message: reason }) => !reason.includes('version')),
    [],
  )
})

test('fields that would change a prototype stay data, or are gone', () => {
  const { a, put } = setting()
  const body = JSON.parse(
    '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"ok":1}',
  ) as unknown
  put({ topic: '$haltere/notice', ...control, sequence: 1, kind: 'k', body })
  const received = a.bodies[0] as Record<string, unknown>
  assert.equal(Object.getPrototypeOf(received), Object.prototype)
  assert.equal(received.polluted, undefined)
  assert.equal(received.ok, 1)
  assert.equal(({} as Record<string, unknown>).polluted, undefined)
})

test('what has no end, or too many levels or values, is ignored', () => {
  const { a, put } = setting()
  const endless: Record<string, unknown> = { topic: '$haltere/notice', ...control, sequence: 1, kind: 'k' }
  endless.body = endless
  put(endless)
  let wide: unknown[] = []
  for (let level = 0; level < 30; level += 1) wide = [wide, wide] // Two to the thirtieth.
  put({ ...endless, body: wide })
  put({ ...endless, body: Array.from({ length: 2_000_000 }) })
  assert.deepEqual(a.log(), [])
})

test('there are at most 1,024 other brokers, and who is too many is told once', () => {
  const { a, put, clock } = setting()
  for (let index = 0; index < 1_100; index += 1) {
    put({ topic: '$haltere/heartbeat', ...control, brokerId: `x${index}`, last: 0 })
  }
  assert.equal(a.cluster.members.size, 1_024)
  assert.equal(a.errors.length, 1)
  clock.advance(7_000)
  assert.equal(a.cluster.members.size, 0)
})

test('a list of members that is too long or not of members holds up no start', async () => {
  const bus = new FaultyBus()
  const clock = new ManualClock()
  const a = new TestBroker(bus.emitter(), 'a', clock)
  const started = a.cluster.start()
  const answer = (members: unknown): void => {
    const heartbeat = { topic: '$haltere/heartbeat', ...control, last: 0, members }
    for (const listener of bus.listeners) listener(heartbeat, () => {})
  }
  answer(Array(2_000).fill('y'))
  answer([1, null, {}])
  await started
  assert.deepEqual(a.members, ['x'])
})

test('an answer from somebody who was not asked, or to no question, is ignored', async () => {
  const { bus, a, put, clock } = setting()
  const b = new TestBroker(bus.emitter(), 'b', clock)
  await b.cluster.start()
  b.answer = () => new Promise(() => {})
  const asked = a.cluster.request('who', 1, { timeoutMs: 100 })
  put({ topic: '$haltere/response', ...control, last: 0, to: 'a', request: 1, body: 'forged' })
  put({ topic: '$haltere/response', ...control, brokerId: 'b', last: 1e6, to: 'a', request: 99, body: 'forged' })
  clock.advance(100)
  assert.deepEqual(await asked, { responses: new Map(), timedOut: ['b'] })
})

test('bytes are Buffers, those of BSON too, and what JSON does not have is absent', () => {
  const bytes = new Uint8Array([1, 2, 3])
  const binary = { _bsontype: 'Binary', buffer: Buffer.from([1, 2, 3, 0, 0]), position: 3 }
  const copied = copyPlainData({ bytes, binary, run: () => 1, none: null, list: [undefined, bytes] })
  assert.deepEqual(copied, {
    bytes: Buffer.from([1, 2, 3]),
    binary: Buffer.from([1, 2, 3]),
    list: [null, Buffer.from([1, 2, 3])],
  })
})

test('a message is received by the owner as it was given, whatever its properties', () => {
  const { bus, a } = setting()
  const clock = new ManualClock()
  const b = new TestBroker(bus.emitter(), 'b', clock)
  void b.cluster.start()
  const userProperties = [
    ['a', '1'],
    ['a', '2'],
  ]
  b.cluster.publish([{ ...message('t'), properties: { userProperties, correlationData: Buffer.from('c') } }])
  assert.deepEqual(a.messages[0]?.properties, { userProperties, correlationData: Buffer.from('c') })
})

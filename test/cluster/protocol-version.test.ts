import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PROTOCOL_VERSION } from '../../lib/cluster/protocol.ts'
import type { EmitterMessage } from '../../types/emitter.ts'
import { ManualClock } from '../support/clock.ts'
import { message, TestBroker } from './brokers.ts'
import { FaultyBus } from './faulty-bus.ts'

/** Two brokers on one bus, where the packets of the second have another version, or none. */
async function twoVersions(version: number | undefined): Promise<{ a: TestBroker; b: TestBroker; clock: ManualClock }> {
  const bus = new FaultyBus()
  const clock = new ManualClock()
  const a = new TestBroker(bus.emitter(), 'a', clock)
  const emitter = bus.emitter()
  const emit = emitter.emit.bind(emitter)
  emitter.emit = (packet, callback) => {
    const { version: _, ...rest } = packet as EmitterMessage & { version?: number }
    emit(version === undefined ? rest : { ...rest, version }, callback)
  }
  const b = new TestBroker(emitter, 'b', clock)
  const started = [a, b].map(({ cluster }) => cluster.start())
  clock.advance(2_000)
  await Promise.all(started)
  return { a, b, clock }
}

for (const [name, version, said] of [
  ['without a version, as of haltere 0.1.0,', undefined, 1],
  ['with a later version', 3, 3],
] as const) {
  test(`a broker ${name} is no member, and is reported once with what to do`, async () => {
    const { a, b, clock } = await twoVersions(version)
    b.cluster.publish([message('t')])
    b.cluster.publish([message('a/'.repeat(90))])
    b.cluster.broadcast('session', { clientId: 's' })
    clock.advance(10_000)
    assert.deepEqual(a.log(), [])
    assert.deepEqual(a.members, [])
    assert.deepEqual(
      a.errors.map((error) => error.message),
      [
        `cluster: broker "b" has version ${said} of the protocol between brokers, this broker has version 2, ` +
          'so its packets are ignored; run versions of haltere with the same protocol on all brokers that share an emitter',
      ],
    )
    await Promise.all([a, b].map(({ cluster }) => cluster.stop()))
  })
}

test('every packet of a broker has the version of its protocol', async () => {
  const bus = new FaultyBus()
  const clock = new ManualClock()
  const brokers = ['a', 'b'].map((id) => new TestBroker(bus.emitter(), id, clock))
  const started = brokers.map(({ cluster }) => cluster.start())
  clock.advance(2_000)
  await Promise.all(started)
  const [a] = brokers as [TestBroker, TestBroker]
  a.cluster.publish([message('t')])
  a.cluster.publish([message('a/'.repeat(90))])
  a.cluster.broadcast('session', {})
  const asked = a.cluster.request('kept', {}, { timeoutMs: 1_000 })
  clock.advance(1_000)
  await asked
  await Promise.all(brokers.map(({ cluster }) => cluster.stop()))
  const types = new Set(bus.emitted.map(({ topic }) => topic.replace(/^a\/.*/, 'long')))
  for (const type of ['join', 'heartbeat', 'notice', 'request', 'response', 'leave', 'message']) {
    assert.ok(types.has(`$haltere/${type}`), type)
  }
  for (const packet of bus.emitted) assert.equal((packet as { version?: number }).version, PROTOCOL_VERSION)
})

test('a message of a broker of another kind has no version and is received', async () => {
  const bus = new FaultyBus()
  const a = new TestBroker(bus.emitter(), 'a', new ManualClock())
  void a.cluster.start()
  for (const listener of bus.listeners) listener({ topic: 't', cmd: 'publish', brokerId: 'aedes' }, () => {})
  assert.deepEqual(a.log(), ['another program published t'])
  assert.deepEqual(a.errors, [])
  await a.cluster.stop()
})

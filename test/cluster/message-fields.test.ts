import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ClusterEnvironment, EmitterCluster } from '../../lib/cluster/emitter-cluster.ts'
import { Message } from '../../lib/messages/message.ts'
import { Publication } from '../../lib/messages/publication.ts'
import { QueuedMessage } from '../../lib/messages/queued-message.ts'
import { messageFields } from '../../lib/storage/records.ts'
import { Timers } from '../../lib/timers.ts'
import { ManualClock } from '../support/clock.ts'
import { FaultyBus } from './faulty-bus.ts'

function broker(bus: FaultyBus, clock: ManualClock, bootId: string): { cluster: EmitterCluster; got: Publication[] } {
  const got: Publication[] = []
  const environment = {
    bootId,
    timers: new Timers(clock, assert.ifError),
    settings: { limits: { maxTopicLevels: 100 } },
    router: { distribute: (publication: Publication) => got.push(publication) },
    reportError: assert.ifError,
  } as unknown as ClusterEnvironment // The parts that a message needs.
  return { cluster: new EmitterCluster(environment, bus.emitter()), got }
}

test('every stored field of a message travels to other brokers, and one with a wrong value does not', async () => {
  const bus = new FaultyBus()
  const clock = new ManualClock()
  const [a, b] = [broker(bus, clock, 'a'), broker(bus, clock, 'b')]
  const started = [a.cluster.start(), b.cluster.start()]
  clock.advance(2_000)
  await Promise.all(started)
  const fields = {
    topic: 't',
    payload: Buffer.from('x'),
    qos: 1,
    retain: false,
    properties: { contentType: 'c' },
  } as const
  const queued = new QueuedMessage(new Message(fields, 'sender', Infinity))
  const more = { clientId: 'sender', dup: true, messageId: 7, nl: true, unknownFields: Buffer.from([1, 1]) }
  const id = { brokerId: 'earlier', brokerCounter: 3 }
  queued.stored = { cmd: 'publish', ...fields, ...more, ...id, messageExpiry: 1_900_000_000_000 }
  for (const { name } of messageFields.all) assert.ok(name in queued.stored, name)
  a.cluster.publish(new Publication(queued.message, queued))
  assert.deepEqual(b.got[0]?.queued.stored, queued.stored)
  queued.stored = { ...queued.stored, clientId: 5 as unknown as string }
  a.cluster.publish(new Publication(queued.message, queued))
  assert.equal(b.got[1]?.queued.stored?.clientId, undefined)
  await Promise.all([a.cluster.stop(), b.cluster.stop()])
})

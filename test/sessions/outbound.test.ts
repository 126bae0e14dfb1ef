import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Publication } from '../../lib/messages/publication.ts'
import { Message } from '../../lib/messages/message.ts'
import { Subscription } from '../../lib/messages/subscriber.ts'
import { Outbound } from '../../lib/sessions/outbound.ts'
import type { SessionStorage } from '../../lib/sessions/session-storage.ts'
import { noStorage } from '../../lib/sessions/session-storage.ts'
import type { Limits } from '../../types/options.ts'
import type { QoS } from '../../types/packets.ts'
import { client, direct, ManualStorage, publicationOf, type Scene, scene, shared, TestConnection } from './scene.ts'

interface Setting extends Scene {
  readonly outbound: Outbound
  readonly subscriptions: Map<string, Subscription>
  /** Delivers a message; the result is its publication. */
  deliver(payload: string, qos?: QoS, sharedFilter?: string): Publication
  /** A new connection, to which nothing was sent yet. */
  connect(receiveMaximum?: number): TestConnection
}

function make(storage: SessionStorage = noStorage, limits: Partial<Limits> = {}): Setting {
  const parts = scene(limits)
  const subscriptions = new Map<string, Subscription>()
  const outbound = new Outbound(parts.environment, 'c', storage, subscriptions)
  return {
    ...parts,
    outbound,
    subscriptions,
    deliver: (payload, qos = 1, sharedFilter?: string) => {
      const publication = publicationOf(payload, qos)
      outbound.deliver(publication, qos, false, sharedFilter === undefined ? direct : shared(sharedFilter))
      return publication
    },
    connect: (receiveMaximum) => {
      const connection = new TestConnection(receiveMaximum)
      outbound.attach(connection, client)
      return connection
    },
  }
}

// ─── the order ───────────────────────────────────────────────────────────────────────────────────────────────────────

test('inflight messages of a lost connection are sent again before the queued ones, each in order [MQTT-4.4.0-1] [MQTT-4.6.0-5]', () => {
  const { outbound, deliver, connect } = make()
  const first = connect(3)
  for (const payload of ['a', 'b', 'c', 'd']) deliver(payload)
  assert.deepEqual(first.sent(), ['publish 1 a', 'publish 2 b', 'publish 3 c'])
  outbound.onPuback(2)
  assert.deepEqual(first.sent(), ['publish 4 d'])
  outbound.detach()
  deliver('e')
  const second = connect(4)
  deliver('f') // Between CONNACK and the first `sendPending`: it does not overtake.
  assert.deepEqual(second.sent(), [])
  outbound.sendPending()
  assert.deepEqual(second.sent(), ['publish 1 a dup', 'publish 3 c dup', 'publish 4 d dup', 'publish 5 e'])
  outbound.onPuback(1)
  assert.deepEqual(second.sent(), ['publish 6 f'])
})

test('a new message waits for those that are to be sent again, although the send quota is whole', () => {
  const { outbound, deliver, connect } = make()
  const first = connect()
  for (const payload of ['a', 'b']) deliver(payload)
  first.sent()
  outbound.detach()
  const second = connect()
  deliver('c')
  assert.deepEqual(second.sent(), [])
  outbound.sendPending()
  assert.deepEqual(second.sent(), ['publish 1 a dup', 'publish 2 b dup', 'publish 3 c'])
})

test('a message whose PUBREC came is continued with PUBREL, never with PUBLISH [MQTT-4.3.3-6]', () => {
  const { outbound, deliver, connect } = make()
  connect()
  for (const payload of ['a', 'b']) deliver(payload, 2)
  assert.equal(outbound.onPubrec(1, false), 'continues')
  outbound.detach()
  const second = connect()
  outbound.sendPending()
  assert.deepEqual(second.sent(), ['pubrel 1', 'publish 2 b dup'])
  outbound.onPubcomp(1)
  assert.throws(() => outbound.onPubcomp(2), { reasonCode: 0x82 }, 'PUBCOMP before PUBREC')
  assert.equal(outbound.inflight.size, 1)
})

test('retained messages of a new subscription come after the queue, as fast as the Client takes them', () => {
  const { outbound, retained, subscriptions, deliver, connect } = make(noStorage, { maxQueuedMessages: 4 })
  const fields = { topic: 't', payload: Buffer.from('r'), qos: 1, retain: true } as const
  retained.store(new Publication(new Message(fields, undefined, Infinity)))
  const subscription = new Subscription(outbound, { topicFilter: 't', qos: 1 }, { topicFilter: 't', qos: 1 })
  subscriptions.set('t', subscription)
  const connection = connect(1)
  for (const payload of ['a', 'b', 'c', 'd']) deliver(payload)
  outbound.deliverRetained(subscription)
  outbound.sendPending()
  assert.equal(outbound.queuedCount, 3, 'more than a quarter of the limit waits')
  for (const packetId of [1, 2, 3, 4]) outbound.onPuback(packetId)
  assert.deepEqual(connection.sent(), [
    'publish 1 a',
    'publish 2 b',
    'publish 3 c',
    'publish 4 d',
    'publish 5 r retained',
  ])
})

// ─── the storage ─────────────────────────────────────────────────────────────────────────────────────────────────────

test('a message is written when its Packet Identifier is committed, and not before', () => {
  const storage = new ManualStorage()
  const { outbound, deliver, connect } = make(storage)
  const connection = connect()
  deliver('a')
  deliver('b')
  outbound.sendPending()
  assert.deepEqual(storage.changes(), ['sent at once 1 a', 'sent at once 2 b'])
  assert.deepEqual(connection.sent(), [])
  storage.commit()
  assert.deepEqual(connection.sent(), ['publish 1 a', 'publish 2 b'])
  outbound.onPuback(1)
  assert.deepEqual(storage.changes(), ['completed a'])
})

test('a queued message is stored when it is queued, and again with its Packet Identifier', () => {
  const storage = new ManualStorage()
  const { outbound, deliver, connect } = make(storage)
  deliver('a')
  storage.commit()
  const connection = connect()
  outbound.sendPending()
  assert.deepEqual(storage.changes(), ['queued a', 'sent 1 a'])
  assert.deepEqual(connection.sent(), [])
  storage.commit()
  assert.deepEqual(connection.sent(), ['publish 1 a'])
})

test('a message that may be sent at once does not overtake one that waits for its commit [MQTT-4.6.0-6]', () => {
  const storage = new ManualStorage(false)
  const { outbound, deliver, connect } = make(storage)
  const connection = connect()
  const publication = publicationOf('a', 2)
  publication.commitNumber = storage.open
  outbound.deliver(publication, 2, false, direct)
  deliver('b', 1)
  assert.deepEqual(connection.sent(), [])
  storage.commit()
  assert.deepEqual(connection.sent(), ['publish 1 a', 'publish 2 b'])
})

test('a message that is sent again does not overtake one that waits for its commit', () => {
  const storage = new ManualStorage(false)
  const { outbound, deliver, connect } = make(storage)
  const first = connect()
  const publication = publicationOf('a', 2)
  publication.commitNumber = storage.open
  outbound.deliver(publication, 2, false, direct)
  deliver('b', 1)
  outbound.detach()
  const second = connect()
  outbound.sendPending()
  assert.deepEqual(second.sent(), [])
  storage.commit()
  assert.deepEqual(second.sent(), ['publish 1 a', 'publish 2 b'], 'none was written before, so none is a duplicate')
  assert.deepEqual(first.sent(), [])
})

test('after the end of the connection a commit sends nothing', () => {
  const storage = new ManualStorage()
  const { outbound, deliver, connect } = make(storage)
  const first = connect()
  deliver('a')
  outbound.detach()
  storage.commit()
  assert.deepEqual(first.sent(), [])
  const second = connect()
  outbound.sendPending()
  assert.deepEqual(second.sent(), ['publish 1 a'])
})

test('a rejected message is never sent, wherever it is', () => {
  const storage = new ManualStorage(false)
  const { outbound, environment, deliver, connect } = make(storage)
  const first = connect(2)
  const inFlight = deliver('in flight')
  const committing = publicationOf('committing', 2)
  committing.commitNumber = storage.open
  outbound.deliver(committing, 2, false, direct)
  const queued = deliver('queued')
  deliver('good')
  assert.deepEqual(first.sent(), ['publish 1 in flight'])
  for (const { queued: content } of [committing, queued]) content.reject()
  storage.commit()
  assert.deepEqual(first.sent(), ['publish 3 good'])
  inFlight.queued.reject()
  outbound.detach()
  const second = connect()
  outbound.sendPending()
  assert.deepEqual(second.sent(), ['publish 3 good dup'])
  outbound.onPuback(3)
  assert.deepEqual([outbound.inflight.size, environment.queueTotals.bytes, environment.queueTotals.messages], [0, 0, 0])
})

test('a copy of a rejected message, for another member of the group, is rejected too', () => {
  const { outbound, deliver, connect } = make()
  const original = deliver('x', 1, '$share/g/t')
  const [orphan] = outbound.leaveGroup('$share/g/t')
  assert.ok(orphan !== undefined)
  const copy = Publication.copyOf(orphan)
  outbound.deliver(copy, 1, false, direct)
  original.queued.reject()
  const connection = connect()
  outbound.sendPending()
  assert.deepEqual(connection.sent(), [])
})

test('the messages of a group that is left are discarded, and what waited behind them is stored anew in its order', () => {
  const storage = new ManualStorage()
  const { outbound, deliver } = make(storage)
  deliver('a')
  const both = deliver('b', 1, '$share/g/t')
  outbound.deliver(both, 1, false, direct) // By another subscription too: the storage knows both by one id.
  deliver('c')
  deliver('d', 1, '$share/g/t')
  deliver('e')
  storage.changes()
  assert.deepEqual(
    outbound.leaveGroup('$share/g/t').map(({ message }) => message.payload.toString()),
    ['b', 'd'],
  )
  assert.deepEqual(storage.changes(), [
    'discarded b',
    'discarded d',
    'discarded c',
    'discarded e',
    'queued b',
    'queued c',
    'queued e',
  ])
  assert.deepEqual(
    [...outbound.deliveries()].map(({ message }) => message.payload.toString()),
    ['a', 'b', 'c', 'e'],
  )
})

test('a group that is left takes nothing along that came by no other subscription', () => {
  const storage = new ManualStorage()
  const { outbound, deliver } = make(storage)
  for (const [payload, group] of [['a'], ['b', '$share/g/t'], ['c']] as const) deliver(payload, 1, group)
  storage.changes()
  outbound.leaveGroup('$share/g/t')
  assert.deepEqual(storage.changes(), ['discarded b'])
  assert.deepEqual(outbound.leaveGroup('$share/g/t'), [])
  assert.deepEqual(storage.changes(), [])
})

// ─── QoS 0 ───────────────────────────────────────────────────────────────────────────────────────────────────────────

test('at QoS 0 a message is sent now or never', () => {
  const { outbound, clock, dropped, deliver, connect } = make()
  deliver('nobody is connected', 0)
  const connection = connect(1)
  deliver('in flight', 1)
  deliver('queued', 1)
  deliver('past the queue', 0)
  assert.deepEqual(connection.sent(), ['publish 1 in flight', 'publish past the queue'])
  connection.outboundFull = true
  deliver('full', 0)
  connection.outboundFull = false
  connection.maximumPayload = 3
  deliver('large', 0)
  outbound.deliver(publicationOf('old', 0, clock.now()), 0, false, direct)
  assert.deepEqual(connection.sent(), [])
  assert.deepEqual(dropped, ['full queue-full', 'large too-large', 'old expired'])
})

test('publishers at QoS 0 wait for a connection that is busy', () => {
  const { outbound, deliver, connect } = make()
  const connection = connect()
  deliver('a', 0)
  assert.equal(outbound.backPressure.isCongested, false)
  connection.outboundBusy = true
  deliver('b', 0)
  assert.deepEqual([connection.sent(), outbound.backPressure.isCongested], [['publish a', 'publish b'], true])
  outbound.sendPending()
  assert.equal(outbound.backPressure.isCongested, true)
  connection.outboundBusy = false
  outbound.sendPending()
  assert.equal(outbound.backPressure.isCongested, false)
})

// ─── dropped messages ────────────────────────────────────────────────────────────────────────────────────────────────

test('a message that expires in the queue is not sent; one that was sent once does not expire [MQTT-4.3.3-7]', () => {
  const { outbound, environment, clock, dropped, connect } = make()
  const first = connect(1)
  for (const payload of ['sent', 'waits']) {
    outbound.deliver(publicationOf(payload, 1, clock.now() + 1000), 1, false, direct)
  }
  assert.deepEqual(first.sent(), ['publish 1 sent'])
  outbound.detach()
  clock.advance(1000)
  const second = connect()
  outbound.sendPending()
  assert.deepEqual(second.sent(), ['publish 1 sent dup'])
  assert.deepEqual(dropped, ['waits expired'])
  outbound.onPuback(1)
  assert.deepEqual([environment.queueTotals.bytes, environment.queueTotals.messages], [0, 0])
})

test('a message that the Client does not accept is complete, as if it had been delivered [MQTT-3.1.2-25]', () => {
  const storage = new ManualStorage()
  const { outbound, dropped, deliver, connect } = make(storage)
  const connection = connect(1)
  connection.maximumPayload = 3
  deliver('large')
  deliver('ok')
  storage.commit()
  storage.commit()
  assert.deepEqual(connection.sent(), ['publish 2 ok'])
  assert.deepEqual(dropped, ['large too-large'])
  assert.deepEqual(storage.changes(), ['sent at once 1 large', 'queued ok', 'completed large', 'sent 2 ok'])
  assert.equal(outbound.inflight.size, 1)
})

test('a full queue drops a new message and reports it', () => {
  const { outbound, dropped, deliver } = make(noStorage, { maxQueuedMessages: 2 })
  for (const payload of ['a', 'b', 'c']) deliver(payload)
  assert.deepEqual([outbound.queuedCount, dropped], [2, ['c queue-full']])
})

test('while messages of a peer may be lacking, a new one is stored and not sent, but at QoS 0 [MQTT-4.6.0-6]', () => {
  const storage = new ManualStorage()
  const { outbound, deliver, connect, dropped } = make(storage, { maxQueuedMessages: 1 })
  const connection = connect()
  const deferred: string[] = []
  const finished: unknown[] = []
  outbound.gap = {
    defer: ({ message, storage: state }) => deferred.push(`${message.payload.toString()} ${state}`),
    finished: (id) => finished.push(id),
  }
  assert.deepEqual([outbound.canSendNow, outbound.hasCapacity], [false, false])
  deliver('a')
  deliver('b', 2)
  deliver('now', 0)
  assert.deepEqual(connection.sent(), ['publish now'])
  assert.deepEqual(storage.changes(), ['queued as by a peer a', 'queued as by a peer b'])
  assert.deepEqual(deferred, ['a queued by peer', 'b queued by peer'])

  outbound.detach()
  outbound.gap = undefined
  deliver('c')
  outbound.gap = { defer: () => assert.fail('it is not stored'), finished: (id) => finished.push(id) }
  deliver('d')
  assert.deepEqual(dropped, ['d queue-full'])
  const second = connect()
  outbound.sendPending() // It came before the loss was noticed.
  storage.commit()
  assert.deepEqual(second.sent(), ['publish 1 c'])
  outbound.onPuback(1)
  assert.equal(finished.length, 1)
  outbound.gap = undefined
  assert.deepEqual([outbound.canSendNow, outbound.hasCapacity], [true, true])
})

test('a replayed message is delivered only to subscribers without it', () => {
  const storage = new ManualStorage()
  const { outbound, environment } = make(storage)
  const stored = { cmd: 'publish', topic: 't', payload: Buffer.alloc(0), qos: 1, retain: false } as const
  for (const [brokerCounter, isReplay] of [
    [1, false],
    [1, true],
    [2, true],
  ] as const) {
    const publication = publicationOf(`m${brokerCounter}`)
    if (isReplay) publication.replay = { alreadyDeliveredTo: undefined }
    publication.queued.stored = { ...stored, brokerId: 'b', brokerCounter }
    outbound.deliver(publication, 1, false, direct)
  }
  assert.deepEqual(storage.changes(), ['queued m1', 'queued m2'])
  assert.equal(environment.queueTotals.messages, 2)
})

// ─── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('the end gives back the messages of groups, but none at QoS 2 that was sent [MQTT-4.8.2-5]', () => {
  const { outbound, environment, deliver, connect } = make()
  const connection = connect(3)
  const plan = [
    [1, true],
    [2, true],
    [1, false],
    [1, true],
    [2, true],
    [1, false],
  ] as const
  for (const [index, [qos, isShared]] of plan.entries()) {
    deliver(String(index), qos, isShared ? '$share/g/t' : undefined)
  }
  assert.equal(connection.sent().length, 3)
  const orphans = outbound.end()
  assert.deepEqual(
    orphans.map(({ message }) => message.payload.toString()),
    ['0', '3', '4'],
  )
  assert.deepEqual(
    [outbound.inflight.size, outbound.queuedCount, environment.queueTotals.bytes, environment.queueTotals.messages],
    [0, 0, 0, 0],
  )
  deliver('late')
  assert.equal(outbound.queuedCount, 0)
})

test('the end of the connection resumes publishers, and frees no message', () => {
  const { outbound, deliver, connect } = make(noStorage, { maxQueuedMessages: 4 })
  connect(1)
  for (const payload of ['a', 'b', 'c', 'd']) deliver(payload)
  assert.equal(outbound.backPressure.isCongested, true)
  outbound.detach()
  assert.deepEqual([outbound.backPressure.isCongested, outbound.connected], [false, false])
  assert.deepEqual([outbound.inflight.size, outbound.queuedCount], [1, 3])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import mqemitter from 'mqemitter'
import { Message } from '../../lib/messages/message.ts'
import { Publication } from '../../lib/messages/publication.ts'
import { Delivery } from '../../lib/sessions/delivery.ts'
import { CommitQueue } from '../../lib/storage/commit-queue.ts'
import type { Storage } from '../../types/storage.ts'
import { Timers } from '../../lib/timers.ts'
import type { PersistenceOperation } from '../../types/persistence.ts'
import type { QoS } from '../../types/packets.ts'
import { settle } from '../support/client.ts'
import { ManualClock } from '../support/clock.ts'

interface Commit {
  readonly operations: readonly PersistenceOperation[]
  resolve(): Promise<void>
  reject(): Promise<void>
}

/** A storage whose commits end when the test says so. */
class ManualStore implements Storage {
  /** Those that came and have not ended. */
  readonly commits: Commit[] = []
  count = 0
  isClosed = false
  throwsAtOnce = false

  commit(operations: readonly PersistenceOperation[]): Promise<void> {
    this.count += 1
    if (this.throwsAtOnce) throw new Error('at once')
    return new Promise((resolve, reject) => {
      // As a storage that keeps nothing of the array has it: a copy.
      const ended = (end: () => void) => async (): Promise<void> => {
        this.commits.splice(this.commits.indexOf(commit), 1)
        end()
        await settle()
      }
      const commit: Commit = {
        operations: [...operations],
        resolve: ended(resolve),
        reject: ended(() => reject(new Error('disk full'))),
      }
      this.commits.push(commit)
    })
  }

  async close(): Promise<void> {
    this.isClosed = true
  }

  async open(): Promise<void> {}
  async *readAll(): AsyncIterable<never> {}
  async readSession(): Promise<undefined> {}

  /** The only commit that is under way, as one line for each operation. */
  get lines(): string[] {
    assert.equal(this.commits.length, 1)
    return (this.commits[0] as Commit).operations.map(line)
  }

  async resolve(): Promise<void> {
    await this.commits[0]?.resolve()
  }

  async reject(): Promise<void> {
    await this.commits[0]?.reject()
  }
}

function line(operation: PersistenceOperation): string {
  switch (operation.kind) {
    case 'publish': {
      const { packet, targets, retain, incoming } = operation
      const to = targets.map(
        ({ clientId, messageId }) => ` ${clientId}${messageId === undefined ? '' : `:${messageId}`}`,
      )
      const from = incoming === undefined ? '' : ` from ${incoming.clientId}:${incoming.messageId}`
      return `publish ${packet.brokerCounter} ${packet.payload.toString()}${to.join('')}${retain ? ' retained' : ''}${from}`
    }
    case 'discard':
      return `discard ${operation.brokerCounter} ${operation.clientIds.join(' ')}`
    case 'send':
      return `send ${operation.brokerCounter} ${operation.clientId}:${operation.messageId}`
    case 'complete':
    case 'release':
    case 'incoming done':
      return `${operation.kind} ${operation.clientId}:${operation.messageId}`
    default:
      return `${operation.kind} ${operation.clientId}`
  }
}

interface Setting {
  readonly store: ManualStore
  readonly queue: CommitQueue
  readonly clock: ManualClock
  readonly timers: Timers
  /** What the owner of the queue was told. */
  readonly told: string[]
  /** An `end session`, which stands for any change. */
  add(name: string): void
}

function make(): Setting {
  const store = new ManualStore()
  const clock = new ManualClock()
  const timers = new Timers(clock, assert.ifError)
  const told: string[] = []
  const queue = new CommitQueue(store, {
    broker: { id: 'b', emitter: mqemitter(), warn: assert.fail, now: () => clock.now() },
    timers,
    timeoutMs: 1000,
    changed: (error) => told.push(error === undefined ? 'works' : `fails: ${error.message}`),
    committed: (changes) => told.push(`committed ${[...changes].length}`),
    report: ({ message }) => told.push(`report: ${message}`),
  })
  return { store, queue, clock, timers, told, add: (name) => queue.endSession(name) }
}

function publicationOf(payload: string | Buffer, qos: QoS = 1): Publication {
  const fields = { topic: 't', payload: Buffer.from(payload as string), qos, retain: false }
  return new Publication(new Message(fields, 'publisher', Infinity))
}

function deliveryOf(publication: Publication, packetId = 0): Delivery {
  const { queued, message } = publication
  const via = { identifiers: undefined, sharedFilter: undefined, parts: undefined }
  const delivery = new Delivery(queued, message.qos, false, via)
  delivery.packetId = packetId
  return delivery
}

// ─── batches ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('the changes of one turn are one commit, in their order, and those that come meanwhile are the next one', async () => {
  const { store, add } = make()
  for (const name of ['a', 'b', 'c']) add(name)
  assert.equal(store.count, 0)
  await settle()
  assert.deepEqual(store.lines, ['end session a', 'end session b', 'end session c'])
  add('d')
  await settle()
  add('e')
  await settle()
  assert.equal(store.count, 1, 'commits never overlap')
  await store.resolve()
  assert.deepEqual(store.lines, ['end session d', 'end session e'])
  await store.resolve()
  assert.equal(store.count, 2)
})

test('a change is committed when its batch is, by its commit number', async () => {
  const { store, queue, add, told } = make()
  add('a')
  const first = queue.openCommitNumber
  await settle()
  add('b')
  const second = queue.openCommitNumber
  assert.equal(second, first + 1)
  assert.deepEqual([queue.isCommitted(0), queue.isCommitted(first)], [true, false])
  await store.resolve()
  assert.deepEqual([queue.isCommitted(first), queue.isCommitted(second)], [true, false])
  await store.resolve()
  assert.equal(queue.isCommitted(second), true)
  assert.deepEqual(told, ['committed 1', 'committed 1'])
})

test('listeners are called in their order after the commit of what came before them', async () => {
  const { store, queue, add, told } = make()
  queue.afterCommit(() => told.push('at once'))
  assert.deepEqual(told.splice(0), ['at once'])
  add('a')
  queue.afterCommit(() => told.push('1'))
  await settle()
  queue.afterCommit(() => told.push('2, of the commit that is under way'))
  add('b')
  queue.afterCommit(() => told.push('3, of the next'))
  await store.resolve()
  assert.deepEqual(told.splice(0), ['1', '2, of the commit that is under way', 'committed 1'])
  await store.resolve()
  assert.deepEqual(told, ['3, of the next', 'committed 1'])
})

test('a listener that throws is reported and stops no other', async () => {
  const { store, queue, add, told } = make()
  add('a')
  queue.afterCommit(() => {
    throw new Error('broken')
  })
  queue.afterCommit(() => told.push('other'))
  await settle()
  await store.resolve()
  assert.deepEqual(told, ['report: broken', 'other', 'committed 1'])
})

test('a message for several queues is stored once, unless one of them discarded it meanwhile', async () => {
  const { store, queue } = make()
  const publication = publicationOf('m')
  queue.enqueue(publication, 'c1', deliveryOf(publication))
  queue.enqueue(publication, 'c2', deliveryOf(publication, 7))
  queue.retain(publication, true)
  queue.incoming(publication, 'publisher', 9)
  queue.discard('c1', deliveryOf(publication))
  queue.enqueue(publication, 'c3', deliveryOf(publication))
  await settle()
  assert.deepEqual(store.lines, ['publish 1 m c1 c2:7 retained from publisher:9', 'discard 1 c1', 'publish 1 m c3'])
})

test('a message id is unique, and a message keeps its own from batch to batch', async () => {
  const { store, queue } = make()
  const [one, two] = [publicationOf('one'), publicationOf('two')]
  queue.enqueue(one, 'c', deliveryOf(one))
  queue.enqueue(two, 'c', deliveryOf(two))
  assert.deepEqual([queue.isInOpenBatch(one), queue.isInOpenBatch(publicationOf('none'))], [true, false])
  await settle()
  assert.equal(queue.isInOpenBatch(one), false)
  assert.deepEqual(store.lines, ['publish 1 one c', 'publish 2 two c'])
  queue.send('c', deliveryOf(one, 5))
  queue.enqueue(one, 'd', deliveryOf(one))
  await store.resolve()
  assert.deepEqual(store.lines, ['send 1 c:5', 'publish 1 one d'])
})

test('publishers wait while the open batch is large, and not longer', async () => {
  const { store, queue } = make()
  const payload = Buffer.alloc(6 * 1024 * 1024)
  for (const [name, isCongested] of [
    ['1', false],
    ['2', false],
    ['3', true],
  ] as const) {
    const publication = publicationOf(payload)
    queue.enqueue(publication, name, deliveryOf(publication))
    assert.equal(queue.backPressure.isCongested, isCongested, name)
  }
  await settle()
  await store.resolve()
  assert.equal(queue.backPressure.isCongested, false)
})

// ─── failures ────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a commit that fails is tried again after 0.1 s, then after twice as long each time, up to 2 s', async () => {
  const { store, clock, add, told, timers } = make()
  add('a')
  await settle()
  for (const wait of [100, 200, 400, 800, 1600, 2000, 2000]) {
    await store.reject()
    clock.advance(wait - 1)
    assert.equal(store.commits.length, 0)
    clock.advance(1)
    assert.deepEqual(store.lines, ['end session a'])
  }
  assert.deepEqual(told.splice(0), ['fails: disk full'], 'once, not each time')
  await store.resolve()
  assert.deepEqual(told.splice(0), ['works', 'committed 1'])
  add('b')
  await settle()
  await store.reject()
  clock.advance(100)
  assert.equal(store.commits.length, 1, 'the first wait is short again')
  await store.resolve()
  assert.equal(timers.size, 0)
})

test('what failed comes before what came later, and what a later change makes pointless is left out', async () => {
  const { store, queue, clock, add } = make()
  const info = { expiryInterval: 60, expiresAt: null }
  queue.session('x', info)
  queue.unsubscribe('y', 'f')
  await settle()
  queue.unsubscribe('z', 'f')
  add('x')
  await store.reject()
  queue.unsubscribe('later', 'f')
  await settle()
  assert.equal(store.commits.length, 0, 'new changes wait for the retry')
  clock.advance(100)
  assert.deepEqual(store.lines, ['unsubscribe y', 'unsubscribe z', 'end session x', 'unsubscribe later'])
})

test('a storage that throws at once has failed like any other', async () => {
  const { store, clock, add, told } = make()
  store.throwsAtOnce = true
  add('a')
  await settle()
  assert.deepEqual(told, ['fails: at once'])
  store.throwsAtOnce = false
  clock.advance(100)
  await settle()
  assert.deepEqual(store.lines, ['end session a'])
})

test('a listener that can be rejected is called once, with the failure; a patient one waits for success', async () => {
  const { store, queue, clock, add, told } = make()
  add('a')
  queue.afterCommit(
    () => assert.fail('it failed'),
    ({ message }) => told.push(`rejected: ${message}`),
  )
  queue.afterCommit(() => told.push('patient'))
  const flushed = assert.rejects(queue.flushed(), { message: 'disk full' })
  await settle()
  await store.reject()
  await flushed
  assert.deepEqual(told.splice(0), ['fails: disk full', 'rejected: disk full'])
  clock.advance(100)
  await store.reject()
  assert.deepEqual(told, [])
  clock.advance(200)
  await store.resolve()
  assert.deepEqual(told, ['works', 'patient', 'committed 1'])
})

test('a publication that was rejected is taken back from every place that a part of the commit may have reached', async () => {
  const { store, queue, clock, add } = make()
  const publication = publicationOf('m', 2)
  queue.incoming(publication, 'publisher', 9)
  queue.enqueue(publication, 'waits', deliveryOf(publication))
  queue.enqueue(publication, 'in flight', deliveryOf(publication, 7))
  queue.markRejectable(publication)
  add('other')
  await settle()
  await store.reject()
  clock.advance(100)
  assert.deepEqual(store.lines, [
    'discard 1 waits in flight',
    'complete in flight:7',
    'incoming done publisher:9',
    'end session other',
  ])
})

test('the part of a publication that no Client was refused is tried again, after it was taken back', async () => {
  const { store, queue, clock } = make()
  const publication = publicationOf('m')
  queue.enqueue(publication, 'c', deliveryOf(publication, 3))
  await settle()
  await store.reject()
  clock.advance(100)
  assert.deepEqual(store.lines, ['discard 1 c', 'complete c:3', 'publish 1 m c:3'])
})

test('a queue at another broker is asked to discard its copy by the message itself', async () => {
  const { store, queue, clock } = make()
  const publication = publicationOf('m')
  queue.enqueue(publication, 'elsewhere', deliveryOf(publication), true)
  queue.markRejectable(publication)
  await settle()
  await store.reject()
  clock.advance(100)
  const [discard] = store.commits[0]?.operations ?? []
  assert.ok(discard?.kind === 'discard')
  assert.deepEqual(discard.clientIds, ['elsewhere'])
  assert.equal(discard.foreign?.packet.payload.toString(), 'm')
})

test('a batch of which nothing is left after a failure counts as committed', async () => {
  const { store, queue, told } = make()
  const publication = publicationOf('retained')
  queue.retain(publication, true)
  queue.markRejectable(publication)
  const commitNumber = queue.openCommitNumber
  queue.afterCommit(
    () => assert.fail('it failed'),
    () => told.push('rejected'),
  )
  queue.afterCommit(() => told.push('patient'))
  await settle()
  await store.reject()
  assert.deepEqual(told, ['fails: disk full', 'rejected', 'patient'])
  assert.equal(queue.isCommitted(commitNumber), true)
})

// ─── a storage that does not answer ──────────────────────────────────────────────────────────────────────────────────

test('a commit that takes too long has failed, and no other begins before it has ended', async () => {
  const { store, queue, clock, add, told } = make()
  add('a')
  queue.afterCommit(() => told.push('patient'))
  await settle()
  clock.advance(1000)
  assert.deepEqual(told.splice(0), ['fails: the store did not respond within 1000 ms'])
  add('b')
  clock.advance(100)
  clock.advance(200)
  assert.equal(store.count, 1)
  await store.resolve()
  assert.deepEqual(told, [], 'too late: it has failed')
  clock.advance(400)
  assert.deepEqual(store.lines, ['end session a', 'end session b'])
  await store.resolve()
  assert.deepEqual(told, ['works', 'patient', 'committed 2'])
})

test('while the storage is stuck, what comes is rejected without it', async () => {
  const { store, queue, clock, add, told } = make()
  add('a')
  await settle()
  clock.advance(1000)
  queue.afterCommit(
    () => assert.fail('it failed'),
    ({ message }) => told.push(`rejected: ${message}`),
  )
  clock.advance(100)
  assert.deepEqual(told.slice(1), ['rejected: the store has not responded yet'])
  assert.equal(store.count, 1)
})

// ─── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('the end commits what is left, what comes meanwhile too, and then closes the storage', async () => {
  const { store, queue, add, told, timers } = make()
  add('a')
  await settle()
  add('b')
  const closed = queue.close()
  assert.deepEqual(store.lines, ['end session a'])
  await store.resolve()
  assert.deepEqual(store.lines, ['end session b'])
  add('c')
  await store.resolve()
  assert.deepEqual([store.lines, store.isClosed], [['end session c'], false])
  await store.resolve()
  await closed
  assert.equal(store.isClosed, true)
  add('too late')
  await settle()
  assert.equal(store.count, 3)
  assert.deepEqual(told, ['committed 1', 'committed 1', 'committed 1'])
  assert.equal(timers.size, 0)
})

test('the end does not wait for a retry: it tries once more, and reports what is lost', async () => {
  const { store, queue, add, told, timers } = make()
  add('a')
  add('b')
  await settle()
  await store.reject()
  const closed = queue.close()
  assert.deepEqual(store.lines, ['end session a', 'end session b'])
  await store.reject()
  await closed
  assert.deepEqual(told, ['fails: disk full', 'report: the store failed until the end: 2 changes are lost'])
  assert.deepEqual([store.isClosed, store.count, timers.size], [true, 2, 0])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { QoS } from '../../types/packets.ts'
import { ReplicationQueue } from '../../lib/cluster/replication-queue.ts'
import { Message } from '../../lib/messages/message.ts'
import { Publication } from '../../lib/messages/publication.ts'

/** A commit queue as far as it is needed: the test says what is in a batch and what becomes of it. */
class Commits {
  openCommitNumber = 1
  committedThrough = 0
  readonly stored = new Set<Publication>()
  #failures: ((error: Error) => void)[] = []

  isInOpenBatch(publication: Publication): boolean {
    return this.stored.has(publication)
  }

  isCommitted(commitNumber: number): boolean {
    return commitNumber <= this.committedThrough
  }

  afterCommit(_: () => void, onRejected: (error: Error) => void): void {
    this.#failures.push(onRejected)
  }

  begin(): void {
    this.openCommitNumber += 1
    this.stored.clear()
  }

  fail(): void {
    for (const failed of this.#failures.splice(0)) failed(new Error('full'))
  }
}

function setting(): {
  queue: ReplicationQueue
  commits: Commits
  sent: string[]
  publish: (topic: string, isStored: boolean, qos?: QoS) => Publication
} {
  const sent: string[] = []
  const queue = new ReplicationQueue((publication, targets) =>
    sent.push([publication.message.topic, ...targets.map(({ clientId }) => clientId)].join(' for ')),
  )
  const commits = new Commits()
  const publish = (topic: string, isStored: boolean, qos: QoS = 1): Publication => {
    const fields = { topic, payload: Buffer.alloc(0), qos, retain: false, properties: undefined }
    const publication = new Publication(new Message(fields, undefined, Infinity))
    if (isStored) commits.stored.add(publication)
    queue.push(publication, commits)
    return publication
  }
  return { queue, commits, sent, publish }
}

const target = { clientId: 's', qos: 1, retain: false } as const

test('messages that are not stored are sent at once', () => {
  const { sent, publish } = setting()
  publish('1', false)
  publish('2', false, 2)
  assert.deepEqual(sent, ['1', '2'])
})

test('a stored message is sent with its queues after its commit, and those behind it follow in order', () => {
  const { queue, sent, publish } = setting()
  const first = publish('1', true)
  publish('2', false)
  const third = publish('3', true)
  publish('4', false)
  assert.deepEqual(sent, [])
  queue.committed(first, [target])
  assert.deepEqual(sent, ['1 for s', '2'])
  queue.committed(third, [target])
  assert.deepEqual(sent, ['1 for s', '2', '3 for s', '4'])
  assert.equal(queue.length, 0)
})

test('a message at QoS 0 waits for none', () => {
  const { sent, publish } = setting()
  publish('1', true)
  publish('2', false, 0)
  assert.deepEqual(sent, ['2'])
})

test('a batch with no queue for a message lets it go when it is committed', () => {
  const { queue, commits, sent, publish } = setting()
  publish('retained, and there was no room', true)
  commits.begin()
  publish('next', true)
  commits.committedThrough = 1
  queue.batchCommitted(commits)
  assert.deepEqual(sent, ['retained, and there was no room'])
})

test('a rejected message is not sent, and holds up none', () => {
  const { queue, sent, publish } = setting()
  const first = publish('1', true)
  publish('2', false)
  const third = publish('3', true)
  first.queued.reject()
  queue.committed(third, [])
  assert.deepEqual(sent, ['2', '3'])
})

test('when a commit fails, messages that are not stored go on without those that are tried again', () => {
  const { queue, commits, sent, publish } = setting()
  const first = publish('1', true)
  publish('2', false)
  commits.fail()
  assert.deepEqual(sent, ['2'])
  queue.committed(first, [target])
  assert.deepEqual(sent, ['2', '1 for s'])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Message } from '../../lib/messages/message.ts'
import { Publication } from '../../lib/messages/publication.ts'
import { RetainedChanges, type RetainedCommits } from '../../lib/messages/retained-changes.ts'
import { RetainedMessages } from '../../lib/messages/retained-messages.ts'
import { Timers } from '../../lib/timers.ts'
import { defaultLimits } from '../broker/limits.ts'
import { ManualClock } from '../support/clock.ts'

/** A commit queue in which each change is a batch of its own, and which knows what the storage has retained. */
class Commits implements RetainedCommits {
  openCommitNumber = 1
  committedThrough = 0
  stored: string | undefined
  readonly #listeners: (() => void)[] = []

  retain({ message }: Publication): void {
    this.openCommitNumber += 1
    this.stored = message.payload.length === 0 ? undefined : message.payload.toString()
  }

  forgetRetained(): void {
    this.stored = undefined
  }

  isCommitted(commitNumber: number): boolean {
    return commitNumber <= this.committedThrough
  }

  afterCommit(onCommitted: () => void): void {
    this.#listeners.push(onCommitted)
  }

  commit(): void {
    for (const listener of this.#listeners.splice(0)) listener()
  }
}

interface Setting {
  readonly commits: Commits
  readonly retained: RetainedMessages
  readonly changes: RetainedChanges
  /** Publishes for the one topic; without a payload it removes. */
  add(payload: string): Publication
  now(): string | undefined
}

function make(): Setting {
  const timers = new Timers(new ManualClock(), assert.ifError)
  const retained = new RetainedMessages(timers, defaultLimits, () => undefined)
  const commits = new Commits()
  const changes = new RetainedChanges(retained, commits)
  const add = (payload: string): Publication => {
    const fields = { topic: 't', payload: Buffer.from(payload), qos: 1, retain: true } as const
    const publication = new Publication(new Message(fields, undefined, Infinity))
    changes.add(publication)
    return publication
  }
  return { commits, retained, changes, add, now: () => retained.get('t')?.payload.toString() }
}

test('whichever messages and removals are rejected, in their order, the last one that was not is retained', () => {
  const step = fc.constantFrom('publish', 'remove', 'accept', 'reject')
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), (steps) => {
      const { commits, changes, add, now } = make()
      /** Payloads of all that were not rejected. */
      const all: { readonly payload: string }[] = [{ payload: '' }]
      const pending: { readonly payload: string; readonly publication: Publication; readonly number: number }[] = []
      for (const [index, kind] of steps.entries()) {
        if (kind === 'publish' || kind === 'remove') {
          const payload = kind === 'publish' ? String(index) : ''
          const one = { payload, publication: add(payload), number: commits.openCommitNumber }
          all.push(one)
          pending.push(one)
        } else {
          const first = pending.shift()
          if (first === undefined) continue
          if (kind === 'accept') {
            commits.committedThrough = first.number
            commits.commit()
          } else {
            changes.rollback(first.publication)
            all.splice(all.indexOf(first), 1)
          }
        }
        const expected = all.at(-1)?.payload || undefined
        assert.deepEqual([now(), commits.stored], [expected, expected], steps.slice(0, index + 1).join(' '))
      }
    }),
    { numRuns: 2000 },
  )
})

test('a message of another broker that came meanwhile stays', () => {
  const { retained, changes, add, now } = make()
  const own = add('own')
  const fields = { topic: 't', payload: Buffer.from('peer'), qos: 1, retain: true } as const
  retained.store(new Publication(new Message(fields, undefined, Infinity)))
  changes.rollback(own)
  assert.equal(now(), 'peer')
})

test('a topic is not remembered when all its changes are committed', () => {
  const { commits, changes, add, now } = make()
  const first = add('first')
  commits.committedThrough = commits.openCommitNumber
  commits.commit()
  changes.rollback(first)
  assert.equal(now(), 'first')
})

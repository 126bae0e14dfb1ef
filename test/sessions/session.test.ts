import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noStorage } from '../../lib/sessions/session-storage.ts'
import { Session, type SessionState } from '../../lib/sessions/session.ts'
import { client, publicationOf, scene, shared, TestConnection } from './scene.ts'

type Act = 'open' | 'give up' | 'attach' | 'detach' | 'release' | 'end'

function make(): { session: Session; connection: TestConnection; acts: Record<Act, () => unknown> } {
  const session = new Session(scene().environment, 'c', undefined, noStorage)
  const connection = new TestConnection()
  const pending = { sessionTakenOver: (): void => undefined }
  return {
    session,
    connection,
    acts: {
      open: () => (session.pendingConnection = pending),
      'give up': () => (session.pendingConnection = undefined),
      attach: () => session.attach(connection, client),
      detach: () => session.detach(connection),
      release: () => session.release(),
      end: () => session.end(),
    },
  }
}

const ways: Record<SessionState, readonly Act[]> = {
  disconnected: [],
  opening: ['open'],
  connected: ['attach'],
  released: ['release'],
  ended: ['end'],
}

/** The state after each act; `no way` when it throws and changes nothing. */
const table: Record<SessionState, Record<Act, SessionState | 'no way'>> = {
  disconnected: {
    open: 'opening',
    'give up': 'disconnected',
    attach: 'connected',
    detach: 'disconnected',
    release: 'released',
    end: 'ended',
  },
  opening: {
    open: 'opening',
    'give up': 'disconnected',
    attach: 'connected',
    detach: 'opening',
    release: 'released',
    end: 'ended',
  },
  connected: {
    open: 'no way',
    'give up': 'connected',
    attach: 'no way',
    detach: 'disconnected',
    release: 'released',
    end: 'ended',
  },
  released: {
    open: 'no way',
    'give up': 'released',
    attach: 'no way',
    detach: 'released',
    release: 'no way',
    end: 'released',
  },
  ended: {
    open: 'no way',
    'give up': 'ended',
    attach: 'no way',
    detach: 'ended',
    release: 'no way',
    end: 'ended',
  },
}

for (const [from, row] of Object.entries(table) as [SessionState, Record<Act, SessionState | 'no way'>][]) {
  for (const [act, to] of Object.entries(row) as [Act, SessionState | 'no way'][]) {
    test(`a session that is ${from}: ${act} leads to ${to}`, () => {
      const { session, acts } = make()
      for (const way of ways[from]) acts[way]()
      assert.equal(session.state, from)
      if (to === 'no way') assert.throws(acts[act], { message: new RegExp(`^session: no way from ${from} to`) })
      else acts[act]()
      assert.equal(session.state, to === 'no way' ? from : to)
      assert.equal(session.connected, session.state === 'connected')
      assert.equal(session.ended, session.state === 'ended' || session.state === 'released')
    })
  }
}

test('a connection that waits for the storage is known until it has the session or loses it', () => {
  const { session, acts, connection } = make()
  acts.open()
  assert.notEqual(session.pendingConnection, undefined)
  assert.equal(session.connection, undefined)
  acts.attach()
  assert.equal(session.pendingConnection, undefined)
  assert.equal(session.connection, connection)
  acts.detach()
  acts.open()
  acts.end()
  assert.equal(session.pendingConnection, undefined)
})

test('a connection that lost the session cannot detach the one that has it now', () => {
  const { session, acts, connection } = make()
  acts.attach()
  session.detach(new TestConnection())
  assert.equal(session.connection, connection)
  assert.equal(session.state, 'connected')
})

test('the end of a session gives back what another member of a shared subscription should get, once', () => {
  const { session } = make()
  session.incoming.reserve(7)
  session.outbound.deliver(publicationOf('x'), 1, false, shared('$share/g/t'))
  assert.equal(session.end().length, 1)
  assert.equal(session.incoming.size, 0)
  assert.deepEqual(session.end(), [])
  session.outbound.deliver(publicationOf('y'), 1, false, shared('$share/g/t'))
  assert.equal(session.outbound.queuedCount, 0, 'nothing stays with a session that has ended')
})

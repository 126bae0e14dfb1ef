import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type LockRequest, lockRequest, SessionLocks } from '../../lib/cluster/session-locks.ts'
import { settle } from '../support/client.ts'

/** Requests the lock of `s`; the order in which requests get it is written down. */
function contest(): {
  locks: SessionLocks
  order: number[]
  request: (time: number, isUrgent?: boolean) => { request: LockRequest; granted: Promise<() => void> }
} {
  const locks = new SessionLocks()
  const order: number[] = []
  const request = (time: number, isUrgent = false): { request: LockRequest; granted: Promise<() => void> } => {
    const one = lockRequest(time, 'asking peers')
    const granted = locks.acquire('s', one, isUrgent).then((release) => {
      order.push(time)
      return release
    })
    return { request: one, granted }
  }
  return { locks, order, request }
}

test('requests for one session get the lock one after the other, in the order of asking', async () => {
  const { order, request } = contest()
  const all = [request(1), request(2), request(3)]
  await settle()
  assert.deepEqual(order, [1])
  for (const { granted } of all) (await granted)()
  assert.deepEqual(order, [1, 2, 3])
})

test('the request of a peer comes before those of this broker that wait', async () => {
  const { order, request } = contest()
  const first = request(1)
  const own = request(2)
  const peer = request(3, true)
  ;(await first.granted)()
  ;(await peer.granted)()
  ;(await own.granted)()
  assert.deepEqual(order, [1, 3, 2])
})

test('a request waits, then has its first state at once when the lock is released', async () => {
  const { locks, request } = contest()
  const first = request(1)
  const second = request(2)
  assert.equal(first.request.state, 'asking peers')
  assert.equal(second.request.state, 'waiting')
  const release = await first.granted
  release()
  assert.equal(locks.holder('s'), second.request) // Before the promise continues: a peer may ask right now.
  assert.equal(second.request.state, 'asking peers')
})

test('a lock that is released twice is not taken from the next request', async () => {
  const { locks, request } = contest()
  const first = request(1)
  const second = request(2)
  const third = request(3)
  const release = await first.granted
  release()
  release()
  assert.equal(locks.holder('s'), second.request)
  assert.equal(third.request.state, 'waiting')
  ;(await second.granted)()
  ;(await third.granted)()
  assert.equal(locks.holder('s'), undefined)
})

test('locks of different sessions do not wait for each other', async () => {
  const locks = new SessionLocks()
  await locks.acquire('a', lockRequest(1, 'exclusive'))
  await locks.acquire('b', lockRequest(1, 'exclusive'))
  assert.equal(locks.holder('a')?.state, 'exclusive')
})

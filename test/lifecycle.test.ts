import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Lifecycle } from '../lib/lifecycle.ts'

interface Gate {
  readonly promise: Promise<void>
  open(): void
  fail(error: Error): void
}

function gate(): Gate {
  let open: () => void = () => undefined
  let fail: (error: Error) => void = () => undefined
  const promise = new Promise<void>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  return { promise, open, fail }
}

/** A call, because an assertion on the property would tell the compiler that it never changes. */
function stateOf(lifecycle: Lifecycle): string {
  return lifecycle.state
}

function make(): { lifecycle: Lifecycle; errors: Error[]; done: string[] } {
  const errors: Error[] = []
  return { lifecycle: new Lifecycle((error) => errors.push(error)), errors, done: [] }
}

test('a broker without preparation is open at once, and its connections wait for nothing', () => {
  const { lifecycle } = make()
  assert.equal(stateOf(lifecycle), 'open')
  assert.equal(lifecycle.ready, undefined)
  assert.equal(lifecycle.restored, undefined)
  lifecycle.refuseClosed()
})

test('steps of preparation run one after the other, and the broker is open after the last of them', async () => {
  const { lifecycle, done } = make()
  const storage = gate()
  const begun = gate()
  const setup = gate()
  lifecycle.restore(() => storage.promise.then(() => void done.push('restored')))
  lifecycle.prepare(async () => {
    done.push('setup begins')
    begun.open()
    await setup.promise
  })
  assert.equal(stateOf(lifecycle), 'opening')
  const { ready } = lifecycle
  storage.open()
  await begun.promise
  assert.equal(lifecycle.restored, undefined)
  assert.equal(stateOf(lifecycle), 'opening')
  assert.equal(lifecycle.ready, ready)
  setup.open()
  await ready
  assert.deepEqual(done, ['restored', 'setup begins'])
  assert.equal(stateOf(lifecycle), 'open')
  assert.equal(lifecycle.ready, undefined)
})

test('a plugin that is added to an open broker makes new connections wait for its setup', async () => {
  const { lifecycle } = make()
  lifecycle.prepare(() => undefined)
  await lifecycle.ready
  const setup = gate()
  lifecycle.prepare(() => setup.promise)
  assert.equal(stateOf(lifecycle), 'opening')
  setup.open()
  await lifecycle.ready
  assert.equal(stateOf(lifecycle), 'open')
})

test('a step that fails keeps later steps from running, and rejects for each that waits', async () => {
  const { lifecycle, done } = make()
  lifecycle.restore(() => Promise.reject(new Error('no disk')))
  lifecycle.prepare(() => void done.push('setup'))
  await assert.rejects(async () => lifecycle.ready, /no disk/)
  await assert.rejects(async () => lifecycle.restored, /no disk/)
  assert.equal(stateOf(lifecycle), 'failed')
  lifecycle.refuseClosed() // Its listeners tell the application what failed.
  lifecycle.prepare(() => void done.push('another setup'))
  await assert.rejects(async () => lifecycle.ready, /no disk/)
  assert.equal(done.length, 0)
  await lifecycle.close([() => void done.push('closed')])
  assert.deepEqual(done, ['closed'])
  assert.equal(stateOf(lifecycle), 'closed')
})

test('close runs every step in order, reports those that fail, and refuses work from its beginning', async () => {
  const { lifecycle, errors, done } = make()
  const clients = gate()
  const closed = lifecycle.close([
    () => {
      done.push('clients')
      assert.equal(stateOf(lifecycle), 'closing')
      return clients.promise
    },
    () => Promise.reject(new Error('the storage failed')),
    () => {
      throw new Error('the bus failed')
    },
    () => void done.push('timers'),
  ])
  assert.deepEqual(done, ['clients'], 'the first step runs at once')
  assert.throws(() => lifecycle.refuseClosed(), /the broker is closed/)
  clients.open()
  await closed
  assert.deepEqual(done, ['clients', 'timers'])
  assert.deepEqual(
    errors.map(({ message }) => message),
    ['the storage failed', 'the bus failed'],
  )
  assert.equal(stateOf(lifecycle), 'closed')
  assert.throws(() => lifecycle.refuseClosed(), /the broker is closed/)
})

test('close is one close, also when its first step calls it again', async () => {
  const { lifecycle, done } = make()
  const inner: Promise<void>[] = []
  const steps = [
    () => {
      done.push('first')
      inner.push(lifecycle.close(steps))
    },
    () => void done.push('second'),
  ]
  const outer = lifecycle.close(steps)
  assert.equal(lifecycle.close([() => assert.fail('closes twice')]), outer)
  await outer
  assert.deepEqual(inner, [outer])
  assert.deepEqual(done, ['first', 'second'])
  assert.equal(lifecycle.close([() => assert.fail('closes twice')]), outer)
})

test('steps of preparation are undone in their order, and those that end later at once', async () => {
  const { lifecycle, errors, done } = make()
  lifecycle.prepare(() => () => void done.push('undo first'))
  lifecycle.prepare(() => () => Promise.reject(new Error('undo second')))
  lifecycle.prepare(() => () => void done.push('undo third'))
  await lifecycle.ready
  const late = gate()
  lifecycle.prepare(async () => {
    await late.promise
    return () => void done.push('undo the late one')
  })
  const { ready } = lifecycle
  await lifecycle.close([() => lifecycle.tearDown()])
  assert.deepEqual(done, ['undo first', 'undo third'])
  assert.deepEqual(
    errors.map(({ message }) => message),
    ['undo second'],
  )
  late.open()
  await ready
  assert.deepEqual(done, ['undo first', 'undo third', 'undo the late one'])
  assert.equal(stateOf(lifecycle), 'closed', 'preparation that ends late does not open the broker again')
})

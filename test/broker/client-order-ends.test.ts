/** Connections that end in the middle of things, while hooks decide on what they sent. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type { Client } from '../../types/client.ts'
import type { Clock } from '../../types/options.ts'
import { Broker } from '../../lib/broker.ts'
import {
  deferred,
  filter,
  publishPacket,
  settle,
  start,
  type Setting,
  TestClient,
  unhandled,
  will,
} from '../support/client.ts'

const HOOK_MS = 10_000

/** A broker whose hook waits for the payloads `slow…` until the test decides. */
function startSlow(t: Parameters<typeof start>[0], options: Parameters<typeof start>[1] = {}) {
  const answers = new Map<string, ReturnType<typeof deferred<boolean>>>()
  const permittedWills = new Set<string>()
  const s = start(t, {
    ...options,
    plugins: [
      ...(options.plugins ?? []),
      {
        name: 'slow',
        authorizePublish: ({ payload }) => {
          const name = payload.toString()
          if (!name.startsWith('slow')) return true
          // A Will is permitted at CONNECT, and asked about again when it is to be published.
          if (name.includes('will') && !permittedWills.has(name)) return Boolean(permittedWills.add(name))
          const answer = deferred<boolean>()
          answers.set(name, answer)
          return answer.promise
        },
      },
    ],
  })
  return { ...s, answers }
}

async function watch(s: Setting): Promise<() => Promise<string[]>> {
  const watcher = await s.client('watcher')
  await watcher.subscribe([filter('t'), filter('w')])
  return async () => {
    await settle()
    const seen: string[] = []
    for (const packet of watcher.received.splice(0)) {
      if (packet.type === 'publish') seen.push(packet.payload.toString())
    }
    return seen
  }
}

for (const isClosed of [false, true]) {
  const what = isClosed ? 'while the broker closes' : 'when their turn comes'
  test(`malformed bytes behind packets that wait end what is left of their connection, ${what}`, async (t) => {
    const s = startSlow(t)
    const seen = await watch(s)
    const kept = { cleanStart: false, properties: { sessionExpiryInterval: 100 } }
    const one = await s.client('x', kept)
    await one.subscribe('large')
    one.send(publishPacket('t', 'slow one'))
    await settle()
    const two = await s.client('x', { ...kept, will: will('w', 'will of two') })
    // Nothing is read of a Client that does not read: the malformed bytes are not known at the take-over.
    two.stream.pause()
    for (let count = 0; count < 4; count += 1) {
      void s.broker.publish({ topic: 'large', payload: Buffer.alloc(1024 * 1024) }) // Resolves when it reads again.
    }
    await settle()
    two.send(publishPacket('t', 'two'))
    two.write(Buffer.from('0000', 'hex'))
    await settle()
    const reasonCodes: (number | undefined)[] = []
    s.broker.on('clientDisconnected', (_, reason) => reasonCodes.push(reason.reasonCode))
    const three = await s.client('x', kept)
    assert.deepEqual(reasonCodes, [0x8e])
    three.send(publishPacket('t', 'three'))
    assert.deepEqual(await seen(), [])
    const closed = isClosed ? s.broker.close({ graceMs: 0 }) : undefined
    await settle()
    s.answers.get('slow one')?.resolve(true)
    await settle()
    if (closed === undefined) assert.deepEqual(await seen(), ['slow one', 'will of two', 'three'])
    await closed
    assert.deepEqual(s.errors, [])
  })
}

test('a PUBLISH and a delayed Will of a session that Clean Start ends have one time limit together', async (t) => {
  const s = startSlow(t)
  const seen = await watch(s)
  const one = await s.client('x', {
    properties: { sessionExpiryInterval: 100 },
    will: will('w', 'slow will', { properties: { willDelayInterval: 50 } }),
  })
  one.send(publishPacket('t', 'slow one'))
  await settle()
  const two = await s.client('x')
  two.send(publishPacket('t', 'two'))
  await settle()
  s.clock.advance(HOOK_MS)
  assert.deepEqual(await seen(), ['two'])
  assert.equal(s.answers.has('slow will'), false)
  assert.equal(s.errors.length, 1)
  assert.match(s.errors[0]?.message ?? '', /1 PUBLISH packets and the Will dropped$/)
})

test('close() resolves although the clock stands still', async () => {
  const clock: Clock = { now: () => 0, setTimeout: () => undefined, clearTimeout: () => undefined }
  const broker = new Broker({
    clock,
    sysInterval: false,
    limits: { hookTimeoutMs: 1 },
    plugins: [{ name: 'never', authorizePublish: () => new Promise(() => undefined) }],
  })
  const errors: Error[] = []
  broker.on('error', (error) => errors.push(error))
  const one = new TestClient(broker.connect())
  await one.connect('x')
  one.send(publishPacket('t', 'one'))
  await settle()
  one.stream.destroy()
  await settle()
  await broker.close({ graceMs: 0 })
  assert.equal(errors.length, 1)
})

for (const isRejected of [true, false]) {
  test(`hooks that ${isRejected ? 'throw' : 'return'} after the deadline are reported once, and have no effect`, async (t) => {
    const reasons = unhandled(t)
    const s = startSlow(t)
    const seen = await watch(s)
    for (const name of ['slow 1', 'slow 2']) {
      const one = await s.client('x', { will: will('w', `slow will of ${name}`) })
      one.send(publishPacket('t', name, { qos: 2, packetId: 1 }))
      await settle()
      s.clock.advance(1) // The time limit of the hook itself is over before the one that counts.
    }
    const last = await s.client('x')
    last.send(publishPacket('t', 'last'))
    await settle()
    s.clock.advance(HOOK_MS)
    assert.deepEqual(await seen(), ['last'])
    const count = s.errors.length
    for (const answer of s.answers.values()) {
      if (isRejected) answer.reject(new Error('too late'))
      else answer.resolve(true)
    }
    assert.deepEqual(await seen(), [])
    assert.equal(s.errors.length, count)
    assert.deepEqual(reasons, [])
    s.clock.advance(HOOK_MS)
    assert.equal(s.broker.stats().timers, 0)
  })
}

for (const isLate of [false, true]) {
  for (const isStored of [false, true]) {
    test(`a hook ${isLate ? 'that takes its time ' : ''}publishes and disconnects the Client that it is asked about${isStored ? ', stored' : ''}`, async (t) => {
      const end = async (client: Client): Promise<boolean> => {
        if (isLate) await settle()
        const closed = client.disconnect()
        await s.broker.publish({ topic: 't', payload: 'from the hook' })
        if (isLate) await closed
        return true
      }
      const s: Setting = start(t, {
        ...(isStored && { persistence: new MemoryPersistence() }),
        plugins: [
          { name: 'a', authorizePublish: ({ payload }, client) => (payload.toString() === 'x' ? end(client) : true) },
        ],
      })
      const seen = await watch(s)
      const one = await s.client('x', { will: will('w', 'will') })
      one.send(publishPacket('t', 'x'), publishPacket('t', 'behind'))
      await one.closed
      await settle()
      const two = await s.client('x')
      two.send(publishPacket('t', 'two'))
      assert.deepEqual(await seen(), ['from the hook', 'x', 'will', 'two'])
    })
  }
}

test('1,000 take-overs with hooks that never return leave nothing behind', async (t) => {
  const s = startSlow(t)
  const seen = await watch(s)
  for (let round = 0; round < 1000; round += 1) {
    const one = await s.client('x', { will: will('w', `slow will ${round}`) })
    one.send(publishPacket('t', `slow ${round}`), publishPacket('t', 'behind'))
  }
  const last = await s.client('x')
  last.send(publishPacket('t', 'last'))
  await settle()
  s.clock.advance(HOOK_MS)
  let came = await seen()
  while (came.length === 0) came = await seen() // The ends of 1,000 connections take some turns.
  assert.deepEqual(came, ['last'])
  s.clock.advance(HOOK_MS)
  assert.deepEqual(await seen(), [])
  assert.equal(s.broker.stats().timers, 0)
  assert.equal(s.broker.clients.size, 2)
})

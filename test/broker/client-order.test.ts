import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type { Plugin } from '../../types/hooks.ts'
import type { BrokerOptions } from '../../types/options.ts'
import {
  closing,
  connectPacket,
  deferred,
  filter,
  publishPacket,
  type Setting,
  settle,
  start,
  TestClient,
  will,
} from '../support/client.ts'
import { startMachine } from './machine.ts'

const HOOK_MS = 10_000

/** A plugin whose permission to publish is given by hand for the payloads that are held. */
class Permission {
  /** The payloads that were asked about and wait, in their order. */
  readonly asked: string[] = []
  readonly held = new Set<string>()
  readonly #answers = new Map<string, ReturnType<typeof deferred<boolean>>>()

  readonly plugin: Plugin = {
    name: 'by hand',
    authorizePublish: ({ payload }) => {
      const name = payload.toString()
      if (!this.held.has(name)) return true
      const answer = deferred<boolean>()
      this.asked.push(name)
      this.#answers.set(name, answer)
      return answer.promise
    },
  }

  hold(...payloads: string[]): void {
    for (const payload of payloads) this.held.add(payload)
  }

  async answer(payload: string, isPermitted = true): Promise<void> {
    const answer = this.#answers.get(payload)
    assert.ok(answer !== undefined, `nothing was asked about ${payload}`)
    answer.resolve(isPermitted)
    await settle()
  }
}

function startByHand(t: TestContext, options: BrokerOptions = {}): Setting & { readonly permission: Permission } {
  const permission = new Permission()
  return { ...start(t, { ...options, plugins: [permission.plugin, ...(options.plugins ?? [])] }), permission }
}

/** The payloads that a Client was sent since this was asked last; it subscribes at QoS 0. */
async function seen(watcher: TestClient): Promise<string[]> {
  await settle()
  watcher.send({ type: 'pingreq' })
  const payloads: string[] = []
  for (let packet = await watcher.receivesAny(); packet.type !== 'pingresp'; packet = await watcher.receivesAny()) {
    assert.equal(packet.type, 'publish')
    if (packet.type === 'publish') payloads.push(packet.payload.toString())
  }
  return payloads
}

async function watch({ client }: Setting): Promise<TestClient> {
  const watcher = await client('watcher')
  await watcher.subscribe('#')
  return watcher
}

async function retainedOf({ broker }: Setting, topic: string): Promise<string | undefined> {
  for await (const { payload } of broker.retained(topic)) return payload.toString()
  return undefined
}

// ─── the order of messages ───────────────────────────────────────────────────────────────────────────────────────────

for (const store of [false, true]) {
  for (const transport of ['memory', 'tcp'] as const) {
    for (const level of [4, 5] as const) {
      for (const qos of [0, 1, 2] as const) {
        for (const cleanStart of [true, false]) {
          const name = `MQTT level ${level}, QoS ${qos}, clean start ${cleanStart}, ${transport}${store ? ', stored' : ''}`
          test(`"offline" of a Will comes before "online" of the next connection: ${name} [MQTT-4.6.0-6]`, async (t) => {
            const s = startByHand(t, store ? { persistence: new MemoryPersistence() } : {})
            const watcher = await watch(s)
            const open = await opener(s, transport)
            const options = { level, cleanStart, will: will('state', 'offline', { qos, retain: true }) }
            const one = await open(level)
            await one.connect('device', options)
            s.permission.hold('offline')
            const two = await open(level)
            const { will: _, ...withoutWill } = options
            await two.connect('device', withoutWill)
            await one.endedWith(0x8e)
            two.send(publishPacket('state', 'online', { qos, retain: true, packetId: qos === 0 ? 0 : 7 }))
            assert.deepEqual(await seen(watcher), [])
            await s.permission.answer('offline')
            if (qos === 1) assert.equal((await two.receives('puback')).packetId, 7)
            if (qos === 2) assert.equal((await two.receives('pubrec')).packetId, 7)
            assert.deepEqual(await seen(watcher), ['offline', 'online'])
            assert.equal(await retainedOf(s, 'state'), 'online')
            two.stream.destroy()
          })
        }
      }
    }
  }
}

async function opener(
  { broker, open }: Setting,
  transport: 'memory' | 'tcp',
): Promise<(level: 4 | 5) => TestClient | Promise<TestClient>> {
  if (transport === 'memory') return open
  const [listener] = await broker.listen({ tcp: { port: 0, host: '127.0.0.1' } })
  assert.ok(listener !== undefined)
  const { port } = listener.address as AddressInfo
  return async (level: 4 | 5): Promise<TestClient> => {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    return new TestClient(socket, level)
  }
}

for (const cleanStart of [true, false]) {
  for (const expiry of [0, 100]) {
    const name = `clean start ${cleanStart}, expiry ${expiry}`
    test(`a connection that ended by itself leaves its last PUBLISH and its Will before the next one: ${name}`, async (t) => {
      const s = startByHand(t)
      const watcher = await watch(s)
      const properties = { sessionExpiryInterval: expiry }
      const one = await s.client('x', { cleanStart, properties, will: will('w', 'will of one') })
      s.permission.hold('last of one', 'will of one')
      one.send(publishPacket('t', 'last of one'))
      await settle()
      await one.drop()
      const two = await s.client('x', { cleanStart, properties })
      two.send(publishPacket('t', 'two'))
      assert.deepEqual(await seen(watcher), [])
      assert.deepEqual(s.permission.asked, ['last of one'])
      await s.permission.answer('last of one')
      assert.deepEqual(await seen(watcher), ['last of one'])
      await s.permission.answer('will of one')
      assert.deepEqual(await seen(watcher), ['will of one', 'two'])
    })
  }
}

test('packets that wait behind a PUBLISH are worked off after a take-over, and DISCONNECT takes the Will back', async (t) => {
  for (const goodbye of [true, false]) {
    for (const level of [4, 5] as const) {
      const s = startByHand(t)
      const watcher = await watch(s)
      const one = await s.client('x', { level, will: will('w', 'will') })
      s.permission.hold('first')
      one.send(publishPacket('t', 'first'), publishPacket('t', 'second', { qos: 1, packetId: 2 }))
      one.send({ type: 'subscribe', packetId: 3, subscriptions: [filter('mine')], properties: undefined })
      one.send(publishPacket('t', 'third', { qos: 2, packetId: 4 }))
      if (goodbye) one.send({ type: 'disconnect', reasonCode: 0, properties: undefined })
      await settle()
      const two = await s.client('x', { level })
      await one.endedWith(0x8e)
      two.send(publishPacket('mine', 'two'))
      await settle()
      await s.permission.answer('first')
      assert.deepEqual(await seen(watcher), ['first', 'second', 'third', ...(goodbye ? [] : ['will']), 'two'])
      await two.quiet() // Its SUBSCRIBE was dropped.
    }
  }
})

test('DISCONNECT of a connection that was taken over does not change how long the session stays', async (t) => {
  const s = startByHand(t)
  const properties = { sessionExpiryInterval: 100 }
  const one = await s.client('x', { properties })
  s.permission.hold('first')
  one.send(publishPacket('t', 'first'))
  one.send({ type: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 0 } })
  await settle()
  const two = await s.client('x', { cleanStart: false, properties })
  await s.permission.answer('first')
  await two.drop()
  assert.equal((await s.resume('x', { cleanStart: false, properties })).connack.sessionPresent, true)
})

test('three connections in a row are worked off in their order', async (t) => {
  const s = startByHand(t)
  const watcher = await watch(s)
  const one = await s.client('x', { will: will('w', 'will of one') })
  s.permission.hold('one', 'will of one', 'two')
  one.send(publishPacket('t', 'one'))
  await settle()
  const two = await s.client('x', { will: will('w', 'will of two') })
  two.send(publishPacket('t', 'two'))
  await settle()
  s.permission.hold('will of two')
  const three = await s.client('x')
  three.send(publishPacket('t', 'three'))
  await settle()
  for (const payload of ['one', 'will of one', 'two', 'will of two']) {
    assert.deepEqual(await seen(watcher), [])
    assert.equal(s.permission.asked.at(-1), payload)
    await s.permission.answer(payload)
    assert.equal((await watcher.receives('publish')).payload.toString(), payload)
    if (payload !== 'will of two') continue
    assert.deepEqual(await seen(watcher), ['three'])
  }
})

test('each take-over gives what is left of that connection its own time', async (t) => {
  const s = startByHand(t)
  const watcher = await watch(s)
  const one = await s.client('x')
  s.permission.hold('one', 'two')
  one.send(publishPacket('t', 'one'))
  await settle()
  const two = await s.client('x')
  two.send(publishPacket('t', 'two'))
  await settle()
  s.clock.advance(HOOK_MS - 1)
  const three = await s.client('x')
  three.send(publishPacket('t', 'three'))
  await settle()
  s.clock.advance(1)
  await settle()
  assert.deepEqual(s.permission.asked, ['one', 'two'])
  s.clock.advance(HOOK_MS - 2)
  assert.deepEqual(await seen(watcher), [])
  s.clock.advance(1)
  assert.deepEqual(await seen(watcher), ['three'])
  assert.equal(s.errors.length, 2)
})

test('a SUBSCRIBE that a hook is at has no effect after a take-over, and holds nothing up', async (t) => {
  const permit = deferred<boolean>()
  const s = startByHand(t, {
    plugins: [{ name: 'b', authorizeSubscribe: ({ topicFilter }) => (topicFilter === 'slow' ? permit.promise : true) }],
  })
  const watcher = await watch(s)
  const properties = { sessionExpiryInterval: 100 }
  const one = await s.client('x', { properties, will: will('w', 'will') })
  one.send({ type: 'subscribe', packetId: 1, subscriptions: [filter('slow')], properties: undefined })
  one.send(publishPacket('t', 'behind it'))
  await settle()
  const two = await s.client('x', { cleanStart: false, properties })
  two.send(publishPacket('t', 'two'))
  assert.deepEqual(await seen(watcher), ['behind it', 'will', 'two'])
  permit.resolve(true)
  await settle()
  assert.equal(s.broker.clients.get('x')?.subscriptions.size, 0)
})

test('while a former connection is undecided, acknowledgements and PINGREQ count at once', async (t) => {
  const s = startByHand(t)
  const watcher = await watch(s)
  const properties = { sessionExpiryInterval: 100, receiveMaximum: 1 }
  const one = await s.client('x', { properties })
  await one.subscribe('in', { qos: 2 })
  await s.broker.publish({ topic: 'in', payload: 'a', qos: 1 })
  await s.broker.publish({ topic: 'in', payload: 'b', qos: 2 })
  await s.broker.publish({ topic: 'in', payload: 'c', qos: 1 })
  s.permission.hold('one')
  one.send(publishPacket('t', 'one'))
  await settle()
  const two = await s.client('x', { cleanStart: false, properties })
  two.send(publishPacket('t', 'two', { qos: 1, packetId: 9 }))
  assert.equal(await two.message(), 'a')
  assert.equal(await two.message(), 'b')
  assert.equal(await two.message(), 'c')
  await two.quiet()
  assert.deepEqual(await seen(watcher), ['a', 'b', 'c'])
  await s.permission.answer('one')
  assert.equal((await two.receives('puback')).packetId, 9)
  assert.deepEqual(await seen(watcher), ['one', 'two'])
})

test('a Client that publishes, says goodbye and closes while it waits for its former connection is worked off', async (t) => {
  const s = startByHand(t)
  const watcher = await watch(s)
  const one = await s.client('x')
  s.permission.hold('one')
  one.send(publishPacket('t', 'one'))
  await settle()
  const two = await s.client('x', { will: will('w', 'will of two') })
  two.send(publishPacket('t', 'two'), { type: 'disconnect', reasonCode: 0, properties: undefined })
  two.stream.end()
  assert.deepEqual(await seen(watcher), [])
  await s.permission.answer('one')
  await two.closed
  assert.deepEqual(await seen(watcher), ['one', 'two'])
})

// ─── the time that is left ───────────────────────────────────────────────────────────────────────────────────────────

for (const qos of [0, 1, 2] as const) {
  test(`1,000 PUBLISH packets behind a hook that never returns hold the next connection up for one time limit: QoS ${qos}`, async (t) => {
    const s = startByHand(t)
    const watcher = await watch(s)
    const hasWill = qos !== 1
    const one = await s.client('x', hasWill ? { will: will('w', 'will of one') } : {})
    s.permission.hold('never', 'will of one')
    one.send(
      ...Array.from({ length: 1000 }, (_, index) =>
        publishPacket('t', 'never', { qos, packetId: qos === 0 ? 0 : index + 1 }),
      ),
    )
    await settle()
    s.clock.advance(HOOK_MS / 2)
    const two = await s.client('x') // The CONNACK does not wait.
    await one.endedWith(0x8e)
    two.send(publishPacket('t', 'two', { qos: 1, packetId: 1 }))
    s.clock.advance(HOOK_MS - 1)
    assert.deepEqual(await seen(watcher), [])
    assert.deepEqual(s.errors, [])
    s.clock.advance(1)
    assert.equal((await two.receives('puback')).packetId, 1)
    await s.permission.answer('never')
    s.clock.advance(10 * HOOK_MS)
    assert.deepEqual(await seen(watcher), ['two'])
    assert.deepEqual(s.permission.asked, ['never'])
    assert.deepEqual(
      s.errors.map(({ message }) => message),
      [
        'hooks did not decide within 10000 ms on what Client x had sent before its next connection: ' +
          (hasWill ? '1000 PUBLISH packets and the Will dropped' : '1000 PUBLISH packets dropped'),
      ],
    )
  })
}

for (const expiry of [0, 100]) {
  test(`a Will that a hook never decides on holds the next connection up for one time limit: expiry ${expiry}`, async (t) => {
    const s = startByHand(t)
    const watcher = await watch(s)
    const options = { cleanStart: false, properties: { sessionExpiryInterval: expiry } }
    const one = await s.client('x', { ...options, will: will('w', 'will') })
    s.permission.hold('will')
    await one.drop()
    s.clock.advance(HOOK_MS / 2)
    const two = await s.client('x', options)
    two.send(publishPacket('t', 'two'))
    s.clock.advance(HOOK_MS - 1)
    assert.deepEqual(await seen(watcher), [])
    s.clock.advance(1)
    await s.permission.answer('will')
    assert.deepEqual(await seen(watcher), ['two'])
    assert.equal(s.errors.length, 1)
  })
}

test('a QoS 2 PUBLISH that was dropped is a new message when the next connection sends it again', async (t) => {
  const s = startByHand(t)
  const watcher = await watch(s)
  const properties = { sessionExpiryInterval: 100 }
  const one = await s.client('x', { properties })
  s.permission.hold('again')
  one.send(publishPacket('t', 'again', { qos: 2, packetId: 7 }))
  await settle()
  const two = await s.client('x', { cleanStart: false, properties })
  two.send(publishPacket('t', 'again', { qos: 2, packetId: 7, dup: true }))
  s.permission.held.clear()
  await settle()
  s.clock.advance(HOOK_MS)
  assert.equal((await two.receives('pubrec')).reasonCode, 0)
  await s.permission.answer('again') // Too late.
  two.send(publishPacket('t', 'again', { qos: 2, packetId: 7, dup: true }))
  assert.equal((await two.receives('pubrec')).reasonCode, 0)
  assert.deepEqual(await seen(watcher), ['again'])
})

// ─── which CONNECT wins ──────────────────────────────────────────────────────────────────────────────────────────────

for (const leaves of [false, true]) {
  test(`a CONNECT that came later wins over one whose hook ends later, ${leaves ? 'gone before' : 'still open'}`, async (t) => {
    const slow = deferred<boolean>()
    const s = start(t, {
      plugins: [{ name: 'a', authenticate: ({ username }) => (username === 'slow' ? slow.promise : true) }],
      sessionOwner: 'anyone',
    })
    const refused: string[] = []
    s.broker.on('connectionRefused', (_, error) => refused.push(error.message))
    const watcher = await watch(s)
    const one = s.open()
    one.send(connectPacket('x', { username: 'slow', will: will('w', 'will of one') }))
    if (leaves) {
      one.send(publishPacket('t', 'one')) // So that it would be let in although it is gone.
      await settle()
      await one.drop()
    } else await settle()
    const two = await s.client('x')
    if (!leaves) {
      assert.equal((await one.receives('connack')).reasonCode, 0x80)
      await one.ended()
    }
    slow.resolve(true)
    await settle()
    await two.quiet()
    assert.equal(s.broker.clients.size, 2)
    assert.deepEqual(await seen(watcher), [])
    if (!leaves) assert.deepEqual(refused, ['a later connection has the Client Identifier'])
  })
}

test('a CONNECT and a PUBLISH before the end of the connection count when no later CONNECT was admitted', async (t) => {
  const slow = deferred<boolean>()
  const s = start(t, {
    plugins: [{ name: 'a', authenticate: ({ clientId }) => (clientId === 'x' ? slow.promise : true) }],
  })
  const watcher = await watch(s)
  const one = s.open()
  one.send(connectPacket('x'), publishPacket('t', 'one'))
  one.stream.end()
  await settle()
  slow.resolve(true)
  assert.deepEqual(await seen(watcher), ['one'])
})

test('1,000 CONNECTs with wrong passwords disturb and delay neither the right Client nor its next connection', async (t) => {
  const wrong: ReturnType<typeof deferred<boolean>>[] = []
  const s = start(t, {
    sessionOwner: 'anyone',
    plugins: [
      {
        name: 'a',
        authenticate: ({ username }) => {
          if (username !== 'wrong') return true
          const answer = deferred<boolean>()
          wrong.push(answer)
          return answer.promise
        },
      },
    ],
  })
  const watcher = await watch(s)
  const right = await s.client('x', { will: will('w', 'will') })
  const events: string[] = []
  s.broker.on('clientConnected', ({ id }) => events.push(`+${id}`))
  s.broker.on('clientDisconnected', ({ id }) => events.push(`-${id}`))
  const others = Array.from({ length: 1000 }, () => s.open())
  for (const other of others) other.send(connectPacket('x', { username: 'wrong', will: will('w', 'wrong') }))
  await settle()
  assert.equal(wrong.length, 1000)
  right.send(publishPacket('t', 'right'))
  assert.deepEqual(await seen(watcher), ['right'])
  for (const answer of wrong.slice(0, 500)) answer.resolve(false)
  await settle()
  await right.quiet()
  assert.deepEqual(events, [])
  const next = await s.client('x')
  next.send(publishPacket('t', 'next'))
  assert.deepEqual(await seen(watcher), ['will', 'next'])
  for (const answer of wrong.slice(500)) answer.resolve(true)
  await settle()
  await next.quiet()
  assert.deepEqual(events, ['-x', '+x'])
})

const failures: Record<string, (s: Setting) => Promise<void>> = {
  'a wrong user': async ({ open }) => {
    assert.equal((await open().connect('x', { username: 'mallory', cleanStart: true })).reasonCode, 0x87)
  },
  'a Will that is refused': async ({ open }) => {
    const connack = await open().connect('x', { username: 'alice', will: will('forbidden', 'x') })
    assert.equal(connack.reasonCode, 0x87)
  },
  'a CONNACK larger than the Maximum Packet Size of the Client': async ({ open }) => {
    const connack = await open().connect('x', {
      username: 'alice',
      properties: { maximumPacketSize: 8 },
      will: will('w', 'of a Client that was never connected'),
    })
    assert.equal(connack.reasonCode, 0x95)
  },
  'a CONNACK larger than the Maximum Packet Size of the Client, and no room for a refusal': async ({ open }) => {
    const one = open()
    one.send(
      connectPacket('x', {
        username: 'alice',
        properties: { maximumPacketSize: 4 },
        will: will('w', 'of a Client that was never connected'),
      }),
    )
    await one.ended()
  },
  'no room for another session': async ({ open }) => {
    assert.equal((await open().connect('one more', { username: 'alice' })).reasonCode, 0x97)
  },
}

for (const [name, fail] of Object.entries(failures)) {
  for (const store of [false, true]) {
    test(`a CONNECT that fails changes nothing: ${name}${store ? ', stored' : ''}`, async (t) => {
      const s = start(t, {
        ...(store && { persistence: new MemoryPersistence() }),
        limits: { maxSessions: 2 },
        plugins: [
          {
            name: 'a',
            authenticate: ({ username }) => username ?? 'nobody',
            authorizePublish: ({ topic }) => topic !== 'forbidden',
          },
        ],
      })
      const watcher = await watch(s)
      const properties = { sessionExpiryInterval: 100 }
      const one = await s.client('x', { username: 'alice', properties, will: will('w', 'will') })
      await one.subscribe('mine')
      const events: string[] = []
      s.broker.on('clientConnected', ({ id }) => events.push(`connected ${id}`))
      s.broker.on('clientDisconnected', ({ id }) => events.push(`disconnected ${id}`))
      s.broker.on('connectionRefused', () => events.push('refused'))
      await fail(s)
      await settle()
      await one.quiet()
      assert.deepEqual(events, ['refused'])
      assert.deepEqual(await seen(watcher), [])
      assert.equal(s.broker.clients.get('x')?.subscriptions.size, 1)
      assert.equal(s.broker.stats().sessions, 2)
    })
  }
}

test('a CONNECT that fails outdates no earlier one that is undecided', async (t) => {
  const slow = deferred<boolean>()
  const s = start(t, {
    plugins: [
      {
        name: 'a',
        authenticate: ({ username, clientId }) => (username === 'alice' && clientId === 'x' ? slow.promise : true),
      },
    ],
  })
  const old = s.open()
  old.send(connectPacket('x', { username: 'alice', properties: { sessionExpiryInterval: 100 } }))
  await settle()
  slow.resolve(true)
  await old.receives('connack')
  const waiting = deferred<boolean>()
  s.broker.use({ name: 'b', authorizePublish: () => waiting.promise })
  const earlier = s.open()
  earlier.send(connectPacket('x', { username: 'alice', will: will('w', 'x') }))
  await settle()
  assert.equal((await s.open().connect('x', { username: 'mallory' })).reasonCode, 0x87)
  const large = { username: 'alice', properties: { maximumPacketSize: 8 } }
  assert.equal((await s.open().connect('x', large)).reasonCode, 0x95)
  await old.quiet()
  waiting.resolve(true)
  assert.equal((await earlier.receives('connack')).reasonCode, 0)
  await old.endedWith(0x8e)
})

// ─── close ───────────────────────────────────────────────────────────────────────────────────────────────────────────

for (const hook of ['connect', 'authenticate', 'authorizePublish', 'authorizeSubscribe'] as const) {
  test(`close() called in ${hook} resolves`, async (t) => {
    let closed: Promise<void> | undefined
    let isWanted = false
    const close = async (): Promise<boolean> => {
      if (!isWanted) return true
      closed = broker.close({ graceMs: 0 })
      await closed
      return true
    }
    const { broker, clock, client, open } = start(t, { plugins: [{ name: 'a', [hook]: close }] })
    const one = await client('x')
    isWanted = true
    if (hook === 'connect' || hook === 'authenticate') open().send(connectPacket('y'))
    else if (hook === 'authorizePublish') one.send(publishPacket('t', 'x'))
    else one.send({ type: 'subscribe', packetId: 1, subscriptions: [filter('t')], properties: undefined })
    await settle()
    assert.ok(closed !== undefined)
    await closing(closed, clock)
  })
}

test('close() waits for a PUBLISH and a Will that hooks decide on, no longer than one time limit', async (t) => {
  const s = startByHand(t)
  const heard: string[] = []
  s.broker.on('published', ({ payload }) => heard.push(payload.toString()))
  const one = await s.client('x', { will: will('w', 'will') })
  s.permission.hold('last', 'will')
  one.send(publishPacket('t', 'last'))
  await settle()
  let isClosed = false
  const closed = s.broker.close({ graceMs: 0 }).then(() => {
    isClosed = true
  })
  await one.closed
  await settle()
  await s.permission.answer('last')
  assert.deepEqual(heard, ['last'])
  s.clock.advance(HOOK_MS - 1)
  await settle()
  assert.equal(isClosed, false)
  await s.permission.answer('will')
  await closed
  assert.deepEqual(heard, ['last', 'will'])
  assert.deepEqual(s.errors, [])
})

for (const expiry of [0, 100]) {
  for (const [decided, isPermitted] of [
    [true, true],
    [false, true],
    [false, false],
  ] as const) {
    const name = `${decided ? 'decided in time' : `${isPermitted ? 'permitted' : 'refused'} too late`}, expiry ${expiry}`
    test(`a Will that a hook is at when the broker closes is published once, now or at the next start: ${name}`, async (t) => {
      const permission = new Permission()
      // A plugin is torn down after that time: an answer in between is too late.
      const late: Plugin = {
        name: 'late',
        setup: () => async () => {
          if (!decided && permission.asked.includes('will')) await permission.answer('will', isPermitted)
        },
      }
      const machine = startMachine(t, { plugins: [permission.plugin, late] })
      const one = await machine.client('x', {
        cleanStart: true,
        properties: { sessionExpiryInterval: expiry },
        will: will('w', 'will', { retain: true }),
      })
      permission.hold('will')
      const heard: string[] = []
      machine.broker.on('published', ({ payload }) => heard.push(payload.toString()))
      await one.drop()
      const closed = machine.broker.close({ graceMs: 0 })
      await settle()
      if (decided) await permission.answer('will')
      await closing(closed, machine.clock)
      assert.deepEqual(heard, decided ? ['will'] : [])
      permission.held.clear()
      await machine.closeAndRestart()
      const watcher = await machine.client('watcher')
      await watcher.subscribe('#')
      assert.equal((await watcher.receives('publish')).payload.toString(), 'will')
      await watcher.quiet()
      await machine.closeAndRestart()
      assert.equal((await machine.stored()).filter((state) => state.kind === 'session' && state.will).length, 0)
    })
  }
}

test('a Will that was refused, or is not decided when the next session begins, is not published after a restart', async (t) => {
  for (const next of [true, false]) {
    const permission = new Permission()
    const machine = startMachine(t, { plugins: [permission.plugin] })
    const options = { cleanStart: true, properties: { sessionExpiryInterval: 0 } }
    const one = await machine.client('x', { ...options, will: will('w', 'will', { retain: true }) })
    permission.hold('will')
    await one.drop()
    if (next) await machine.client('x', options)
    else await permission.answer('will', false)
    await settle()
    assert.deepEqual(await machine.stored(), [])
    await machine.restart()
    if (next) await permission.answer('will') // So that the process of before can end.
    const watcher = await machine.client('watcher')
    await watcher.subscribe('#')
    await watcher.quiet()
  }
})

test('a Will is deleted from the storage with what it published', async (t) => {
  const permission = new Permission()
  const machine = startMachine(t, { plugins: [permission.plugin] })
  const one = await machine.client('x', {
    cleanStart: true,
    properties: { sessionExpiryInterval: 0 },
    will: will('w', 'will', { retain: true }),
  })
  permission.hold('will')
  await one.drop()
  assert.equal((await machine.stored()).length, 1)
  await permission.answer('will')
  assert.deepEqual(
    (await machine.stored()).map(({ kind }) => kind),
    ['retained'],
  )
})

test('a broker whose hooks return at once keeps nothing of connections that ended', async (t) => {
  const s = start(t, { plugins: [{ name: 'a', authorizePublish: () => true }] })
  const watcher = await watch(s)
  for (let round = 0; round < 3; round += 1) {
    const one = await s.client('x', { will: will('w', `will ${round}`) })
    one.send(publishPacket('t', `${round}`))
  }
  assert.deepEqual(await seen(watcher), ['0', 'will 0', '1', 'will 1', '2'])
  assert.equal(s.broker.stats().timers, 0)
})

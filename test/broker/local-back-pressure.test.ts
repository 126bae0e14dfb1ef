import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import { WebSocket, createWebSocketStream } from 'ws'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type { Message } from '../../types/message.ts'
import type { BrokerOptions } from '../../types/options.ts'
import type { Packet, QoS } from '../../types/packets.ts'
import { ack, deferred, publishPacket, settle, start, unhandled, TestClient, type Setting } from '../support/client.ts'

// More than a queue and a window of these limits take.
const MANY = 600
const limits = { maxQueuedMessages: 100, maxInflight: 50 }

/** A Client that acknowledges at once and remembers the payloads. */
class Reader extends TestClient {
  readonly payloads: string[] = []
  #whenRead: (() => void) | undefined
  #count = Infinity

  protected override took(packet: Packet): void {
    if (packet.type === 'publish') {
      this.payloads.push(packet.payload.toString())
      if (packet.qos === 1) this.send(ack('puback', packet.packetId))
      if (packet.qos === 2) this.send(ack('pubrec', packet.packetId))
      if (this.payloads.length >= this.#count) this.#whenRead?.()
    } else if (packet.type === 'pubrel') this.send(ack('pubcomp', packet.packetId))
    else super.took(packet)
  }

  async hasRead(count: number): Promise<void> {
    if (this.payloads.length >= count) return
    this.#count = count
    await new Promise<void>((resolve) => (this.#whenRead = resolve))
  }
}

async function tcpStream({ broker }: Setting): Promise<Duplex> {
  const [listener] = await broker.listen({ tcp: { port: 0 } })
  const socket = connect(Number(new URL(listener!.url).port), '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

async function webSocketStream({ broker }: Setting): Promise<Duplex> {
  const [listener] = await broker.listen({ ws: { port: 0 } })
  const socket = new WebSocket(listener!.url, 'mqtt')
  await once(socket, 'open')
  return createWebSocketStream(socket)
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, number) => `${number}`)
}

async function publishAll({ broker }: Setting, topic: string, count: number, qos: QoS): Promise<void> {
  for (let number = 0; number < count; number += 1) await broker.publish({ topic, payload: `${number}`, qos })
}

// ─── Clients ───────────────────────────────────────────────────────────────────────────────────────────────────────

const stores: readonly [name: string, options: () => BrokerOptions][] = [
  ['', () => ({ limits })],
  [' with a store', () => ({ limits, persistence: new MemoryPersistence() })],
]
for (const [transport, open] of [
  ['TCP', tcpStream],
  ['WebSocket', webSocketStream],
  ['memory', ({ broker }: Setting) => Promise.resolve(broker.connect())],
] as const) {
  for (const [store, options] of stores) {
    for (const qos of [0, 1, 2] as const) {
      if (transport !== 'TCP' && qos !== 1) continue
      const count = qos === 0 ? 12_000 : MANY
      test(`messages at QoS ${qos} that are awaited one by one all arrive over ${transport}${store}`, async (t) => {
        const setting = start(t, options())
        const reader = new Reader(await open(setting))
        await reader.connect('reader', { properties: { sessionExpiryInterval: 100 } })
        await reader.subscribe('x', { qos })
        await publishAll(setting, 'x', count, qos)
        await reader.hasRead(count)
        assert.deepEqual(reader.payloads, numbers(count))
        assert.equal(setting.broker.stats().publishDropped, 0)
      })
    }
  }
}

test('30,000 messages at QoS 1 that are awaited one by one all arrive over TCP', async (t) => {
  const setting = start(t)
  const reader = new Reader(await tcpStream(setting))
  await reader.connect('reader')
  await reader.subscribe('x', { qos: 1 })
  await publishAll(setting, 'x', 30_000, 1)
  await reader.hasRead(30_000)
  assert.deepEqual(reader.payloads, numbers(30_000))
})

test('messages that are awaited one by one all arrive at several receivers', async (t) => {
  const setting = start(t, { limits })
  const readers: Reader[] = []
  for (const id of ['a', 'b', 'c']) {
    const reader = new Reader(await tcpStream(setting))
    await reader.connect(id)
    await reader.subscribe('x', { qos: 1 })
    readers.push(reader)
  }
  await publishAll(setting, 'x', MANY, 1)
  for (const reader of readers) {
    await reader.hasRead(MANY)
    assert.deepEqual(reader.payloads, numbers(MANY))
  }
})

test('messages that several loops await all arrive', async (t) => {
  const setting = start(t, { limits })
  const reader = new Reader(await tcpStream(setting))
  await reader.connect('reader')
  await reader.subscribe('#', { qos: 1 })
  await Promise.all(['a', 'b', 'c'].map((topic) => publishAll(setting, topic, MANY / 2, 1)))
  await reader.hasRead((MANY / 2) * 3)
  assert.equal(setting.broker.stats().publishDropped, 0)
})

test('messages that are awaited one by one all arrive in a shared subscription', async (t) => {
  const setting = start(t, { limits })
  const readers: Reader[] = []
  for (const id of ['a', 'b']) {
    const reader = new Reader(await tcpStream(setting))
    await reader.connect(id)
    await reader.subscribe('$share/g/x', { qos: 1 })
    readers.push(reader)
  }
  const [a, b] = readers as [Reader, Reader]
  await publishAll(setting, 'x', MANY * 2, 1)
  while (a.payloads.length + b.payloads.length < MANY * 2) await settle()
  assert.equal(new Set([...a.payloads, ...b.payloads]).size, MANY * 2)
})

/** A Client that reads and acknowledges nothing. */
async function hangs({ client }: Setting, topic: string): Promise<TestClient> {
  const one = await client('hangs')
  await one.subscribe(topic, { qos: 1 })
  return one
}

test('a receiver that hangs holds a publication for holdBackMs, and then none until it has caught up', async (t) => {
  const setting = start(t, { limits: { maxQueuedMessages: 100, maxInflight: 10 } })
  const { broker, clock } = setting
  await hangs(setting, 'x')
  let count = 0
  const all = (async () => {
    for (; count < 300; count += 1) await broker.publish({ topic: 'x', qos: 1 })
  })()
  await settle()
  assert.equal(count, 60, 'the window and half of the queue')
  await broker.publish({ topic: 'elsewhere', qos: 1 }) // Other topics are not concerned.
  clock.advance(499)
  await settle()
  assert.equal(count, 60)
  clock.advance(1)
  await all
  assert.equal(broker.stats().publishDropped, 300 - 110)
})

test('a receiver that hangs in a shared subscription holds a publication too', async (t) => {
  const setting = start(t, { limits: { maxQueuedMessages: 100, maxInflight: 10 } })
  await hangs(setting, '$share/g/x')
  let isDone = false
  const all = publishAll(setting, 'x', 61, 1).then(() => (isDone = true))
  await settle()
  assert.equal(isDone, false)
  setting.clock.advance(500)
  await all
})

test('a Client that makes progress does not count as slow, however long its queue takes', async (t) => {
  const setting = start(t, { limits: { maxQueuedMessages: 160, maxInflight: 1 } })
  const slow = await hangs(setting, 'x')
  let isDone = false
  const all = publishAll(setting, 'x', 500, 1).then(() => (isDone = true))
  for (let read = 0; read < 500; read += 1) {
    if (!isDone) setting.clock.advance(20)
    await slow.message()
    await settle()
  }
  await all
  assert.equal(setting.broker.stats().publishDropped, 0)
})

for (const [how, end] of [
  ['when the receiver goes', (_: Setting, one: TestClient) => one.stream.destroy()],
  ['when its signal is aborted', (_s: Setting, _c: TestClient, abort: AbortController) => abort.abort()],
  ['when the broker closes', ({ broker }: Setting) => void broker.close({ graceMs: 0 })],
] as const) {
  test(`a publication that is held ends its wait ${how}`, async (t) => {
    const setting = start(t, { limits: { maxQueuedMessages: 10, maxInflight: 1 } })
    const one = await hangs(setting, 'x')
    for (let count = 0; count < 5; count += 1) await setting.broker.publish({ topic: 'x', qos: 1 })
    const abort = new AbortController()
    const { signal } = abort
    const added = t.mock.method(signal, 'addEventListener')
    const removed = t.mock.method(signal, 'removeEventListener')
    const all = Promise.all(
      numbers(8).map((payload) => setting.broker.publish({ topic: 'x', payload, qos: 1 }, { signal })),
    )
    await settle()
    end(setting, one, abort)
    await all
    assert.ok(added.mock.callCount() > 0)
    assert.equal(added.mock.callCount(), removed.mock.callCount())
  })
}

test('30,000 publications that nobody awaits settle; each message arrives or is told as dropped', async (t) => {
  const rejections = unhandled(t)
  const setting = start(t)
  const { broker, clock } = setting
  let dropped = 0
  broker.on('dropped', () => (dropped += 1))
  let heard = 0
  broker.subscribe('x', () => void (heard += 1))
  const reader = new Reader(await tcpStream(setting))
  await reader.connect('reader')
  await reader.subscribe('x', { qos: 1 })
  let settled = 0
  for (let number = 0; number < 30_000; number += 1) {
    void broker.publish({ topic: 'x', payload: `${number}`, qos: 1 }).then(() => (settled += 1))
  }
  const areSettled = (): boolean => settled >= 30_000
  while (!areSettled()) {
    await settle()
    clock.advance(100)
  }
  await reader.hasRead(30_000 - dropped)
  assert.ok(broker.stats().queuedMessages <= 10_000)
  assert.equal(reader.payloads.length + dropped, 30_000)
  assert.equal(heard, 30_000, 'a listener that takes each message at once misses none')
  assert.deepEqual(rejections, [])
})

test('much that is published in one turn lets the rest of the program run', async (t) => {
  const { broker } = start(t)
  let turns = 0
  let isOver = false
  const count = (): void => {
    turns += 1
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  for (let number = 0; number < 10_000; number += 1) await broker.publish({ topic: 'nobody' })
  isOver = true
  assert.ok(turns >= 5, `${turns} turns`)
})

// ─── subscriptions of the application ──────────────────────────────────────────────────────────────────────────────

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const listeners: readonly [string, () => unknown][] = [
  ['returns at once', () => undefined],
  ['is asynchronous', async () => undefined],
  ['waits for a turn', turn],
  ['waits for other promises', async () => await Promise.all([turn(), turn()])],
]
for (const [what, wait] of listeners) {
  for (const overflow of ['drop-oldest', 'pause', 'error'] as const) {
    test(`all messages that are awaited one by one reach a listener that ${what}, with ${overflow}`, async (t) => {
      const setting = start(t)
      const got: string[] = []
      const options = { overflow, highWaterMark: 20 }
      const subscription = setting.broker.subscribe(
        'x',
        (message) => {
          got.push(message.payload.toString())
          return wait() as Promise<void>
        },
        options,
      )
      await publishAll(setting, 'x', 400, 1)
      while (got.length < 400) await settle()
      assert.deepEqual(got, numbers(400))
      assert.equal(subscription.dropped, 0)
      assert.deepEqual(setting.errors, [])
    })

    test(`all messages that are awaited one by one reach a loop that ${what}, with ${overflow}`, async (t) => {
      const setting = start(t)
      const got: string[] = []
      const subscription = setting.broker.subscribe('x', { overflow, highWaterMark: 20 })
      const loop = (async () => {
        for await (const message of subscription) {
          got.push(message.payload.toString())
          await wait()
          if (got.length === 400) break
        }
      })()
      await publishAll(setting, 'x', 400, 1)
      await loop
      assert.deepEqual(got, numbers(400))
      assert.equal(subscription.dropped, 0)
    })
  }
}

test('three loops that publish to one slow listener lose nothing', async (t) => {
  const setting = start(t)
  let count = 0
  const subscription = setting.broker.subscribe(
    '#',
    async () => {
      count += 1
      await turn()
    },
    { highWaterMark: 20 },
  )
  await Promise.all(['a', 'b', 'c'].map((topic) => publishAll(setting, topic, 500, 0)))
  const areAllHere = (): boolean => count >= 1500
  while (!areAllHere()) await settle()
  assert.equal(subscription.dropped, 0)
})

test('a listener that hangs holds a publication for holdBackMs; with pause until it goes on', async (t) => {
  for (const overflow of ['drop-oldest', 'pause'] as const) {
    const setting = start(t)
    const gate = deferred()
    setting.broker.subscribe('x', () => gate.promise, { highWaterMark: 10, overflow })
    let isDone = false
    const all = publishAll(setting, 'x', 20, 0).then(() => (isDone = true))
    await settle()
    assert.equal(isDone, false)
    setting.clock.advance(500)
    await settle()
    assert.equal(isDone, overflow === 'drop-oldest')
    gate.resolve()
    await all
  }
})

test('the code that publishes first and begins its loop later does not wait for itself', async (t) => {
  const setting = start(t)
  const subscription = setting.broker.subscribe('x', { highWaterMark: 10, overflow: 'pause' })
  await publishAll(setting, 'x', 100, 1)
  const got: string[] = []
  for await (const message of subscription) if (got.push(message.payload.toString()) === 100) break
  assert.deepEqual(got, numbers(100))
})

test('Wills of many Clients reach a listener and a loop', async (t) => {
  const { broker, client } = start(t)
  const got: string[] = []
  broker.subscribe('will/#', ({ topic }) => void got.push(topic), { highWaterMark: 5 })
  const clients: TestClient[] = []
  for (const id of numbers(50)) {
    clients.push(
      await client(id, {
        will: { topic: `will/${id}`, payload: Buffer.alloc(0), qos: 1, retain: false, properties: undefined },
      }),
    )
  }
  for (const one of clients) one.stream.destroy()
  await settle()
  assert.equal(new Set(got).size, 50)
})

// ─── publications of hooks, events and listeners ───────────────────────────────────────────────────────────────────

/** Where in a function a publication is made. */
const places: readonly [string, (publish: () => Promise<void>) => Promise<void>][] = [
  ['at once', (publish) => publish()],
  [
    'after a promise',
    async (publish) => {
      await Promise.resolve()
      await publish()
    },
  ],
  [
    'after a turn',
    async (publish) => {
      await turn()
      await publish()
    },
  ],
  [
    'in a callback',
    (publish) =>
      new Promise((resolve, reject) => {
        setImmediate(() => process.nextTick(() => publish().then(resolve, reject)))
      }),
  ],
  ['among others', (publish) => Promise.all([publish(), turn(), publish()]).then(() => undefined)],
]

for (const [where, place] of places) {
  for (const overflow of ['drop-oldest', 'pause'] as const) {
    const self = { highWaterMark: 10, overflow }

    test(`a listener that publishes ${where} to its own full queue does not wait for itself, with ${overflow}`, async (t) => {
      const { broker } = start(t)
      let calls = 0
      const gate = deferred()
      const subscription = broker.subscribe(
        'x',
        async ({ payload }) => {
          if (calls === 0) await gate.promise
          calls += 1
          if (payload.length > 0) await place(() => broker.publish({ topic: 'x' }))
        },
        self,
      )
      for (let count = 0; count < 30; count += 1) void broker.publish({ topic: 'x', payload: 'again' })
      await settle()
      gate.resolve()
      const isCalled = (): boolean => calls >= (overflow === 'pause' ? 60 : 10)
      while (!isCalled()) await settle()
      await subscription.close()
    })

    test(`two listeners that feed each other ${where} do not wait for each other, with ${overflow}`, async (t) => {
      const { broker } = start(t)
      let calls = 0
      const feed = (topic: string) => async (): Promise<void> => {
        calls += 1
        await place(() => broker.publish({ topic }))
      }
      broker.subscribe('a', feed('b'), self)
      broker.subscribe('b', feed('c'), self)
      broker.subscribe('c', feed('a'), self)
      for (let count = 0; count < 50; count += 1) {
        for (const topic of ['a', 'b', 'c']) void broker.publish({ topic })
      }
      const isCalled = (): boolean => calls >= 300
      while (!isCalled()) await settle()
    })

    test(`a loop that publishes ${where} to its own full queue does not wait for itself, with ${overflow}`, async (t) => {
      const { broker } = start(t)
      const subscription = broker.subscribe('x', self)
      for (let count = 0; count < 30; count += 1) void broker.publish({ topic: 'x' })
      await settle()
      let calls = 0
      for await (const _ of subscription) {
        calls += 1
        if (calls === 200) break
        await place(() => broker.publish({ topic: 'x' }))
      }
      assert.equal(calls, 200)
    })
  }

  for (const qos of [0, 1, 2] as const) {
    test(`a hook that publishes ${where} at QoS ${qos} to the Client that it is asked about does not wait for it`, async (t) => {
      const setting = start(t, {
        limits: { maxQueuedMessages: 10, maxInflight: 1 },
        plugins: [
          {
            name: 'echoes',
            async authorizePublish(message, { id }) {
              await place(() => setting.broker.publish({ ...message, topic: `to/${id}` }))
              return true
            },
            async authorizeSubscribe(_, { id }) {
              await place(() => setting.broker.publish({ topic: `to/${id}`, qos: 1 }))
              return true
            },
          },
        ],
      })
      const { broker, client } = setting
      const one = await client('one')
      await one.subscribe('to/one', { qos: 2 })
      // None of these is acknowledged before all of them have arrived.
      for (let packetId = 1; packetId <= 30; packetId += 1) {
        one.send(publishPacket('up', 'x', { qos, packetId: qos === 0 ? 0 : packetId + 100 }))
      }
      while (broker.stats().publishReceived < 30) await settle()
      await one.publish('last', 'x', { qos: 0 })
      await settle()
      assert.deepEqual(setting.errors, [])
    })
  }

  test(`two hooks that publish ${where} to the Clients of each other do not wait for each other`, async (t) => {
    const setting = start(t, {
      limits: { maxQueuedMessages: 10, maxInflight: 1 },
      plugins: [
        {
          name: 'crosses',
          async authorizePublish(_, { id }) {
            await place(() => setting.broker.publish({ topic: id === 'a' ? 'b' : 'a', qos: 1 }))
            return true
          },
        },
      ],
    })
    const clients: Reader[] = []
    for (const id of ['a', 'b']) {
      const reader = new Reader(setting.broker.connect())
      await reader.connect(id)
      await reader.subscribe(id, { qos: 1 })
      clients.push(reader)
    }
    for (const one of clients) one.send(...numbers(100).map((payload) => publishPacket('up', payload)))
    while (setting.broker.stats().publishReceived < 200) await settle()
    for (const one of clients) await one.quiet()
  })
}

test('a publication of a listener waits for other receivers, so that a chain of listeners loses nothing', async (t) => {
  const setting = start(t)
  const { broker } = setting
  const got: string[] = []
  const small = { highWaterMark: 10 }
  broker.subscribe('a', async ({ payload }) => await broker.publish({ topic: 'b', payload }), small)
  broker.subscribe('b', async ({ payload }) => await broker.publish({ topic: 'c', payload }), small)
  broker.subscribe(
    'c',
    async ({ payload }) => {
      await turn()
      got.push(payload.toString())
    },
    small,
  )
  await publishAll(setting, 'a', 1000, 0)
  while (got.length < 1000) await settle()
  assert.deepEqual(got, numbers(1000))
})

test('a listener of an event that publishes waits as others do, and holds nobody', async (t) => {
  const setting = start(t, { limits: { maxQueuedMessages: 10, maxInflight: 1 } })
  const { broker, client, clock } = setting
  await hangs(setting, 'copy')
  let copied = 0
  broker.on('published', ({ topic }: Message) => {
    if (topic === 'up') void broker.publish({ topic: 'copy', qos: 1 }).then(() => (copied += 1))
  })
  const one = await client('one')
  for (let count = 0; count < 20; count += 1) await one.publish('up', 'x', { qos: 1 })
  assert.ok(copied < 20)
  clock.advance(500)
  await settle()
  assert.equal(copied, 20)
})

test('a hook is not held by a subscription that pauses without a limit: it has a limit of its own', async (t) => {
  const setting = start(t, {
    plugins: [
      {
        name: 'reports',
        async authorizePublish() {
          await setting.broker.publish({ topic: 'report' })
          return true
        },
      },
    ],
  })
  const { broker, client, clock } = setting
  const gate = deferred()
  broker.subscribe('report', () => gate.promise, { highWaterMark: 4, overflow: 'pause' })
  const one = await client('one')
  for (let packetId = 1; packetId <= 10; packetId += 1) one.send(publishPacket('up', 'x', { qos: 1, packetId }))
  for (let count = 0; count < 10; count += 1) {
    await settle()
    clock.advance(500)
  }
  for (let count = 0; count < 10; count += 1) assert.equal((await one.receives('puback')).reasonCode, 0x10)
  assert.deepEqual(setting.errors, [])
  gate.resolve()
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settle, start, type Setting, type TestClient, will } from '../support/client.ts'

/** Ways for a connection to end, and whether the Will is due. */
const endings: Record<string, { readonly due: boolean; end(one: TestClient, s: Setting): Promise<void> }> = {
  'DISCONNECT 0x00': { due: false, end: (one) => one.disconnect(0) },
  'DISCONNECT 0x04': { due: true, end: (one) => one.disconnect(4) },
  'DISCONNECT 0x80': { due: true, end: (one) => one.disconnect(0x80) },
  'a lost connection': { due: true, end: (one) => one.drop() },
  FIN: {
    due: true,
    end: async (one) => {
      one.stream.end()
      await one.closed
    },
  },
  'a protocol error': {
    due: true,
    end: async (one) => {
      one.write('00 00')
      await one.closed
    },
  },
  'a keep-alive that is over': {
    due: true,
    end: async (one, { clock }) => {
      clock.advance(90_000)
      await one.closed
    },
  },
  'an end by the application': {
    due: true,
    end: async (one, { broker }) => {
      await broker.clients.get('x')?.disconnect()
      await one.closed
    },
  },
}

for (const level of [4, 5] as const) {
  for (const [name, ending] of Object.entries(endings)) {
    const { due } = ending
    if (level === 4 && /0x04|0x80/.test(name)) continue
    for (const expiry of level === 5 ? [0, 1000] : [0]) {
      test(`${name}, MQTT level ${level}, expiry ${expiry}: the Will is ${due ? 'published, once' : 'not published'}`, async (t) => {
        const s = start(t)
        const watcher = await s.client('watcher')
        await watcher.subscribe('w', { qos: 2 })
        const one = await s.client('x', {
          level,
          keepAlive: 60,
          will: will('w', 'gone', { qos: 1 }),
          ...(level === 5 && { properties: { sessionExpiryInterval: expiry } }),
        })
        await ending.end(one, s)
        await settle()
        if (due) assert.equal(await watcher.message(), 'gone')
        await watcher.quiet()
        s.clock.advance(2_000_000)
        await watcher.quiet()
      })
    }
  }
}

for (const [delay, expiry, expected] of [
  [10, 100, 10],
  [100, 10, 10],
  [10, 0, 0],
  [0, 100, 0],
  [10, 0xffff_ffff, 10],
  [0xffff_ffff, 50, 50],
  [0xffff_ffff, 0xffff_fffe, 0xffff_fffe],
] as const) {
  test(`a Will with delay ${delay} in a session of expiry ${expiry} is published after ${expected} s [MQTT-3.1.3-9]`, async (t) => {
    const { client, clock } = start(t)
    const watcher = await client('watcher')
    await watcher.subscribe('w')
    const one = await client('x', {
      will: will('w', 'gone', { properties: { willDelayInterval: delay } }),
      properties: { sessionExpiryInterval: expiry },
    })
    await one.drop()
    if (expected > 0) {
      clock.advance(expected * 1000 - 1)
      await watcher.quiet()
      clock.advance(1)
    }
    assert.equal(await watcher.message(), 'gone')
    clock.advance(2 ** 43)
    await watcher.quiet()
  })
}

test('a Will that waits is not published when its Client comes back in time', async (t) => {
  const { client, clock } = start(t)
  const watcher = await client('watcher')
  await watcher.subscribe('w')
  const options = {
    properties: { sessionExpiryInterval: 100 },
    will: will('w', 'gone', { properties: { willDelayInterval: 10 } }),
  }
  const one = await client('x', options)
  await one.drop()
  clock.advance(9000)
  const two = await client('x', { properties: { sessionExpiryInterval: 100 }, cleanStart: false })
  clock.advance(100_000)
  await watcher.quiet()
  await two.drop() // This one has no Will.
  clock.advance(100_000)
  await watcher.quiet()
})

test('a Will that waits is published when its Client comes back with a clean start: the session ended', async (t) => {
  const { client, clock } = start(t)
  const watcher = await client('watcher')
  await watcher.subscribe('w')
  const one = await client('x', {
    properties: { sessionExpiryInterval: 100 },
    will: will('w', 'gone', { properties: { willDelayInterval: 50 } }),
  })
  await one.drop()
  clock.advance(10_000)
  await client('x', { cleanStart: true })
  assert.equal(await watcher.message(), 'gone')
  clock.advance(1_000_000)
  await watcher.quiet()
})

for (const cleanStart of [true, false]) {
  for (const delay of [0, 10]) {
    const due = cleanStart || delay === 0
    test(`a take-over with clean start ${cleanStart} ${due ? 'publishes' : 'does not publish'} a Will of delay ${delay}`, async (t) => {
      const { client, clock } = start(t)
      const watcher = await client('watcher')
      await watcher.subscribe('w')
      const properties = { sessionExpiryInterval: 100 }
      const one = await client('x', {
        properties,
        will: will('w', 'first', { properties: { willDelayInterval: delay } }),
      })
      const two = await client('x', { properties, cleanStart, will: will('w', 'second') })
      await one.endedWith(0x8e)
      if (due) assert.equal(await watcher.message(), 'first')
      clock.advance(1_000_000)
      await watcher.quiet()
      await two.drop()
      assert.equal(await watcher.message(), 'second')
      await watcher.quiet()
    })
  }
}

test('a Will carries its properties, QoS and RETAIN; the delay is for the Server alone', async (t) => {
  const { client, broker } = start(t)
  const watcher = await client('watcher')
  await watcher.subscribe('w', { qos: 2, retainAsPublished: true })
  const one = await client('x', {
    will: will('w', 'gone', {
      qos: 2,
      retain: true,
      properties: {
        contentType: 'text/plain',
        responseTopic: 'answer',
        correlationData: Buffer.from('c'),
        payloadFormatIndicator: 1,
        userProperties: [
          ['a', '1'],
          ['a', '2'],
        ],
        messageExpiryInterval: 60,
        willDelayInterval: 0,
      },
    }),
  })
  await one.drop()
  const packet = await watcher.receives('publish')
  assert.deepEqual([packet.qos, packet.retain, packet.topic], [2, true, 'w'])
  assert.deepEqual(packet.properties, {
    contentType: 'text/plain',
    responseTopic: 'answer',
    correlationData: Buffer.from('c'),
    payloadFormatIndicator: 1,
    userProperties: [
      ['a', '1'],
      ['a', '2'],
    ],
    messageExpiryInterval: 60,
  })
  assert.equal(broker.stats().retainedMessages, 1)
})

test('the expiry of a Will begins when it is published', async (t) => {
  const { client, clock } = start(t)
  const one = await client('x', {
    properties: { sessionExpiryInterval: 1000 },
    will: will('w', 'gone', { retain: true, properties: { willDelayInterval: 100, messageExpiryInterval: 60 } }),
  })
  await one.drop()
  clock.advance(100_000)
  clock.advance(20_000)
  const watcher = await client('watcher')
  await watcher.subscribe('w')
  assert.equal((await watcher.receives('publish')).properties?.messageExpiryInterval, 40)
})

test('an empty Will with RETAIN removes the retained message', async (t) => {
  const { client, broker } = start(t)
  await broker.publish({ topic: 'w', payload: 'x', retain: true })
  const one = await client('x', { will: will('w', '', { retain: true }) })
  await one.drop()
  assert.equal(broker.stats().retainedMessages, 0)
})

test('the Will of a CONNECT that takes a session over replaces the one before', async (t) => {
  const { client } = start(t)
  const watcher = await client('watcher')
  await watcher.subscribe('w')
  const properties = { sessionExpiryInterval: 100 }
  const one = await client('x', { properties, will: will('w', 'first') })
  await one.disconnect()
  const two = await client('x', { properties, cleanStart: false })
  await two.drop()
  await watcher.quiet()
})

test('close() is an end by the Server: Wills reach those who are there, or nobody, and never throw', async (t) => {
  const { client, broker, errors } = start(t)
  const watcher = await client('watcher')
  await watcher.subscribe('w')
  await client('x', { will: will('w', 'gone') })
  await broker.close()
  assert.deepEqual(errors, [])
})

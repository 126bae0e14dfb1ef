import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { encode } from '../../lib/packets/encoder.ts'
import {
  ack,
  connectPacket,
  filter,
  levels,
  publishPacket,
  settle,
  start,
  TestClient,
  will,
} from '../support/client.ts'

// Memory that Clients can make the broker use, on the heap and beside it, measured with a wide margin.

const MB = 1024 * 1024
const forever = { sessionExpiryInterval: 0xffff_ffff }

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

async function memory(): Promise<number> {
  await settle()
  collectGarbage()
  await settle() // What was collected gives its bytes back a moment later.
  collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

test('an offline session, and a Will that waits, keep no bytes of the connection before', async (t) => {
  const { client, broker } = start(t)
  const half = encode(publishPacket('t', Buffer.alloc(2 * MB)), 5).subarray(0, MB)
  const before = await memory()
  for (let number = 0; number < 30; number += 1) {
    const one = await client(`c${number}`, {
      properties: forever,
      will: will('w', 'x', { properties: { willDelayInterval: 1000 } }),
    })
    one.write(half)
    await settle()
    await one.drop()
  }
  const grown = (await memory()) - before
  assert.equal(broker.stats()['sessions'], 30)
  assert.ok(grown < 5 * MB, `${grown} bytes more`)
})

test('the User Properties of a message that waits are counted, and its Correlation Data', async (t) => {
  const { client, broker } = start(t)
  const offline = await client('offline', { cleanStart: false, properties: forever })
  await offline.subscribe('t', { qos: 1 })
  await offline.drop()
  const one = await client('one')
  const value = 'x'.repeat(50_000)
  const properties = { userProperties: [['a', value]] as const, correlationData: Buffer.alloc(50_000) }
  for (let number = 0; number < 5; number += 1) await one.publish('t', '', { qos: 1, properties })
  assert.ok((broker.stats()['queuedBytes'] ?? 0) >= 500_000)
})

test('a small message that is retained does not keep the bytes that it came with', async (t) => {
  const { client, broker } = start(t)
  const one = await client('one')
  const rest = publishPacket('other', Buffer.alloc(60_000))
  const before = await memory()
  for (let number = 0; number < 300; number += 1) {
    const properties = { correlationData: Buffer.from('c') }
    one.send(publishPacket(`t/${number}`, 'x', { retain: true, properties }), rest)
    await one.quiet()
  }
  const grown = (await memory()) - before
  assert.equal(broker.stats()['retainedMessages'], 300)
  assert.ok(grown < 4 * MB, `${grown} bytes more`)
})

test('what is kept over TCP does not keep what other Clients sent at that time', async (t) => {
  const { broker } = start(t)
  const [listener] = await broker.listen({ tcp: 0 })
  const { port } = listener!.address as { port: number }
  const open = async (clientId: string, payload = ''): Promise<TestClient> => {
    const socket = connect(port, '127.0.0.1').setNoDelay()
    t.after(() => socket.destroy())
    const client = new TestClient(socket)
    await client.connect(clientId, { will: will('w', payload) })
    return client
  }
  const [one, other] = [await open('one'), await open('other')]
  const passing = publishPacket('other', Buffer.alloc(3900))
  const kinds: Record<string, (number: number) => Promise<unknown>> = {
    async retained(number) {
      const properties = { correlationData: Buffer.from('c') }
      one.send(publishPacket(`t/${number}`, 'x', { retain: true, properties }))
      await one.quiet()
    },
    will: (number) => open(`c${number}`, 'x'),
  }
  for (const [kind, keepOne] of Object.entries(kinds)) {
    await memory()
    const before = process.memoryUsage().arrayBuffers
    for (let number = 0; number < 400; number += 1) {
      await keepOne(number)
      for (let times = 0; times < 2; times += 1) {
        other.send(passing)
        await other.quiet()
      }
    }
    await memory()
    const grown = process.memoryUsage().arrayBuffers - before
    assert.ok(grown < MB, `${kind}: ${grown} bytes more`)
  }
})

test('inflight messages count until they are acknowledged, also when the Client has disconnected', async (t) => {
  const { client, broker } = start(t)
  const options = { cleanStart: false, properties: forever }
  const one = await client('one', options)
  await one.subscribe('t', { qos: 1 })
  for (let number = 0; number < 10; number += 1) {
    await broker.publish({ topic: 't', payload: Buffer.alloc(100_000), qos: 1 })
  }
  await one.receives('publish')
  assert.ok((broker.stats()['queuedBytes'] ?? 0) >= 1_000_000)
  await one.drop()
  assert.ok((broker.stats()['queuedBytes'] ?? 0) >= 1_000_000)
  const again = await client('one', options)
  for (let number = 0; number < 10; number += 1) await again.message()
  await again.quiet()
  assert.equal(broker.stats()['queuedBytes'], 0)
})

test('what is retained is kept once, whatever forms it was sent in', async (t) => {
  const { client, broker } = start(t)
  for (let number = 0; number < 100; number += 1) {
    await broker.publish({ topic: `t/${number}`, payload: Buffer.alloc(50_000), qos: 2, retain: true })
  }
  const before = await memory()
  for (const level of levels) {
    for (const qos of [0, 1, 2] as const) {
      const one = await client(`c${level}${qos}`, { level })
      one.send({ type: 'subscribe', packetId: 1, subscriptions: [filter('#', { qos })], properties: undefined })
      await one.receives('suback')
      for (let came = 0; came < 100; ) {
        const packet = await one.receivesAny()
        if (packet.type === 'publish') came += 1
        if (packet.type === 'publish' && qos === 1) one.send(ack('puback', packet.packetId))
        if (packet.type === 'publish' && qos === 2) one.send(ack('pubrec', packet.packetId))
        if (packet.type === 'pubrel') one.send(ack('pubcomp', packet.packetId))
      }
      await one.disconnect()
    }
  }
  const grown = (await memory()) - before
  assert.ok(grown < 4 * MB, `${grown} bytes more`)
})

test('the routes of many topics with overlapping subscriptions are bounded by all that they hold', async (t) => {
  const { client } = start(t)
  const one = await client('one')
  const filters = Array.from({ length: 2048 }, (_, number) => {
    const levels = Array.from({ length: 11 }, (_, bit) => ((number >> bit) & 1 ? 'x' : '+'))
    return filter(`${levels.join('/')}/+`, { noLocal: true })
  })
  await one.subscribe(filters)
  const before = await memory()
  const topic = 'x/'.repeat(11)
  for (let number = 0; number < 1500; number += 1) one.send(publishPacket(`${topic}${number}`, ''))
  await one.quiet()
  const grown = (await memory()) - before
  assert.ok(grown < 16 * MB, `${grown} bytes more`)
})

test('a CONNECT that waits for a hook keeps no more than a little of what comes behind it', async (t) => {
  let letIn!: () => void
  const waits = new Promise<true>((resolve) => {
    letIn = () => resolve(true)
  })
  t.after(() => letIn())
  const { broker, open } = start(t, { plugins: [{ name: 'p', authenticate: () => waits }] })
  const one = open()
  one.send(connectPacket('one'))
  const bytes = encode(publishPacket('t', Buffer.alloc(50_000)), 5)
  const writeOnAndOn = (times: number): void => {
    if (times > 0) one.stream.write(bytes, () => writeOnAndOn(times - 1))
  }
  writeOnAndOn(200)
  for (let round = 0; round < 50; round += 1) await settle()
  assert.ok((broker.stats()['bytesReceived'] ?? 0) < 400_000, `${broker.stats()['bytesReceived']} bytes were read`)
})

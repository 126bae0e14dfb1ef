import { strict as assert } from 'node:assert'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { Broker } from '../../lib/index.ts'
import type { ProtocolLevel } from '../../types/packets.ts'
import { Faults, heapInUse } from './faults.ts'
import { type RawClient, tcpClient, until } from './raw-client.ts'
import { afterConnect, beforeConnect, reactionsTo, type Vector } from './vectors.ts'

const levels: readonly ProtocolLevel[] = [3, 4, 5]
const versions: Readonly<Record<ProtocolLevel, string>> = { 3: 'MQTT 3.1', 4: 'MQTT 3.1.1', 5: 'MQTT 5.0' }
// What the code itself, its types and its tables may add to the heap while all vectors run.
const HEAP_BOUND = 6 * 1024 * 1024

const broker = new Broker({ sysInterval: false })
const faults = new Faults(broker)
let port: number

before(async () => {
  const [listener] = await broker.listen({ tcp: 0 })
  port = (listener as { address: AddressInfo }).address.port
})
after(async () => {
  await broker.close()
  faults.stop()
})

/** What becomes of one input; somebody else must not notice it. */
async function check(vector: Vector, level: ProtocolLevel, connected: boolean): Promise<void> {
  const client = await tcpClient(port, level)
  if (connected) await client.connects('bad')
  const reaction = await client.sends(vector.send).reaction()
  const accepted = reactionsTo(vector, level) ?? []
  assert.ok(accepted.includes(reaction), `${reaction}, expected ${accepted.join(' or ')}`)
  await client.drops()
  await isServed(level)
}

async function isServed(level: ProtocolLevel): Promise<void> {
  const client = await tcpClient(port, level)
  await client.connects('good')
  client.sends('82 <0001 NONE "news" 00>')
  await client.receives('suback 00')
  client.sends('30 <"news" NONE \'today\'>')
  await client.receives('publish 0 news today')
  await client.drops()
}

for (const [connected, vectors] of [
  [false, beforeConnect],
  [true, afterConnect],
] as const) {
  describe(connected ? 'A Client that is connected sends' : 'A connection begins with', () => {
    for (const vector of vectors) {
      for (const level of levels) {
        if (reactionsTo(vector, level) === undefined) continue
        test(`${vector.id} ${vector.what.slice(0, 80)} at ${versions[level]}`, () => check(vector, level, connected))
      }
    }
  })
}

test('B84 a thousand PINGREQ in one segment have a thousand answers', async () => {
  for (const level of levels) {
    const client = await tcpClient(port, level)
    await client.connects('many')
    client.sends('{1000 c0 00}')
    for (let count = 0; count < 1000; count += 1) await client.receives('pingresp')
    await client.drops()
  }
})

test('B25 an empty Client Identifier is answered with the one that was assigned [MQTT-3.2.2-16]', async () => {
  const client = await tcpClient(port, 5)
  client.sends('10 <NAME 02 0000 00 "">')
  const connack = await client.receives('connack 00')
  assert.match(connack?.body.toString('latin1') ?? '', /auto-/)
  await client.drops()
})

test('B50 and B103 let the Will go out, a normal DISCONNECT does not', async () => {
  const watcher = await tcpClient(port, 5)
  await watcher.connects('watcher')
  await watcher.sends('82 <0001 NONE "will" 00>').receives('suback 00')
  for (const [bad, expected] of [
    ['10 <NAME 02 0000 NONE "c">', 'disconnect 82'],
    ['e0 <00 <11 0000000a>>', 'disconnect 82'],
    ['e0 <04>', 'close'],
    ['36 <"a" 0001 NONE>', 'disconnect 81'],
  ] as const) {
    const client = await tcpClient(port, 5)
    client.sends('10 <NAME 06 0000 NONE "dying" NONE "will" "gone">')
    await client.receives('connack 00')
    await client.sends(bad).receives(expected)
    await watcher.receives('publish 0 will gone')
    await client.drops()
  }
  const polite = await tcpClient(port, 5)
  polite.sends('10 <NAME 06 0000 NONE "dying" NONE "will" "gone">')
  await polite.receives('connack 00')
  await polite.sends('e0 00').receives('close')
  await watcher.hasNothing()
  await watcher.drops()
})

/** Every bad input once. */
async function round(): Promise<void> {
  for (const level of levels) {
    for (const vectors of [beforeConnect, afterConnect]) {
      for (const vector of vectors) {
        if (reactionsTo(vector, level) === undefined) continue
        const client: RawClient = await tcpClient(port, level)
        if (vectors === afterConnect) await client.connects('bad')
        await client.sends(vector.send).reaction()
        await client.drops()
      }
    }
  }
}

test('no number of bad inputs leaves anything behind', async () => {
  await until(() => isIdle(), 'the end of all connections')
  await round()
  await until(() => isIdle(), 'the end of all connections')
  const resources = process.getActiveResourcesInfo().toSorted()
  const stats = broker.stats()
  const heap = heapInUse()
  await round()
  await until(() => isIdle(), 'the end of all connections')
  const now = broker.stats()
  for (const name of [
    'sessions',
    'subscriptions',
    'sharedSubscriptions',
    'timers',
    'queuedMessages',
    'queuedBytes',
  ] as const) {
    assert.equal(now[name], stats[name], name)
  }
  assert.equal(now.retainedMessages, 0)
  assert.deepEqual(process.getActiveResourcesInfo().toSorted(), resources)
  const growth = heapInUse() - heap
  assert.ok(growth < HEAP_BOUND, `the heap grew by ${growth} bytes`)
})

function isIdle(): boolean {
  const { sessions, timers } = broker.stats()
  return sessions === 0 && timers === 0 && broker.clients.size === 0
}

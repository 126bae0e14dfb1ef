/** Stores that earlier versions wrote are opened by this one, and everything is there for its Clients. */
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { ClassicLevel } from 'classic-level'
import type { Broker, BrokerOptions, ConnackPacket, Persistence, PublishPacket, Subscription } from '../../lib/index.ts'
import { ack, publishPacket, settle, TestClient } from '../support/client.ts'
import { noRedis, RedisServer } from '../support/redis.ts'
import {
  type Expected,
  type ExpectedMessage,
  type ExpectedSession,
  FOR_EVER,
  GoldenClock,
  goldenBroker,
  goldenFolder,
  OPENED_AFTER,
  plainMessage,
  plainSubscription,
  WATCHER,
} from './golden.ts'
import { type Command, replay } from './redis-commands.ts'

const require = createRequire(import.meta.url)
const levelPersistence: (db: unknown) => Persistence = require('aedes-persistence-level')
const redisPersistence: (options: object) => Persistence = require('aedes-persistence-redis')

/** A copy, because to open a store is to write to it. */
function copied(folder: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'haltere-golden-'))
  cpSync(join(folder, 'files'), dir, { recursive: true })
  return dir
}

const removed = (dir: string) => async (): Promise<void> => rmSync(dir, { recursive: true, force: true })

/** The Clients of a broker that has opened a golden store. */
class Opened {
  readonly broker: Broker
  readonly clock = new GoldenClock(OPENED_AFTER)
  readonly errors: Error[] = []

  constructor(t: TestContext, options: BrokerOptions, remove: () => Promise<void>) {
    this.broker = goldenBroker(this.clock, { ...options, logger: silent })
    this.broker.on('error', (error) => this.errors.push(error))
    t.after(async () => {
      await this.broker.close({ graceMs: 0 })
      await remove()
    })
  }

  async resume(
    clientId: string,
    { level = 5, username }: Partial<Pick<ExpectedSession, 'level' | 'username'>> = {},
  ): Promise<{ client: TestClient; connack: ConnackPacket }> {
    const client = new TestClient(this.broker.connect(), level)
    const connack = await client.connect(clientId, {
      cleanStart: false,
      ...(username !== undefined && { username }),
      ...(level === 5 && { properties: { sessionExpiryInterval: FOR_EVER } }),
    })
    assert.equal(connack.reasonCode, 0, clientId)
    return { client, connack }
  }
}

const ignore = (): void => undefined
const silent = { debug: ignore, info: ignore, warn: ignore, error: ignore }

/** All that is sent at once to a Client that is back, in its order; then it is acknowledged. */
async function checkQueue(client: TestClient, { clientId, queue }: ExpectedSession): Promise<void> {
  const publishes: PublishPacket[] = []
  for (const [place, expected] of queue.entries()) {
    const packet = await client.receivesAny()
    const where = `${clientId}: packet ${place + 1} of its queue`
    if ('pubrel' in expected) {
      assert.deepEqual([packet.type, 'packetId' in packet && packet.packetId], ['pubrel', expected.pubrel], where)
      client.send(ack('pubcomp', expected.pubrel))
      continue
    }
    if (packet.type !== 'publish') assert.fail(`${where}: ${packet.type} came instead of a PUBLISH`)
    assert.deepEqual(plainMessage(packet), expected, where)
    publishes.push(packet)
  }
  await client.quiet()
  for (const packet of publishes) await client.acknowledge(packet)
}

async function checkSession(opened: Opened, expected: ExpectedSession): Promise<TestClient> {
  const { clientId, level, subscriptions, incoming } = expected
  const { client, connack } = await opened.resume(clientId, expected)
  if (level !== 3) assert.equal(connack.sessionPresent, true, clientId)
  await checkQueue(client, expected)
  const known = opened.broker.clients.get(clientId)?.subscriptions ?? new Map<string, Subscription>()
  assert.deepEqual(
    new Map([...known].map(([topicFilter, subscription]) => [topicFilter, plainSubscription(subscription)])),
    new Map(Object.entries(subscriptions)),
    clientId,
  )
  for (const packetId of incoming) {
    client.send(publishPacket('repeated', 'not handed on again', { qos: 2, dup: true, packetId }))
    assert.deepEqual(await client.receives('pubrec'), ack('pubrec', packetId), clientId)
    client.send(ack('pubrel', packetId))
    assert.deepEqual(await client.receives('pubcomp'), ack('pubcomp', packetId), clientId)
  }
  return client
}

async function checkRetained(client: TestClient, expected: readonly ExpectedMessage[]): Promise<void> {
  await client.subscribe('#', { qos: 2, retainAsPublished: true })
  const came: PublishPacket[] = []
  while (came.length < expected.length) came.push(await client.receives('publish'))
  await client.quiet()
  for (const packet of came) await client.acknowledge(packet)
  assert.deepEqual(
    came.map(plainMessage).toSorted((one, other) => (one.topic < other.topic ? -1 : 1)),
    expected,
  )
  await client.unsubscribe('#')
}

async function checkWills(opened: Opened, watcher: TestClient, { wills }: Expected): Promise<void> {
  let passed = 0
  for (const { clientId, seconds, message } of wills) {
    opened.clock.advance((seconds - passed) * 1000 - 1)
    await settle()
    await watcher.quiet()
    opened.clock.advance(1)
    const packet = await watcher.receives('publish')
    assert.deepEqual(plainMessage(packet), message, clientId)
    await watcher.acknowledge(packet)
    passed = seconds
    assert.equal((await opened.resume(clientId)).connack.sessionPresent, true, clientId)
  }
}

async function check(
  t: TestContext,
  folder: string,
  options: BrokerOptions,
  remove: () => Promise<void>,
): Promise<void> {
  const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Expected
  const opened = new Opened(t, options, remove)
  const { client: witness } = await opened.resume('witness')
  await witness.subscribe('repeated', { qos: 2 })
  const { client: reader } = await opened.resume('reader')
  await checkRetained(reader, expected.retained)
  let watcher: TestClient | undefined
  for (const session of expected.sessions) {
    const client = await checkSession(opened, session)
    if (session.clientId === WATCHER) watcher = client
    if (session.username !== undefined) {
      const other = new TestClient(opened.broker.connect(), 5)
      const { reasonCode } = await other.connect(session.clientId, { cleanStart: false, username: 'somebody else' })
      assert.equal(reasonCode, 0x87, session.clientId)
    }
  }
  await witness.quiet()
  await checkWills(opened, watcher!, expected)
  for (const clientId of expected.ended) {
    assert.equal((await opened.resume(clientId)).connack.sessionPresent, false, clientId)
  }
  await watcher!.quiet()
  assert.deepEqual(opened.errors, [])
}

/** The kinds of the records in a segment of the log, read by nothing but the description of the format. */
function recordKinds(bytes: Buffer): number[] {
  const kinds: number[] = []
  for (let frame = 36; frame + 32 <= bytes.length && bytes.readUInt32BE(frame) === 0xf7a17e2e; ) {
    const end = frame + 32 + bytes.readUInt32BE(frame + 8)
    for (let record = frame + 32; record < end; record += 5 + bytes.readUInt32BE(record + 1)) {
      kinds.push(bytes[record]!)
    }
    frame = end
  }
  return kinds
}

for (const version of readdirSync(goldenFolder)) {
  const folderOf = (name: string): string => join(goldenFolder, version, name)

  for (const name of ['log-methods', 'log-closed', 'log-killed']) {
    test(`${name} of ${version} is opened, and everything is there`, async (t) => {
      const dir = copied(folderOf(name))
      await check(t, folderOf(name), { store: dir }, removed(dir))
    })
  }

  test(`level of ${version} is opened, and everything is there`, async (t) => {
    const dir = copied(folderOf('level'))
    await check(t, folderOf('level'), { persistence: levelPersistence(new ClassicLevel(dir)) }, removed(dir))
  })

  test(`redis of ${version} is opened, and everything is there`, { skip: noRedis }, async (t) => {
    const server = await RedisServer.started()
    const lines = readFileSync(join(folderOf('redis'), 'commands.ndjson'), 'utf8')
      .trimEnd()
      .split('\n')
    await replay(
      lines.map((line) => JSON.parse(line) as Command),
      server.port,
    )
    const options = { persistence: redisPersistence({ port: server.port }) }
    await check(t, folderOf('redis'), options, () => server.remove())
  })
}

test('the golden log of 0.1.0 has records of each of the 18 kinds of its format', () => {
  const files = join(goldenFolder, '0.1.0/log-methods/files')
  const kinds = readdirSync(files).flatMap((name) => recordKinds(readFileSync(join(files, name))))
  assert.deepEqual(
    [...new Set(kinds)].toSorted((one, other) => one - other),
    Array.from({ length: 18 }, (_, index) => index + 1),
  )
})

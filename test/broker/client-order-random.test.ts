/** The order of one Client Identifier when hooks decide at random times and connections end in all ways. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type { Plugin } from '../../types/hooks.ts'
import type { ProtocolLevel, QoS } from '../../types/packets.ts'
import {
  connectPacket,
  deferred,
  filter,
  publishPacket,
  settle,
  start,
  type TestClient,
  unhandled,
  will,
} from '../support/client.ts'

const HOOK_MS = 10_000

/** A generator of numbers that can be repeated. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

type End = 'taken over' | 'destroyed' | 'ended' | 'DISCONNECT' | 'malformed' | 'client.disconnect()' | 'keep-alive'
const ends: readonly End[] = [
  'taken over',
  'taken over',
  'taken over',
  'destroyed',
  'ended',
  'DISCONNECT',
  'malformed',
  'client.disconnect()',
  'keep-alive',
]

async function run(t: TestContext, seed: number, isStored: boolean): Promise<void> {
  const random = generator(seed)
  const reasons = unhandled(t)
  const waiting: { answer: ReturnType<typeof deferred<boolean>>; name: string }[] = []
  let isOver = false
  const slow = (name: string): true | Promise<boolean> => {
    if (isOver || name.startsWith('watcher') || random(3) === 0) return true
    const answer = deferred<boolean>()
    waiting.push({ answer, name })
    return answer.promise
  }
  const plugin: Plugin = {
    name: 'slow',
    authorizePublish: ({ payload }) => slow(payload.toString()),
    inspect: ({ payload }) => (random(4) === 0 ? (slow(payload.toString()) as unknown as Promise<void>) : undefined),
    authorizeSubscribe: (_, client) => slow(client.id),
  }
  const s = start(t, {
    plugins: [plugin],
    ...(isStored && { persistence: new MemoryPersistence() }),
    ...(random(3) === 0 && { limits: { messagesPerSecond: 5 } }),
  })
  const watcher = await s.client('watcher')
  await watcher.subscribe('t/#')
  const log: string[] = []
  const answerSome = async (): Promise<void> => {
    for (let count = random(4); count > 0 && waiting.length > 0; count -= 1) {
      const [one] = waiting.splice(random(waiting.length), 1)
      log.push(`answer ${one!.name}`)
      if (random(6) === 0) one!.answer.reject(new Error('a fault'))
      else one!.answer.resolve(random(6) !== 0)
      await settle()
    }
  }
  const clients: TestClient[] = []
  for (let index = 0; index < 12; index += 1) {
    const level = ([3, 4, 5] as const)[random(3)] as ProtocolLevel
    const client = s.open(level)
    clients.push(client)
    const hasWill = random(2) === 0
    const expiry = 60 * random(2)
    log.push(`connect ${index} level ${level} will ${hasWill} expiry ${expiry}`)
    client.send(
      connectPacket('x', {
        level,
        cleanStart: random(2) === 0,
        keepAlive: 5,
        ...(level === 5 && { properties: { sessionExpiryInterval: expiry } }),
        ...(hasWill && {
          will: will('t/w', `${index}.99`, {
            qos: random(3) as QoS,
            retain: random(2) === 0,
            ...(level === 5 && random(3) === 0 && { properties: { willDelayInterval: 3 } }),
          }),
        }),
      }),
    )
    await settle()
    const count = random(5)
    for (let number = 0; number < count; number += 1) {
      const qos = random(3) as QoS
      log.push(`publish ${index}.${10 + number} qos ${qos}`)
      client.send(
        publishPacket(`t/${random(2)}`, `${index}.${10 + number}`, {
          qos,
          packetId: qos === 0 ? 0 : 1 + random(5) + 5 * qos,
          retain: random(3) === 0,
        }),
      )
      if (random(5) === 0)
        client.send({ type: 'subscribe', packetId: 100, subscriptions: [filter('none')], properties: undefined })
      if (random(4) === 0) await answerSome()
    }
    if (random(2) === 0) await settle()
    const end = ends[random(ends.length)] as End
    log.push(`${index} ${end}`)
    if (end === 'destroyed') client.stream.destroy()
    if (end === 'ended') client.stream.end()
    if (end === 'DISCONNECT') {
      client.send({ type: 'disconnect', reasonCode: 0, properties: undefined })
      client.stream.end()
    }
    if (end === 'malformed') client.write(Buffer.from('0000', 'hex'))
    if (end === 'client.disconnect()') void s.broker.clients.get('x')?.disconnect()
    if (end === 'keep-alive') s.clock.advance(8000)
    if (random(2) === 0) await settle()
    if (random(2) === 0) await answerSome()
    if (random(4) === 0) s.clock.advance(random(HOOK_MS))
  }
  const closesAtOnce = random(2) === 0
  if (!closesAtOnce) {
    for (let turn = 0; turn < 200 && waiting.length > 0; turn += 1) {
      waiting.shift()!.answer.resolve(true)
      await settle()
    }
    isOver = true
    for (const client of clients) client.stream.destroy()
    await settle()
    s.clock.advance(5 * HOOK_MS)
    await settle()
    s.clock.advance(5 * HOOK_MS)
    await settle()
  }
  watcher.send({ type: 'pingreq' })
  await settle()
  const seen: string[] = []
  for (const packet of watcher.received) if (packet.type === 'publish') seen.push(packet.payload.toString())
  const context = `seed ${seed}, ${isStored ? 'stored' : 'not stored'}\n${log.join('\n')}\nseen ${seen.join(' ')}`
  let latest = -1
  for (const payload of seen) {
    const index = Number.parseInt(payload)
    assert.ok(index >= latest, `${payload} after ${latest}\n${context}`)
    latest = index
  }
  if (!closesAtOnce) {
    const timers = s.broker.stats().timers ?? 0
    assert.ok(timers <= 1, `${timers} timers\n${context}`)
  }
  const closed = s.broker.close({ graceMs: 0 }).then(() => true)
  let isClosed = false
  for (let passed = 0; passed <= 2 * HOOK_MS && !isClosed; passed += 1000) {
    s.clock.advance(1000)
    isClosed = await Promise.race([closed, settle().then(() => false)])
  }
  assert.ok(isClosed, `close() did not resolve\n${context}`)
  for (const { answer, name } of waiting) {
    if (random(2) === 0) answer.resolve(true)
    else answer.reject(new Error(`late ${name}`))
  }
  await settle()
  assert.deepEqual(reasons, [], context)
  // A hook that decided on a CONNECT or SUBSCRIBE when its connection ended may report a fault of its own.
  for (const error of s.errors)
    assert.match(error.message, /hooks did not decide|failed: a fault|no answer within|late x|late \d+\.99/, context)
}

for (let seed = 0; seed < 100; seed += 1) {
  test(`nothing of a connection comes after something of the next one, and close() resolves: seed ${seed}`, (t) =>
    run(t, seed, seed % 2 === 0))
}

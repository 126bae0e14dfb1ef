/**
 * `node dist/test/bench/log.js`: messages per second of the durable store. Each message is a `publish` of 200 bytes
 * and, after its commit, a `complete`.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LogOptions, LogPersistence } from '../../lib/storage/log/log-persistence.ts'
import type { PersistenceOperation } from '../../types/persistence.ts'

const SECONDS = 3
const CLIENTS = 100

export const broker = { id: 'broker-1' }

export function publishOf(
  brokerCounter: number,
  messageId: number | undefined,
  clientId: string = `client ${brokerCounter % CLIENTS}`,
): PersistenceOperation {
  return {
    kind: 'publish',
    packet: {
      cmd: 'publish',
      topic: 'site/7/device/1234/temperature',
      payload: Buffer.alloc(200, brokerCounter & 0xff),
      qos: 1,
      retain: false,
      brokerId: broker.id,
      brokerCounter,
    },
    targets: [{ clientId, qos: 1, retain: false, messageId }],
    retain: false,
  }
}

async function open(options: LogOptions): Promise<LogPersistence> {
  const store = new LogPersistence(options)
  await store.open()
  return store
}

async function commits(durability: 'fsync' | 'os', inFlight: number): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'haltere-bench-'))
  const store = await open({ dir, durability })
  let counter = 0
  let done = 0
  const latencies: number[] = []
  const cpu = process.cpuUsage()
  const start = performance.now()
  const end = start + SECONDS * 1000
  async function one(): Promise<void> {
    while (performance.now() < end) {
      counter += 1
      const current = counter
      const messageId = 1 + (Math.floor(current / CLIENTS) % 60_000)
      const before = performance.now()
      await store.commit([publishOf(current, messageId)])
      latencies.push(performance.now() - before)
      await store.commit([{ kind: 'complete', clientId: `client ${current % CLIENTS}`, messageId }])
      done += 1
    }
  }
  await Promise.all(Array.from({ length: inFlight }, one))
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  latencies.sort((a, b) => a - b)
  const [half, most] = [0.5, 0.99].map((part) => latencies[Math.floor(latencies.length * part)]?.toFixed(1))
  console.log(
    `${durability.padEnd(5)} ${String(inFlight).padStart(4)} in flight: ${Math.round(done / seconds)} messages/s ` +
      `(${Math.round((2 * done) / seconds)} commits/s), ${((user + system) / done).toFixed(1)} µs CPU a message, ` +
      `commit p50 ${half} ms, p99 ${most} ms`,
  )
  await store.close()
  rmSync(dir, { recursive: true })
}

/** Fills a queue with `waiting` messages, reads it at a start, and drains it. */
async function longQueue(waiting: number): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'haltere-bench-'))
  const clientId = 'client 0'
  const store = await open({ dir, durability: 'os' })
  await inSteps(waiting, (counter) => store.commit([publishOf(counter, undefined, clientId)]))
  await store.close()
  const cpu = process.cpuUsage()
  const start = performance.now()
  const again = await open({ dir, durability: 'os' })
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const heap = Math.round(process.memoryUsage().heapUsed / waiting)
  console.log(
    `recovery of ${waiting} waiting messages: ${Math.round(waiting / seconds)} records/s, ` +
      `${((user + system) / waiting).toFixed(1)} µs CPU each, ${heap} bytes of heap each, store and messages`,
  )
  const drain = performance.now()
  await inSteps(waiting, (brokerCounter) => {
    const messageId = 1 + (brokerCounter % 60_000)
    const send = { kind: 'send', clientId, brokerId: broker.id, brokerCounter, messageId } as const
    return again.commit([send, { kind: 'complete', clientId, messageId }])
  })
  const rate = Math.round((waiting * 1000) / (performance.now() - drain))
  const before = again.diskUse.bytes
  await again.compact()
  console.log(
    `sent and completed: ${rate} messages/s; ${before} bytes on the disk, ${again.diskUse.bytes} after a compaction`,
  )
  await again.close()
  rmSync(dir, { recursive: true })
}

async function inSteps(count: number, commit: (counter: number) => Promise<unknown>): Promise<void> {
  let promises: Promise<unknown>[] = []
  for (let counter = 1; counter <= count; counter += 1) {
    promises.push(commit(counter))
    if (promises.length < 5000 && counter < count) continue
    await Promise.all(promises)
    promises = []
  }
}

if (process.argv[1] === import.meta.filename) {
  for (const durability of ['fsync', 'os'] as const) {
    for (const inFlight of [64, 1000]) await commits(durability, inFlight)
  }
  await longQueue(1_000_000)
}

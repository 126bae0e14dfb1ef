/** 100,000 retained messages: stores them, then reads all at once, one by one, and by a filter with a wildcard. */
import { publishAll } from '../load/batch-publisher.ts'
import { Client } from '../load/client.ts'
import { publishPacket } from '../load/packets.ts'
import { until } from '../load/until.ts'
import { Stopwatch } from '../load/window.ts'
import { residentBytes } from '../process-usage.ts'
import type { Target, Work } from './work.ts'

export const MESSAGES = 100_000
const BUILDINGS = 100
const KINDS = 10 // `building/+/kind` matches one of a thousand.
const EXACT_LOOKUPS = 500
const PATTERN_LOOKUPS = 100

function topicOf(index: number): string {
  const building = index % BUILDINGS
  const rest = Math.floor(index / BUILDINGS)
  return `building-${building}/room-${Math.floor(rest / KINDS)}/kind-${rest % KINDS}`
}

/** `count` PUBLISH packets with RETAIN and different topics; an empty payload removes the retained messages. */
export function retainedPackets(count: number, payloadBytes = 128): readonly Buffer[] {
  return Array.from({ length: count }, (_, index) =>
    publishPacket({
      topic: topicOf(index),
      qos: 1,
      payloadBytes,
      version: 4,
      packetId: (index % 65_535) + 1,
      stream: 0,
      retain: true,
    }),
  )
}

/** Subscribes repeatedly. Returns the broker's CPU for one lookup with its deliveries. */
export async function lookUp(
  target: Target,
  filterOf: (index: number) => string,
  plan: { lookups: number; found: number; seconds: number },
): Promise<{ cpu: number; missing: number }> {
  let received = 0
  const client = await Client.connect({
    port: target.port,
    clientId: `reader-${filterOf(0)}`.replaceAll(/\W/g, ''),
    onMessage: () => {
      received += 1
    },
  })
  const stopwatch = new Stopwatch(target.pid)
  const deadline = performance.now() + plan.seconds * 1_000
  let done = 0
  while (done < plan.lookups && performance.now() < deadline) {
    await client.subscribe([filterOf(done)], 0)
    done += 1
    const isComplete = await until(() => received >= done * plan.found, plan.seconds)
    if (!isComplete) break
  }
  const { brokerCpu } = stopwatch.read(done)
  client.destroy()
  return { cpu: brokerCpu / done, missing: done * plan.found - received }
}

export const retained: Work = {
  name: 'retained',
  title: '100,000 retained messages',
  figures: {
    store: { title: 'stored per second of broker CPU', unit: '1/s', better: 'more', isCompared: true },
    memory: { title: 'memory of a retained message (128 B of payload)', unit: 'B', better: 'less' },
    all: { title: 'read by # per second of broker CPU', unit: '1/s', better: 'more', isCompared: true },
    exact: {
      title: 'broker CPU to subscribe to one topic and get its message',
      unit: 'ms',
      better: 'less',
      isCompared: true,
    },
    pattern: {
      title: 'broker CPU to subscribe to a/+/b and get 1 of 1000',
      unit: 'ms',
      better: 'less',
      isCompared: true,
    },
  },
  without: ['relay'],
  async run(target, scale) {
    const { port, pid } = target
    const count = Math.round(MESSAGES * scale.size)
    const publisher = await Client.connect({ port, clientId: 'publisher' })
    const packets = retainedPackets(count)
    const memory = residentBytes(pid)
    const storing = new Stopwatch(pid)
    const stored = storing.read(await publishAll(publisher, count, (index) => packets[index]!, scale.limit))
    const bytes = (residentBytes(pid) - memory) / stored.count

    const perBuilding = stored.count / BUILDINGS / KINDS
    const limits = { seconds: scale.limit / 3 }
    const all = await lookUp(target, () => '#', { lookups: 1, found: stored.count, ...limits })
    const exact = await lookUp(target, topicOf, { lookups: EXACT_LOOKUPS, found: 1, ...limits })
    const pattern = await lookUp(target, (index) => `building-${index % BUILDINGS}/+/kind-${index % KINDS}`, {
      lookups: PATTERN_LOOKUPS,
      found: Math.floor(perBuilding),
      ...limits,
    })
    publisher.destroy()
    return {
      figures: {
        store: stored.count / stored.brokerCpu,
        memory: bytes,
        all: (stored.count - all.missing) / all.cpu,
        exact: exact.cpu * 1_000,
        pattern: pattern.cpu * 1_000,
      },
      faults: { missing: all.missing + exact.missing + pattern.missing, repeated: 0, jumps: 0 },
      ...(count < MESSAGES && { note: `${count} messages` }),
    }
  },
}

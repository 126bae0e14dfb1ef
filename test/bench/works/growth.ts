/** Compares the cost of a count with the cost of ten times that count. */
import { setTimeout as delay } from 'node:timers/promises'
import { publishAll } from '../load/batch-publisher.ts'
import { Client } from '../load/client.ts'
import { Stopwatch } from '../load/window.ts'
import { cpuSeconds, openFilesLimit } from '../process-usage.ts'
import { CONNECTIONS, connects } from './connects.ts'
import { FILTERS, filters } from './filters.ts'
import { MESSAGES as LETTERS, offline } from './offline.ts'
import { lookUp, MESSAGES as RETAINED, retainedPackets } from './retained.ts'
import type { Figure, Outcome, Scale, Target, Work } from './work.ts'

const TIMES = 10
const MIN_SIZE = 0.3 // Below this size a single garbage collection decides the figure.
const WARM_UP: Scale = { warmUp: 0, seconds: 0.1, size: 0.1, limit: 4 }

interface Growth {
  readonly name: string
  readonly title: string
  /** Description of each key of `costs`. */
  readonly parts: Record<string, string>
  readonly without?: Work['without']
  /** Seconds of broker CPU for each part. It must remove all its state, so that it can run again. */
  costs(target: Target, scale: Scale): Promise<Record<string, number>>
}

/** Waits until the broker has processed all input of earlier Clients. */
async function untilIdle(pid: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const before = cpuSeconds(pid)
    await delay(40)
    if (cpuSeconds(pid) - before < 0.004) return
  }
}

/** Throws if messages were lost, because lost messages would make the cost too low. */
function faultless({ figures, faults }: Outcome): Outcome['figures'] {
  if (faults !== undefined && faults.missing > 0) throw new Error(`${faults.missing} missing`)
  return figures
}

/** Runs after a warm-up, because compilation after the start would increase the cost of the small count. */
async function warmCosts(growth: Growth, target: Target, scale: Scale): Promise<Record<string, number>> {
  await growth.costs(target, WARM_UP)
  await untilIdle(target.pid)
  return growth.costs(target, scale)
}

function growthWork(growth: Growth): Work {
  const figure = (part: string): Figure => ({ title: `growth of the CPU to ${part}`, unit: '', better: 'less' })
  return {
    name: `growth-${growth.name}`,
    title: `${growth.title}: CPU for all of them by CPU for a tenth of them`,
    figures: Object.fromEntries(Object.entries(growth.parts).map(([key, part]) => [key, figure(part)])),
    needsTwo: true,
    takesLong: true,
    ...(growth.without !== undefined && { without: growth.without }),
    async run(target, scale) {
      const size = Math.max(scale.size, MIN_SIZE)
      const few = await warmCosts(growth, target, { ...scale, size: size / TIMES })
      const many = await warmCosts(growth, target.other!, { ...scale, size })
      return {
        figures: Object.fromEntries(Object.keys(growth.parts).map((key) => [key, many[key]! / few[key]!])),
        ...(size < 1 && { note: `${size} of the counts` }),
      }
    },
  }
}

const connecting: Growth = {
  name: 'connects',
  title: '1,000 and 10,000 connections',
  parts: { connect: 'connect' },
  async costs(target, scale) {
    const count = CONNECTIONS * scale.size
    if (openFilesLimit() < count + 1_000) throw new Error(`${count} connections need more open files (ulimit -n)`)
    const figures = faultless(await connects.run(target, scale))
    return { connect: figures.micros! * count }
  },
}

const subscribing: Growth = {
  name: 'filters',
  title: '10,000 and 100,000 filters, and a message for each',
  parts: { subscribe: 'subscribe', publish: 'publish' },
  without: ['relay'],
  async costs(target, scale) {
    const { figures } = await filters.run(target, scale)
    const count = FILTERS * scale.size
    return { subscribe: figures.micros! * count, publish: count / figures.cpu! }
  },
}

const retaining: Growth = {
  name: 'retained',
  title: '10,000 and 100,000 retained messages',
  parts: { store: 'store', read: 'read by #' },
  without: ['relay'],
  async costs(target, scale) {
    const count = Math.round(RETAINED * scale.size)
    const publisher = await Client.connect({ port: target.port, clientId: 'publisher' })
    const publish = async (packets: readonly Buffer[]): Promise<void> => {
      const published = await publishAll(publisher, count, (index) => packets[index]!, scale.limit)
      if (published < count) throw new Error(`${published} of ${count} published in ${scale.limit} s`)
    }
    const packets = retainedPackets(count)
    const storing = new Stopwatch(target.pid)
    await publish(packets)
    const store = storing.read(count).brokerCpu
    const read = await lookUp(target, () => '#', { lookups: 1, found: count, seconds: scale.limit })
    if (read.missing > 0) throw new Error(`${read.missing} of ${count} not read in ${scale.limit} s`)
    await publish(retainedPackets(count, 0))
    publisher.destroy()
    return { store, read: read.cpu }
  },
}

const queueing: Growth = {
  name: 'offline',
  title: '10,000 and 100,000 QoS 1 messages for a session that is away',
  parts: { queue: 'queue', drain: 'take' },
  without: ['relay'],
  async costs(target, scale) {
    const outcome = await offline.run(target, scale)
    if (outcome.note !== undefined) throw new Error(outcome.note)
    const figures = faultless(outcome)
    const count = LETTERS * scale.size
    return { queue: count / figures.queue!, drain: count / figures.drain! }
  },
}

export const growths: readonly Work[] = [connecting, subscribing, retaining, queueing].map(growthWork)

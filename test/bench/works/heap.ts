/** The memory of one connection, session, subscription or message: heap and buffers, without garbage. */
import { publishAll } from '../load/batch-publisher.ts'
import { Client, connectAll } from '../load/client.ts'
import { bytesInUse } from '../load/heap.ts'
import { publishPacket } from '../load/packets.ts'
import { until } from '../load/until.ts'
import { openFilesLimit } from '../process-usage.ts'
import type { Scale, Target, Work } from './work.ts'

/** Share of the count that is created before the measurement, for compilation and the creation of tables. */
const WARM_UP_SHARE = 0.1
const FILTERS_PER_PACKET = 100
const SUBSCRIBERS = 10

interface Thing {
  readonly name: string
  readonly title: string
  readonly figure: string
  readonly count: number
  readonly needsStore?: true
  /** Creates `count` objects from number `first` on; returns the Clients that must stay connected. */
  add(target: Target, first: number, count: number, scale: Scale): Promise<readonly Client[]>
}

function heapWork({ name, title, figure, count, needsStore, add }: Thing): Work {
  return {
    name: `heap-${name}`,
    title,
    without: ['mosquitto', 'aedes', 'relay'],
    figures: { bytes: { title: figure, unit: 'B', better: 'less', isCompared: true } },
    needsProbe: true,
    ...(needsStore !== undefined && { needsStore }),
    async run(target, scale) {
      const wanted = Math.round(count * scale.size)
      const warmUp = Math.round(wanted * WARM_UP_SHARE)
      const clients = [...(await add(target, 0, warmUp, scale))]
      const before = await bytesInUse(target)
      clients.push(...(await add(target, warmUp, wanted, scale)))
      const bytes = ((await bytesInUse(target)) - before) / wanted
      const missing = clients.filter((client) => client.closed).length
      for (const client of clients) client.destroy()
      return { figures: { bytes }, faults: { missing, repeated: 0, jumps: 0 } }
    },
  }
}

async function leave(clients: readonly Client[]): Promise<void> {
  for (const client of clients) client.disconnect()
  await until(() => clients.every((client) => client.closed), 5)
}

async function queue({ port }: Target, first: number, count: number, scale: Scale): Promise<readonly Client[]> {
  if (first === 0) {
    const reader = await Client.connect({ port, clientId: 'reader', cleanStart: false })
    await reader.subscribe(['letters'], 1)
    await leave([reader])
  }
  const writer = await Client.connect({ port, clientId: 'writer' })
  const packet = publishPacket({ topic: 'letters', qos: 1, payloadBytes: 128, version: 4, packetId: 1, stream: 0 })
  const encode = (_index: number, packetId: number): Buffer => {
    const own = Buffer.from(packet)
    own.writeUInt16BE(packetId, own.length - 130)
    return own
  }
  const queued = await publishAll(writer, count, encode, scale.limit)
  if (queued < count) throw new Error(`${queued} of ${count} messages were queued within ${scale.limit} s`)
  await leave([writer])
  return []
}

async function subscribe({ port }: Target, first: number, count: number): Promise<readonly Client[]> {
  const clients = await connectAll(SUBSCRIBERS, (index) => ({ port, clientId: `subscriber-${first}-${index}` }))
  const packets = Math.ceil(count / FILTERS_PER_PACKET)
  for (let packet = 0; packet < packets; packet += 1) {
    const size = Math.min(FILTERS_PER_PACKET, count - packet * FILTERS_PER_PACKET)
    const filters = Array.from({ length: size }, (_, index) => {
      const device = first + packet * FILTERS_PER_PACKET + index
      return `site/${device % 100}/device/${device}/${device % 2 === 0 ? 'temperature' : '+'}`
    })
    await clients[packet % SUBSCRIBERS]!.subscribe(filters, 0)
  }
  return clients
}

export const heaps: readonly Work[] = [
  heapWork({
    name: 'queued',
    title: '50,000 QoS 1 messages for a session that is away, with the log store',
    figure: 'memory in use of a queued message (128 B of payload)',
    count: 50_000,
    needsStore: true,
    add: queue,
  }),
  heapWork({
    name: 'connections',
    title: '3,000 idle connections',
    figure: 'memory in use of an idle connection',
    count: Math.min(3000, Math.floor((openFilesLimit() - 200) / (1 + WARM_UP_SHARE))),
    add: ({ port }, first, count) => connectAll(count, (index) => ({ port, clientId: `client-${first + index}` })),
  }),
  heapWork({
    name: 'sessions',
    title: '10,000 sessions that are away, each with a subscription',
    figure: 'memory in use of a session',
    count: 10_000,
    async add({ port }, first, count) {
      for (let from = first; from < first + count; from += 50) {
        const size = Math.min(50, first + count - from)
        const clients = await connectAll(size, (index) => ({
          port,
          clientId: `session-${from + index}`,
          cleanStart: false,
        }))
        await Promise.all(clients.map((client) => client.subscribe([`mine/${client.clientId}`], 1)))
        await leave(clients)
      }
      return []
    },
  }),
  heapWork({
    name: 'filters',
    title: '50,000 filters, half of them with a wildcard',
    figure: 'memory in use of a filter',
    count: 50_000,
    add: subscribe,
  }),
]

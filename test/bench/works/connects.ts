/** The cost of a connection: CPU to open it, and memory. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Client, connectAll } from '../load/client.ts'
import { Stopwatch } from '../load/window.ts'
import { openFilesLimit, residentBytes } from '../process-usage.ts'
import type { Work } from './work.ts'

export const CONNECTIONS = 10_000
const WARM_UP = 500

export const connects: Work = {
  name: 'connects',
  title: '10,000 connections, each with a session',
  figures: {
    micros: { title: 'broker CPU per connect', unit: 'µs', better: 'less', isCompared: true },
    wall: { title: 'connects per second', unit: '1/s', better: 'more' },
    memory: { title: 'memory of an idle connection', unit: 'B', better: 'less' },
  },
  async run(target, scale) {
    const { port } = target
    const clients: Client[] = await connectAll(WARM_UP, (index) => ({ port, clientId: `warm-${index}` }))
    const wanted = Math.round(CONNECTIONS * scale.size)
    const count = Math.min(wanted, openFilesLimit() - WARM_UP - 200)
    const memory = residentBytes(target.pid)
    const stopwatch = new Stopwatch(target.pid)
    clients.push(...(await connectAll(count, (index) => ({ port, clientId: `client-${index}` }))))
    const measured = stopwatch.read(count)
    await delay(300)
    const bytes = (residentBytes(target.pid) - memory) / count
    const lost = clients.filter((client) => client.closed).length
    for (const client of clients) client.destroy()
    return {
      figures: {
        micros: (measured.brokerCpu / count) * 1e6,
        wall: count / measured.seconds,
        memory: bytes,
      },
      faults: { missing: lost, repeated: 0, jumps: 0 },
      ...(count < CONNECTIONS && { note: `${count} connections` }),
    }
  },
}

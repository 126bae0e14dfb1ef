/** The latency of a quiet publisher beside a publisher at full speed. */
/* oxlint-disable unicorn/require-post-message-target-origin -- a worker thread has no origin */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { Traffic } from '../load/traffic.ts'
import { measure } from '../load/window.ts'
import { percentile } from '../statistics.ts'
import { latencyFigures, pace } from './paced.ts'
import type { Work } from './work.ts'

export const fairness: Work = {
  name: 'fairness',
  title: 'a paced pair (1,000 a second, QoS 0) beside a pair at full speed (QoS 1)',
  figures: {
    ...latencyFigures,
    flood: { title: 'messages per second of the pair at full speed', unit: '1/s', better: 'more' },
  },
  async run(target, scale) {
    const { port } = target
    const flood = new Worker(new URL('../load/flood.js', import.meta.url), { workerData: { port } })
    await once(flood, 'message')
    const latencies: number[] = []
    const traffic = await Traffic.open({
      port,
      publishers: 1,
      subscribers: 1,
      topic: () => 'paced',
      filter: () => 'paced',
      receivers: 1,
      qos: 0,
      window: 1_000,
      onLatency: (milliseconds) => latencies.push(milliseconds),
    })
    const flooded = async (): Promise<number> => {
      flood.postMessage('count')
      const [count] = (await once(flood, 'message')) as [number]
      return count
    }
    const stop = pace(traffic, 1_000)
    const before = await flooded()
    const measured = await measure(target.pid, { ...scale, warmUp: 0 }, () => traffic.received)
    const after = await flooded()
    stop()
    const faults = await traffic.finish()
    await flood.terminate()
    traffic.close()
    return {
      figures: {
        p50: percentile(latencies, 0.5),
        p99: percentile(latencies, 0.99),
        flood: (after - before) / measured.seconds,
      },
      faults,
    }
  },
}

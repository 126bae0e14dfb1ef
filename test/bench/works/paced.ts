/** Messages at a low fixed rate: measures latency and the CPU of a nearly idle broker. */
import { performance } from 'node:perf_hooks'
import { Traffic } from '../load/traffic.ts'
import { measure } from '../load/window.ts'
import { percentile } from '../statistics.ts'
import { streamFigures, streamResults, type Figure, type Work } from './work.ts'

export const latencyFigures: Readonly<Record<'p50' | 'p99', Figure>> = {
  p50: { title: 'latency, median', unit: 'ms', better: 'less' },
  p99: { title: 'latency, 99th percentile', unit: 'ms', better: 'less' },
}

const topicOf = (index: number): string => `paced/${index}`

/** Sends `perSecond` messages per second, each from the next publisher. Returns a function that stops it. */
export function pace(traffic: Traffic, perSecond: number): () => void {
  const start = performance.now()
  let sent = 0
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - start) / 1_000) * perSecond)
    for (; sent < due; sent += 1) traffic.flows[sent % traffic.flows.length]!.publisher.send(1, performance.now())
  }, 1)
  return () => clearInterval(timer)
}

export const paced: Work = {
  name: 'paced',
  title: '50 pairs, QoS 0, 10,000 messages a second in all',
  figures: { cpu: streamFigures.cpu, load: streamFigures.load, ...latencyFigures },
  async run(target, scale) {
    const latencies: number[] = []
    const traffic = await Traffic.open({
      port: target.port,
      publishers: 50,
      subscribers: 50,
      topic: topicOf,
      filter: topicOf,
      receivers: 1,
      qos: 0,
      window: 1_000, // Never full, so the rate does not depend on the broker.
      onLatency: (milliseconds) => latencies.push(milliseconds),
    })
    const stop = pace(traffic, 10_000)
    let warm = 0
    const measured = await measure(target.pid, scale, () => {
      warm ||= latencies.length
      return traffic.received
    })
    const during = latencies.slice(warm)
    stop()
    const faults = await traffic.finish()
    traffic.close()
    if (traffic.failure !== undefined) throw new Error(traffic.failure)
    const { cpu, load } = streamResults(measured)
    return {
      figures: { cpu, load, p50: percentile(during, 0.5), p99: percentile(during, 0.99) },
      faults,
    }
  },
}

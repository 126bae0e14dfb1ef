/** A program with an embedded broker and a timer; it reports the delays of its timer. */
import { Broker } from '../../../lib/index.ts'
import type { BrokerOptions } from '../../../types/options.ts'
import { percentile } from '../statistics.ts'
import { ANSWER, ASK, INTERVAL_MS } from './host-topics.ts'

const broker = new Broker(JSON.parse(process.argv[2] ?? '{}') as BrokerOptions)
let lateness: number[] = []
let last = performance.now()
setInterval(() => {
  const now = performance.now()
  lateness.push(Math.max(0, now - last - INTERVAL_MS))
  last = now
}, INTERVAL_MS)

// Each response is about the time since the previous one.
broker.subscribe(ASK, async () => {
  const payload = Buffer.alloc(16)
  payload.writeDoubleBE(percentile(lateness, 0.99), 0)
  payload.writeDoubleBE(percentile(lateness, 1), 8)
  lateness = []
  await broker.publish({ topic: ANSWER, payload })
})
for (const { url } of await broker.listen({ tcp: { port: 0 } })) console.log(`listening ${url}`)

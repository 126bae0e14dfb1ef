/** 100,000 subscriptions, half of them with a wildcard. Each message matches two of them. */
import { connectAll } from '../load/client.ts'
import { publishPacket } from '../load/packets.ts'
import { Stopwatch, measure } from '../load/window.ts'
import { residentBytes } from '../process-usage.ts'
import { streamFigures, streamResults, type Work } from './work.ts'

export const FILTERS = 100_000
const SUBSCRIBERS = 100
const FILTERS_PER_PACKET = 100
// Messages in transit: ten per subscriber, as in the works with pairs, then so few that batching is impossible.
const WINDOW = 500
const SMALL_WINDOW = 50

const topicOf = (device: number): string => `site/${device % 100}/device/${device}/temperature`
const wildcardOf = (device: number): string => `site/${device % 100}/device/${device}/+`

export const filters: Work = {
  name: 'filters',
  without: ['relay'],
  title: '100,000 filters, half of them with a wildcard; each message matches two',
  figures: {
    ...streamFigures,
    few: {
      title: 'messages per second of broker CPU, 50 on their way instead of 500',
      unit: '1/s',
      better: 'more',
      isCompared: true,
    },
    micros: { title: 'broker CPU per filter subscribed', unit: 'µs', better: 'less', isCompared: true },
    memory: { title: 'memory of a subscription', unit: 'B', better: 'less' },
  },
  async run(target, scale) {
    const { port, pid } = target
    const devices = Math.round((FILTERS * scale.size) / 2)
    const perClient = (devices * 2) / SUBSCRIBERS
    const subscribers = await connectAll(SUBSCRIBERS, (index) => ({ port, clientId: `subscriber-${index}` }))

    // The first half of the clients has exact filters, the second half filters with wildcards.
    const memory = residentBytes(pid)
    const subscribing = new Stopwatch(pid)
    for (const [index, client] of subscribers.entries()) {
      const isExact = index < SUBSCRIBERS / 2
      const first = (index % (SUBSCRIBERS / 2)) * perClient
      for (let from = 0; from < perClient; from += FILTERS_PER_PACKET) {
        const size = Math.min(FILTERS_PER_PACKET, perClient - from)
        const names = Array.from({ length: size }, (_, offset) => first + from + offset).map(
          isExact ? topicOf : wildcardOf,
        )
        await client.subscribe(names, 0)
      }
    }
    const subscribed = subscribing.read(devices * 2)
    const bytes = (residentBytes(pid) - memory) / subscribed.count

    // An order of devices that repeats only after all of them, so that a cache of recent topics has no effect.
    const stride = 7_919
    let sent = 0
    let received = 0
    let running = true
    let window = WINDOW
    const [publisher] = await connectAll(1, () => ({ port, clientId: 'publisher' }))
    const sendMore = (): void => {
      if (!running) return
      const packets: Buffer[] = []
      for (; sent - received / 2 < window; sent += 1) {
        const device = (sent * stride) % devices
        packets.push(encoded(device))
      }
      if (packets.length > 0) publisher!.write(Buffer.concat(packets))
    }
    const cache = Array.from<Buffer | undefined>({ length: devices })
    const encoded = (device: number): Buffer =>
      (cache[device] ??= publishPacket({
        topic: topicOf(device),
        qos: 0,
        payloadBytes: 128,
        version: 4,
        packetId: 0,
        stream: 0,
      }))
    for (let device = 0; device < devices; device += 1) encoded(device)
    for (const client of subscribers) {
      client.onMessage = () => {
        received += 1
      }
      client.onChunk = sendMore
    }
    sendMore()
    const measured = await measure(pid, scale, () => received)
    window = SMALL_WINDOW
    const few = await measure(pid, scale, () => received)
    running = false
    for (const client of [...subscribers, publisher!]) client.destroy()
    return {
      figures: {
        ...streamResults(measured),
        few: few.count / few.brokerCpu,
        micros: (subscribed.brokerCpu / subscribed.count) * 1e6,
        memory: bytes,
      },
      ...(scale.size < 1 && { note: `${devices * 2} filters` }),
    }
  },
}

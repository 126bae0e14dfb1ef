/** The rate of ten subscribers after an eleventh has stopped reading. */
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from '../load/client.ts'
import { publishPacket } from '../load/packets.ts'
import { Traffic } from '../load/traffic.ts'
import { measure } from '../load/window.ts'
import type { Work } from './work.ts'

const HEALTHY = 10
const FILL_BYTES = 24 * 1024 * 1024 // More than the socket buffers of both sides.

/** Publishes until the frozen subscriber's socket is full. */
async function fillSocketOf(port: number): Promise<void> {
  const filler = await Client.connect({ port, clientId: 'filler' })
  const packet = publishPacket({
    topic: 'frozen-only',
    qos: 0,
    payloadBytes: 65_536,
    version: 4,
    packetId: 0,
    stream: 0,
  })
  for (let sent = 0; sent < FILL_BYTES; sent += packet.length) filler.write(packet)
  // A broker with back-pressure stops reading; half a second is enough for all others.
  for (let waited = 0; filler.needsDrain && waited < 1_000; waited += 50) await delay(50)
  filler.onClose = () => {}
}

export const frozen: Work = {
  name: 'frozen',
  title: '1 to 10, QoS 0, 1 KiB payloads, beside a subscriber that stopped reading',
  figures: {
    kept: { title: 'share of their rate that the others keep', unit: '', better: 'more' },
    before: { title: 'messages per second before', unit: '1/s', better: 'more' },
    wall: { title: 'messages per second beside it', unit: '1/s', better: 'more' },
  },
  async run(target, scale) {
    const { port } = target
    const sleeper = await Client.connect({ port, clientId: 'sleeper' })
    const traffic = await Traffic.open({
      port,
      publishers: 1,
      subscribers: HEALTHY,
      topic: () => 'news',
      filter: () => 'news',
      receivers: HEALTHY,
      qos: 0,
      window: 10,
      payloadBytes: 1024,
    })
    await sleeper.subscribe(['news'], 0)
    await sleeper.subscribe(['frozen-only'], 0)
    sleeper.onClose = () => {} // A broker may close this connection to protect the others.
    traffic.start()
    const before = await measure(target.pid, { ...scale, warmUp: scale.warmUp + 1 }, () => traffic.received)
    sleeper.freeze()
    await fillSocketOf(port)
    const beside = await measure(target.pid, { ...scale, warmUp: 0.5 }, () => traffic.received)
    const faults = await traffic.finish()
    traffic.close()
    sleeper.destroy()
    const rates = { before: before.count / before.seconds, wall: beside.count / beside.seconds }
    return { figures: { kept: rates.wall / rates.before, ...rates }, faults }
  },
}

/** Messages without a subscriber: the cost of reading, checking and acknowledging alone. */
import { connectAll } from '../load/client.ts'
import { PINGREQ, publishPacket, type Qos } from '../load/packets.ts'
import { measure } from '../load/window.ts'
import { streamFigures, streamResults, type Work } from './work.ts'

const PUBLISHERS = 10
const BURST = 256
const BURSTS_ON_THEIR_WAY = 2

function ingest(qos: Qos): Work {
  return {
    name: `ingest-qos${qos}`,
    title: `10 publishers, nobody listens, QoS ${qos}`,
    figures: streamFigures,
    async run(target, scale) {
      const clients = await connectAll(PUBLISHERS, (index) => ({ port: target.port, clientId: `ingest-${index}` }))
      const state = { isRunning: true }
      let failure: string | undefined
      for (const [stream, client] of clients.entries()) {
        const packets = Array.from({ length: BURST }, (_, index) =>
          publishPacket({ topic: `ingest/${stream}`, qos, payloadBytes: 128, version: 4, packetId: index + 1, stream }),
        )
        // At QoS 0 a PINGRESP shows that all earlier packets were read.
        const burst = Buffer.concat(qos === 0 ? [...packets, PINGREQ] : packets)
        const onTheirWay = qos === 0 ? BURSTS_ON_THEIR_WAY : 1
        let sent = 0
        client.onChunk = () => {
          const done = qos === 0 ? client.pings : Math.floor(client.acknowledged / BURST)
          for (; state.isRunning && sent < done + onTheirWay; sent += 1) client.write(burst)
        }
        client.onClose = (why) => {
          failure ??= why
        }
        client.onChunk()
      }
      const count = (): number =>
        clients.reduce((total, client) => total + (qos === 0 ? client.pings * BURST : client.acknowledged), 0)
      const measured = await measure(target.pid, scale, count)
      state.isRunning = false
      for (const client of clients) client.destroy()
      if (failure !== undefined) throw new Error(failure)
      return { figures: streamResults(measured) }
    },
  }
}

export const ingests: readonly Work[] = [ingest(0), ingest(1)]

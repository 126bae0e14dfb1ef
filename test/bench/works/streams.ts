/** Works with messages from publishers to subscribers in closed loops. */
import { Traffic, type TrafficPlan } from '../load/traffic.ts'
import { measure } from '../load/window.ts'
import type { PeerName } from '../peers/peers.ts'
import { streamFigures, streamResults, type Work } from './work.ts'

interface Stream extends Omit<TrafficPlan, 'port'> {
  readonly without?: readonly PeerName[]
  readonly needsStore?: true
}

function streamWork(name: string, title: string, stream: Stream): Work {
  return {
    name,
    title,
    figures: streamFigures,
    ...(stream.without !== undefined && { without: stream.without }),
    ...(stream.needsStore !== undefined && { needsStore: stream.needsStore }),
    async run(target, scale) {
      const port = stream.webSocket === true ? target.webSocketPort! : target.port
      const traffic = await Traffic.open({ ...stream, port })
      traffic.start()
      const measured = await measure(target.pid, scale, () => traffic.received)
      const faults = await traffic.finish()
      traffic.close()
      if (traffic.failure !== undefined) throw new Error(traffic.failure)
      return { figures: streamResults(measured), faults }
    },
  }
}

export type Shape = Pick<Stream, 'publishers' | 'subscribers' | 'topic' | 'filter' | 'receivers'>

export const pairs = (count: number): Shape => ({
  publishers: count,
  subscribers: count,
  topic: (index) => `pairs/${index}/value`,
  filter: (index) => `pairs/${index}/value`,
  receivers: 1,
})
export const fanOut: Shape = {
  publishers: 1,
  subscribers: 1000,
  topic: () => 'news',
  filter: () => 'news',
  receivers: 1000,
}
const fanIn: Shape = { publishers: 1000, subscribers: 1, topic: () => 'inbox', filter: () => 'inbox', receivers: 1 }

export const streams: readonly Work[] = [
  streamWork('pairs-qos0', '50 pairs, QoS 0, bursts of 10', { ...pairs(50), qos: 0, window: 10 }),
  streamWork('pairs-qos1', '50 pairs, QoS 1, 10 in flight', { ...pairs(50), qos: 1, window: 10 }),
  streamWork('pairs-qos2', '50 pairs, QoS 2, 10 in flight', { ...pairs(50), qos: 2, window: 10 }),
  streamWork('single-qos0', '200 pairs, QoS 0, 1 in flight', { ...pairs(200), qos: 0, window: 1 }),
  streamWork('single-qos1', '200 pairs, QoS 1, 1 in flight', { ...pairs(200), qos: 1, window: 1 }),
  streamWork('fan-out-qos0', '1 to 1000, QoS 0, bursts of 4', { ...fanOut, qos: 0, window: 4 }),
  streamWork('fan-out-qos1', '1 to 1000, QoS 1, 4 in flight', { ...fanOut, qos: 1, window: 4 }),
  streamWork('fan-in', '1000 to 1, QoS 0, bursts of 4', { ...fanIn, qos: 0, window: 4 }),
  streamWork('payload-16k', '10 pairs, 16 KiB payloads, QoS 0, bursts of 4', {
    ...pairs(10),
    qos: 0,
    window: 4,
    payloadBytes: 16 * 1024,
  }),
  streamWork('payload-1m', '4 pairs, 1 MiB payloads, QoS 0', {
    ...pairs(4),
    qos: 0,
    window: 1,
    payloadBytes: 1024 * 1024,
  }),
  streamWork('mqtt5', '50 pairs, MQTT 5.0 with 4 Properties and topic aliases, QoS 1', {
    ...pairs(50),
    qos: 1,
    window: 10,
    version: 5,
    useTopicAlias: true,
    without: ['relay', 'aedes'], // aedes 1.2 has no MQTT 5.0
  }),
  streamWork('websocket', '50 pairs over WebSocket, QoS 0, bursts of 10', {
    ...pairs(50),
    qos: 0,
    window: 10,
    webSocket: true,
    without: ['relay', 'mosquitto'], // Debian builds mosquitto without WebSocket
  }),
  // Every acknowledgement waits for the disk, except in mosquitto, which writes at intervals.
  ...([1, 2] as const).map((qos) =>
    streamWork(`durable-qos${qos}`, `64 pairs of persistent sessions on the disk, QoS ${qos}, 20 in flight`, {
      ...pairs(64),
      qos,
      window: 20,
      persistent: true,
      needsStore: true,
      without: ['relay', 'aedes'],
    }),
  ),
]

/** A worker thread with its own event loop: a publisher and its subscriber at full speed, with a window of 1,000. */
/* oxlint-disable unicorn/require-post-message-target-origin -- a worker thread has no origin */
import { parentPort, workerData } from 'node:worker_threads'
import { Traffic } from './traffic.ts'

const { port } = workerData as { port: number }
const traffic = await Traffic.open({
  port,
  clientPrefix: 'flood',
  publishers: 1,
  subscribers: 1,
  topic: () => 'flood',
  filter: () => 'flood',
  receivers: 1,
  qos: 1,
  window: 1_000,
})
traffic.start()
parentPort!.on('message', () => parentPort!.postMessage(traffic.received))
parentPort!.postMessage('running')

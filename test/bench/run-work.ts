/** Does one work on one fresh broker. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Order, Report } from './load/load.ts'
import { type PeerName, start } from './peers/peers.ts'
import type { Scale, Work } from './works/work.ts'

const loadProcess = join(import.meta.dirname, 'load/load.js')

async function load(order: Order, limitSeconds: number): Promise<Report> {
  const child = fork(loadProcess, { serialization: 'advanced' })
  const timer = setTimeout(() => child.kill('SIGKILL'), limitSeconds * 1_000)
  const ended = once(child, 'exit')
  let report: Report = { error: `cut after ${limitSeconds} s` }
  child.once('message', (message: Report) => {
    report = message
  })
  child.send(order)
  await ended
  clearTimeout(timer)
  return report
}

export async function runWork(work: Work, name: PeerName, scale: Scale): Promise<Report> {
  let peer
  try {
    peer = await start(name)
  } catch (error) {
    return { error: `did not start: ${(error as Error).message}` }
  }
  try {
    const { port, webSocketPort, pid } = peer
    const order = { work: work.name, target: { port, webSocketPort, pid }, scale }
    return await load(order, 20 + scale.warmUp + scale.seconds * 3 + scale.limit * 3)
  } finally {
    await peer.stop()
  }
}

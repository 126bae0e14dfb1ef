/** Does one work on one fresh broker. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Order, Report } from './load/load.ts'
import { type Peer, type PeerName, start, startHost } from './peers/peers.ts'
import type { Scale, Target, Work } from './works/work.ts'

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

function targetOf({ port, webSocketPort, pid }: Peer): Target {
  return { port, webSocketPort, pid }
}

export async function runWork(work: Work, name: PeerName, scale: Scale): Promise<Report> {
  const peers: Peer[] = []
  try {
    try {
      for (let count = work.needsTwo === true ? 2 : 1; count > 0; count -= 1) {
        peers.push(await (work.needsHost === true ? startHost() : start(name, work.needsStore === true)))
      }
    } catch (error) {
      return { error: `did not start: ${(error as Error).message}` }
    }
    const [first, other] = peers.map(targetOf)
    const target = { ...first!, ...(other !== undefined && { other }) }
    const order = { work: work.name, target, scale }
    return await load(order, 20 + scale.warmUp + scale.seconds * 3 + scale.limit * 3)
  } finally {
    for (const peer of peers) await peer.stop()
  }
}

/** Runs a work on a fresh broker. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Order, Report } from './load/load.ts'
import { type Peer, type PeerName, start, startHost } from './peers/peers.ts'
import type { Scale, Target, Work } from './works/work.ts'

const loadProcess = join(import.meta.dirname, 'load/load.js')

// Any end of this process ends the load processes, including stopped ones.
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export interface Load {
  readonly report: Promise<Report>
  signal(name: 'SIGSTOP' | 'SIGCONT'): void
}

export function startLoad(work: Work, target: Target, scale: Scale): Load {
  const limitSeconds = 20 + scale.warmUp + scale.seconds * 3 + scale.limit * 3
  const child = fork(loadProcess, { serialization: 'advanced' })
  running.add(child)
  const order: Order = { work: work.name, target, scale }
  child.send(order)
  return { report: reportOf(child, limitSeconds), signal: (name) => void child.kill(name) }
}

async function reportOf(child: ChildProcess, limitSeconds: number): Promise<Report> {
  const timer = setTimeout(() => child.kill('SIGKILL'), limitSeconds * 1_000)
  const ended = once(child, 'exit')
  let report: Report = { error: `cut after ${limitSeconds} s` }
  child.once('message', (message: Report) => {
    report = message
  })
  await ended
  running.delete(child)
  clearTimeout(timer)
  return report
}

export function targetOf({ port, webSocketPort, memoryPort, pid }: Peer): Target {
  return { port, webSocketPort, memoryPort, pid }
}

export async function runWork(work: Work, name: PeerName, scale: Scale): Promise<Report> {
  const peers: Peer[] = []
  try {
    try {
      for (let count = work.needsTwo === true ? 2 : 1; count > 0; count -= 1) {
        peers.push(
          await (work.needsHost === true
            ? startHost()
            : start(name, { withStore: work.needsStore, withProbe: work.needsProbe })),
        )
      }
    } catch (error) {
      return { error: `did not start: ${(error as Error).message}` }
    }
    const [first, other] = peers.map(targetOf)
    const target = { ...first!, ...(other !== undefined && { other }) }
    return await startLoad(work, target, scale).report
  } finally {
    for (const peer of peers) await peer.stop()
  }
}

/**
 * Runs a work on two builds in turns of 20 ms, so that other load of the machine affects both equally. A broker and its
 * load processes are stopped while the others run; no CPU is counted then.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Report } from './load/load.ts'
import { type Peer, start } from './peers/peers.ts'
import { type Load, startLoad, targetOf } from './run-work.ts'
import type { Scale, Work } from './works/work.ts'

const TURN_MS = 20

interface Side {
  readonly peer: Peer
  readonly load: Load
}

function set(side: Side, signal: 'SIGSTOP' | 'SIGCONT'): void {
  side.load.signal(signal)
  side.peer.signal(signal)
}

/** First, second, second, first: a steady change of speed affects both equally. */
async function takeTurns([first, second]: readonly [Side, Side], isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    for (const [runs, waits] of [
      [first, second],
      [second, first],
      [second, first],
      [first, second],
    ] as const) {
      set(waits, 'SIGSTOP')
      set(runs, 'SIGCONT')
      await delay(TURN_MS)
    }
  }
}

/** `builds` are two folders with a `dist` in each. */
export async function runPair(
  work: Work,
  builds: readonly [string, string],
  scale: Scale,
): Promise<readonly [Report, Report]> {
  const twice = { ...scale, limit: 2 * scale.limit } // Each runs for half of the time.
  const peers: Peer[] = []
  try {
    for (const build of builds) {
      peers.push(await start('haltere', { withStore: work.needsStore, withProbe: work.needsProbe, build }))
    }
    const sides = peers.map((peer) => ({ peer, load: startLoad(work, targetOf(peer), twice) }))
    const [first, second] = sides as [Side, Side]
    let isOver = false
    const turns = takeTurns([first, second], () => isOver)
    const reports = await Promise.all([first.load.report, second.load.report])
    isOver = true
    await turns
    return reports
  } catch (error) {
    const report = { error: `did not start: ${(error as Error).message}` }
    return [report, report]
  } finally {
    for (const peer of peers) await peer.stop()
  }
}

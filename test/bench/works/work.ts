/** What a work is: something that clients do to a broker, with figures that come out of it. */
import type { PeerName } from '../peers/peers.ts'
import type { Faults } from '../load/ledger.ts'
import type { Measured } from '../load/window.ts'

export interface Target {
  readonly port: number
  readonly webSocketPort: number | undefined
  readonly pid: number
  /** Of the memory probe, for works that ask for one. */
  readonly memoryPort: number | undefined
  /** A second fresh broker, for works that ask for one. */
  readonly other?: Target
}

/** How much of a work is done. */
export interface Scale {
  readonly warmUp: number
  readonly seconds: number
  /** Share of the counts that a work names: 1, or less to be quick. */
  readonly size: number
  /** Seconds after which a part that must run to its end is cut, with the figure of what was done. */
  readonly limit: number
  /**
   * `warmUp` and `seconds` are of the broker's CPU, so that one that gets little of it is as warm, and does as much, as
   * one that has the machine for itself.
   */
  readonly isCpuTime?: true
}

export interface Figure {
  readonly title: string
  readonly unit: string
  /** Neither is better where a figure only tells what the others come from: it is not compared. */
  readonly better: 'more' | 'less' | 'neither'
  /** It is about the broker's CPU or memory alone, so that two builds can be compared by it. */
  readonly isCompared?: true
}

export interface Outcome {
  readonly figures: Record<string, number>
  readonly faults?: Faults
  /** Said beside the table, as "cut after 20 s". */
  readonly note?: string
}

export interface Work {
  readonly name: string
  readonly title: string
  readonly figures: Record<string, Figure>
  /** Brokers that have not got what the work needs. */
  readonly without?: readonly PeerName[]
  /** In a quick round only haltere does it. */
  readonly takesLong?: true
  /** Two fresh brokers, the second as `target.other`. */
  readonly needsTwo?: true
  /** The broker is to keep what must outlive it, on the disk. */
  readonly needsStore?: true
  /** The broker's process is to tell its memory, see `peers/memory-probe.ts`. */
  readonly needsProbe?: true
  /** The broker is to run inside a program that has timers of its own, see `peers/host.ts`. */
  readonly needsHost?: true
  run(target: Target, scale: Scale): Promise<Outcome>
}

/** The figures of every work that moves messages. */
export const streamFigures: Readonly<Record<'cpu' | 'wall' | 'kernel' | 'load', Figure>> = {
  cpu: { title: 'messages per second of broker CPU', unit: '1/s', better: 'more', isCompared: true },
  wall: { title: 'messages per second', unit: '1/s', better: 'more' },
  kernel: { title: "share of the broker's CPU that is the kernel's", unit: '', better: 'neither' },
  load: { title: 'CPU of the load generator per CPU of the broker', unit: '', better: 'less' },
}

export function streamResults(measured: Measured): Record<keyof typeof streamFigures, number> {
  return {
    cpu: measured.count / measured.brokerCpu,
    wall: measured.count / measured.seconds,
    kernel: measured.kernelShare,
    load: measured.loadCpu / measured.brokerCpu,
  }
}

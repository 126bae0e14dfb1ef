/** A work is one benchmark: a load that clients put on a broker, with the figures that it measures. */
import type { PeerName } from '../peers/peers.ts'
import type { Faults } from '../load/ledger.ts'
import type { Measured } from '../load/window.ts'

export interface Target {
  readonly port: number
  readonly webSocketPort: number | undefined
  readonly pid: number
  /** Port of the memory probe, for works that request one. */
  readonly memoryPort: number | undefined
  /** A second fresh broker, for works that request one. */
  readonly other?: Target
}

/** The size of a run of a work. */
export interface Scale {
  readonly warmUp: number
  readonly seconds: number
  /** Factor for the counts of a work: 1, or less for a quick run. */
  readonly size: number
  /** Seconds after which a part with a fixed count is cut; its figure is then that of the completed share. */
  readonly limit: number
  /**
   * `warmUp` and `seconds` count CPU time of the broker, so that a broker on a busy machine is equally warm and does as
   * much as a broker that has the machine for itself.
   */
  readonly isCpuTime?: true
}

export interface Figure {
  readonly title: string
  readonly unit: string
  /** `neither` for a figure that only explains the others; it is not compared. */
  readonly better: 'more' | 'less' | 'neither'
  /** The figure depends on the broker's CPU or memory alone, so that two builds can be compared by it. */
  readonly isCompared?: true
}

export interface Outcome {
  readonly figures: Record<string, number>
  readonly faults?: Faults
  /** A remark beside the table, such as "cut after 20 s". */
  readonly note?: string
}

export interface Work {
  readonly name: string
  readonly title: string
  readonly figures: Record<string, Figure>
  /** Brokers that lack a feature that the work needs. */
  readonly without?: readonly PeerName[]
  /** A quick round runs this work with haltere only. */
  readonly takesLong?: true
  /** Needs two fresh brokers, the second as `target.other`. */
  readonly needsTwo?: true
  /** Needs a broker that stores its state on disk. */
  readonly needsStore?: true
  /** Needs the memory probe in the broker's process, see `peers/memory-probe.ts`. */
  readonly needsProbe?: true
  /** Needs a program with its own timer around the broker, see `peers/host.ts`. */
  readonly needsHost?: true
  run(target: Target, scale: Scale): Promise<Outcome>
}

/** The figures of every work that transfers messages. */
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

/** The stretch of time that is measured, and what broker and load generator used in it. */
import { setTimeout as delay } from 'node:timers/promises'
import { cpuSeconds, cpuTicks } from '../process-usage.ts'

export interface Measured {
  readonly count: number
  readonly seconds: number
  readonly brokerCpu: number
  /** How much of it was the kernel's, 0 to 1. */
  readonly kernelShare: number
  readonly loadCpu: number
}

export class Stopwatch {
  readonly #pid: number
  readonly #wall = performance.now()
  readonly #load = process.cpuUsage()
  readonly #broker: number
  readonly #ticks: { readonly user: number; readonly system: number }

  constructor(pid: number) {
    this.#pid = pid
    this.#broker = cpuSeconds(pid)
    this.#ticks = cpuTicks(pid)
  }

  read(count: number): Measured {
    const { user, system } = process.cpuUsage(this.#load)
    const ticks = cpuTicks(this.#pid)
    const ownTicks = ticks.user - this.#ticks.user
    const kernelTicks = ticks.system - this.#ticks.system
    return {
      count,
      seconds: (performance.now() - this.#wall) / 1_000,
      brokerCpu: cpuSeconds(this.#pid) - this.#broker,
      kernelShare: kernelTicks / (ownTicks + kernelTicks),
      loadCpu: (user + system) / 1e6,
    }
  }
}

/** Lets the work warm up, then counts for so long. */
export async function measure(
  pid: number,
  times: { warmUp: number; seconds: number },
  count: () => number,
): Promise<Measured> {
  await delay(times.warmUp * 1_000)
  const before = count()
  const stopwatch = new Stopwatch(pid)
  await delay(times.seconds * 1_000)
  return stopwatch.read(count() - before)
}

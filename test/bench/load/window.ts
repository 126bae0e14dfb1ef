/** The stretch of time that is measured, and what broker and load generator used in it. */
import { setTimeout as delay } from 'node:timers/promises'
import { cpuSeconds } from '../process-usage.ts'

export interface Measured {
  readonly count: number
  readonly seconds: number
  readonly brokerCpu: number
  readonly loadCpu: number
}

export class Stopwatch {
  readonly #pid: number
  readonly #wall = performance.now()
  readonly #load = process.cpuUsage()
  readonly #broker: number

  constructor(pid: number) {
    this.#pid = pid
    this.#broker = cpuSeconds(pid)
  }

  read(count: number): Measured {
    const { user, system } = process.cpuUsage(this.#load)
    return {
      count,
      seconds: (performance.now() - this.#wall) / 1_000,
      brokerCpu: cpuSeconds(this.#pid) - this.#broker,
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

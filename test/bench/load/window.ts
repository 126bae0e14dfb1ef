/** The measured time window, and the CPU that broker and load generator used in it. */
import { setTimeout as delay } from 'node:timers/promises'
import { cpuSeconds, cpuTicks } from '../process-usage.ts'
import type { Scale } from '../works/work.ts'

export interface Measured {
  readonly count: number
  readonly seconds: number
  readonly brokerCpu: number
  /** Share of the kernel, 0 to 1. */
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

/** Measures for `seconds` after a warm-up. */
export async function measure(pid: number, scale: Scale, count: () => number): Promise<Measured> {
  await pass(pid, scale.warmUp, scale)
  const before = count()
  const stopwatch = new Stopwatch(pid)
  await pass(pid, scale.seconds, scale)
  return stopwatch.read(count() - before)
}

const LOOK_MS = 10

async function pass(pid: number, seconds: number, { isCpuTime, limit }: Scale): Promise<void> {
  if (isCpuTime !== true) return delay(seconds * 1_000)
  const end = cpuSeconds(pid) + seconds
  const deadline = performance.now() + limit * 1_000
  while (cpuSeconds(pid) < end && performance.now() < deadline) await delay(LOOK_MS)
}

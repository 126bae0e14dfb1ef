import { Worker } from 'node:worker_threads'
import { patienceMs } from '../support/patience.ts'

// Stands beside the event loop, because a loop that does not end lets nothing else run in it.
const program = `
  const { workerData } = require('node:worker_threads')
  const { writeSync } = require('node:fs')
  const beats = new Int32Array(workerData.beats)
  for (;;) {
    const last = Atomics.load(beats, 0)
    Atomics.wait(beats, 1, 0, ${patienceMs})
    if (Atomics.load(beats, 1) !== 0) break
    if (Atomics.load(beats, 0) !== last) continue
    writeSync(2, 'seed ' + workerData.seed + ': batch ' + last + ' hangs\\n')
    process.kill(process.pid, 'SIGKILL')
  }
`

/** Ends the process, and says at which batch, when the event loop stands still. */
export class Watchdog {
  readonly #beats = new Int32Array(new SharedArrayBuffer(8))
  readonly #worker: Worker

  constructor(seed: number) {
    this.#worker = new Worker(program, { eval: true, workerData: { beats: this.#beats.buffer, seed } })
    this.#worker.unref()
  }

  beat(): void {
    Atomics.add(this.#beats, 0, 1)
  }

  async stop(): Promise<void> {
    Atomics.store(this.#beats, 1, 1)
    Atomics.notify(this.#beats, 1)
    await this.#worker.terminate()
  }
}

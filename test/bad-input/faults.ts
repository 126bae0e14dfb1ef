import { strict as assert } from 'node:assert'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Broker } from '../../lib/index.ts'

/** Collects what must not happen while a test file runs: faults of the broker and of the process. */
export class Faults {
  readonly seen: unknown[] = []
  readonly #collect = (error: unknown): void => {
    this.seen.push(error)
  }

  constructor(...brokers: readonly Broker[]) {
    for (const broker of brokers) this.watch(broker)
    process.on('uncaughtException', this.#collect).on('unhandledRejection', this.#collect).on('warning', this.#collect)
  }

  watch(broker: Broker): Broker {
    broker.on('error', this.#collect)
    return broker
  }

  stop(): void {
    process.off('uncaughtException', this.#collect)
    process.off('unhandledRejection', this.#collect)
    process.off('warning', this.#collect)
    assert.deepEqual(this.seen, [])
  }
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Bytes of the heap that are in use, what nobody holds any more not counted. */
export function heapInUse(): number {
  collectGarbage()
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

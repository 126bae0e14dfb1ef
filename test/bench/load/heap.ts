/** Reads the memory probe in a broker's process, see `peers/memory-probe.ts`. */
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Target } from '../works/work.ts'

/** Maximum difference between two readings of an idle broker, in which no connection ends and no commit runs. */
const MAX_STEADY_BYTES = 2_000
const MAX_READINGS = 20

/** Bytes in use inside and outside the heap, without garbage, when two readings are nearly equal. */
export async function bytesInUse({ memoryPort }: Target): Promise<number> {
  if (memoryPort === undefined) throw new Error('the broker was started without the memory probe')
  let before = Number.NaN
  for (let readings = 1; ; readings += 1) {
    await delay(200)
    let answer = ''
    for await (const chunk of connect(memoryPort, '127.0.0.1')) answer += String(chunk)
    const bytes = Number(answer)
    if (Math.abs(bytes - before) < MAX_STEADY_BYTES || readings === MAX_READINGS) return bytes
    before = bytes
  }
}

/** Asks the probe in a broker's process, see `peers/memory-probe.ts`. */
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Target } from '../works/work.ts'

/** From one look to the next, when nothing is under way any more, as the end of a connection or of a commit. */
const STEADY_BYTES = 2_000
const MOST_LOOKS = 20

/** Bytes in use, in the heap and outside, without garbage, once they stay as they are. */
export async function bytesInUse({ memoryPort }: Target): Promise<number> {
  if (memoryPort === undefined) throw new Error('the broker was started without the memory probe')
  let before = Number.NaN
  for (let looks = 1; ; looks += 1) {
    await delay(200)
    let text = ''
    for await (const chunk of connect(memoryPort, '127.0.0.1')) text += String(chunk)
    const bytes = Number(text)
    if (Math.abs(bytes - before) < STEADY_BYTES || looks === MOST_LOOKS) return bytes
    before = bytes
  }
}

/** Waiting for counts, with an end. */
import { setTimeout as delay } from 'node:timers/promises'

/** True when the condition came to hold, false when the time was over. */
export async function until(condition: () => boolean, seconds: number): Promise<boolean> {
  const deadline = performance.now() + seconds * 1_000
  while (!condition()) {
    if (performance.now() > deadline) return false
    await delay(1)
  }
  return true
}

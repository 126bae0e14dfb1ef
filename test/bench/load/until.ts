/** Waits for a condition, with a time limit. */
import { setTimeout as delay } from 'node:timers/promises'

/** Resolves with true when the condition is met, with false after the time limit. */
export async function until(condition: () => boolean, seconds: number): Promise<boolean> {
  const deadline = performance.now() + seconds * 1_000
  while (!condition()) {
    if (performance.now() > deadline) return false
    await delay(1)
  }
  return true
}

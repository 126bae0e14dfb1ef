/**
 * How long a test waits for what must come: never a measure of speed, only the end of a test that would hang, said with
 * what it was waiting for. So it is far more than any wait takes on a slow machine under load, and less than a file has.
 */
export const patienceMs: number = 3 * 60_000

/** What a test file has as a whole, for a test that waits without saying so. */
export const fileTimeMs: number = 30 * 60_000

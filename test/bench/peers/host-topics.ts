/** The topics by which a load queries the program of `host.ts`, and the interval of its timer. */
export const ASK = 'bench/timers/ask'
export const ANSWER = 'bench/timers/answer'
export const INTERVAL_MS = 10

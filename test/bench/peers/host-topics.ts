/** How a load asks the program of `host.ts`, and which timer it has. */
export const ASK = 'bench/timers/ask'
export const ANSWER = 'bench/timers/answer'
export const INTERVAL_MS = 10

/**
 * Time limit of a wait in a test, in milliseconds. It never measures speed: it only ends a test that would hang, with a
 * message about the missing event. So it is far longer than any wait on a slow machine, and shorter than `fileTimeMs`.
 */
export const patienceMs: number = 3 * 60_000

/** Time limit of a whole test file in milliseconds, for waits without their own limit. */
export const fileTimeMs: number = 30 * 60_000

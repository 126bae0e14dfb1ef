import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'

/** A folder in memory if possible, for tests that check stored data and not the speed of a disk. */
export const quickFolder: string = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

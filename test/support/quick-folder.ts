import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'

/** In memory where there is such a place: for tests that ask what is stored, not how long a disk takes. */
export const quickFolder: string = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

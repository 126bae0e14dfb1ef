/** All works, in the order of the table. */
import { connects } from './connects.ts'
import { fairness } from './fairness.ts'
import { filters } from './filters.ts'
import { frozen } from './frozen.ts'
import { growths } from './growth.ts'
import { hostTimers } from './host-timers.ts'
import { ingests } from './ingest.ts'
import { offline } from './offline.ts'
import { paced } from './paced.ts'
import { retained } from './retained.ts'
import { streams } from './streams.ts'
import type { Work } from './work.ts'

export const works: readonly Work[] = [
  ...streams,
  ...ingests,
  paced,
  fairness,
  frozen,
  offline,
  filters,
  retained,
  connects,
  ...growths,
  hostTimers,
]

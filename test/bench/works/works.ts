/** All works, in the order of the table. */
import { connects } from './connects.ts'
import { fairness } from './fairness.ts'
import { filters } from './filters.ts'
import { frozen } from './frozen.ts'
import { growths } from './growth.ts'
import { heaps } from './heap.ts'
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

/** All works that a load process knows. */
export const allWorks: readonly Work[] = [...works, ...heaps]

/** The works that compare two builds by default. */
export const judges: readonly Work[] = [
  'ingest-qos0',
  'ingest-qos1',
  'pairs-qos0',
  'pairs-qos1',
  'pairs-qos2',
  'fan-out-qos0',
  'offline',
  ...heaps.map(({ name }) => name),
].map((name) => allWorks.find((work) => work.name === name)!)

import type { PersistencePart } from './persistence-part.ts'
import type { StoreUnderTest } from './store-under-test.ts'

/** One test of the suite. */
export interface TestCase {
  /** A sentence. */
  readonly name: string
  /** Whether to repeat it with a restart at each call of `store.restart()`. */
  readonly restarts?: boolean
  /** A method that not every store has; the test is skipped without it. */
  readonly needs?: 'commit' | 'setup' | 'cleanOutgoing' | 'cleanIncoming' | 'allSubscriptions'
  /** The test is not run if the store lacks one of these. */
  readonly parts?: readonly PersistencePart[]
  run(store: StoreUnderTest): Promise<void>
}

import { test as nodeTest } from 'node:test'
import { InvalidOptionError } from '../errors.ts'
import { commitQueueCases } from './commit/queues.ts'
import { sessionCases } from './commit/sessions.ts'
import { randomCase, togetherCases } from './commit/together.ts'
import { clientCases } from './contract/clients.ts'
import { queueCases } from './contract/queues.ts'
import { retainedCases } from './contract/retained.ts'
import { subscriptionCases } from './contract/subscriptions.ts'
import { StoreUnderTest, type StoreSource, type TestedStore } from './store-under-test.ts'
import type { PersistencePart, TestCase } from './test-case.ts'

/** A function such as `test` of `node:test`: it runs what it is given, now or later, and reports under the name. */
export type TestFunction = (name: string, run: (context: TestFunctionContext) => Promise<void>) => unknown

export interface TestFunctionContext {
  /** Says that the test found nothing to do. */
  skip(reason: string): void
}

/** How the suite gets the store that it tests: a `Storage`, a persistence made for aedes, or one that is both. */
export interface PersistenceTestOptions<Store extends TestedStore = TestedStore> {
  /** Stands before the name of every test. */
  readonly name: string
  /** Makes an empty store that is not open yet: neither `open` nor `setup` was called. Called once for each test. */
  readonly open: () => Store | Promise<Store>
  /** Makes a store of what a closed one has stored. Without it no restart is tested: a store in memory. */
  readonly reopen?: (closed: Store) => Store | Promise<Store>
  /** Removes what a store has stored, at the end of its test, after `close` or `destroy`. */
  readonly remove?: (closed: Store) => unknown
  /** What the store does without. The suite checks nothing about it. @defaultValue `[]` */
  readonly without?: readonly PersistencePart[]
  /** Runs the tests. @defaultValue `test` of `node:test` */
  readonly test?: TestFunction
  /** Where the random operations begin; a test that fails says what it was. @defaultValue 1 */
  readonly seed?: number
  /** How many random conversations there are. @defaultValue 5 */
  readonly conversations?: number
  /** Seconds that one test may take. @defaultValue 60 */
  readonly timeLimit?: number
}

const parts: Readonly<Record<PersistencePart, true>> = {
  commit: true,
  'aedes-methods': true,
  concurrency: true,
  'packet-properties': true,
  'binary-properties': true,
  'replaced-fields': true,
  order: true,
  'broker-order': true,
  'long-queues': true,
  'packet-identifiers': true,
  'dollar-topics': true,
  'empty-levels': true,
  'glob-characters': true,
  'qos-0-subscriptions': true,
  'granted-filters': true,
  'optional-methods': true,
}

/**
 * Tests a store: of a `Storage` what {@link Storage} says, of a persistence made for aedes what aedes-persistence 11 asks,
 * and `commit` and `readAll` when it has them.
 */
export function testPersistence<Store extends TestedStore>(options: PersistenceTestOptions<Store>): void {
  const { name, open, reopen, remove, without = [], test = nodeTest } = options
  const { seed = 1, conversations = 5, timeLimit = 60 } = options
  for (const part of without) {
    if (Object.hasOwn(parts, part)) continue
    throw new InvalidOptionError(`without: expected some of ${Object.keys(parts).join(', ')}, got ${part}`)
  }
  // The suite gives back to these two only what `open` and `reopen` made.
  const source = { open, reopen, remove, without } as unknown as StoreSource
  const contract = [...queueCases, ...retainedCases, ...subscriptionCases, ...clientCases]
  const commits = [...sessionCases, ...commitQueueCases, ...togetherCases]
  for (let count = 0; count < conversations; count += 1) {
    const number = seed + count
    commits.push(randomCase(number, `random operations leave what the model has, seed ${number}`))
  }
  const cases: TestCase[] = [
    ...contract.map((each) => ({ needs: 'setup', ...each }) as const),
    ...commits.map((each) => ({ ...each, needs: 'commit' }) as const),
  ]

  for (const each of cases) {
    if (each.parts?.some((part) => without.includes(part)) === true) continue
    if (without.includes(each.needs === 'commit' ? 'commit' : 'aedes-methods')) continue
    const prefix = each.needs === 'commit' ? `${name}: commit: ` : `${name}: `
    test(`${prefix}${each.name}`, (context) => runCase(each, source, false, timeLimit, context))
    if (reopen === undefined || each.restarts !== true) continue
    test(`${prefix}${each.name}, with a restart`, (context) => runCase(each, source, true, timeLimit, context))
  }
}

async function runCase(
  testCase: TestCase,
  source: StoreSource,
  restarts: boolean,
  timeLimit: number,
  context: TestFunctionContext,
): Promise<void> {
  const store = await within(timeLimit, StoreUnderTest.open(source, restarts))
  const { needs } = testCase
  try {
    if (needs !== undefined && !store.has(needs)) context.skip(`the store has no ${needs}`)
    else await within(timeLimit, testCase.run(store))
  } catch (error) {
    await within(timeLimit, store.close()).catch(() => undefined) // the author wants to know what went wrong first
    throw error
  }
  await within(timeLimit, store.close())
}

async function within<T>(seconds: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(reject, seconds * 1000, new Error(`not done after ${seconds} seconds: a call never ended`))
  })
  try {
    return await Promise.race([tooLate, work])
  } finally {
    clearTimeout(timer)
  }
}

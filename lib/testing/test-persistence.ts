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
import type { PersistencePart } from './persistence-part.ts'
import type { TestCase } from './test-case.ts'

/** A function such as `test` of `node:test`: it runs `run`, now or later, and reports under the name. */
export type TestFunction = (name: string, run: (context: TestFunctionContext) => Promise<void>) => unknown

export interface TestFunctionContext {
  /** Reports that the test does not apply to the store. */
  skip(reason: string): void
}

/** Options of the suite for a `Storage`, a persistence made for aedes, or a store that is both. */
export interface PersistenceTestOptions<Store extends TestedStore = TestedStore> {
  /** Stands before the name of every test. */
  readonly name: string
  /** Makes an empty store that is not open yet: neither `open` nor `setup` was called. Called once for each test. */
  readonly open: () => Store | Promise<Store>
  /** Opens a closed store again. Without it no restart is tested, as for a store in memory. */
  readonly reopen?: (closed: Store) => Store | Promise<Store>
  /** Removes the data of a store, at the end of its test, after `close` or `destroy`. */
  readonly remove?: (closed: Store) => unknown
  /** The parts that the store lacks, which are not tested. @defaultValue `[]` */
  readonly without?: readonly PersistencePart[]
  /** Runs the tests. @defaultValue `test` of `node:test` */
  readonly test?: TestFunction
  /** The seed of the random operations; a failed test reports it. @defaultValue 1 */
  readonly seed?: number
  /** The number of random conversations. @defaultValue 5 */
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
 * Tests a store: a `Storage` by the contract of {@link Storage}, a persistence made for aedes by that of aedes-persistence
 * 11, and `commit` and `readAll` if it has them.
 */
export function testPersistence<Store extends TestedStore>(options: PersistenceTestOptions<Store>): void {
  const { name, open, reopen, remove, without = [], test = nodeTest } = options
  const { seed = 1, conversations = 5, timeLimit = 60 } = options
  for (const part of without) {
    if (Object.hasOwn(parts, part)) continue
    throw new InvalidOptionError(`without: expected some of ${Object.keys(parts).join(', ')}, got ${part}`)
  }
  // The suite calls these two only with stores of `open` and `reopen`.
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
    await within(timeLimit, store.close()).catch(() => undefined) // the first error is reported
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

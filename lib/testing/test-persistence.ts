import { test as nodeTest } from 'node:test'
import type { Persistence } from '../../types/persistence.ts'
import { InvalidOptionError } from '../errors.ts'
import { commitQueueCases } from './commit/queues.ts'
import { sessionCases } from './commit/sessions.ts'
import { randomCase, togetherCases } from './commit/together.ts'
import { clientCases } from './contract/clients.ts'
import { queueCases } from './contract/queues.ts'
import { retainedCases } from './contract/retained.ts'
import { subscriptionCases } from './contract/subscriptions.ts'
import { type StoreSource, StoreUnderTest } from './store-under-test.ts'
import type { PersistencePart, TestCase } from './test-case.ts'

/** A function such as `test` of `node:test`: it runs what it is given, now or later, and reports under the name. */
export type TestFunction = (name: string, run: (context: TestFunctionContext) => Promise<void>) => unknown

export interface TestFunctionContext {
  /** Says that the test found nothing to do. */
  skip(reason: string): void
}

export interface PersistenceTestOptions {
  /** Stands before the name of every test. */
  readonly name: string
  /** Makes an empty store, on which `setup` was not called. Called once for each test. */
  readonly open: () => Persistence | Promise<Persistence>
  /**
   * Opens again what a store kept on which `destroy` was called. Without it no restart is tested: a store in memory.
   */
  readonly reopen?: (closed: Persistence) => Persistence | Promise<Persistence>
  /** Removes what a store kept, at the end of its test, after `destroy`. */
  readonly remove?: (closed: Persistence) => unknown
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

/** Tests a store: what aedes-persistence 11 asks of it, and `commit` and `readAll` when it has them. */
export function testPersistence(options: PersistenceTestOptions): void {
  const { name, open, reopen, remove, without = [], test = nodeTest } = options
  const { seed = 1, conversations = 5, timeLimit = 60 } = options
  for (const part of without) {
    if (Object.hasOwn(parts, part)) continue
    throw new InvalidOptionError(`without: expected some of ${Object.keys(parts).join(', ')}, got ${part}`)
  }
  const source: StoreSource = { open, reopen, remove, without }
  const contract = [...queueCases, ...retainedCases, ...subscriptionCases, ...clientCases]
  const commits = [...sessionCases, ...commitQueueCases, ...togetherCases]
  for (let count = 0; count < conversations; count += 1) {
    const number = seed + count
    commits.push(randomCase(number, `random operations leave what the model has, seed ${number}`))
  }
  const cases = [...contract, ...commits.map((each) => ({ ...each, needs: 'commit' }) as const)]

  for (const each of cases) {
    if (each.parts?.some((part) => without.includes(part)) === true) continue
    if (each.needs === 'commit' && without.includes('commit')) continue
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
    if (needs !== undefined && store.persistence[needs] === undefined) context.skip(`the store has no ${needs}`)
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

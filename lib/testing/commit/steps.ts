/** Shared by the tests of `commit`: the same operations for the store and for the model. */
import assert from 'node:assert/strict'
import type {
  PersistedPublish,
  PersistedSessionInfo,
  PersistedTarget,
  PersistenceOperation,
} from '../../../types/persistence.ts'
import type { StoreUnderTest } from '../store-under-test.ts'
import { publish } from '../values.ts'
import { StoreModel } from './model.ts'
import { readSessions, readState } from './state.ts'

export const CONNECTED: PersistedSessionInfo = { owner: undefined, expiryInterval: 4_294_967_295, expiresAt: null }

/** A store and its model, which must stay equal. */
export class ComparedStore {
  readonly model: StoreModel = new StoreModel()
  readonly #store: StoreUnderTest

  constructor(store: StoreUnderTest) {
    this.#store = store
  }

  /** Commits and compares, before a restart and after it. */
  async commit(...operations: PersistenceOperation[]): Promise<void> {
    await this.#store.commits.commit(operations)
    this.model.commit(operations)
    await this.compare()
    if (await this.#store.restart()) await this.compare()
  }

  async compare(message?: string): Promise<void> {
    const { commits } = this.#store
    const found = await readState(commits)
    const expected = this.model.state()
    if (message === undefined) assert.deepEqual(found, expected)
    else assert.deepEqual(found, expected, `${message}\n${difference(found, expected)}`)
    if (commits.readSession === undefined) return
    const one = await readSessions(commits, [...this.model.sessions.keys(), 'nobody'])
    assert.deepEqual(one, expected.sessions, 'what readSession gives')
  }
}

function difference(found: unknown, expected: unknown): string {
  try {
    assert.deepEqual(found, expected)
    return ''
  } catch (error) {
    return error instanceof Error ? error.message : ''
  }
}

export function session(clientId: string, info: PersistedSessionInfo = CONNECTED): PersistenceOperation {
  return { kind: 'session', clientId, session: info }
}

export function target(clientId: string, fields: Partial<PersistedTarget> = {}): PersistedTarget {
  return { clientId, qos: 1, retain: false, ...fields }
}

/** Adds a message with this counter to the queues of these targets. */
export function message(
  brokerCounter: number,
  targets: readonly PersistedTarget[],
  fields: Partial<PersistedPublish> = {},
): PersistenceOperation {
  return { kind: 'publish', packet: publish({ brokerCounter, ...fields }), targets, retain: false }
}

export function retained(topic: string, fields: Partial<PersistedPublish> = {}): PersistenceOperation {
  return { kind: 'publish', packet: publish({ topic, retain: true, ...fields }), targets: [], retain: true }
}

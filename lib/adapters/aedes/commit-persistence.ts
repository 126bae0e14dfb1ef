import type {
  PersistedSessionState,
  PersistedState,
  Persistence,
  PersistenceOperation,
} from '../../../types/persistence.ts'
import type { Storage, StorageBroker } from '../../../types/storage.ts'
import { brokerHandle } from '../../storage/broker-handle.ts'

/** The methods of a persistence for haltere 0.1.0 that the broker calls. */
export type PersistenceWithCommit = Required<Pick<Persistence, 'setup' | 'commit' | 'readAll' | 'destroy'>>

/** Makes a `Storage` of a persistence that has `commit` and `readAll` beside the methods of aedes: the port of 0.1.0. */
export class CommitPersistence implements Storage {
  readonly #persistence: PersistenceWithCommit

  constructor(persistence: PersistenceWithCommit) {
    this.#persistence = persistence
  }

  async open({ id, emitter }: StorageBroker): Promise<void> {
    await this.#persistence.setup(brokerHandle(id, emitter))
  }

  readAll(): AsyncIterable<PersistedState> {
    return this.#persistence.readAll()
  }

  async readSession(clientId: string): Promise<PersistedSessionState | undefined> {
    for await (const state of this.#persistence.readAll()) {
      if (state.kind === 'session' && state.clientId === clientId) return state
    }
    return undefined
  }

  commit(operations: readonly PersistenceOperation[]): Promise<unknown> {
    return this.#persistence.commit(operations)
  }

  async close(): Promise<void> {
    await this.#persistence.destroy()
  }
}

import type {
  PersistedSessionState,
  PersistedState,
  Persistence,
  PersistenceBroker,
  PersistenceOperation,
} from '../../types/persistence.ts'
import type { Storage } from './storage.ts'

/** A persistence that can do all that the broker asks. */
export type NativePersistence = Persistence & Required<Pick<Persistence, 'commit' | 'readAll'>>

/** Passes everything on to a persistence that has `commit` and `readAll`. */
export class NativeStorage implements Storage {
  readonly #persistence: NativePersistence
  readonly #broker: PersistenceBroker

  constructor(persistence: NativePersistence, broker: PersistenceBroker) {
    this.#persistence = persistence
    this.#broker = broker
  }

  open(): Promise<void> {
    return this.#persistence.setup(this.#broker)
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

import type { PersistedSessionState, PersistedState, PersistenceOperation } from '../../types/persistence.ts'
import type { Storage, FindIncoming, SharedReading } from './storage.ts'

/** A store whose code is loaded when it is opened: a broker without one has none of it. */
export class LazyStorage implements Storage {
  readonly #load: () => Promise<Storage>
  #storage: Storage | undefined

  constructor(load: () => Promise<Storage>) {
    this.#load = load
  }

  async open(): Promise<void> {
    const storage = await this.#load()
    await storage.open()
    this.#storage = storage
  }

  get #opened(): Storage {
    if (this.#storage === undefined) throw new Error('the store is not open')
    return this.#storage
  }

  readAll(): AsyncIterable<PersistedState> {
    return this.#opened.readAll()
  }

  readSession(clientId: string): Promise<PersistedSessionState | undefined> {
    return this.#opened.readSession(clientId)
  }

  commit(operations: readonly PersistenceOperation[]): Promise<unknown> {
    return this.#opened.commit(operations)
  }

  get findIncoming(): FindIncoming | undefined {
    const backend = this.#opened
    return backend.findIncoming === undefined ? undefined : backend.findIncoming.bind(backend)
  }

  get reserved(): string | undefined {
    return this.#storage?.reserved
  }

  get shared(): SharedReading | undefined {
    return this.#opened.shared
  }

  close(): Promise<void> {
    return this.#opened.close()
  }
}

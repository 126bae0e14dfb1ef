import type { PersistedSessionState, PersistedState, PersistenceOperation } from '../../types/persistence.ts'
import type { Backend, FindIncoming, SharedReading } from './backend.ts'

/** A store whose code is loaded when it is opened: a broker without one has none of it. */
export class DeferredBackend implements Backend {
  readonly #load: () => Promise<Backend>
  #backend: Backend | undefined

  constructor(load: () => Promise<Backend>) {
    this.#load = load
  }

  async open(): Promise<void> {
    const backend = await this.#load()
    await backend.open()
    this.#backend = backend
  }

  get #opened(): Backend {
    if (this.#backend === undefined) throw new Error('the store is not open')
    return this.#backend
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
    return this.#backend?.reserved
  }

  get shared(): SharedReading | undefined {
    return this.#opened.shared
  }

  close(): Promise<void> {
    return this.#opened.close()
  }
}

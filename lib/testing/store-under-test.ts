import type { Persistence, PersistenceBroker } from '../../types/persistence.ts'
import type { Storage } from '../../types/storage.ts'
import { LocalEmitter } from './local-emitter.ts'
import type { PersistencePart } from './persistence-part.ts'

type Awaitable<T> = T | Promise<T>

/** A store that the suite tests: a `Storage`, a persistence made for aedes, or both. */
export type TestedStore = Storage | Persistence

/** Opens, reopens and removes stores. */
export interface StoreSource {
  readonly open: () => Awaitable<TestedStore>
  readonly reopen?: ((closed: TestedStore) => Awaitable<TestedStore>) | undefined
  readonly remove?: ((closed: TestedStore) => unknown) | undefined
  readonly without: readonly PersistencePart[]
}

/** `commit` and `readAll` of a store that has both, and `readSession` of a `Storage`. */
export type CommitStore = Pick<Storage, 'commit' | 'readAll'> & Partial<Pick<Storage, 'readSession'>>

/** The store of one test, set up as a broker does it. */
export class StoreUnderTest {
  readonly #source: StoreSource
  readonly #restarts: boolean
  #store: TestedStore
  #starts = 0

  private constructor(source: StoreSource, given: TestedStore, restarts: boolean) {
    this.#source = source
    this.#store = given
    this.#restarts = restarts
  }

  static async open(source: StoreSource, restarts: boolean): Promise<StoreUnderTest> {
    const store = new StoreUnderTest(source, await source.open(), restarts)
    await store.#setup()
    return store
  }

  /** Whether the store has a method of one of the two contracts. */
  has(method: keyof Persistence | keyof Storage): boolean {
    return (this.#store as Partial<Record<typeof method, unknown>>)[method] !== undefined
  }

  /** The store as one made for aedes. Another object after each restart. */
  get persistence(): Persistence {
    if (!isPersistence(this.#store)) throw new Error('a Storage does not have the methods of aedes')
    return this.#store
  }

  /** The id of the broker that uses the store now. */
  get brokerId(): string {
    return `boot${this.#starts}`
  }

  /** The same object, seen as a store that has `commit`. */
  get commits(): CommitStore {
    const { commit, readAll } = this.#store
    if (commit === undefined || readAll === undefined) throw new Error('a store has both commit and readAll or neither')
    return this.#store as TestedStore & CommitStore // both were checked above
  }

  lacks(part: PersistencePart): boolean {
    return this.#source.without.includes(part)
  }

  /** Closes the store and opens it again. Does nothing and returns false in a test without restarts. */
  async restart(): Promise<boolean> {
    const { reopen } = this.#source
    if (!this.#restarts || reopen === undefined) return false
    await this.#end()
    this.#store = await reopen(this.#store)
    await this.#setup()
    return true
  }

  async close(): Promise<void> {
    await this.#end()
    await this.#source.remove?.(this.#store)
  }

  async #end(): Promise<void> {
    if (isStorage(this.#store)) await this.#store.close()
    else await this.#store.destroy()
  }

  async #setup(): Promise<void> {
    this.#starts += 1
    const mq = new LocalEmitter()
    if (isStorage(this.#store)) {
      const warn = (message: string): void => process.emitWarning(message)
      await this.#store.open({ id: this.brokerId, emitter: mq, warn, now: Date.now })
    }
    // A store that is both is opened both ways: the methods of aedes get their broker from `setup`.
    if (!isPersistence(this.#store)) return
    const broker: PersistenceBroker = {
      id: this.brokerId,
      counter: 0,
      mq,
      // A broker calls its hooks first, so a message of the store comes back later.
      publish: (packet, callback) => setImmediate(() => mq.emit({ ...packet }, callback)),
      subscribe: mq.on.bind(mq),
      unsubscribe: mq.removeListener.bind(mq),
    }
    await this.#store.setup(broker)
  }
}

function isStorage(store: TestedStore): store is Storage {
  return 'open' in store && typeof store.open === 'function'
}

function isPersistence(store: TestedStore): store is Persistence {
  return 'setup' in store
}

import type { Persistence, PersistenceBroker } from '../../types/persistence.ts'
import { LocalEmitter } from './local-emitter.ts'
import type { PersistencePart } from './test-case.ts'

type Awaitable<T> = T | Promise<T>

/** How stores come and go. */
export interface StoreSource {
  readonly open: () => Awaitable<Persistence>
  readonly reopen?: ((closed: Persistence) => Awaitable<Persistence>) | undefined
  readonly remove?: ((closed: Persistence) => unknown) | undefined
  readonly without: readonly PersistencePart[]
}

/** `commit` and `readAll` of a store that has both. */
export type CommitStore = Required<Pick<Persistence, 'commit' | 'readAll'>>

/** The store that one test has for itself, set up as a broker does it. */
export class StoreUnderTest {
  readonly #source: StoreSource
  readonly #restarts: boolean
  #persistence: Persistence
  #starts = 0

  private constructor(source: StoreSource, persistence: Persistence, restarts: boolean) {
    this.#source = source
    this.#persistence = persistence
    this.#restarts = restarts
  }

  static async open(source: StoreSource, restarts: boolean): Promise<StoreUnderTest> {
    const store = new StoreUnderTest(source, await source.open(), restarts)
    await store.#setup()
    return store
  }

  /** Another one after each restart. */
  get persistence(): Persistence {
    return this.#persistence
  }

  /** The id of the broker that uses the store now. */
  get brokerId(): string {
    return `boot${this.#starts}`
  }

  /** The same object, seen as a store that has `commit`. */
  get commits(): CommitStore {
    const { commit, readAll } = this.#persistence
    if (commit === undefined || readAll === undefined) throw new Error('a store has both commit and readAll or neither')
    return this.#persistence as Persistence & CommitStore // both were looked at in the line above
  }

  lacks(part: PersistencePart): boolean {
    return this.#source.without.includes(part)
  }

  /** Closes the store and opens what it kept; does nothing, and gives false, in a test that is run without restarts. */
  async restart(): Promise<boolean> {
    const { reopen } = this.#source
    if (!this.#restarts || reopen === undefined) return false
    await this.#persistence.destroy()
    this.#persistence = await reopen(this.#persistence)
    await this.#setup()
    return true
  }

  async close(): Promise<void> {
    await this.#persistence.destroy()
    await this.#source.remove?.(this.#persistence)
  }

  async #setup(): Promise<void> {
    this.#starts += 1
    const mq = new LocalEmitter()
    const broker: PersistenceBroker = {
      id: this.brokerId,
      counter: 0,
      mq,
      // A broker asks its hooks first, so what a store publishes comes back to it later.
      publish: (packet, callback) => setImmediate(() => mq.emit({ ...packet }, callback)),
      subscribe: mq.on.bind(mq),
      unsubscribe: mq.removeListener.bind(mq),
    }
    await this.#persistence.setup(broker)
  }
}

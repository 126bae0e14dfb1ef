import { EventEmitter } from 'node:events'
import { MemoryPersistence } from '../../lib/storage/memory/memory-persistence.ts'
import type { PersistenceOperation } from '../../types/persistence.ts'
import { settle } from '../support/client.ts'

/** A commit that has not settled. */
export interface Commit {
  readonly operations: readonly PersistenceOperation[]
  /** Does it and says so. */
  resolve(): Promise<void>
  /** Does not do it and says so; or does it and says that it did not. */
  reject(error: Error, done?: boolean): Promise<void>
}

/** How one process sees the disk, which outlives it. */
export class Access extends MemoryPersistence {
  readonly #disk: MemoryPersistence
  isDead = false
  /** Commits wait in `commits` until the test says. */
  isHeld = false
  failure: Error | undefined
  readonly commits: Commit[] = []
  /** How many there were. */
  count = 0
  readonly #came = new EventEmitter()

  constructor(disk: MemoryPersistence) {
    super()
    this.#disk = disk
  }

  override async destroy(): Promise<void> {
    this.isDead = true // The disk stays.
  }

  override async commit(operations: readonly PersistenceOperation[]): Promise<void> {
    if (this.isDead) return new Promise(() => undefined)
    this.count += 1
    if (this.failure !== undefined) throw this.failure
    if (!this.isHeld) return this.#disk.commit(operations)
    return new Promise((resolve, reject) => {
      const perform = async (): Promise<void> => {
        if (!this.isDead) await this.#disk.commit(operations)
      }
      this.commits.push({
        operations,
        resolve: async () => {
          await perform()
          resolve()
          await settle()
        },
        reject: async (error, done = false) => {
          if (done) await perform()
          reject(error)
          await settle()
        },
      })
      this.#came.emit('commit')
    })
  }

  override readAll(): ReturnType<MemoryPersistence['readAll']> {
    return this.#disk.readAll()
  }

  /** The next commit to settle. */
  async next(): Promise<Commit> {
    if (this.commits.length === 0) await new Promise((resolve) => this.#came.once('commit', resolve))
    return this.commits.shift() as Commit
  }
}

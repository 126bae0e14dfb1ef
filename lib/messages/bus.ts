import mqemitter from 'mqemitter'
import type { Emitter, EmitterListener, EmitterMessage } from '../../types/emitter.ts'
import type { PersistenceOperation } from '../../types/persistence.ts'
import { EmitterCluster } from '../cluster/emitter-cluster.ts'
import type { SessionOwnership } from '../cluster/session-ownership.ts'
import type { Core } from '../core.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import type { SharedReading } from '../../types/storage.ts'
import type { Message } from './message.ts'

/**
 * The emitter, ours or the application's. What is published goes onto ours only while somebody listens there;
 * one that the application gave joins brokers.
 */
export class Bus {
  readonly emitter: Emitter
  readonly #core: Core
  readonly #cluster: EmitterCluster | undefined

  constructor(core: Core, emitter: Emitter) {
    this.#core = core
    this.emitter = emitter
    if (emitter instanceof OwnEmitter) return
    this.#cluster = new EmitterCluster(core, emitter)
    void this.#cluster.start()
  }

  /** Puts a message onto the emitter. Nothing waits for it to arrive. */
  publish(message: Message): void {
    if (this.#cluster !== undefined) {
      this.#cluster.publish(message)
      return
    }
    if ((this.emitter as OwnEmitter).listeners === 0 || message.topic.startsWith('$SYS/')) return
    const { topic, payload, qos, retain, properties, publisher: clientId } = message
    const { id: brokerId } = this.#core.settings
    try {
      const packet = { topic, cmd: 'publish', payload, qos, retain, properties, clientId, brokerId }
      this.emitter.emit(packet satisfies EmitterMessage)
    } catch (error) {
      this.#core.reportError(error as Error) // mqemitter throws for more than 100 levels.
    }
  }

  /** The store has all of this: the other brokers may know. */
  committed(operations: readonly PersistenceOperation[]): void {
    this.#cluster?.committed(operations)
  }

  /** Takes part in the sessions of brokers that share this store too; undefined when there is no emitter to join them. */
  async shareSessions(store: CommitQueue, shared: SharedReading): Promise<SessionOwnership | undefined> {
    await this.#cluster?.start()
    return this.#cluster?.shareSessions(store, shared)
  }

  async close(): Promise<void> {
    if (this.#cluster !== undefined)
      await this.#cluster.stop() // The emitter is the application's to close.
    else await new Promise<void>((resolve) => void this.emitter.close(resolve))
  }
}

/** The emitter of a broker that has none to share: a mqemitter that counts who listens. */
export class OwnEmitter implements Emitter {
  listeners = 0
  readonly #emitter: Emitter = mqemitter({ matchEmptyLevels: true })

  on(topic: string, listener: EmitterListener, callback?: () => void): this {
    this.listeners += 1
    this.#emitter.on(topic, listener, callback)
    return this
  }

  emit(message: { readonly topic: string }, callback?: (error?: Error | null) => void): void {
    this.#emitter.emit(message, callback)
  }

  removeListener(topic: string, listener: EmitterListener, callback?: () => void): this {
    this.listeners = Math.max(this.listeners - 1, 0)
    this.#emitter.removeListener(topic, listener, callback)
    return this
  }

  close(callback: () => void): void {
    this.#emitter.close(callback)
  }

  get current(): number {
    return this.#emitter.current ?? 0
  }

  get concurrency(): number {
    return this.#emitter.concurrency ?? 0
  }

  get closed(): boolean {
    return this.#emitter.closed === true
  }
}

import mqemitter from 'mqemitter'
import type { Emitter, EmitterListener, EmitterMessage } from '../../types/emitter.ts'
import type { Change } from '../storage/commit-batch.ts'
import type { Publication } from './publication.ts'

/** Brokers that share an emitter, and get what this one publishes. */
export interface PeerBrokers {
  /** Gives them a message. Nothing waits for it to arrive. */
  publish(publication: Publication): void
  /** Gives them what the storage has committed. */
  committed(changes: Iterable<Change>): void
  stop(): Promise<void>
}

export interface BusOptions {
  /** The name of the broker, for listeners of the emitter. */
  readonly brokerId: string
  /** Undefined when the application gave no emitter. */
  readonly peers: PeerBrokers | undefined
  reportError(error: Error): void
}

/**
 * The way of a published message onto the emitter. An emitter of the broker itself gets messages only while it has
 * listeners; an emitter of the application joins brokers, and its messages have the form of the peers' protocol.
 */
export class Bus {
  readonly emitter: Emitter
  readonly #options: BusOptions
  readonly #peers: PeerBrokers | undefined
  /** The emitter, when it is the broker's own. */
  readonly #own: OwnEmitter | undefined

  constructor(emitter: Emitter, options: BusOptions) {
    this.emitter = emitter
    this.#options = options
    this.#peers = options.peers
    this.#own = emitter instanceof OwnEmitter ? emitter : undefined
  }

  /** Puts a message onto the emitter. Nothing waits for it to arrive. */
  publish(publication: Publication): void {
    const { message } = publication
    if (this.#peers !== undefined) {
      this.#peers.publish(publication)
      return
    }
    if (this.#own === undefined || this.#own.listeners === 0 || message.topic.startsWith('$SYS/')) return
    const { topic, payload, qos, retain, properties, publisher: clientId } = message
    const { brokerId } = this.#options
    try {
      const packet = { topic, cmd: 'publish', payload, qos, retain, properties, clientId, brokerId }
      this.#own.emit(packet satisfies EmitterMessage)
    } catch (error) {
      this.#options.reportError(error as Error) // mqemitter throws for more than 100 levels.
    }
  }

  /** The storage has committed these changes, so the other brokers may know. */
  committed(changes: Iterable<Change>): void {
    this.#peers?.committed(changes)
  }

  /** Leaves the other brokers, or closes the broker's own emitter. An emitter of the application stays open. */
  async close(): Promise<void> {
    await this.#peers?.stop()
    const own = this.#own
    if (own !== undefined) await new Promise<void>((resolve) => own.close(resolve))
  }
}

/** The emitter of a broker that the application gave none: a mqemitter that counts its listeners. */
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

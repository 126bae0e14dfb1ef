import type { Emitter } from '../../../types/emitter.ts'

type Listener = (value?: unknown) => void

/** What mqemitter-redis has beside the contract: an EventEmitter that tells of its connections. */
interface State {
  on(event: string, listener: Listener): unknown
  removeListener(event: string, listener: Listener): unknown
}

// An error that nobody listens for ends the process, and an emitter may well outlive its brokers: each keeps this one.
const guarded = new WeakSet<State>()

/** Notices when an emitter that has connections, as that of Redis, has made one anew. */
export class RedisReconnects {
  readonly #state: State | undefined
  readonly #listeners = new Map<string, Listener>()

  constructor(emitter: Emitter) {
    const { state } = emitter as { state?: Partial<State> | null }
    if (typeof state?.on === 'function' && typeof state.removeListener === 'function') this.#state = state as State
  }

  start(reconnected: () => void, failed: (error: unknown) => void): void {
    if (this.#state !== undefined && !guarded.has(this.#state)) {
      guarded.add(this.#state)
      this.#state.on('error', () => {})
    }
    this.#listen('error', failed)
    this.#listen('subConnect', reconnected)
  }

  stop(): void {
    for (const [event, listener] of this.#listeners) this.#state?.removeListener(event, listener)
    this.#listeners.clear()
  }

  #listen(event: string, listener: Listener): void {
    this.#listeners.set(event, listener)
    this.#state?.on(event, listener)
  }
}

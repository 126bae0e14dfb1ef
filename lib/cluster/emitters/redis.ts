import type { Emitter } from '../../../types/emitter.ts'

/** mqemitter-redis takes a message with this topic for its own. */
export const SENTINEL_TOPIC = '__sentinel__:hello'

type Listener = (value?: unknown) => void

/** Part of mqemitter-redis beside the contract: an EventEmitter with the events of its connections. */
interface State {
  on(event: string, listener: Listener): unknown
  removeListener(event: string, listener: Listener): unknown
}

// An `error` event without a listener ends the process, and an emitter may outlive its brokers: this listener stays.
const guarded = new WeakSet<State>()

/** Notices that an emitter with connections, such as that of Redis, connects again. */
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

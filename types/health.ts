import type { Listener } from './listen.ts'

/** Whether a broker does its work, from `broker.health()`. */
export interface BrokerHealth {
  /**
   * True if the broker is open, all its listeners accept connections, its store works, and it is joined with the other
   * brokers of its emitter.
   */
  readonly healthy: boolean
  /**
   * State of the broker: `opening` until the store is restored and the plugins are set up, `open`, `failed` if one of them
   * failed, `closing` and `closed` after `broker.close()`.
   */
  readonly state: 'opening' | 'open' | 'failed' | 'closing' | 'closed'
  /** The open listeners; one is `listening` while it accepts connections. */
  readonly listeners: readonly { readonly protocol: Listener['protocol']; readonly listening: boolean }[]
  /** State of the store: `none` without a store, `opening` until it is restored, `working`, `failing` while commits fail. */
  readonly store: 'none' | 'opening' | 'working' | 'failing'
  readonly brokers: {
    /**
     * `alone` without an emitter; `joining` at the start; `joined`; `failing` while the emitter brings nothing back, so that
     * messages of peers do not arrive.
     */
    readonly state: 'alone' | 'joining' | 'joined' | 'failing'
    /** Number of other brokers that are alive. */
    readonly peers: number
  }
}

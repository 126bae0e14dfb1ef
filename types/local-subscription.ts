import type { Message } from './message.ts'
import type { QoS } from './packets.ts'

/** What `broker.subscribe` may be told. */
export interface SubscribeOptions {
  /** Messages are delivered at this QoS at most. Default: 2. */
  readonly qos?: QoS
  /** Also deliver what is retained. Default: true. */
  readonly retained?: boolean
  /** Aborting it ends the subscription. */
  readonly signal?: AbortSignal
  /** Messages that may wait to be taken. Default: 1,000. */
  readonly highWaterMark?: number
  /**
   * What happens when that many wait. Clients that publish are held back at first, in every case;
   * then `drop-oldest` drops and counts (the default), `pause` holds them back for as long as it takes,
   * and `error` ends the subscription with an error.
   */
  readonly overflow?: 'drop-oldest' | 'pause' | 'error'
}

/** A subscription of the application itself. It ends with `close()`, with its signal, or when a loop over it is left. */
export interface LocalSubscription extends AsyncIterable<Message>, AsyncDisposable {
  /** How many messages were dropped because nobody took them. */
  readonly dropped: number
  close(): Promise<void>
}

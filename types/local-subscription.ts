import type { Message } from './message.ts'
import type { QoS } from './packets.ts'

/** Options of `broker.subscribe`. An unknown option throws an `InvalidOptionError`. */
export interface SubscribeOptions {
  /** Maximum QoS of delivered messages. Default: 2. */
  readonly qos?: QoS
  /** Whether retained messages are delivered too. Default: true. */
  readonly retained?: boolean
  /** A signal whose abort ends the subscription. Default: none. */
  readonly signal?: AbortSignal
  /** Maximum number of queued messages, from 1. Default: 1,000. */
  readonly highWaterMark?: number
  /**
   * Behaviour when the queue is full. From three quarters of it on back-pressure pauses publishers for
   * `limits.holdBackMs`, `broker.publish` included once a listener or a loop takes messages. Then `drop-oldest` drops and counts messages, `pause` pauses publishers without a time limit, and `error` ends the
   * subscription with an error. Default: `drop-oldest`.
   */
  readonly overflow?: 'drop-oldest' | 'pause' | 'error'
}

/** A subscription of the application. It ends with `close()`, with its signal, or at the end of a loop over it. */
export interface LocalSubscription extends AsyncIterable<Message>, AsyncDisposable {
  /** Number of messages dropped because the queue was full. */
  readonly dropped: number
  close(): Promise<void>
}

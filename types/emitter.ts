/**
 * What carries messages between brokers: the contract of mqemitter 7, as far as we use it.
 * `mqemitter`, `mqemitter-redis` and `mqemitter-mongodb` fulfil it.
 */

/** What a listener gets: a topic and whatever the sender put beside it. */
export interface EmitterMessage {
  readonly topic: string
  readonly [field: string]: unknown
}

/**
 * Must declare both parameters: mqemitter gives a function with one parameter `done` instead of the message.
 * With a `concurrency` limit the emitter stands still until `done` is called.
 */
export type EmitterListener = (message: EmitterMessage, done: () => void) => void

export interface Emitter {
  /**
   * Listens to a topic, in which `+` and `#` are wildcards.
   * @param callback - called when messages will arrive.
   */
  on(topic: string, listener: EmitterListener, callback?: () => void): unknown

  /**
   * Gives a message to every listener of its topic. The emitter may add fields to it.
   * @param callback - called when the emitter has taken the message, which says nothing about other brokers; with an
   * error when the emitter is closed.
   */
  emit(message: { readonly topic: string }, callback?: (error?: Error | null) => void): unknown

  /** @param callback - called when no more messages will arrive. */
  removeListener(topic: string, listener: EmitterListener, callback?: () => void): unknown

  close(callback: () => void): unknown

  /** How many messages are with listeners that have not called `done`. */
  readonly current?: number
  /** How many messages may be with listeners at once; 0 is no limit. */
  readonly concurrency?: number
  readonly closed?: boolean
}

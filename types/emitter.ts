/**
 * The connection between the brokers of a cluster: the part of the contract of mqemitter 7 that the broker uses.
 * `mqemitter`, `mqemitter-redis` and `mqemitter-mongodb` fulfil it.
 */

/** A message of an emitter: a topic and any other fields. */
export interface EmitterMessage {
  readonly topic: string
  readonly [field: string]: unknown
}

/**
 * Must declare both parameters: mqemitter passes a function with one parameter `done` instead of the message.
 * With a `concurrency` limit the emitter delivers no further message until `done` is called.
 */
export type EmitterListener = (message: EmitterMessage, done: () => void) => void

export interface Emitter {
  /**
   * Listens to a topic, in which `+` and `#` are wildcards.
   * @param callback - called when the subscription is active.
   */
  on(topic: string, listener: EmitterListener, callback?: () => void): unknown

  /**
   * Passes a message to every listener of its topic. The emitter may add fields to it.
   * @param callback - called when the emitter has accepted the message, before peers receive it; with an error if the
   * emitter is closed.
   */
  emit(message: { readonly topic: string }, callback?: (error?: Error | null) => void): unknown

  /** @param callback - called when no further messages will arrive. */
  removeListener(topic: string, listener: EmitterListener, callback?: () => void): unknown

  close(callback: () => void): unknown

  /** Number of messages for which `done` has not been called. */
  readonly current?: number
  /** Maximum of `current`; 0 is no limit. */
  readonly concurrency?: number
  readonly closed?: boolean
}

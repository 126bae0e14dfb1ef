/** placeholder until the contract lands */
export interface Emitter {
  on(topic: string, listener: (message: never, done: () => void) => void, done?: () => void): unknown
  emit(message: { topic: string }, done?: (error?: Error | null) => void): unknown
  removeListener(topic: string, listener: (message: never, done: () => void) => void, done?: () => void): unknown
  close(done: () => void): unknown
}

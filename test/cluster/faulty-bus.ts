import type { Emitter, EmitterListener, EmitterMessage } from '../../types/emitter.ts'

/** What happens to a message on its way to one broker. */
export type Fault = 'arrive' | 'lose' | 'twice' | 'hold'

/** A bus that loses, doubles and reorders. Each broker has its own emitter on it. */
export class FaultyBus {
  readonly listeners: EmitterListener[] = []
  /** What everybody said. */
  readonly emitted: EmitterMessage[] = []
  fault: (message: EmitterMessage, broker: number) => Fault = () => 'arrive'
  #held: { readonly message: EmitterMessage; readonly listener: EmitterListener }[] = []

  emitter(): Emitter {
    const { listeners } = this
    const emit = (message: EmitterMessage, callback?: () => void): void => this.#emit(message, callback)
    return {
      on(_topic, listener, callback) {
        listeners.push(listener)
        callback?.()
      },
      emit,
      removeListener(_topic, listener, callback) {
        if (listeners.includes(listener)) listeners.splice(listeners.indexOf(listener), 1)
        callback?.()
      },
      close: (callback) => callback(),
    }
  }

  /** Lets arrive what was held. */
  release(): void {
    const held = this.#held
    this.#held = []
    for (const { message, listener } of held) listener(message, () => {})
  }

  #emit(message: EmitterMessage, callback?: () => void): void {
    this.emitted.push(message)
    for (const [broker, listener] of [...this.listeners].entries()) {
      const fault = this.fault(message, broker)
      if (fault === 'hold') this.#held.push({ message, listener })
      if (fault === 'arrive' || fault === 'twice') listener(message, () => {})
      if (fault === 'twice') listener(message, () => {})
    }
    callback?.()
  }
}

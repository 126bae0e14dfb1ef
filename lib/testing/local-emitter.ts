import type { Emitter, EmitterListener, EmitterMessage } from '../../types/emitter.ts'
import { matches } from '../topics/topic-filter.ts'

interface Listening {
  readonly topic: string
  readonly listener: EmitterListener
}

/** An emitter for one process and few listeners, so that the suite needs nothing but Node.js. */
export class LocalEmitter implements Emitter {
  #listening: Listening[] = []
  closed = false

  on(topic: string, listener: EmitterListener, callback?: () => void): this {
    this.#listening.push({ topic, listener })
    if (callback !== undefined) setImmediate(callback)
    return this
  }

  emit(message: EmitterMessage, callback?: (error?: Error | null) => void): void {
    if (this.closed) {
      callback?.(new Error('the emitter is closed'))
      return
    }
    const receivers = this.#listening.filter(({ topic }) => matches(topic, message.topic))
    for (const { listener } of receivers) listener(message, done)
    if (callback !== undefined) setImmediate(callback, null)
  }

  removeListener(topic: string, listener: EmitterListener, callback?: () => void): void {
    this.#listening = this.#listening.filter((each) => each.topic !== topic || each.listener !== listener)
    if (callback !== undefined) setImmediate(callback)
  }

  close(callback: () => void): void {
    this.closed = true
    this.#listening = []
    setImmediate(callback)
  }
}

function done(): void {}

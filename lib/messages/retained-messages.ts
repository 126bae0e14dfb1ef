import type { Limits } from '../../types/options.ts'
import { TopicTrie } from '../topics/topic-trie.ts'
import type { Timer, Timers } from '../timers.ts'
import type { Message } from './message.ts'

interface Retained {
  readonly message: Message
  expiry: Timer | undefined
}

/** The last message of each topic that was published with RETAIN (section 3.3.1.3). */
export class RetainedMessages {
  readonly #timers: Timers
  readonly #limits: Readonly<Limits>
  readonly #byTopic = new TopicTrie<Retained>()
  /** Told of a topic whose message expired. */
  readonly #expired: (topic: string) => void
  #bytes = 0

  constructor(timers: Timers, limits: Readonly<Limits>, expired: (topic: string) => void) {
    this.#timers = timers
    this.#limits = limits
    this.#expired = expired
  }

  get size(): number {
    return this.#byTopic.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Whether `store` would keep this message. */
  hasRoomFor(message: Message): boolean {
    if (message.payload.length === 0) return true
    const previous = this.#byTopic.get(message.topic)
    if (previous === undefined && this.#byTopic.size >= this.#limits.maxRetained) return false
    return this.#bytes - (previous?.message.size ?? 0) + message.size <= this.#limits.maxRetainedBytes
  }

  /**
   * Keeps, replaces [MQTT-3.3.1-5] or, without a payload, removes [MQTT-3.3.1-6] [MQTT-3.3.1-7].
   * Without room for the new message the old one goes too, rather than pass for the last. Answers whether it is kept.
   */
  store(message: Message): boolean {
    if (message.payload.length === 0 || !this.hasRoomFor(message)) {
      this.remove(message.topic)
      return false
    }
    const retained: Retained = { message: message.detach(), expiry: undefined }
    const previous = this.#byTopic.set(message.topic, retained)
    if (previous !== undefined) this.#forget(previous)
    this.#bytes += message.size
    if (message.expiresAt !== Infinity) {
      retained.expiry = this.#timers.at(message.expiresAt, () => {
        this.remove(message.topic)
        this.#expired(message.topic)
      })
    }
    return true
  }

  get(topic: string): Message | undefined {
    return this.#byTopic.get(topic)?.message
  }

  /** What there is when it is asked for: messages that come or go meanwhile may be seen or not. */
  *match(topicFilter: string): IterableIterator<Message> {
    for (const message of this.search(topicFilter)) if (message !== undefined) yield message
  }

  /** The same, with an undefined now and then where there was much to look through and nothing to find. */
  *search(topicFilter: string): IterableIterator<Message | undefined> {
    for (const retained of this.#byTopic.search(topicFilter)) yield retained?.message
  }

  remove(topic: string): void {
    const removed = this.#byTopic.delete(topic)
    if (removed !== undefined) this.#forget(removed)
  }

  #forget(retained: Retained): void {
    this.#timers.cancel(retained.expiry)
    this.#bytes -= retained.message.size
  }
}

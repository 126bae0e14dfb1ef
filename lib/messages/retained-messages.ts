import type { Limits } from '../../types/options.ts'
import { TopicTrie } from '../topics/topic-trie.ts'
import type { Timer, Timers } from '../timers.ts'
import type { Message } from './message.ts'
import type { Publication } from './publication.ts'
import type { QueuedMessage } from './queued-message.ts'

interface Retained {
  readonly queued: QueuedMessage
  readonly size: number
  expiry: Timer | undefined
}

/** The last message of each topic that was published with RETAIN (section 3.3.1.3). */
export class RetainedMessages {
  readonly #timers: Timers
  readonly #limits: Readonly<Limits>
  readonly #byTopic = new TopicTrie<Retained>()
  /** Called with the topic of a message that expired. */
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

  /** Whether the limits allow this message. */
  hasRoomFor(message: Message): boolean {
    if (message.payload.length === 0) return true
    const previous = this.#byTopic.get(message.topic)
    if (previous === undefined && this.#byTopic.size >= this.#limits.maxRetained) return false
    return this.#bytes - (previous?.size ?? 0) + message.size <= this.#limits.maxRetainedBytes
  }

  /**
   * Stores or replaces the retained message [MQTT-3.3.1-5]; without a payload removes it [MQTT-3.3.1-6] [MQTT-3.3.1-7].
   * If there is no room for the new message, the old one is removed too, because it is outdated. The same holds for a
   * new message that has expired already. Returns whether the message is stored.
   */
  store(publication: Publication): boolean {
    const { message } = publication
    if (message.payload.length === 0 || message.expiresAtOnce || !this.hasRoomFor(message)) {
      this.remove(message.topic)
      return false
    }
    publication.detach()
    this.restore(publication.queued)
    return true
  }

  /** Stores a message without a check of the limits: a previous retained message, or one from the storage. */
  restore(queued: QueuedMessage): void {
    const { topic, size, expiresAt } = queued.message
    const retained: Retained = { queued, size, expiry: undefined }
    const previous = this.#byTopic.set(topic, retained)
    if (previous !== undefined) this.#forget(previous)
    this.#bytes += size
    if (expiresAt === Infinity) return
    retained.expiry = this.#timers.at(expiresAt, () => {
      this.remove(topic)
      this.#expired(topic)
    })
  }

  get(topic: string): Message | undefined {
    return this.#byTopic.get(topic)?.queued.message
  }

  getQueued(topic: string): QueuedMessage | undefined {
    return this.#byTopic.get(topic)?.queued
  }

  /** Yields the matching messages. Messages that are added or removed meanwhile may be missing. */
  *match(topicFilter: string): IterableIterator<Message> {
    for (const queued of this.search(topicFilter)) if (queued !== undefined) yield queued.message
  }

  /** The same, with undefined from time to time so that the caller can pause a long search. */
  *search(topicFilter: string): IterableIterator<QueuedMessage | undefined> {
    for (const retained of this.#byTopic.search(topicFilter)) yield retained?.queued
  }

  remove(topic: string): void {
    const removed = this.#byTopic.delete(topic)
    if (removed !== undefined) this.#forget(removed)
  }

  #forget(retained: Retained): void {
    this.#timers.cancel(retained.expiry)
    this.#bytes -= retained.size
  }
}

import type { QoS } from '../../types/packets.ts'
import type { Publication } from '../messages/publication.ts'
import type { QueuedMessage } from '../messages/queued-message.ts'
import type { Subscription } from '../messages/subscriber.ts'
import { RingQueue } from './ring-queue.ts'
import type { SessionEnvironment } from './session-environment.ts'
import type { SessionStorage } from './session-storage.ts'

// Maximum steps, with or without a message, before the rest of the program runs.
const MAX_STEPS_PER_TURN = 256
// A step without a message has visited 64 topic levels.
const EMPTY_STEP_COST = 8
// Above this number of waiting subscriptions, a second one for the same filter is left out.
const MAX_WAITING = 1024

/** The part of a session that sending retained messages needs. */
interface RetainedReceiver {
  readonly clientId: string
  readonly hasCapacity: boolean
  deliver(publication: Publication, qos: QoS, retain: boolean, via: Subscription): void
}

/**
 * Sends the retained messages of new subscriptions (section 3.3.1.3), one subscription after the other and as fast as
 * the Client accepts them, so that 100,000 messages neither fill its queue nor block the event loop.
 */
export class RetainedSender {
  readonly #environment: SessionEnvironment
  readonly #session: RetainedReceiver
  readonly #subscriptions: ReadonlyMap<string, Subscription>
  readonly #storage: SessionStorage
  readonly #waiting = new RingQueue<Subscription>()
  readonly #filters = new Set<string>()
  #subscription: Subscription | undefined
  #messages: Iterator<QueuedMessage | undefined> | undefined
  #scheduled = false

  constructor(
    environment: SessionEnvironment,
    session: RetainedReceiver,
    subscriptions: ReadonlyMap<string, Subscription>,
    storage: SessionStorage,
  ) {
    this.#environment = environment
    this.#session = session
    this.#subscriptions = subscriptions
    this.#storage = storage
  }

  /** Each SUBSCRIBE sends the retained messages again [MQTT-3.8.4-5], unless too many subscriptions wait. */
  add(subscription: Subscription): void {
    const { topicFilter } = subscription.requested
    if (this.#waiting.length < MAX_WAITING || !this.#filters.has(topicFilter)) {
      this.#waiting.push(subscription)
      this.#filters.add(topicFilter)
    }
  }

  /** Sends messages while the session has capacity. */
  run(): void {
    if (this.#scheduled) return
    for (let count = 0; count < MAX_STEPS_PER_TURN; count += 1) {
      if (!this.#session.hasCapacity) return // `sendPending` calls `run` again.
      const subscription = this.#subscription ?? this.#next()
      if (subscription === undefined) return
      const step = this.#messages?.next()
      const isOver = step === undefined || step.done === true
      if (isOver || !this.#subscriptions.has(subscription.requested.topicFilter)) this.#subscription = undefined
      else if (step.value !== undefined) this.#deliver(subscription, step.value)
      this.#environment.scheduler.used += step?.value === undefined ? EMPTY_STEP_COST : 1
    }
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.run()
    })
  }

  #next(): Subscription | undefined {
    this.#subscription = this.#waiting.shift()
    if (this.#subscription !== undefined) this.#filters.delete(this.#subscription.requested.topicFilter)
    this.#messages = this.#subscription && this.#environment.retained.search(this.#subscription.matchFilter)
    return this.#subscription
  }

  #deliver(subscription: Subscription, queued: QueuedMessage): void {
    const { message } = queued
    if (subscription.noLocal && message.publisher === this.#session.clientId) return
    const qos = Math.min(subscription.qos, message.qos) as QoS
    this.#session.deliver(this.#storage.publicationOf(queued), qos, true, subscription) // RETAIN 1 [MQTT-3.3.1-8 of 3.1.1]
  }
}

import type { MaybePromise } from '../../types/hooks.ts'
import type { LocalSubscription, SubscribeOptions } from '../../types/local-subscription.ts'
import type { Message as PublicMessage } from '../../types/message.ts'
import type { Limits } from '../../types/options.ts'
import type { QoS } from '../../types/packets.ts'
import type { Subscription as PublicSubscription } from '../../types/subscription.ts'
import { MqttError } from '../errors.ts'
import type { Lifecycle } from '../lifecycle.ts'
import { checkSubscribeOptions } from '../options.ts'
import type { Timers } from '../timers.ts'
import { matches, parseTopicFilter } from '../topics/topic-filter.ts'
import type { SharedQueues } from '../sessions/shared-queues.ts'
import { LocalSubscriber } from './local-subscriber.ts'
import type { Message } from './message.ts'
import { Publication } from './publication.ts'
import type { RetainedMessages } from './retained-messages.ts'
import { Subscription } from './subscriber.ts'
import type { Subscriptions } from './subscriptions.ts'

/** The parts of the broker that subscriptions of the application need. */
interface LocalSubscriptionsContext {
  readonly timers: Timers
  readonly limits: Readonly<Limits>
  readonly subscriptions: Subscriptions
  readonly retained: RetainedMessages
  readonly shared: SharedQueues
  readonly lifecycle: Lifecycle
  reportError(error: Error): void
}

/** The subscriptions of the application: in the same tree as those of Clients, but without a session. */
export class LocalSubscriptions {
  readonly #broker: LocalSubscriptionsContext
  readonly #subscribers = new Set<LocalSubscriber>()

  constructor(broker: LocalSubscriptionsContext) {
    this.#broker = broker
  }

  /**
   * Retained messages follow when the storage is restored. Throws before the first subscription is added: an
   * `InvalidOptionError` for an option, an `MqttError` for an invalid Topic Filter.
   */
  subscribe(
    filters: readonly string[],
    listener: ((message: PublicMessage) => MaybePromise<void>) | undefined,
    options: SubscribeOptions,
  ): LocalSubscription {
    checkSubscribeOptions(options)
    options.signal?.throwIfAborted()
    const granted = this.#granted(filters, options.qos ?? 2)
    const takeWaiting = (): void => this.#takeWaiting(subscriber, subscriptions)
    const onAbort = (): void => void subscriber.close()
    const subscriber = new LocalSubscriber({
      timers: this.#broker.timers,
      holdBackMs: this.#broker.limits.holdBackMs,
      options,
      listener,
      reportError: (error) => this.#broker.reportError(error),
      onRoom: granted.some(({ shareName }) => shareName !== undefined) ? takeWaiting : undefined,
      onClose: () => {
        options.signal?.removeEventListener('abort', onAbort) // The signal may live longer than the subscription.
        this.#subscribers.delete(subscriber)
        for (const subscription of subscriptions) this.#broker.subscriptions.remove(subscription)
      },
    })
    const subscriptions = granted.map((each) => new Subscription(subscriber, each, each))
    for (const subscription of subscriptions) this.#broker.subscriptions.add(subscription)
    this.#subscribers.add(subscriber)
    options.signal?.addEventListener('abort', onAbort, { once: true })
    this.#begin(subscriber, options.retained === false ? [] : subscriptions, options.qos ?? 2)
    takeWaiting()
    this.#broker.lifecycle.restored?.then(takeWaiting, () => undefined)
    return subscriber
  }

  /** Messages of its shared subscriptions that wait for other members go to the application. */
  #takeWaiting(subscriber: LocalSubscriber, subscriptions: readonly Subscription[]): void {
    const { shared, timers } = this.#broker
    if (shared.isEmpty || !this.#subscribers.has(subscriber)) return
    for (const { topicFilter, shareName, qos } of subscriptions) {
      if (shareName === undefined) continue
      for (let first = shared.first(topicFilter); first !== undefined; first = shared.first(topicFilter)) {
        if (!subscriber.canSendNow) return
        const { delivery, home } = first
        const { message, content } = delivery
        home.giveUp(delivery)
        home.forget(delivery)
        if (!content.isRejected && message.expiresAt > timers.now()) {
          subscriber.deliver(new Publication(message), Math.min(qos, message.qos) as QoS, message.retain)
        }
        home.relieve()
      }
    }
  }

  #granted(filters: readonly string[], qos: QoS): PublicSubscription[] {
    return filters.map((topicFilter) => {
      const parsed = parseTopicFilter(topicFilter, this.#broker.limits.maxTopicLevels)
      if (parsed !== undefined) return { topicFilter, shareName: parsed.shareName, qos, retainAsPublished: true }
      throw new MqttError('topic-filter-invalid', `expected a Topic Filter, got ${JSON.stringify(topicFilter)}`)
    })
  }

  /** Retained messages of these subscriptions come first; shared subscriptions receive none (section 4.8.2). */
  #begin(subscriber: LocalSubscriber, subscriptions: readonly Subscription[], qos: QoS): void {
    const { retained, lifecycle } = this.#broker
    const notShared = subscriptions.filter(({ shareName }) => shareName === undefined)
    const filters = notShared.map(({ matchFilter }) => matchFilter)
    const begin = (): void => subscriber.begin(matchOnce(filters, retained), qos)
    if (lifecycle.restored === undefined) begin()
    else lifecycle.restored.then(begin, begin)
  }

  close(): void {
    for (const subscriber of this.#subscribers) void subscriber.close()
  }
}

/** The retained messages that match any of these filters, each message once. */
function* matchOnce(filters: readonly string[], retained: RetainedMessages): IterableIterator<Message> {
  for (const [index, filter] of filters.entries()) {
    for (const message of retained.match(filter)) {
      if (!filters.slice(0, index).some((before) => matches(before, message.topic))) yield message
    }
  }
}

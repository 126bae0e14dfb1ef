import type { MaybePromise } from '../../types/hooks.ts'
import type { LocalSubscription, SubscribeOptions } from '../../types/local-subscription.ts'
import type { Message as PublicMessage } from '../../types/message.ts'
import type { Core } from '../core.ts'
import { MqttError } from '../errors.ts'
import { checkSubscribeOptions } from '../options.ts'
import { matches, parseTopicFilter } from '../topics/topic-filter.ts'
import { LocalSubscriber } from './local-subscriber.ts'
import type { Message } from './message.ts'
import { Subscription } from './subscriber.ts'

/** The subscriptions of the application itself: in the same place as those of Clients, without a session. */
export class LocalSubscriptions {
  readonly #core: Core
  readonly #subscribers = new Set<LocalSubscriber>()

  constructor(core: Core) {
    this.#core = core
  }

  /**
   * What is retained comes when all that the store has is back, when that is still to come.
   * Throws before anything is subscribed to: an `InvalidOptionError`, or an `MqttError` for what is no Topic Filter.
   */
  subscribe(
    filters: readonly string[],
    listener: ((message: PublicMessage) => MaybePromise<void>) | undefined,
    options: SubscribeOptions,
    restored?: Promise<void>,
  ): LocalSubscription {
    const { timers, settings, retained } = this.#core
    checkSubscribeOptions(options)
    options.signal?.throwIfAborted()
    const qos = options.qos ?? 2
    const granted = filters.map((topicFilter) => {
      const parsed = parseTopicFilter(topicFilter, settings.limits.maxTopicLevels)
      if (parsed !== undefined) return { topicFilter, shareName: parsed.shareName, qos, retainAsPublished: true }
      throw new MqttError('topic-filter-invalid', `expected a Topic Filter, got ${JSON.stringify(topicFilter)}`)
    })
    const report = (error: Error): void => this.#core.reportError(error)
    const leave = (left: LocalSubscriber): void => {
      this.#subscribers.delete(left)
      for (const subscription of subscriptions) this.#core.subscriptions.remove(subscription)
    }
    const subscriber = new LocalSubscriber(timers, settings.limits.holdBackMs, options, listener, report, leave)
    const subscriptions = granted.map((each) => new Subscription(subscriber, each, each))
    for (const subscription of subscriptions) this.#core.subscriptions.add(subscription)
    this.#subscribers.add(subscriber)
    options.signal?.addEventListener('abort', () => void subscriber.close(), { once: true })
    if (options.retained !== false) {
      const alone = subscriptions.filter(({ shareName }) => shareName === undefined)
      const begin = (): void =>
        subscriber.begin(
          retainedFor(
            alone.map(({ matchFilter }) => matchFilter),
            (filter) => retained.match(filter),
          ),
          qos,
        )
      if (restored === undefined) begin()
      else {
        subscriber.awaitRetained()
        restored.then(begin, begin)
      }
    }
    return subscriber
  }

  close(): void {
    for (const subscriber of this.#subscribers) void subscriber.close()
  }
}

/** What is retained for any of these filters, each message once. */
function* retainedFor(
  filters: readonly string[],
  match: (filter: string) => Iterable<Message>,
): IterableIterator<Message> {
  for (const [index, filter] of filters.entries()) {
    for (const message of match(filter)) {
      if (!filters.slice(0, index).some((before) => matches(before, message.topic))) yield message
    }
  }
}

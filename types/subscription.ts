import type { QoS } from './packets.ts'

/** A subscription as the hooks see it and as `client.subscriptions` lists it (section 3.8.3). */
export interface Subscription {
  /** The Topic Filter as the Client wrote it, with `$share/name/` when it is shared. */
  readonly topicFilter: string
  /** Messages are delivered at this QoS at most. */
  readonly qos: QoS
  /** Do not send the Client what it published itself. Default: false. */
  readonly noLocal?: boolean
  /** Keep the RETAIN flag as published. Default: false. */
  readonly retainAsPublished?: boolean
  /** Retained messages: 0 sends them, 1 only when the subscription is new, 2 never. Default: 0. */
  readonly retainHandling?: 0 | 1 | 2
  /** Sent with every message that matches, 1 to 268,435,455. Default: none. */
  readonly subscriptionIdentifier?: number | undefined
  /** The ShareName of a shared subscription (section 4.8.2). Default: none. */
  readonly shareName?: string | undefined
}

import type { QoS } from './packets.ts'

/** A subscription in hooks and in `client.subscriptions` (section 3.8.3). */
export interface Subscription {
  /** The Topic Filter, with `$share/name/` if it is shared. */
  readonly topicFilter: string
  /** Maximum QoS of delivered messages. */
  readonly qos: QoS
  /** No Local: the Client does not receive its own messages. Default: false. */
  readonly noLocal?: boolean
  /** Retain As Published: the RETAIN flag is forwarded unchanged. Default: false. */
  readonly retainAsPublished?: boolean
  /** Retain Handling: 0 sends retained messages, 1 only if the subscription is new, 2 never. Default: 0. */
  readonly retainHandling?: 0 | 1 | 2
  /** Subscription Identifier, sent with every matching message, 1 to 268,435,455. Default: none. */
  readonly subscriptionIdentifier?: number | undefined
  /** The ShareName of a shared subscription (section 4.8.2). Default: none. */
  readonly shareName?: string | undefined
}

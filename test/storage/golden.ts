/** The golden stores: where they are, what is expected of each, and the broker that writes and opens them. */
import { join } from 'node:path'
import {
  Broker,
  type BrokerOptions,
  type Clock,
  type ProtocolLevel,
  type PublishPacket,
  type QoS,
  type Subscription,
} from '../../lib/index.ts'
import { ManualClock } from '../support/clock.ts'

/** In the sources, as git has them: nothing is copied into `dist`. */
export const goldenFolder: string = join(import.meta.dirname, '../../../test/storage/golden')

/** When they were written, by their broker's clock, in milliseconds since 1970. */
export const WRITTEN_AT = 1_800_000_000_000

/** So many seconds later they are opened. */
export const OPENED_AFTER = 60

export const FOR_EVER = 0xffff_ffff

/** A message as a receiver sees it, in a form that JSON can keep. */
export interface ExpectedMessage {
  readonly topic: string
  /** Base64. */
  readonly payload: string
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  /** Only where the message was sent before: it keeps its Packet Identifier. */
  readonly packetId?: number
  readonly properties: Readonly<Record<string, unknown>>
}

export interface ExpectedSession {
  readonly clientId: string
  readonly level: ProtocolLevel
  readonly username?: string
  /** In the order in which the Client receives it. */
  readonly queue: readonly (ExpectedMessage | { readonly pubrel: number })[]
  /** As `client.subscriptions` has them, by the Topic Filter that the Client asked for. */
  readonly subscriptions: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** Packet Identifiers of QoS 2 messages from the Client that are accepted and not released. */
  readonly incoming: readonly number[]
}

export interface Expected {
  readonly sessions: readonly ExpectedSession[]
  /** Client Identifiers whose session was over when the store was opened. */
  readonly ended: readonly string[]
  /** By topic. */
  readonly retained: readonly ExpectedMessage[]
  /** What the session `WATCHER` receives while time passes, in seconds after the store was opened. */
  readonly wills: readonly { readonly clientId: string; readonly seconds: number; readonly message: ExpectedMessage }[]
}

/** The Client with a session that has subscribed to `will/#`. */
export const WATCHER = 'watcher'

/** A clock that stands still, some seconds after the golden stores were written. */
export class GoldenClock extends ManualClock implements Clock {
  readonly #offset: number

  constructor(secondsLater = 0) {
    super()
    this.#offset = WRITTEN_AT + secondsLater * 1000 - this.now()
  }

  wallClock(): number {
    return this.now() + this.#offset
  }
}

/** The options that matter for what is stored are those of the writing broker. */
export function goldenBroker(clock: Clock, options: BrokerOptions): Broker {
  return new Broker({
    sysInterval: false,
    clock,
    sessionOwner: (client) => client.connect.username,
    plugins: [
      {
        name: 'rewrites a Topic Filter',
        authorizeSubscribe: (subscription) =>
          subscription.topicFilter === 'asked/#' ? { ...subscription, topicFilter: 'granted/#', qos: 1 } : true,
      },
    ],
    ...options,
  })
}

/** Properties as JSON keeps them: bytes as Base64, sorted by name, without those that are undefined. */
export function plainProperties(properties: object | undefined): Record<string, unknown> {
  const plain: Record<string, unknown> = {}
  const entries = Object.entries(properties ?? {}).toSorted(([one], [other]) => (one < other ? -1 : 1))
  for (const [name, value] of entries) {
    if (value instanceof Uint8Array) plain[name] = { base64: Buffer.from(value).toString('base64') }
    else if (value !== undefined) plain[name] = structuredClone(value)
  }
  return plain
}

/** What the public type says of a subscription. */
export function plainSubscription(subscription: Subscription): Record<string, unknown> {
  const { topicFilter, qos, noLocal, retainAsPublished, retainHandling } = subscription
  const { subscriptionIdentifier, shareName } = subscription
  return {
    topicFilter,
    qos,
    noLocal,
    retainAsPublished,
    retainHandling,
    ...(subscriptionIdentifier !== undefined && { subscriptionIdentifier }),
    ...(shareName !== undefined && { shareName }),
  }
}

export function plainMessage(packet: PublishPacket): ExpectedMessage {
  const { topic, payload, qos, retain, dup, packetId, properties } = packet
  return {
    topic,
    payload: payload.toString('base64'),
    qos,
    retain,
    dup,
    ...(dup && { packetId }),
    properties: plainProperties(properties),
  }
}

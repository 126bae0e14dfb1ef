import fc from 'fast-check'
import type { ProtocolLevel, QoS } from '../../types/packets.ts'
import type { MessageProperties } from '../../types/properties.ts'

/** What a Client asks to be published when its connection ends. */
export interface WillPlan {
  readonly topic: string
  readonly qos: QoS
  readonly retain: boolean
  /** Seconds. */
  readonly delay: number
  readonly expiry: number | undefined
}

export interface ConnectCommand {
  readonly do: 'connect'
  readonly client: number
  readonly level: ProtocolLevel
  readonly clean: boolean
  /** Seconds; only MQTT 5.0 says so. */
  readonly sessionExpiry: number
  readonly receiveMaximum: number | undefined
  readonly maximumPacketSize: number | undefined
  readonly topicAliasMaximum: number
  /** Clients have different ones, so that they never end at the same moment. */
  readonly keepAlive: boolean
  readonly will: WillPlan | undefined
}

export interface SubscribePlan {
  readonly filter: string
  readonly qos: QoS
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: 0 | 1 | 2
}

export interface PublishCommand {
  readonly do: 'publish'
  readonly client: number
  readonly topic: string
  readonly qos: QoS
  readonly retain: boolean
  readonly payload: 'none' | 'short' | 'long'
  readonly properties: MessageProperties
  /** Use a Topic Alias. */
  readonly alias: boolean
  /** The Client does not see the acknowledgement, and so sends the packet again when it resumes its session. */
  readonly lost: boolean
}

/** The Server ends, with or without a goodbye, and another one goes on with what was stored. */
export interface RestartCommand {
  readonly do: 'restart'
  readonly how: 'kill' | 'close'
  /** That it takes. */
  readonly milliseconds: number
}

/** One thing that a Client does, or time that passes. `client` is an index; what is not possible just then is left out. */
export type Command =
  | ConnectCommand
  | PublishCommand
  | { do: 'disconnect'; client: number; reasonCode: number; sessionExpiry: number | undefined }
  | { do: 'drop'; client: number }
  | { do: 'subscribe'; client: number; subscriptions: readonly SubscribePlan[]; identifier: number | undefined }
  | { do: 'unsubscribe'; client: number; filters: readonly string[] }
  | { do: 'release'; client: number; count: number }
  | { do: 'acknowledge'; client: number; count: number; refuse: boolean }
  | { do: 'wait'; milliseconds: number }
  | RestartCommand

export const CLIENTS = 4

const topics = ['a', 'a/b', 'a/b/c', 'a//c', 'b', 'b/c', '/a', 'é', '$x/a']
const filters = ['#', '+', 'a', 'a/#', 'a/+', 'a/b', 'a/+/c', '+/b/#', '/+', '+/+', 'b/#', 'é', '$x/#', '$x/+']
// Members of one group are never members of the other, and only one filter of a group matches a topic: so it is always
// clear which copy a Client got.
const sharedFilters = ['a/#', 'b/+', '$x/a', 'b']

export function shareNameOf(client: number): string {
  return client % 2 === 0 ? 'even' : 'odd'
}

const client = fc.nat({ max: CLIENTS - 1 })
const qos = fc.constantFrom<QoS>(0, 1, 2)
const topic = fc.constantFrom(...topics)
const filter = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...filters) },
  { weight: 2, arbitrary: fc.constantFrom(...sharedFilters).map((shared) => `$share/*/${shared}`) },
)
const rarely = fc.nat({ max: 4 }).map((number) => number === 4)

const properties: fc.Arbitrary<MessageProperties> = fc
  .record(
    {
      messageExpiryInterval: fc.constantFrom(1, 5, 20, 0xffff_ffff),
      payloadFormatIndicator: fc.constantFrom<0 | 1>(0, 1),
      contentType: fc.constantFrom('', 'text/plain'),
      responseTopic: fc.constantFrom('answers', 'a/b'),
      correlationData: fc.constantFrom(Buffer.alloc(0), Buffer.from([0, 255])),
      userProperties: fc.constantFrom(
        [['k', 'v'] as const],
        [['b', '2'] as const, ['a', '1'] as const, ['b', '2'] as const],
      ),
    },
    { requiredKeys: [] },
  )
  .map((all) => all as MessageProperties)

const will: fc.Arbitrary<WillPlan> = fc.record({
  topic,
  qos,
  retain: rarely,
  delay: fc.constantFrom(0, 0, 5, 20),
  expiry: fc.constantFrom(undefined, undefined, 10),
})

const connect: fc.Arbitrary<Command> = fc.record({
  do: fc.constant('connect'),
  client,
  level: fc.constantFrom<ProtocolLevel>(3, 4, 5, 5),
  clean: rarely,
  sessionExpiry: fc.constantFrom(0, 10, 60, 0xffff_ffff, 0xffff_ffff),
  receiveMaximum: fc.constantFrom(undefined, 1, 2, 5),
  maximumPacketSize: fc.constantFrom(undefined, undefined, undefined, 80),
  topicAliasMaximum: fc.constantFrom(0, 0, 2),
  keepAlive: rarely,
  will: fc.oneof(fc.constant(undefined), will),
})

const publish: fc.Arbitrary<Command> = fc.record({
  do: fc.constant('publish'),
  client,
  topic,
  qos,
  retain: rarely,
  payload: fc.constantFrom('short', 'short', 'short', 'short', 'long', 'none'),
  properties: fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: properties }),
  alias: rarely,
  lost: rarely,
})

const subscribe: fc.Arbitrary<Command> = fc.record({
  do: fc.constant('subscribe'),
  client,
  subscriptions: fc.uniqueArray(
    fc.record({
      filter,
      qos,
      noLocal: rarely,
      retainAsPublished: fc.boolean(),
      retainHandling: fc.constantFrom<0 | 1 | 2>(0, 0, 1, 2),
    }),
    { minLength: 1, maxLength: 3, selector: (plan) => plan.filter },
  ),
  identifier: fc.constantFrom(undefined, 1, 2, 268_435_455),
})

const disconnect: fc.Arbitrary<Command> = fc.record({
  do: fc.constant('disconnect'),
  client,
  reasonCode: fc.constantFrom(0x00, 0x00, 0x04, 0x80),
  sessionExpiry: fc.constantFrom(undefined, undefined, 0, 10, 0xffff_ffff),
})

/** Any command, the busy ones more often. */
const commands: fc.WeightedArbitrary<unknown>[] = [
  { weight: 7, arbitrary: connect },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drop'), client }) },
  { weight: 1, arbitrary: disconnect },
  { weight: 8, arbitrary: subscribe },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('unsubscribe'),
      client,
      filters: fc.array(filter, { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 18, arbitrary: publish },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('release'), client, count: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('acknowledge'),
      client,
      count: fc.integer({ min: 1, max: 5 }),
      refuse: rarely,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('wait'),
      milliseconds: fc.constantFrom(500, 1000, 4000, 5000, 12_000, 60_000),
    }),
  },
]
const command = fc.oneof(...commands) as fc.Arbitrary<Command>

const restart = fc.record({
  do: fc.constant('restart'),
  how: fc.constantFrom('kill', 'close'),
  milliseconds: fc.constantFrom(0, 0, 3000, 12_000),
})
const commandOrRestart = fc.oneof(...commands, { weight: 2, arbitrary: restart }) as fc.Arbitrary<Command>

/** Commands of one conversation, at most. */
export const CONVERSATION_LENGTH = 150

/** First some Clients connect and subscribe, then anything. */
function beginning(goesOn: fc.Arbitrary<Command>): fc.Arbitrary<readonly Command[]> {
  return fc
    .tuple(
      fc.array(connect, { maxLength: 2 * CLIENTS, size: 'max' }),
      fc.array(subscribe, { maxLength: 2 * CLIENTS, size: 'max' }),
      fc.array(goesOn, { maxLength: CONVERSATION_LENGTH - 4 * CLIENTS, size: 'max' }),
    )
    .map((parts) => parts.flat())
}

/** A third of them with a Server that keeps what it has, and is started again now and then. */
export const conversation: fc.Arbitrary<readonly Command[]> = fc.oneof(
  { weight: 2, arbitrary: beginning(command) },
  { weight: 1, arbitrary: beginning(commandOrRestart) },
)

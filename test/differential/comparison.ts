import type { Packet, ProtocolLevel, PublishPacket } from '../../types/packets.ts'
import { type Command, type SubscribePlan } from '../model/commands.ts'
import { matches } from '../model/topic-matching.ts'
import { SHARED_TOPIC } from './commands.ts'
import type { Seen } from './side.ts'

/** Something that one broker sent to a Client and the other one did not. */
export interface Difference {
  readonly client: number
  readonly only: 'haltere' | 'mosquitto'
  /** As it is compared. */
  readonly text: string
  /** Undefined when it is the end of the connection. */
  readonly packet: Packet | undefined
}

/** What there is to know about a step in which the brokers differ. */
export interface Step {
  readonly command: Command
  readonly differences: readonly Difference[]
  /** The subscriptions of a Client that match. */
  matching(client: number, topic: string): readonly SubscribePlan[]
  /** Whether several subscriptions of the Client matched when this was published. */
  overlapped(client: number, payload: string): boolean
  /** Whether a subscription of the Client that matched had been replaced by one with other options. */
  changed(client: number, payload: string): boolean
  level(client: number): ProtocolLevel | undefined
}

/** What each Client is subscribed to, and with which version it is connected. */
export class Knowledge {
  readonly #subscriptions = new Map<number, Map<string, SubscribePlan>>()
  readonly #levels = new Map<number, ProtocolLevel>()
  readonly #wills = new Map<number, { readonly payload: string; readonly topic: string }>()
  readonly #overlaps = new Set<string>()
  /** Subscriptions that were replaced by one with other options. */
  readonly #changed = new Set<string>()
  readonly #viaChanged = new Set<string>()

  learn(command: Command, seen: readonly Seen[], payload: string): void {
    this.#learnOverlaps(command, payload)
    if (command.do === 'connect') {
      this.#levels.set(command.client, command.level)
      if (command.clean) this.#subscriptions.delete(command.client)
    } else if (command.do === 'subscribe') {
      const mine = this.#subscriptions.get(command.client) ?? new Map<string, SubscribePlan>()
      const isNew = this.#levels.get(command.client) === 5
      for (const asked of command.subscriptions) {
        // MQTT 3 has no such options.
        const plan = isNew ? asked : { ...asked, noLocal: false, retainAsPublished: false }
        const known = mine.get(plan.filter)
        const isChanged = known?.retainAsPublished !== plan.retainAsPublished || known.noLocal !== plan.noLocal
        if (known !== undefined && isChanged) this.#changed.add(`${command.client} ${plan.filter}`)
        mine.set(plan.filter, plan)
      }
      this.#subscriptions.set(command.client, mine)
    } else if (command.do === 'unsubscribe') {
      for (const filter of command.filters) {
        this.#subscriptions.get(command.client)?.delete(filter)
        this.#changed.delete(`${command.client} ${filter}`)
      }
    }
    const connack = command.do === 'connect' && seen[command.client]?.packets.find(({ type }) => type === 'connack')
    const isFresh = connack !== false && connack?.type === 'connack' && !connack.sessionPresent
    if (command.do === 'connect' && isFresh && command.level !== 3) this.#subscriptions.delete(command.client)
  }

  /** A message, also a Will that may now be sent, for Clients with several subscriptions that match. */
  #learnOverlaps(command: Command, payload: string): void {
    if (command.do === 'publish') this.#remember(command.payload === 'none' ? '' : payload, command.topic)
    for (const will of this.#wills.values()) this.#remember(will.payload, will.topic)
    if (command.do !== 'connect') return
    if (command.will === undefined) this.#wills.delete(command.client)
    else this.#wills.set(command.client, { payload: `will of ${payload}`, topic: command.will.topic })
  }

  #remember(payload: string, topic: string): void {
    for (const [client, mine] of this.#subscriptions) {
      const matching = [...mine.keys()].filter((filter) => matches(filter, topic))
      if (matching.length > 1) this.#overlaps.add(`${client} ${payload}`)
      if (matching.some((filter) => this.#changed.has(`${client} ${filter}`)))
        this.#viaChanged.add(`${client} ${payload}`)
    }
  }

  /** Whether somebody is subscribed, not counting shared subscriptions. */
  anyMatch(topic: string): boolean {
    return [...this.#subscriptions.values()].some((mine) => [...mine.keys()].some((filter) => matches(filter, topic)))
  }

  step(command: Command, differences: readonly Difference[]): Step {
    return {
      command,
      differences,
      matching: (client, topic) =>
        [...(this.#subscriptions.get(client)?.values() ?? [])].filter(({ filter }) => matches(filter, topic)),
      overlapped: (client, payload) => this.#overlaps.has(`${client} ${payload.replace(/\.+$/, '')}`),
      changed: (client, payload) => this.#viaChanged.has(`${client} ${payload.replace(/\.+$/, '')}`),
      level: (client) => this.#levels.get(client),
    }
  }
}

/** All differences of one step. Packet Identifiers, the order across topics and what is optional are not looked at. */
export function compare(ours: readonly Seen[], theirs: readonly Seen[], sharedIsDecided: boolean): Difference[] {
  const differences: Difference[] = []
  for (const [client, mine] of ours.entries()) {
    const other = theirs[client] as Seen
    differences.push(...differenceOf(client, comparable(mine), comparable(other)))
  }
  if (sharedIsDecided) {
    const [mine, other] = [ours, theirs].map((all) => all.flatMap(({ packets }) => packets.filter(isNewlyShared)))
    const [some, others] = [mine ?? [], other ?? []].map((packets) =>
      packets.map((packet) => [`shared ${(packet as PublishPacket).payload.toString()}`, packet] as const),
    )
    differences.push(...differenceOf(-1, some ?? [], others ?? []))
  }
  return differences
}

type Comparable = readonly (readonly [text: string, packet: Packet | undefined])[]

function comparable({ packets, closed }: Seen): Comparable {
  const all: [string, Packet | undefined][] = packets.filter((one) => !isShared(one)).map((one) => [textOf(one), one])
  if (closed) all.push(['the connection ended', undefined])
  return all
}

function differenceOf(client: number, ours: Comparable, theirs: Comparable): Difference[] {
  const rest = [...theirs]
  const differences: Difference[] = []
  for (const [text, packet] of ours) {
    const index = rest.findIndex(([other]) => other === text)
    if (index >= 0) rest.splice(index, 1)
    else differences.push({ client, only: 'haltere', text, packet })
  }
  for (const [text, packet] of rest) differences.push({ client, only: 'mosquitto', text, packet })
  return differences
}

/** A shared message, or the rest of its handshake: PUBREL has no topic, so it is left out everywhere. */
function isShared(packet: Packet): boolean {
  return packet.type === 'pubrel' || (packet.type === 'publish' && packet.topic === SHARED_TOPIC)
}

function isNewlyShared(packet: Packet): boolean {
  return packet.type === 'publish' && packet.topic === SHARED_TOPIC && !packet.dup
}

function textOf(packet: Packet): string {
  switch (packet.type) {
    case 'publish': {
      const { topic, payload, qos, retain, dup, properties = {} } = packet
      const { messageExpiryInterval, subscriptionIdentifiers = [], ...rest } = properties
      // Seconds go by while we compare.
      const expiry = messageExpiryInterval === undefined ? '' : ` expiry ${Math.round(messageExpiryInterval / 500)}`
      const flags = `qos ${qos}${retain ? ' retain' : ''}${dup ? ' dup' : ''}${expiry}`
      const identifiers = subscriptionIdentifiers.toSorted((one, other) => one - other)
      const others = Object.entries(rest).toSorted(([one], [other]) => (one < other ? -1 : 1))
      return `publish ${topic} ${payload.toString()} ${flags} [${identifiers.join()}] ${JSON.stringify(others)}`
    }
    case 'connack':
      return `connack ${packet.reasonCode} ${packet.sessionPresent}`
    case 'puback':
    case 'pubrec':
      return `${packet.type} ${packet.reasonCode === 0x10 ? 0 : packet.reasonCode}`
    case 'pubcomp':
    case 'disconnect':
      return `${packet.type} ${packet.reasonCode}`
    case 'suback':
    case 'unsuback':
      return `${packet.type} ${packet.reasonCodes.join()}`
    default:
      return packet.type
  }
}

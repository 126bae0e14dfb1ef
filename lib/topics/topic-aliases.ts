/** Topic Aliases: numbers that replace Topic Names on one connection, in one direction (section 3.3.2.3.4). */
import { ProtocolError } from '../errors.ts'

const TOPIC_ALIAS_INVALID = 0x94

/** The Topic Aliases that the Client set. */
export class InboundTopicAliases {
  readonly #maximum: number
  #topics: Map<number, string> | undefined = undefined

  /** @param maximum - the Topic Alias Maximum of the Server. */
  constructor(maximum: number) {
    this.#maximum = maximum
  }

  /** Stores the Topic Name of an alias; throws if the alias is 0 or above the maximum. */
  set(alias: number, topic: string): void {
    if (alias < 1 || alias > this.#maximum) {
      // [MQTT-3.3.2-8], [MQTT-3.3.2-9]
      throw new ProtocolError(TOPIC_ALIAS_INVALID, `expected a Topic Alias from 1 to ${this.#maximum}, got ${alias}`)
    }
    this.#topics ??= new Map()
    this.#topics.set(alias, topic)
  }

  /** Returns the Topic Name of the alias, or undefined if the Client has not set it. */
  get(alias: number): string | undefined {
    return this.#topics?.get(alias)
  }
}

// The number of candidates, and of aliases that are searched for one that can move; bounds the time of a packet.
const MAX_CANDIDATES = 64
// A candidate that was not sent in so many packets makes way for another topic; checked once in SWEEP packets.
const MAX_AGE = 4096
const SWEEP = 32

/**
 * The Topic Aliases that the Server set. A packet that gives an alias to a topic is 3 bytes longer than one without alias,
 * so it must be worth it. The first topics receive the aliases. When all are in use, an alias moves to another topic only
 * if that topic was sent twice since the last use of the alias; until then its packets have no alias. So topics that are
 * sent in turn, more than there are aliases, do not take the aliases from each other.
 */
export class OutboundTopicAliases {
  readonly #maximum: number
  #aliases: Map<string, number> | undefined = undefined
  /** Index: alias - 1. The same for `#lastUse`. */
  readonly #topics: string[] = []
  /** The count of packets at the last use. */
  readonly #lastUse: number[] = []
  #packets = 0
  /** Topics without alias, the longest unsent one first, with the count of packets; created when aliases are needed. */
  #candidates: Map<string, number> | undefined = undefined
  /** Where the next search for an alias begins. */
  #hand = 0

  /** @param maximum - the Client's Topic Alias Maximum, or a lower one. */
  constructor(maximum: number) {
    this.#maximum = maximum // [MQTT-3.1.2-26], [MQTT-3.1.2-27]
  }

  /**
   * Returns the alias for the next packet:
   * `5` – alias 5 without the topic; `-5` – alias 5 with the topic, because it is new to the Client; `0` – no alias.
   */
  assign(topic: string): number {
    if (this.#maximum === 0) return 0
    this.#aliases ??= new Map()
    this.#packets += 1
    const known = this.#aliases.get(topic)
    if (known !== undefined) {
      this.#lastUse[known - 1] = this.#packets
      return known
    }
    const place = this.#topics.length < this.#maximum ? this.#topics.length : this.#placeFor(topic)
    if (place === -1) return 0
    const previous = this.#topics[place]
    if (previous !== undefined) this.#aliases.delete(previous)
    this.#topics[place] = topic
    this.#lastUse[place] = this.#packets
    this.#aliases.set(topic, place + 1)
    return -(place + 1)
  }

  /** Returns the index of an alias that was not used since this topic was sent before; -1 if there is none. */
  #placeFor(topic: string): number {
    this.#candidates ??= new Map()
    const candidates = this.#candidates
    const maximum = Math.min(this.#maximum, MAX_CANDIDATES)
    const sentBefore = candidates.get(topic)
    if (sentBefore !== undefined) {
      candidates.delete(topic)
      const place = this.#unusedSince(sentBefore, maximum)
      if (place !== -1) return place
    } else if (candidates.size >= maximum && this.#packets % SWEEP === 0) this.#removeOld(candidates)
    if (candidates.size < maximum) candidates.set(topic, this.#packets)
    return -1
  }

  #removeOld(candidates: Map<string, number>): void {
    for (const [topic, packet] of candidates) {
      if (this.#packets - packet > MAX_AGE) candidates.delete(topic)
      return
    }
  }

  #unusedSince(packet: number, steps: number): number {
    for (let step = 0; step < steps; step += 1) {
      const place = this.#hand
      this.#hand = (place + 1) % this.#maximum
      if (this.#lastUse[place]! < packet) return place
    }
    return -1
  }
}

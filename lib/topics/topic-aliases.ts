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

/**
 * The Topic Aliases that the Server set. When all are in use, a new topic replaces one that was not sent recently,
 * by the CLOCK algorithm: `#hand` advances to the first alias that was not used since the previous round.
 */
export class OutboundTopicAliases {
  readonly #maximum: number
  #aliases: Map<string, number> | undefined = undefined
  /** Index: alias - 1. The same for `#used`. */
  readonly #topics: string[] = []
  readonly #used: boolean[] = []
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
    const known = this.#aliases.get(topic)
    if (known !== undefined) {
      this.#used[known - 1] = true
      return known
    }
    const place = this.#topics.length < this.#maximum ? this.#topics.length : this.#free(this.#aliases)
    this.#topics[place] = topic
    this.#used[place] = false
    this.#aliases.set(topic, place + 1)
    return -(place + 1)
  }

  #free(aliases: Map<string, number>): number {
    while (this.#used[this.#hand] === true) {
      this.#used[this.#hand] = false
      this.#hand = (this.#hand + 1) % this.#maximum
    }
    const place = this.#hand
    this.#hand = (place + 1) % this.#maximum
    aliases.delete(this.#topics[place]!)
    return place
  }
}

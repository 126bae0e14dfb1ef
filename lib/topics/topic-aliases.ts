/** Topic Aliases: small numbers that stand for Topic Names on one connection, per direction (section 3.3.2.3.4). */
import { ProtocolError } from '../errors.ts'

const TOPIC_ALIAS_INVALID = 0x94

/** The aliases that the Client set. */
export class InboundTopicAliases {
  readonly #maximum: number
  #topics: Map<number, string> | undefined = undefined

  /** @param maximum - the Topic Alias Maximum that we told the Client. */
  constructor(maximum: number) {
    this.#maximum = maximum
  }

  /** Remembers a Topic Name, or ends the connection when the alias is 0 or above our maximum. */
  set(alias: number, topic: string): void {
    if (alias < 1 || alias > this.#maximum) {
      // [MQTT-3.3.2-8], [MQTT-3.3.2-9]
      throw new ProtocolError(TOPIC_ALIAS_INVALID, `expected a Topic Alias from 1 to ${this.#maximum}, got ${alias}`)
    }
    this.#topics ??= new Map()
    this.#topics.set(alias, topic)
  }

  /** The Topic Name that the Client gave to the alias. */
  get(alias: number): string | undefined {
    return this.#topics?.get(alias)
  }
}

/**
 * The aliases that we set. When all are in use, a topic that was not sent for a while gives its alias to a new one:
 * a hand goes round the aliases, and takes the first that was not used since it last came by.
 */
export class OutboundTopicAliases {
  readonly #maximum: number
  #aliases: Map<string, number> | undefined = undefined
  /** Both by alias - 1. */
  readonly #topics: string[] = []
  readonly #used: boolean[] = []
  #hand = 0

  /** @param maximum - the Client's Topic Alias Maximum, or a lower one. */
  constructor(maximum: number) {
    this.#maximum = maximum // [MQTT-3.1.2-26], [MQTT-3.1.2-27]
  }

  /**
   * The alias for a packet that is sent now:
   * `5` – send alias 5 and no topic; `-5` – send alias 5 and the topic, the Client does not know it yet; `0` – no alias.
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

import type { EmitterMessage } from '../../types/emitter.ts'
import type { MessageProperties } from '../../types/properties.ts'
import type { Limits } from '../../types/options.ts'
import { asBytes } from '../packets/bytes.ts'
import { Message } from '../messages/message.ts'
import { Publication } from '../messages/publication.ts'
import type { RetainedMessages } from '../messages/retained-messages.ts'
import { faultInMessageProperties } from '../packets/properties.ts'
import type { Timers } from '../timers.ts'
import { isValidTopicName } from '../topics/topic-name.ts'

/** The part of this broker for messages of a topic; see `Router.publishForeign`. */
export type ForeignRole = 'each' | 'first' | 'others'

interface ForeignMessagesEnvironment {
  readonly settings: { readonly limits: Readonly<Limits> }
  readonly timers: Timers
  readonly retained: Pick<RetainedMessages, 'hasRoomFor'>
  readonly commits: { readonly storage: { readonly reserved?: string | undefined } } | undefined
  readonly router: { publishForeign(publication: Publication, role: ForeignRole): void }
  reportError(error: Error): void
}

// Between two reports of messages that are not valid, so that another program cannot fill the log.
const REPORT_MS = 60_000

/**
 * Messages that another program puts on the emitter: a broker that is not haltere, or a program without a broker. Each
 * broker receives them, and delivers them to its own Clients.
 */
export class ForeignMessages {
  readonly #environment: ForeignMessagesEnvironment
  readonly #roleFor: (topic: string) => ForeignRole
  #reportedAt = -Infinity
  #unreported = 0

  constructor(environment: ForeignMessagesEnvironment, roleFor: (topic: string) => ForeignRole) {
    this.#environment = environment
    this.#roleFor = roleFor
  }

  /** Its fields are checked as those of a message of the application; no hook is called. */
  receive(received: EmitterMessage): void {
    const { topic } = received
    if (this.#isOfBrokers(topic)) return // Each broker has its own.
    const fault = this.#faultIn(received)
    if (fault !== undefined) {
      this.#report(topic, fault)
      return
    }
    const { payload, qos = 0, retain = false, properties, clientId } = received
    const { timers, router, retained } = this.#environment
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : asBytes(payload)
    const fields = { topic, payload: bytes ?? Buffer.alloc(0), qos, retain, properties } as PublicFields
    const publisher = typeof clientId === 'string' ? clientId : undefined
    const message = Message.of(fields, publisher, timers)
    if (message.retain && !retained.hasRoomFor(message)) this.#report(topic, 'too many retained messages')
    else router.publishForeign(new Publication(message), this.#roleFor(topic))
  }

  #isOfBrokers(topic: string): boolean {
    const reserved = this.#environment.commits?.storage.reserved
    return topic === '$SYS' || topic.startsWith('$SYS/') || (reserved !== undefined && topic.startsWith(reserved))
  }

  /** The reason why it is not a message; undefined if it is one. */
  #faultIn({ topic, payload, qos, retain, properties }: EmitterMessage): string | undefined {
    const { maxTopicLevels, maxPacketSize } = this.#environment.settings.limits
    if (!isValidTopicName(topic, maxTopicLevels) || topic === '$share' || topic.startsWith('$share/')) {
      return 'topic: expected a Topic Name'
    }
    const bytes = typeof payload === 'string' ? payload : asBytes(payload)
    if (payload !== undefined && bytes === undefined) return 'payload: expected bytes or a string'
    if (qos !== undefined && qos !== 0 && qos !== 1 && qos !== 2) return 'qos: expected 0, 1 or 2'
    if (retain !== undefined && typeof retain !== 'boolean') return 'retain: expected true or false'
    const fault = properties === undefined ? undefined : faultInMessageProperties(properties)
    if (fault !== undefined) return fault
    const size = topic.length + (bytes === undefined ? 0 : Buffer.byteLength(bytes))
    return size > maxPacketSize
      ? `expected at most limits.maxPacketSize, ${maxPacketSize} bytes, got ${size}`
      : undefined
  }

  #report(topic: string, fault: string): void {
    const now = this.#environment.timers.now()
    if (now - this.#reportedAt < REPORT_MS) {
      this.#unreported += 1
      return
    }
    this.#reportedAt = now
    const others = this.#unreported === 0 ? '' : ` (and ${this.#unreported} other messages before it)`
    this.#unreported = 0
    const shown = JSON.stringify(topic.slice(0, 80))
    this.#environment.reportError(new Error(`a message of another program on ${shown} is dropped: ${fault}${others}`))
  }
}

interface PublicFields {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly properties: MessageProperties | undefined
}

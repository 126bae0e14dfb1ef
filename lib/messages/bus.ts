import mqemitter from 'mqemitter'
import type { Emitter, EmitterListener, EmitterMessage } from '../../types/emitter.ts'
import type { MessageProperties } from '../../types/properties.ts'
import type { Core } from '../core.ts'
import { faultInMessageProperties } from '../packets/properties.ts'
import { isValidTopicName } from '../topics/topic-name.ts'
import { expiryOf, Message } from './message.ts'

/**
 * The emitter, ours or the application's. What is published goes onto ours only while somebody listens there;
 * one that the application gave joins brokers: each puts what it is given onto it and takes what the others put there.
 */
export class Bus {
  readonly emitter: Emitter
  readonly #core: Core
  readonly #joinsBrokers: boolean
  #listeners = 0

  constructor(core: Core) {
    this.#core = core
    const given = core.settings.emitter
    this.#joinsBrokers = given !== undefined
    this.emitter = given ?? this.#ownEmitter()
    if (this.#joinsBrokers) this.emitter.on('#', this.#fromOthers)
  }

  /** Puts a message onto the emitter. Nothing waits for it to arrive. */
  publish(message: Message): void {
    if (!this.#joinsBrokers && this.#listeners === 0) return
    if (message.topic.startsWith('$SYS/')) return // Each broker has its own.
    try {
      this.emitter.emit({
        topic: message.topic,
        cmd: 'publish',
        payload: message.payload,
        qos: message.qos,
        retain: message.retain,
        properties: message.properties,
        clientId: message.publisher,
        brokerId: this.#core.settings.id,
      } as EmitterMessage)
    } catch (error) {
      this.#core.reportError(error as Error) // mqemitter throws for more than 100 levels.
    }
  }

  close(): Promise<void> {
    if (this.#joinsBrokers) {
      this.emitter.removeListener('#', this.#fromOthers)
      return Promise.resolve() // It is the application's to close.
    }
    return new Promise((resolve) => this.emitter.close(() => resolve()))
  }

  /** A real mqemitter that counts who listens. */
  #ownEmitter(): Emitter {
    const emitter = mqemitter({ matchEmptyLevels: true }) as unknown as Emitter // Its own types know less than it does.
    const on = emitter.on.bind(emitter)
    const removeListener = emitter.removeListener.bind(emitter)
    emitter.on = (topic, listener, callback) => {
      this.#listeners += 1
      return on(topic, listener, callback)
    }
    emitter.removeListener = (topic, listener, callback) => {
      this.#listeners = Math.max(this.#listeners - 1, 0)
      return removeListener(topic, listener, callback)
    }
    return emitter
  }

  // Declared with both parameters: mqemitter gives a function of one parameter something else.
  readonly #fromOthers: EmitterListener = (message, done) => {
    done()
    if (message.brokerId === undefined || message.brokerId === this.#core.settings.id) return
    const received = this.#messageOf(message)
    if (received === undefined) return
    if (received.retain) this.#core.retained.store(received)
    this.#core.router.distribute(received)
  }

  /** What another broker put there, looked at as closely as what a Client sends; undefined when it is no message. */
  #messageOf(message: EmitterMessage): Message | undefined {
    const { topic, payload, qos, retain, clientId } = message
    if (message.cmd !== 'publish' || typeof topic !== 'string') return undefined
    if (!isValidTopicName(topic, this.#core.settings.limits.maxTopicLevels) || topic.startsWith('$SYS/'))
      return undefined
    if (!(payload instanceof Uint8Array) || (qos !== 0 && qos !== 1 && qos !== 2)) return undefined
    const properties =
      typeof message.properties === 'object' && message.properties !== null
        ? (message.properties as MessageProperties)
        : undefined
    if (properties !== undefined && faultInMessageProperties(properties) !== undefined) return undefined
    return new Message(
      topic,
      Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength),
      qos,
      retain === true,
      properties,
      typeof clientId === 'string' ? clientId : undefined,
      expiryOf(properties, this.#core.timers),
    )
  }
}

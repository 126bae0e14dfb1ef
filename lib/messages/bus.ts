import mqemitter from 'mqemitter'
import type { Emitter, EmitterListener, EmitterMessage } from '../../types/emitter.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { isOfBroker } from '../topics/sys-topic.ts'
import type { Publication } from './publication.ts'

interface BusOptions {
  /** The name of the broker, for listeners of the emitter. */
  readonly brokerId: string
  readonly cluster: Pick<Cluster, 'publish' | 'stop'>
  reportError(error: Error): void
}

/**
 * Passes publications to the emitter. An emitter of this broker alone receives them only while it has listeners; an
 * emitter of the application connects peers, and its packets have the format of their protocol.
 */
export class Bus {
  readonly emitter: Emitter
  readonly #options: BusOptions
  /** The emitter, when it is the broker's own. */
  readonly #own: OwnEmitter | undefined

  constructor(emitter: Emitter, options: BusOptions) {
    this.emitter = emitter
    this.#options = options
    this.#own = emitter instanceof OwnEmitter ? emitter : undefined
  }

  /** Passes a message to the emitter, without waiting for its arrival. */
  publish(publication: Publication): void {
    const { message } = publication
    if (this.#own === undefined) {
      this.#options.cluster.publish(publication)
      return
    }
    if (this.#own.listeners === 0 || isOfBroker(message.topic)) return
    const { topic, payload, qos, retain, properties, publisher: clientId } = message
    const { brokerId } = this.#options
    try {
      const packet = { topic, cmd: 'publish', payload, qos, retain, properties, clientId, brokerId }
      this.#own.emit(packet satisfies EmitterMessage)
    } catch (error) {
      this.#options.reportError(error as Error) // mqemitter throws for more than 100 levels.
    }
  }

  /** Leaves the cluster and closes the emitter, unless it belongs to the application. */
  async close(): Promise<void> {
    await this.#options.cluster.stop()
    const own = this.#own
    if (own !== undefined) await new Promise<void>((resolve) => own.close(resolve))
  }
}

// mqemitter is a function that is also a constructor, which its types do not say.
const MQEmitter: new (options: object) => Emitter = mqemitter as never

/** The emitter of a broker without one of the application: an mqemitter that counts its listeners. */
export class OwnEmitter extends MQEmitter {
  listeners = 0

  constructor() {
    super({ matchEmptyLevels: true })
  }

  override on(topic: string, listener: EmitterListener, callback?: () => void): unknown {
    this.listeners += 1
    return super.on(topic, listener, callback)
  }

  override removeListener(topic: string, listener: EmitterListener, callback?: () => void): unknown {
    this.listeners = Math.max(this.listeners - 1, 0)
    return super.removeListener(topic, listener, callback)
  }
}

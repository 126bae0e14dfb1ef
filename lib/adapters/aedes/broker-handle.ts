import type { Emitter, EmitterListener } from '../../../types/emitter.ts'
import type { PersistenceBroker } from '../../../types/persistence.ts'
import { matches } from '../../topics/topic-filter.ts'

/** The parts of an aedes broker that a persistence may use, over an emitter. */
export interface BrokerHandle extends PersistenceBroker {
  /** The persistence listens to what other brokers tell of their subscriptions. */
  readonly isShared: boolean
  /** aedes-persistence-mongodb listens for Clients with `ttlAfterDisconnected`: our own expiry does that. */
  on(event: string, listener: unknown): unknown
  once(event: string, listener: unknown): unknown
  emit(event: string, ...details: readonly unknown[]): unknown
  removeListener(event: string, listener: unknown): unknown
}

export function brokerHandle(id: string, emitter: Emitter): BrokerHandle {
  const listeners = new Map<EmitterListener, EmitterListener>()
  const heard = new Set<readonly [topic: string, listener: EmitterListener]>()
  return {
    get isShared() {
      return listeners.size > 0
    },
    id,
    counter: 0,
    mq: emitter,
    publish(packet, callback) {
      emitter.emit(packet, callback)
      // It waits until it hears itself, for ever when that is lost. Hearing it twice does no harm.
      for (const [topic, listener] of heard) if (matches(topic, packet.topic)) listener(packet, () => undefined)
    },
    subscribe(topic, listener, callback) {
      // mqemitter gives a function of one parameter something else, so it gets one of two.
      const both: EmitterListener = (message, done) => listener(message, done)
      listeners.set(listener, both)
      heard.add([topic, both])
      emitter.on(topic, both, () => callback())
    },
    unsubscribe(topic, listener, callback) {
      emitter.removeListener(topic, listeners.get(listener) ?? listener, () => callback())
      for (const one of heard) if (one[1] === listeners.get(listener)) heard.delete(one)
      listeners.delete(listener)
    },
    on: () => undefined,
    once: () => undefined,
    emit: () => undefined,
    removeListener: () => undefined,
  }
}

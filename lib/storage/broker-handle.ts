import type { Emitter, EmitterListener } from '../../types/emitter.ts'
import type { PersistenceBroker } from '../../types/persistence.ts'
import { matches } from '../topics/topic-filter.ts'

/** The parts of an aedes broker that a persistence may use, over an emitter. */
export interface BrokerHandle extends PersistenceBroker {
  /** The persistence listens to notices of other brokers about subscriptions. */
  readonly isShared: boolean
  /** aedes-persistence-mongodb listens for Clients with `ttlAfterDisconnected`: the broker has its own expiry. */
  on(event: string, listener: unknown): unknown
  once(event: string, listener: unknown): unknown
  emit(event: string, ...details: readonly unknown[]): unknown
  removeListener(event: string, listener: unknown): unknown
}

export function brokerHandle(id: string, emitter: Emitter): BrokerHandle {
  const listeners = new Map<EmitterListener, EmitterListener>()
  const subscriptions = new Set<readonly [topic: string, listener: EmitterListener]>()
  return {
    get isShared() {
      return listeners.size > 0
    },
    id,
    counter: 0,
    mq: emitter,
    publish(packet, callback) {
      emitter.emit(packet, callback)
      // It waits for its own packet, without a time limit. A second copy does no harm.
      for (const [topic, listener] of subscriptions) if (matches(topic, packet.topic)) listener(packet, () => undefined)
    },
    subscribe(topic, listener, callback) {
      // mqemitter calls a function of one parameter differently, so this one has two.
      const both: EmitterListener = (message, done) => listener(message, done)
      listeners.set(listener, both)
      subscriptions.add([topic, both])
      emitter.on(topic, both, () => callback())
    },
    unsubscribe(topic, listener, callback) {
      emitter.removeListener(topic, listeners.get(listener) ?? listener, () => callback())
      for (const one of subscriptions) if (one[1] === listeners.get(listener)) subscriptions.delete(one)
      listeners.delete(listener)
    },
    on: () => undefined,
    once: () => undefined,
    emit: () => undefined,
    removeListener: () => undefined,
  }
}

import { EventEmitter } from 'node:events'
import type { BrokerEvents } from '../../types/events.ts'
import { checkSubclass, handlerFields, lockHandlers } from './aedes-members.ts'
import { checkListener } from './event-names.ts'

/** A listener of an event of the broker. */
type EventListener<S, Name extends keyof BrokerEvents<S>> = (...values: BrokerEvents<S>[Name]) => void

/** Typed here and not by the type argument of `EventEmitter`, whose meaning differs between versions of Node.js. */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- the base class has these methods
export interface BrokerEmitter<S> {
  off<Name extends keyof BrokerEvents<S>>(name: Name, listener: EventListener<S, Name>): this
  removeListener<Name extends keyof BrokerEvents<S>>(name: Name, listener: EventListener<S, Name>): this
  emit<Name extends keyof BrokerEvents<S>>(name: Name, ...values: BrokerEvents<S>[Name]): boolean
}

/**
 * The `EventEmitter` that a broker is. A listener can be added for the events that there are, and nothing else: the
 * types of Node.js accept any name from version 24 on. A handler as in aedes cannot be assigned or defined.
 */
export abstract class BrokerEmitter<S> extends EventEmitter {
  /** @param base - the class with all members of a broker; a class below it belongs to the application */
  constructor(base: { readonly prototype: object }) {
    super()
    lockHandlers(this)
    const prototype = Object.getPrototypeOf(this) as object
    if (prototype === base.prototype) return
    checkSubclass(prototype, base.prototype)
    // A field of a subclass is defined after this constructor, past every setter.
    // oxlint-disable-next-line no-constructor-return
    return new Proxy(this, handlerFields) as this
  }

  /**
   * Adds a listener. See `BrokerEvents`.
   *
   * @throws InvalidOptionError when there is no such event
   */
  override on<Name extends keyof BrokerEvents<S>>(name: Name, listener: EventListener<S, Name>): this {
    checkListener(name, listener)
    return super.on(name, listener)
  }

  override addListener<Name extends keyof BrokerEvents<S>>(name: Name, listener: EventListener<S, Name>): this {
    return this.on(name, listener)
  }

  override prependListener<Name extends keyof BrokerEvents<S>>(name: Name, listener: EventListener<S, Name>): this {
    checkListener(name, listener)
    return super.prependListener(name, listener)
  }

  override once<Name extends keyof BrokerEvents<S>>(name: Name, listener: EventListener<S, Name>): this {
    checkListener(name, listener)
    return super.once(name, listener)
  }

  override prependOnceListener<Name extends keyof BrokerEvents<S>>(name: Name, listener: EventListener<S, Name>): this {
    checkListener(name, listener)
    return super.prependOnceListener(name, listener)
  }
}

import { InvalidOptionError } from '../errors.ts'

/** Throws an `InvalidOptionError` for a call of `Broker.subscribe` as aedes has it, and for values of other types. */
export function checkSubscribeCall(filter: unknown, listener: unknown, third: unknown, fourth: unknown): void {
  const isList = Array.isArray(filter) && filter.length > 0 && filter.every((each) => typeof each === 'string')
  if (typeof filter !== 'string' && !isList) {
    throw new InvalidOptionError('subscribe: expected a Topic Filter, or an array of them that is not empty')
  }
  if (typeof third === 'function' || typeof fourth === 'function') {
    throw new InvalidOptionError('subscribe: takes no callback after the listener; it has subscribed when it returns')
  }
  if (typeof listener === 'function' && listener.length > 1) {
    throw new InvalidOptionError(
      'subscribe: the listener has one parameter, the message, and no callback; it may return a promise',
    )
  }
}

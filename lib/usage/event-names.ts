import type { BrokerEvents } from '../../types/events.ts'
import { InvalidOptionError } from '../errors.ts'

/** The compiler asks for a row for each event. */
const events: Readonly<Record<keyof BrokerEvents, true>> = {
  clientConnected: true,
  clientDisconnected: true,
  clientError: true,
  connectionRefused: true,
  published: true,
  subscribed: true,
  unsubscribed: true,
  dropped: true,
  storeFailed: true,
  storeRecovered: true,
  error: true,
}

/** Events of each `EventEmitter`. */
const ofEveryEmitter: readonly unknown[] = ['newListener', 'removeListener']

/** What to write instead of an event of aedes. */
const ofAedes: Readonly<Record<string, string>> = {
  client: "write 'clientConnected'",
  clientReady: "write 'clientConnected'",
  clientDisconnect: "write 'clientDisconnected'",
  publish: "write 'published'",
  subscribe: "write 'subscribed', which has one subscription",
  unsubscribe: "write 'unsubscribed', which has one Topic Filter",
  connectionError: "write 'clientError' or 'connectionRefused'",
  keepaliveTimeout: "write 'clientDisconnected', with the reasonCode 0x8d",
  ack: 'there is none',
  ping: 'there is none',
  connackSent: "write 'clientConnected' or 'connectionRefused'",
  closed: 'write await broker.close()',
}

/**
 * The listener of aedes has the Client first, and would take an Error for it. The names of parameters are only a hint,
 * but a first parameter with this name is a mistake whatever the listener does.
 */
const clientFirst = /^[^(=]*\(\s*_?client\b|^(?:async\s+)?_?client\s*=>/

/** Throws for an event that there is not: its listener would never be called. Symbols are left to the application. */
export function checkListener(name: unknown, listener: unknown): void {
  if (typeof name === 'symbol' || ofEveryEmitter.includes(name)) return
  const event = String(name)
  if (!Object.hasOwn(events, event)) {
    const instead = Object.hasOwn(ofAedes, event) ? `${ofAedes[event]}; ` : ''
    throw new InvalidOptionError(`event ${event}: no such event; ${instead}there are ${Object.keys(events).join(', ')}`)
  }
  if (event === 'clientError' && typeof listener === 'function' && clientFirst.test(sourceOf(listener))) {
    throw new InvalidOptionError('event clientError: the arguments are (error, info, client), and not the Client first')
  }
}

function sourceOf(listener: object): string {
  return Function.prototype.toString.call(listener)
}

import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http'
import { isIPv4, Server } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Listener, ListenOptionsMap, UpgradeOptions, WebSocketSettings } from '../types/listen.ts'
import { InvalidOptionError } from './errors.ts'
import type { Lifecycle } from './lifecycle.ts'
import { checkSignal, expected, isObject, refuseUnknown } from './options.ts'
import { type TransportName, transports } from './transports/index.ts'
import type { Accept, ListenContext } from './transports/listener.ts'
import { attachWebSocket } from './transports/attached-websocket.ts'
import { checkUpgrade } from './transports/known-of.ts'
import { checkSettings, WebSocketEndpoint } from './transports/websocket-endpoint.ts'
import { refuseCallback } from './usage/callbacks.ts'

// Bytes of a WebSocket message beyond the largest packet, because a message may have several packets.
const WEBSOCKET_SLACK_BYTES = 64 * 1024

const transportNames = Object.keys(transports) as TransportName[] // The table has these keys and no others.

/** The parts of the broker that its listeners use. */
interface ListenersContext {
  readonly acceptor: { readonly accept: Accept }
  readonly limits: { readonly maxPacketSize: number }
  readonly lifecycle: Pick<Lifecycle, 'ready' | 'refuseClosed'>
  /** Whether Clients of other machines may connect. */
  readonly admitsOtherMachines: boolean
  respondHealth(request: IncomingMessage, response: ServerResponse): void
}

/** The listeners of one broker, with those of HTTP servers of the application. */
export class Listeners {
  readonly #broker: ListenersContext
  readonly #open = new Set<Listener>()
  /** For listeners with a signal. */
  readonly #whenClosed = new Map<Listener, () => void>()
  readonly #context: ListenContext
  /** For requests from `Broker.handleUpgrade`. */
  readonly #upgrades: WebSocketEndpoint

  constructor(broker: ListenersContext) {
    this.#broker = broker
    this.#context = {
      maxPayload: broker.limits.maxPacketSize + WEBSOCKET_SLACK_BYTES,
      onHealth: (request, response) => broker.respondHealth(request, response),
      onClose: (listener) => {
        this.#open.delete(listener)
        this.#whenClosed.get(listener)?.()
        this.#whenClosed.delete(listener)
      },
    }
    this.#upgrades = new WebSocketEndpoint({}, broker.acceptor.accept, this.#context)
  }

  /** The listeners whose `close` was not called yet. */
  get open(): readonly Listener[] {
    return [...this.#open]
  }

  /** Opens all of these listeners or, when one of them cannot be opened, none. See `Broker.listen`. */
  async listen(options: ListenOptionsMap, given: { signal?: AbortSignal } | undefined): Promise<Listener[]> {
    const map: unknown = options
    if (!isObject(map)) expected('listen', 'an object such as { tcp: 1883 }', map)
    refuseUnknown('listen.', options, transportNames)
    if (transportNames.every((name) => options[name] === undefined)) {
      const missing = Object.keys(options).length === 0 ? 'nothing' : `no value for ${Object.keys(options).join(', ')}`
      throw new InvalidOptionError(
        `listen: expected a listener such as { tcp: 1883 }, got ${missing}; there are ${transportNames.join(', ')}`,
      )
    }
    const signal = given === undefined ? undefined : checkSignal('listen.', given).signal
    if (!this.#broker.admitsOtherMachines) refuseOtherMachines(options)
    signal?.throwIfAborted()
    const { lifecycle } = this.#broker
    lifecycle.refuseClosed()
    await lifecycle.ready
    const opened: Listener[] = []
    try {
      for (const name of transportNames) {
        const given = options[name]
        if (given !== undefined) opened.push(await this.#listen(name, given))
      }
      lifecycle.refuseClosed() // `close` may have been called meanwhile.
      signal?.throwIfAborted()
    } catch (error) {
      await Promise.all(opened.map((listener) => listener.close()))
      throw error
    }
    for (const listener of opened) this.#open.add(listener)
    if (signal !== undefined) this.#closeWith(signal, opened)
    return opened
  }

  /** The signal, which may live longer than the listeners, keeps nothing of them. */
  #closeWith(signal: AbortSignal, opened: readonly Listener[]): void {
    const left = new Set(opened)
    const onAbort = (): void => {
      for (const listener of left) void listener.close()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    for (const listener of opened) {
      this.#whenClosed.set(listener, () => {
        left.delete(listener)
        if (left.size === 0) signal.removeEventListener('abort', onAbort)
      })
    }
  }

  async #listen<Name extends TransportName>(name: Name, options: Required<ListenOptionsMap>[Name]): Promise<Listener> {
    return withoutCallbacks(await transports[name](options, this.#broker.acceptor.accept, this.#context))
  }

  attach(server: HttpServer, settings: WebSocketSettings): Listener {
    checkHttpServer(server)
    this.#broker.lifecycle.refuseClosed()
    const listener = attachWebSocket(server, settings, this.#broker.acceptor.accept, this.#context)
    this.#open.add(withoutCallbacks(listener))
    return listener
  }

  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, options: UpgradeOptions): void {
    checkUpgrade(request, socket)
    if (!isObject(options)) expected('handleUpgrade', 'an object of options', options)
    refuseUnknown('handleUpgrade.', options, ['origins'])
    checkSettings('handleUpgrade', options)
    this.#upgrades.handleUpgrade(request, socket, head, options)
  }

  /** Accepts no new connections. Always resolves, when the ports are free. */
  async stopAccepting(): Promise<void> {
    await Promise.allSettled(this.open.map((listener) => listener.stopAccepting()))
  }

  /** Ends the remaining connections. Always resolves. */
  async close(): Promise<void> {
    await Promise.allSettled(this.open.map((listener) => listener.close()))
    await this.#upgrades.close()
  }
}

/** Throws for an application of a framework and for other things that never emit `upgrade`. */
function checkHttpServer(server: unknown): void {
  const got = typeof server === 'function' ? 'an application' : isServer(server) ? 'a server without HTTP' : undefined
  if (got === undefined && hasMethods(server, ['on', 'off', 'listenerCount', 'listen', 'close', 'address'])) return
  const instead =
    got === 'a server without HTTP'
      ? 'write net.createServer(broker.handle)'
      : 'of Express: const server = http.createServer(app); of Fastify: app.server; of Nest: app.getHttpServer()'
  if (got === undefined) expected('attach', `an http.Server (${instead})`, server)
  throw new InvalidOptionError(`attach: expected an http.Server, got ${got}; ${instead}`)
}

/** Whether it is a server of `node:net` or `node:tls`; those of HTTP have a time limit for sockets. */
function isServer(server: unknown): boolean {
  return server instanceof Server && !('timeout' in server)
}

function hasMethods(value: unknown, names: readonly string[]): boolean {
  return isObject(value) && names.every((name) => typeof value[name] === 'function')
}

/** The same listener, whose methods throw for a callback, which would never be called. */
function withoutCallbacks(listener: Listener): Listener {
  for (const name of ['close', 'stopAccepting'] as const) {
    const method = listener[name].bind(listener)
    listener[name] = function (): Promise<void> {
      refuseCallback(`listener.${name}()`, arguments)
      return method()
    }
  }
  return listener
}

/** Throws for a listener that is not on the loopback interface. */
function refuseOtherMachines(options: ListenOptionsMap): void {
  for (const name of transportNames) {
    const given = options[name]
    const host = typeof given === 'object' ? given?.host : undefined
    if (typeof host !== 'string' || isLoopback(host)) continue // Other values are refused later.
    throw new InvalidOptionError(
      `listen.${name}.host: ${host} is open to other machines and no plugin has an authenticate hook; ` +
        'add one, or say allowAnonymous: true',
    )
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

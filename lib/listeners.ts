import type { IncomingMessage, Server as HttpServer } from 'node:http'
import { isIPv4 } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Listener, ListenOptionsMap, UpgradeOptions, WebSocketSettings } from '../types/listen.ts'
import { InvalidOptionError } from './errors.ts'
import type { Lifecycle } from './lifecycle.ts'
import { refuseUnknown } from './options.ts'
import { type TransportName, transports } from './transports/index.ts'
import type { Accept, ListenContext } from './transports/listener.ts'
import { attachWebSocket } from './transports/attached-websocket.ts'
import { checkSettings, WebSocketEndpoint } from './transports/websocket-endpoint.ts'

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
}

/** The listeners of one broker, with those of HTTP servers of the application. */
export class Listeners {
  readonly #broker: ListenersContext
  readonly #open = new Set<Listener>()
  readonly #context: ListenContext
  /** For requests from `Broker.handleUpgrade`. */
  readonly #upgrades: WebSocketEndpoint

  constructor(broker: ListenersContext) {
    this.#broker = broker
    this.#context = {
      maxPayload: broker.limits.maxPacketSize + WEBSOCKET_SLACK_BYTES,
      onClose: (listener) => this.#open.delete(listener),
    }
    this.#upgrades = new WebSocketEndpoint({}, broker.acceptor.accept, this.#context)
  }

  /** The listeners whose `close` was not called yet. */
  get open(): readonly Listener[] {
    return [...this.#open]
  }

  /** Opens all of these listeners or, when one of them cannot be opened, none. See `Broker.listen`. */
  async listen(options: ListenOptionsMap, signal: AbortSignal | undefined): Promise<Listener[]> {
    refuseUnknown('listen.', options, transportNames)
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
    } catch (error) {
      await Promise.all(opened.map((listener) => listener.close()))
      throw error
    }
    for (const listener of opened) this.#open.add(listener)
    signal?.addEventListener('abort', () => {
      for (const listener of opened) void listener.close()
    })
    return opened
  }

  #listen<Name extends TransportName>(name: Name, options: Required<ListenOptionsMap>[Name]): Promise<Listener> {
    return transports[name](options, this.#broker.acceptor.accept, this.#context)
  }

  attach(server: HttpServer, settings: WebSocketSettings): Listener {
    const listener = attachWebSocket(server, settings, this.#broker.acceptor.accept, this.#context)
    this.#open.add(listener)
    return listener
  }

  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, options: UpgradeOptions): void {
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

/** Throws for a listener that is not on the loopback interface. */
function refuseOtherMachines(options: ListenOptionsMap): void {
  for (const name of transportNames) {
    const given = options[name]
    const host = typeof given === 'object' ? given?.host : undefined
    if (host === undefined || isLoopback(host)) continue
    throw new InvalidOptionError(
      `listen.${name}.host: ${host} is open to other machines and no plugin has an authenticate hook; ` +
        'add one, or say allowAnonymous: true',
    )
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

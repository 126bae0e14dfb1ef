import type { IncomingMessage, Server as HttpServer } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Listener, WebSocketSettings } from '../../types/listen.ts'
import { InvalidOptionError } from '../errors.ts'
import { type Accept, checkKeys, ignore, type ListenContext, urlOf } from './listener.ts'
import {
  checkSettings,
  defaultPath,
  endpointKeys,
  pathOf,
  refuseUpgrade,
  WebSocketEndpoint,
} from './websocket-endpoint.ts'

const knownKeys = new Set(endpointKeys)

/** The endpoints of each HTTP server of the application, whichever broker they belong to. */
const attachments = new WeakMap<HttpServer, ServerAttachments>()

/**
 * The endpoints of one HTTP server by path, with one listener of `upgrade` for all of them: so each request has one
 * reply, and a request for an unknown path has one too.
 */
class ServerAttachments {
  readonly #server: HttpServer
  readonly #endpoints = new Map<string, WebSocketEndpoint>()

  constructor(server: HttpServer) {
    this.#server = server
  }

  static of(server: HttpServer): ServerAttachments {
    const known = attachments.get(server)
    if (known !== undefined) return known
    const created = new ServerAttachments(server)
    attachments.set(server, created)
    return created
  }

  has(path: string): boolean {
    return this.#endpoints.has(path)
  }

  get(path: string): WebSocketEndpoint | undefined {
    return this.#endpoints.get(path)
  }

  add(path: string, endpoint: WebSocketEndpoint): void {
    if (this.#endpoints.size === 0) this.#server.on('upgrade', this.#onUpgrade)
    this.#endpoints.set(path, endpoint)
  }

  remove(path: string, endpoint: WebSocketEndpoint): void {
    if (this.#endpoints.get(path) !== endpoint) return // Removed already; the path may have another endpoint now.
    this.#endpoints.delete(path)
    if (this.#endpoints.size === 0) this.#server.off('upgrade', this.#onUpgrade)
  }

  readonly #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const path = pathOf(request)
    const endpoint = this.#endpoints.get(path)
    if (endpoint !== undefined) {
      endpoint.handleUpgrade(request, socket, head, { listener: urlOf(protocolOf(this.#server), this.#server, path) })
      return
    }
    // Node.js leaves the socket without a listener of `error`, so a reset would end the program.
    socket.on('error', ignore)
    // Without another listener of `upgrade` the Client would receive no response.
    if (this.#server.listenerCount('upgrade') === 1) refuseUpgrade(socket, 404)
  }
}

/**
 * Adds MQTT to an HTTP server of the application. Its other listeners of `upgrade` get requests for other paths.
 * Throws an `InvalidOptionError` for a path of this server that has MQTT already.
 */
export function attachWebSocket(
  server: HttpServer,
  settings: WebSocketSettings,
  accept: Accept,
  context: ListenContext = {},
): Listener {
  checkKeys('attach', settings, knownKeys)
  checkSettings('attach', settings)
  const path = settings.path ?? defaultPath
  const attached = ServerAttachments.of(server)
  if (attached.has(path)) {
    throw new InvalidOptionError(`attach.path: ${JSON.stringify(path)} of this server is attached already`)
  }
  const endpoint = new WebSocketEndpoint(settings, accept, context)
  attached.add(path, endpoint)
  const protocol = protocolOf(server)
  const stopAccepting = async (): Promise<void> => attached.remove(path, endpoint)
  const listener: Listener = {
    protocol,
    get url() {
      return urlOf(protocol, server, path)
    },
    get address() {
      return server.address() ?? ''
    },
    get listening() {
      return server.listening && attached.get(path) === endpoint
    },
    stopAccepting,
    async close() {
      context.onClose?.(listener)
      await stopAccepting()
      await endpoint.close()
    },
  }
  return listener
}

function protocolOf(server: HttpServer): 'ws' | 'wss' {
  return 'setSecureContext' in server ? 'wss' : 'ws'
}

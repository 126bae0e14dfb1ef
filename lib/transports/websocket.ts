import { createServer as createHttpServer, type IncomingMessage, type Server as HttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import type { Listener, SecureWebSocketListenOptions, WebSocketListenOptions } from '../../types/listen.ts'
import { InvalidOptionError } from '../errors.ts'
import { type Accept, addressKeys, checkKeys, listen, type ListenContext, stopListening, urlOf } from './listener.ts'
import { ListenerTls, tlsKeys } from './tls-options.ts'
import {
  checkSettings,
  defaultPath,
  endpointKeys,
  pathOf,
  refuseUpgrade,
  WebSocketEndpoint,
} from './websocket-endpoint.ts'

const webSocketKeys = new Set([...addressKeys, ...endpointKeys, 'handshakeTimeoutMs', 'healthPath'])
const secureWebSocketKeys = new Set([...webSocketKeys, ...tlsKeys])

/** MQTT over WebSocket, port 8083 by custom. */
export async function listenWebSocket(
  options: number | WebSocketListenOptions,
  accept: Accept,
  context: ListenContext = {},
): Promise<Listener> {
  const settings = typeof options === 'number' ? { port: options } : options
  checkKeys('ws', settings, webSocketKeys)
  checkSettings('listen.ws', settings)
  checkHealthPath('listen.ws', settings)
  return listenHttp('ws', createHttpServer(httpLimits(settings)), settings, accept, context)
}

/** MQTT over WebSocket and TLS, port 8084 by custom. */
export async function listenSecureWebSocket(
  options: SecureWebSocketListenOptions,
  accept: Accept,
  context: ListenContext = {},
): Promise<Listener> {
  checkKeys('wss', options, secureWebSocketKeys)
  checkSettings('listen.wss', options)
  checkHealthPath('listen.wss', options)
  const tls = new ListenerTls('wss', options)
  const server = createHttpsServer({ ...tls.options, ...httpLimits(options) })
  // A failed handshake ends only its connection.
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  const listener = await listenHttp('wss', server, options, accept, context)
  listener.replaceCertificate = (certificate) => tls.replaceCertificate(server, certificate)
  return listener
}

function checkHealthPath(where: string, { healthPath, path = defaultPath }: WebSocketListenOptions): void {
  if (healthPath === undefined) return
  if (typeof healthPath !== 'string' || !/^\/[^?#]*$/.test(healthPath) || healthPath === path) {
    throw new InvalidOptionError(
      `${where}.healthPath: expected a path that begins with "/", other than path, got ${JSON.stringify(healthPath)}`,
    )
  }
}

/** The limits of a connection before its upgrade to a WebSocket. */
function httpLimits({ handshakeTimeoutMs = 5000 }: WebSocketListenOptions): object {
  return {
    maxHeaderSize: 8192,
    headersTimeout: handshakeTimeoutMs,
    requestTimeout: handshakeTimeoutMs,
    connectionsCheckingInterval: Math.min(handshakeTimeoutMs, 1000),
  }
}

async function listenHttp(
  protocol: 'ws' | 'wss',
  server: HttpServer,
  settings: WebSocketListenOptions,
  accept: Accept,
  context: ListenContext,
): Promise<Listener> {
  const path = settings.path ?? defaultPath
  const endpoint = new WebSocketEndpoint(settings, accept, context)
  server.on('request', (request, response) => {
    if (
      settings.healthPath !== undefined &&
      pathOf(request) === settings.healthPath &&
      context.onHealth !== undefined
    ) {
      response.setHeader('Connection', 'close')
      context.onHealth(request, response)
      return
    }
    response
      .writeHead(426, { Connection: 'close', Upgrade: 'websocket' })
      .end('This port speaks MQTT over WebSocket.\n')
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const asked = pathOf(request)
    if (asked === path || asked === '/') endpoint.handleUpgrade(request, socket, head, { listener: url })
    else refuseUpgrade(socket, 404)
  })
  const { path: _path, ...where } = settings // The path of a URL, not of a Unix domain socket.
  await listen(server, where, protocol === 'ws' ? 8083 : 8084)
  const url = urlOf(protocol, server, path)
  const stopAccepting = async (): Promise<void> => {
    await stopListening(server)
    server.closeIdleConnections()
  }
  const listener: Listener = {
    protocol,
    url,
    address: server.address() ?? '',
    get listening() {
      return server.listening
    },
    stopAccepting,
    async close() {
      context.onClose?.(listener)
      const stopped = stopAccepting()
      await endpoint.close()
      await stopped
      server.closeAllConnections() // Those without an upgrade.
    },
  }
  return listener
}

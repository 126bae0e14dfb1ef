import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server as HttpServer,
  STATUS_CODES,
} from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Duplex as NodeDuplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { ConnectionInfo } from '../../types/connection-info.ts'
import type {
  Listener,
  SecureWebSocketListenOptions,
  WebSocketListenOptions,
  WebSocketSettings,
} from '../../types/listen.ts'
import { ProtocolError } from '../errors.ts'
import { connectionInfo } from './info.ts'
import {
  type Accept,
  addressKeys,
  checkKeys,
  closeTimeoutMs,
  ignore,
  listen,
  type ListenContext,
  prepareSocket,
  stopListening,
  urlOf,
} from './listener.ts'
import { isOriginAllowed } from './origins.ts'
import { Duplex } from './streams.ts'
import { ListenerTls, tlsKeys } from './tls-options.ts'

const defaultPath = '/mqtt'
const defaultMaxPayload = 4 * 1024 * 1024
const highWaterMark = 64 * 1024
/** Status codes of RFC 6455, section 7.4.1. */
const status = { normal: 1000, goingAway: 1001, unsupportedData: 1003 }

const endpointKeys = ['path', 'origins', 'maxPayload']
const webSocketKeys = new Set([...addressKeys, ...endpointKeys, 'handshakeTimeoutMs'])
const secureWebSocketKeys = new Set([...webSocketKeys, ...tlsKeys])

/**
 * A WebSocket as a stream of bytes. Packets need not match frames [MQTT-6.0.0-2], so all bytes that are written while a
 * frame is being sent are in the next frame.
 */
export class WebSocketDuplex extends Duplex {
  readonly #webSocket: WebSocket
  #closeCode: number = status.normal

  constructor(webSocket: WebSocket) {
    super({ allowHalfOpen: false, highWaterMark })
    this.#webSocket = webSocket
    webSocket.on('message', (data: Buffer, isBinary) => this.#receive(data, isBinary))
    // ws has already sent the status code (1002, 1007, 1009).
    webSocket.on('error', (error) => this.destroy(new ProtocolError(0x81, error.message)))
    webSocket.on('close', () => {
      if (!this.destroyed) this.push(null)
    })
  }

  /** Ends both directions with this status code after the remaining output, but at the latest after 2 seconds. */
  closeWith(code: number): void {
    this.#closeCode = code
    this.end()
    const timer = setTimeout(() => this.#webSocket.terminate(), closeTimeoutMs)
    this.#webSocket.once('close', () => clearTimeout(timer))
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.destroyed || this.writableEnded) return
    if (!isBinary) {
      this.#webSocket.close(status.unsupportedData)
      this.destroy(new ProtocolError(0x81, 'a text frame; MQTT is sent in binary frames')) // [MQTT-6.0.0-1]
    } else if (data.length > 0 && !this.push(data)) {
      this.#webSocket.pause()
    }
  }

  override _read(): void {
    if (this.#webSocket.isPaused) this.#webSocket.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.#send(chunk, callback)
  }

  override _writev(chunks: { chunk: Buffer }[], callback: () => void): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), callback)
  }

  override _final(callback: () => void): void {
    this.#webSocket.resume() // To receive the close frame of the Client although the stream is not read any more.
    this.#webSocket.close(this.#closeCode)
    callback()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    // ws has a time limit for a closing handshake that has begun.
    if (this.#webSocket.readyState === this.#webSocket.OPEN) this.#webSocket.terminate()
    else this.#webSocket.resume()
    callback(error)
  }

  #send(bytes: Buffer, callback: () => void): void {
    // As with TCP, bytes to a closed connection are lost without an error; 'close' follows.
    if (this.#webSocket.readyState !== this.#webSocket.OPEN) return callback()
    // The callback runs when the bytes are written to the system; until then this stream buffers up to 64 KiB.
    this.#webSocket.send(bytes, { binary: true, compress: false }, () => callback())
  }
}

/** Makes connections of upgrade requests, and closes them. */
export class WebSocketEndpoint {
  readonly #server: WebSocketServer
  readonly #streams = new Map<WebSocketDuplex, WebSocket>()
  readonly #origins: readonly string[] | undefined
  readonly #accept: Accept
  #closed = false

  constructor(settings: Omit<WebSocketSettings, 'path'>, accept: Accept, context: ListenContext = {}) {
    this.#origins = settings.origins
    this.#accept = accept
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      // Inflating costs 100 µs and up for each message, and lets a small frame become a huge one before CONNECT.
      perMessageDeflate: false,
      maxPayload: settings.maxPayload ?? context.maxPayload ?? defaultMaxPayload,
      maxFragments: 4096,
      closeTimeout: closeTimeoutMs,
      handleProtocols: (offered) => chooseProtocol(offered) ?? false,
    } as ConstructorParameters<typeof WebSocketServer>[0])
  }

  /** Replies to an upgrade request for any path, with 101 and a connection or with an error. Never throws. */
  handleUpgrade(request: IncomingMessage, socket: NodeDuplex, head: Buffer, listener?: string): void {
    socket.on('error', ignore)
    if (this.#closed) return refuseUpgrade(socket, 503)
    if (request.headers.host === undefined) return refuseUpgrade(socket, 400)
    if (!isOriginAllowed(request, this.#origins)) return refuseUpgrade(socket, 403)
    // A browser requires one of its sub-protocols in the response [MQTT-6.0.0-3], [MQTT-6.0.0-4].
    if (chooseProtocol(offeredProtocols(request)) === undefined) return refuseUpgrade(socket, 400)
    this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#open(webSocket, request, socket, listener))
  }

  /** Ends the connections with 1001, "going away". Always resolves. */
  async close(): Promise<void> {
    this.#closed = true
    const closed = Array.from(
      this.#streams.values(),
      (webSocket) => new Promise((resolve) => webSocket.once('close', resolve)),
    )
    for (const stream of this.#streams.keys()) stream.closeWith(status.goingAway)
    await Promise.all(closed)
  }

  #open(webSocket: WebSocket, request: IncomingMessage, socket: NodeDuplex, listener: string | undefined): void {
    prepareSocket(socket)
    const stream = new WebSocketDuplex(webSocket)
    stream.on('error', ignore) // 'close' follows
    this.#streams.set(stream, webSocket)
    webSocket.once('close', () => this.#streams.delete(stream))
    const known = connectionInfo(socket)
    const transport = known.transport === 'tls' ? 'wss' : 'ws'
    const info: ConnectionInfo = { ...known, transport, request, ...(listener === undefined ? {} : { listener }) }
    this.#accept(stream, info)
  }
}

/** MQTT over WebSocket, port 8083 by custom. */
export async function listenWebSocket(
  options: number | WebSocketListenOptions,
  accept: Accept,
  context: ListenContext = {},
): Promise<Listener> {
  const settings = typeof options === 'number' ? { port: options } : options
  checkKeys('ws', settings, webSocketKeys)
  return listenHttp('ws', createHttpServer(httpLimits(settings)), settings, accept, context)
}

/** MQTT over WebSocket and TLS, port 8084 by custom. */
export async function listenSecureWebSocket(
  options: SecureWebSocketListenOptions,
  accept: Accept,
  context: ListenContext = {},
): Promise<Listener> {
  checkKeys('wss', options, secureWebSocketKeys)
  const tls = new ListenerTls('wss', options)
  const server = createHttpsServer({ ...tls.options, ...httpLimits(options) })
  // A failed handshake ends only its connection.
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  const listener = await listenHttp('wss', server, options, accept, context)
  listener.replaceCertificate = (certificate) => tls.replaceCertificate(server, certificate)
  return listener
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
  server.on('request', (_request, response) => {
    response
      .writeHead(426, { Connection: 'close', Upgrade: 'websocket' })
      .end('This port speaks MQTT over WebSocket.\n')
  })
  server.on('upgrade', (request: IncomingMessage, socket: NodeDuplex, head: Buffer) => {
    const asked = pathOf(request)
    if (asked === path || asked === '/') endpoint.handleUpgrade(request, socket, head, url)
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

/** Adds MQTT to an HTTP server of the application. Its other listeners of `upgrade` get requests for other paths. */
export function attachWebSocket(
  server: HttpServer,
  settings: WebSocketSettings,
  accept: Accept,
  context: ListenContext = {},
): Listener {
  checkKeys('attach', settings, new Set(endpointKeys))
  const path = settings.path ?? defaultPath
  const endpoint = new WebSocketEndpoint(settings, accept, context)
  const protocol = 'setSecureContext' in server ? 'wss' : 'ws'
  const onUpgrade = (request: IncomingMessage, socket: NodeDuplex, head: Buffer): void => {
    if (pathOf(request) === path) endpoint.handleUpgrade(request, socket, head, urlOf(protocol, server, path))
    // Without another listener of `upgrade` the Client would receive no response.
    else if (server.listenerCount('upgrade') === 1) refuseUpgrade(socket, 404)
  }
  server.on('upgrade', onUpgrade)
  const stopAccepting = async (): Promise<void> => {
    server.off('upgrade', onUpgrade)
  }
  const listener: Listener = {
    protocol,
    get url() {
      return urlOf(protocol, server, path)
    },
    get address() {
      return server.address() ?? ''
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

/** `mqtt` [MQTT-6.0.0-3], or `mqttv3.1` for Clients of MQTT 3.1. */
function chooseProtocol(offered: ReadonlySet<string>): string | undefined {
  return offered.has('mqtt') ? 'mqtt' : offered.has('mqttv3.1') ? 'mqttv3.1' : undefined
}

function offeredProtocols(request: IncomingMessage): ReadonlySet<string> {
  return new Set(request.headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()))
}

function pathOf(request: IncomingMessage): string {
  return request.url?.split('?', 1)[0] ?? ''
}

function refuseUpgrade(socket: NodeDuplex, code: 400 | 403 | 404 | 503): void {
  socket.on('error', ignore)
  socket.once('finish', () => socket.destroy())
  socket.end(`HTTP/1.1 ${code} ${STATUS_CODES[code]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from './ws.ts'
import type { ConnectionInfo } from '../../types/connection-info.ts'
import type { UpgradeOptions, WebSocketSettings } from '../../types/listen.ts'
import { InvalidOptionError } from '../errors.ts'
import { connectionInfo } from './info.ts'
import { type Accept, closeTimeoutMs, ignore, type ListenContext, prepareSocket } from './listener.ts'
import { isOriginAllowed } from './origins.ts'
import { status, WebSocketStream } from './websocket-stream.ts'

export const defaultPath = '/mqtt'
export const endpointKeys: readonly string[] = ['path', 'origins', 'maxPayload']
const defaultMaxPayload = 4 * 1024 * 1024
// A fragment of one byte takes about this much memory, so all fragments of a message take as much as its largest size.
const BYTES_PER_FRAGMENT = 128
const MIN_FRAGMENTS = 4096
const NOTHING = Buffer.alloc(0)

/** The sockets of upgrade requests that have a response, from this endpoint or another one. */
const taken = new WeakSet<Duplex>()

/** Makes connections of upgrade requests, and closes them. */
export class WebSocketEndpoint {
  readonly #server: WebSocketServer
  readonly #streams = new Map<WebSocketStream, WebSocket>()
  readonly #origins: readonly string[] | undefined
  readonly #accept: Accept
  #closed = false

  constructor(settings: Omit<WebSocketSettings, 'path'>, accept: Accept, context: ListenContext = {}) {
    this.#origins = settings.origins
    this.#accept = accept
    const maxPayload = settings.maxPayload ?? context.maxPayload ?? defaultMaxPayload
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      // Inflating costs 100 µs and up for each message, and lets a small frame become a huge one before CONNECT.
      perMessageDeflate: false,
      maxPayload,
      maxFragments: Math.max(MIN_FRAGMENTS, Math.ceil(maxPayload / BYTES_PER_FRAGMENT)),
      closeTimeout: closeTimeoutMs,
      handleProtocols: (offered) => chooseProtocol(offered) ?? false,
    } as ConstructorParameters<typeof WebSocketServer>[0])
  }

  /**
   * Replies to an upgrade request for any path, with 101 and a connection or with an error. A request that has a
   * response already is left alone. Never throws.
   */
  handleUpgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer = NOTHING,
    options: UpgradeOptions & HasListener = {},
  ): void {
    socket.on('error', ignore)
    if (isTaken(socket)) return
    const { listener, origins = this.#origins } = options
    if (this.#closed) return refuseUpgrade(socket, 503)
    if (request.headers.host === undefined) return refuseUpgrade(socket, 400)
    if (!isOriginAllowed(request, origins)) return refuseUpgrade(socket, 403)
    // A browser requires one of its sub-protocols in the response [MQTT-6.0.0-3], [MQTT-6.0.0-4].
    if (chooseProtocol(offeredProtocols(request)) === undefined) return refuseUpgrade(socket, 400)
    taken.add(socket)
    try {
      this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#open(webSocket, request, socket, listener))
    } catch (error) {
      socket.destroy(error as Error) // A stream that was made by the application may throw.
    }
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

  #open(webSocket: WebSocket, request: IncomingMessage, socket: Duplex, listener: string | undefined): void {
    prepareSocket(socket)
    const stream = new WebSocketStream(webSocket, socket)
    stream.on('error', ignore) // 'close' follows
    this.#streams.set(stream, webSocket)
    webSocket.once('close', () => this.#streams.delete(stream))
    const known = connectionInfo(socket)
    const transport = known.transport === 'tls' ? 'wss' : 'ws'
    const info: ConnectionInfo = { ...known, transport, request, ...(listener === undefined ? {} : { listener }) }
    this.#accept(stream, info)
  }
}

interface HasListener {
  /** The URL of the listener. */
  readonly listener?: string
}

/** Throws an `InvalidOptionError` for a setting with an invalid value. `where` is the name before the setting. */
export function checkSettings(where: string, { path, origins, maxPayload }: WebSocketSettings): void {
  if (path !== undefined && (typeof path !== 'string' || !/^\/[^?#]*$/.test(path))) {
    throw new InvalidOptionError(`${where}.path: expected a path that begins with "/", got ${JSON.stringify(path)}`)
  }
  if (origins !== undefined && !(Array.isArray(origins) && origins.every((origin) => typeof origin === 'string'))) {
    throw new InvalidOptionError(`${where}.origins: expected an array of strings, got ${typeof origins}`)
  }
  if (maxPayload !== undefined && !(Number.isInteger(maxPayload) && maxPayload >= 1 && maxPayload < 2 ** 31)) {
    throw new InvalidOptionError(`${where}.maxPayload: expected bytes from 1 to 2147483647, got ${String(maxPayload)}`)
  }
}

export function pathOf(request: IncomingMessage): string {
  return request.url?.split('?', 1)[0] ?? ''
}

/** Replies to an upgrade request with an error, unless it has a response already. */
export function refuseUpgrade(socket: Duplex, code: 400 | 403 | 404 | 503): void {
  if (isTaken(socket)) return
  taken.add(socket)
  socket.on('error', ignore)
  socket.once('finish', () => socket.destroy())
  try {
    socket.end(`HTTP/1.1 ${code} ${STATUS_CODES[code]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  } catch (error) {
    socket.destroy(error as Error)
  }
}

/**
 * Whether an upgrade request has a response already, from whatever program. Node.js removes its own listeners from the
 * socket before it emits `upgrade`, so a listener of `data` is one of the program that replied. It is no sign by itself:
 * it may count the bytes of each connection.
 */
function isTaken(socket: Duplex): boolean {
  if (taken.has(socket) || socket.destroyed || socket.writableEnded) return true
  const { bytesWritten } = socket as { bytesWritten?: number }
  const isRead = socket.listenerCount('data') > 0 || socket.listenerCount('readable') > 0
  return isRead && (bytesWritten === undefined || bytesWritten > 0)
}

/** `mqtt` [MQTT-6.0.0-3], or `mqttv3.1` for Clients of MQTT 3.1. */
function chooseProtocol(offered: ReadonlySet<string>): string | undefined {
  return offered.has('mqtt') ? 'mqtt' : offered.has('mqttv3.1') ? 'mqttv3.1' : undefined
}

function offeredProtocols(request: IncomingMessage): ReadonlySet<string> {
  return new Set(request.headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()))
}

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ListenOptions, Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { expected, isBoolean, isObject, refuseUnknown } from '../options.ts'
import type { ConnectionInfo } from '../../types/connection-info.ts'
import type { ListenAddress, Listener, TcpListenOptions } from '../../types/listen.ts'

/** Takes one connection from a transport. */
export type Accept = (stream: Duplex, info: ConnectionInfo) => void

/** The broker as a listener sees it; every part has a default. */
export interface ListenContext {
  /** Bytes of one WebSocket message, when the options of the listener do not say. @defaultValue 4 MiB */
  readonly maxPayload?: number
  /** Responds to an HTTP request at the health path. */
  readonly onHealth?: (request: IncomingMessage, response: ServerResponse) => void
  /** Called when `close` of a listener is called, before its connections end. */
  onClose?(listener: Listener): void
}

/** Milliseconds for the remaining output when a listener closes. */
export const closeTimeoutMs = 2000

/** Milliseconds until TCP probes a silent peer, for Clients without Keep Alive. */
const tcpKeepAliveMs = 60_000

export const addressKeys: readonly string[] = ['port', 'host', 'backlog', 'maxConnections', 'exclusive', 'ipv6Only']

/**
 * Throws an `InvalidOptionError` for options that are no object, for a key that is not in `known` and for a wrong value,
 * because no option is ignored in silence. `what` is a transport, or `attach`.
 */
export function checkKeys(what: string, options: unknown, known: ReadonlySet<string>): void {
  const name = what === 'attach' ? what : `listen.${what}`
  const isWithPort = what === 'tcp' || what === 'ws'
  if (!isObject(options)) expected(name, `${isWithPort ? 'a port or ' : ''}an object of options`, options)
  refuseUnknown(`${name}.`, options, [...known])
  for (const [key, value] of Object.entries(options)) {
    if (value !== undefined && Object.hasOwn(valueChecks, key)) valueChecks[key]?.(`${name}.${key}`, value, what)
  }
}

const count = wholeNumber(0, 0x7fff_ffff)

/** The options that are not for the TLS of Node.js, which checks its own. */
const valueChecks: Readonly<Record<string, (option: string, value: unknown, what: string) => void>> = {
  port: wholeNumber(0, 65_535),
  host: (option, value) => {
    if (typeof value !== 'string' || value === '') expected(option, 'an address or the name of a host', value)
  },
  backlog: count,
  maxConnections: count,
  exclusive: isBoolean,
  ipv6Only: isBoolean,
  path: (option, value, what) => {
    const isOfSocket = what === 'tcp' || what === 'tls' // Otherwise it is that of a URL, see `checkSettings`.
    if (isOfSocket && (typeof value !== 'string' || value === '')) expected(option, 'a path', value)
  },
  handshakeTimeoutMs: wholeNumber(1, 0x7fff_ffff),
}

function wholeNumber(from: number, to: number): (option: string, value: unknown) => void {
  return (option, value) => {
    if (!Number.isInteger(value) || Number(value) < from || Number(value) > to)
      expected(option, `a whole number from ${from} to ${to}`, value)
  }
}

/** Sets up a socket for MQTT: small packets leave at once, dead peers are noticed, errors end only the connection. */
export function prepareSocket(socket: Duplex): void {
  const { setNoDelay, setKeepAlive } = socket as Partial<Socket>
  setNoDelay?.call(socket, true)
  setKeepAlive?.call(socket, true, tcpKeepAliveMs)
  // 'close' follows; without a listener an 'error' would end the program.
  socket.on('error', ignore)
}

export function ignore(): void {}

/** Opens a server; rejects with the system's error (`EADDRINUSE`, `EACCES`, …). */
export function listen(
  server: Server,
  options: ListenAddress & Pick<TcpListenOptions, 'path'>,
  port: number,
): Promise<void> {
  const where: ListenOptions = { backlog: options.backlog ?? 4096 }
  if (options.path === undefined) {
    where.port = options.port ?? port
    where.host = options.host ?? '127.0.0.1'
  } else {
    where.path = options.path
  }
  if (options.exclusive !== undefined) where.exclusive = options.exclusive
  if (options.ipv6Only !== undefined) where.ipv6Only = options.ipv6Only
  if (options.maxConnections !== undefined) server.maxConnections = options.maxConnections
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(where, () => {
      server.off('error', reject)
      // From now on an error is a connection that could not be accepted (EMFILE).
      server.on('error', ignore)
      resolve()
    })
  })
}

/** Closes the port. Does not wait for the connections, as the callback of `server.close` would. */
export function stopListening(server: Server): Promise<void> {
  if (!server.listening) return Promise.resolve()
  server.close()
  // The port is free when the event loop has closed the handle, at the end of this turn of the event loop.
  return new Promise((resolve) => setImmediate(resolve))
}

/** `mqtt://127.0.0.1:1883`; for a wildcard address with the loopback address. */
export function urlOf(protocol: Listener['protocol'], server: Server, path = ''): string {
  const address = server.address()
  if (address === null) return `${protocol}:${path}`
  if (typeof address === 'string') return `${protocol}+unix:${address}`
  const host = address.address === '0.0.0.0' ? '127.0.0.1' : address.address === '::' ? '::1' : address.address
  return `${protocol}://${host.includes(':') ? `[${host}]` : host}:${address.port}${path}`
}

/** The connections of one listener, so that closing it can end them. */
export class OpenSockets {
  readonly #sockets = new Set<Socket>()
  readonly #forget: (this: Socket) => void

  constructor() {
    const sockets = this.#sockets
    // One function for all sockets, to save memory.
    this.#forget = function forget() {
      sockets.delete(this)
    }
  }

  add(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('close', this.#forget)
  }

  /** Ends each socket after its remaining output, but at the latest after the time limit. */
  async close(): Promise<void> {
    const open = [...this.#sockets]
    const closed = open.map((socket) => new Promise((resolve) => socket.once('close', resolve)))
    const timer = setTimeout(() => {
      for (const socket of open) socket.destroy()
    }, closeTimeoutMs)
    for (const socket of open) socket.destroySoon()
    await Promise.all(closed)
    clearTimeout(timer)
  }
}

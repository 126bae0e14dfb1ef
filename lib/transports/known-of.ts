import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { ConnectionInfo } from '../../types/connection-info.ts'
import { InvalidOptionError } from '../errors.ts'
import { expected, isObject, refuseUnknown } from '../options.ts'
import { connectionInfo } from './info.ts'

type Given = Partial<ConnectionInfo> | IncomingMessage | undefined

/** Throws an `InvalidOptionError` for arguments that are no upgrade request. */
export function checkUpgrade(request: unknown, socket: unknown): void {
  if (!isRequest(request)) expected('handleUpgrade', 'an http.IncomingMessage', request)
  checkStream('handleUpgrade', socket)
}

/** Throws an `InvalidOptionError` unless it has the methods of a Duplex stream that the broker calls. */
function checkStream(method: string, stream: unknown): void {
  const methods = ['on', 'once', 'pause', 'resume', 'write', 'end', 'destroy']
  if (isObject(stream) && methods.every((name) => typeof stream[name] === 'function')) return
  if (isObject(stream) && typeof stream.send === 'function' && typeof stream.terminate === 'function') {
    throw new InvalidOptionError(
      `${method}: expected a Duplex stream, got a WebSocket; write broker.attach(server), ` +
        'or broker.handle(createWebSocketStream(webSocket), request) with the function of ws',
    )
  }
  expected(method, 'a Duplex stream', stream)
}

const strings = ['transport', 'remoteAddress', 'servername', 'listener']

const checks: Readonly<Record<string, (option: string, value: unknown) => void>> = {
  ...Object.fromEntries(strings.map((name) => [name, checkString])),
  remotePort: (option, value) => {
    if (!Number.isInteger(value) || Number(value) < 0 || Number(value) > 65_535)
      expected(option, 'a port from 0 to 65,535', value)
  },
  peerCertificate: (option, value) => {
    if (!isObject(value) || typeof value.toLegacyObject !== 'function') expected(option, 'an X509Certificate', value)
  },
  authorized: (option, value) => {
    if (typeof value !== 'boolean') expected(option, 'true or false', value)
  },
  request: (option, value) => {
    if (!isRequest(value)) expected(option, 'an http.IncomingMessage', value)
  },
}

function checkString(option: string, value: unknown): void {
  if (typeof value !== 'string' || value === '') expected(option, 'a string that is not empty', value)
}

/** By its properties, because a framework may wrap it. */
function isRequest(value: unknown): value is IncomingMessage {
  return isObject(value) && isObject(value.headers) && 'socket' in value
}

/** The request of Node.js in a request of a framework such as Fastify, which has it as `raw`. */
function rawRequest(request: IncomingMessage): IncomingMessage {
  const { raw } = request as { raw?: unknown }
  return isRequest(raw) ? raw : request
}

/** Address and certificate of the socket that the request came from. */
function knownOfRequest(stream: Duplex, request: IncomingMessage): ConnectionInfo {
  const known = connectionInfo(isObject(request.socket) ? request.socket : stream)
  return { ...known, transport: known.transport === 'tls' ? 'wss' : 'ws', request }
}

/**
 * All that is known of a stream of the application: by itself, by the HTTP request that became it, and by the fields
 * that the application adds. Throws an `InvalidOptionError` for values of another kind.
 */
export function knownOf(stream: Duplex, given: Given): ConnectionInfo {
  checkStream('handle', stream)
  if (given === undefined || given === null) return connectionInfo(stream)
  if (isRequest(given)) return knownOfRequest(stream, rawRequest(given))
  if (!isObject(given)) expected('handle', 'an object with what is known of the connection, or its HTTP request', given)
  refuseUnknown('handle.', given, Object.keys(checks))
  const fields = Object.entries(given).filter(([, value]) => value !== undefined)
  for (const [name, value] of fields) checks[name]?.(`handle.${name}`, value)
  const known = given.request === undefined ? connectionInfo(stream) : knownOfRequest(stream, given.request)
  return { ...known, ...(Object.fromEntries(fields) as Partial<ConnectionInfo>) }
}

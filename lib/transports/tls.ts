import { createServer } from 'node:tls'
import type { Listener, TlsListenOptions } from '../../types/listen.ts'
import { type Accept, addressKeys, checkKeys, type ListenContext } from './listener.ts'
import { listenForSockets } from './socket-listener.ts'
import { ListenerTls, tlsKeys } from './tls-options.ts'

const knownKeys = new Set([...addressKeys, 'path', ...tlsKeys])

/** MQTT over TLS, port 8883. */
export async function listenTls(
  options: TlsListenOptions,
  accept: Accept,
  context: ListenContext = {},
): Promise<Listener> {
  checkKeys('tls', options, knownKeys)
  const tls = new ListenerTls('tls', options)
  const server = createServer({ ...tls.options, allowHalfOpen: true })
  // A failed handshake ends only its connection.
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  const listener = await listenForSockets({ protocol: 'mqtts', server, defaultPort: 8883 }, options, accept, context)
  listener.replaceCertificate = (certificate) => tls.replaceCertificate(server, certificate)
  return listener
}

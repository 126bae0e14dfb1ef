import { createServer } from 'node:tls'
import type { Listener, TlsListenOptions } from '../../types/listen.ts'
import { connectionInfo } from './info.ts'
import {
  type Accept,
  addressKeys,
  checkKeys,
  listen,
  OpenSockets,
  prepareSocket,
  stopListening,
  urlOf,
} from './listener.ts'
import { ListenerTls, tlsKeys } from './tls-options.ts'

const known = new Set([...addressKeys, 'path', ...tlsKeys])

/** MQTT over TLS, port 8883. */
export async function listenTls(options: TlsListenOptions, accept: Accept): Promise<Listener> {
  checkKeys('tls', options, known)
  const tls = new ListenerTls('tls', options)
  const sockets = new OpenSockets()
  const server = createServer({ ...tls.options, allowHalfOpen: true }, (socket) => {
    prepareSocket(socket)
    sockets.add(socket)
    accept(socket, { ...connectionInfo(socket), listener: url })
  })
  // A handshake that fails ends that connection, and only that.
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  await listen(server, options, 8883)
  const url = urlOf('mqtts', server)
  const stopAccepting = (): Promise<void> => stopListening(server)
  return {
    protocol: 'mqtts',
    url,
    address: server.address() ?? '',
    stopAccepting,
    async close() {
      await stopAccepting()
      await sockets.close()
    },
    replaceCertificate: (certificate) => tls.replaceCertificate(server, certificate),
  }
}

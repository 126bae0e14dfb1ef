import type { Server, Socket } from 'node:net'
import type { Listener, TcpListenOptions } from '../../types/listen.ts'
import { connectionInfo } from './info.ts'
import {
  type Accept,
  listen,
  type ListenContext,
  OpenSockets,
  prepareSocket,
  stopListening,
  urlOf,
} from './listener.ts'

interface SocketServer {
  readonly protocol: 'mqtt' | 'mqtts'
  /** A server of `node:net` or `node:tls` that does not listen yet. */
  readonly server: Server
  readonly defaultPort: number
}

/** Opens a server whose sockets carry MQTT directly: TCP and TLS. */
export async function listenForSockets(
  { protocol, server, defaultPort }: SocketServer,
  options: TcpListenOptions,
  accept: Accept,
  context: ListenContext,
): Promise<Listener> {
  const sockets = new OpenSockets()
  // A TLS server has both events; a socket can be used after the second.
  server.on(protocol === 'mqtts' ? 'secureConnection' : 'connection', (socket: Socket) => {
    prepareSocket(socket)
    sockets.add(socket)
    accept(socket, connectionInfo(socket, url))
  })
  await listen(server, options, defaultPort)
  const url = urlOf(protocol, server)
  const stopAccepting = (): Promise<void> => stopListening(server)
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
      await stopAccepting()
      await sockets.close()
    },
  }
  return listener
}

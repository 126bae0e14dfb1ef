import { createServer } from 'node:net'
import type { Listener, TcpListenOptions } from '../../types/listen.ts'
import { readIntoSharedBuffer } from '../connection/read-buffer.ts'
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

const known = new Set([...addressKeys, 'path'])

/** MQTT over TCP, port 1883 by custom. */
export async function listenTcp(options: number | TcpListenOptions, accept: Accept): Promise<Listener> {
  const settings = typeof options === 'number' ? { port: options } : options
  checkKeys('tcp', settings, known)
  const sockets = new OpenSockets()
  // A Client may end its side and wait for the answers: the connection ends ours.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    readIntoSharedBuffer(socket)
    prepareSocket(socket)
    sockets.add(socket)
    accept(socket, connectionInfo(socket, url))
  })
  await listen(server, settings, 1883)
  const url = urlOf('mqtt', server)
  const stopAccepting = (): Promise<void> => stopListening(server)
  return {
    protocol: 'mqtt',
    url,
    address: server.address() ?? '',
    stopAccepting,
    async close() {
      await stopAccepting()
      await sockets.close()
    },
  }
}

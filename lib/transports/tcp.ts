import { createServer } from 'node:net'
import type { Listener, TcpListenOptions } from '../../types/listen.ts'
import { readIntoSharedBuffer } from '../connection/read-buffer.ts'
import { type Accept, addressKeys, checkKeys, type ListenContext } from './listener.ts'
import { listenForSockets } from './socket-listener.ts'

const knownKeys = new Set([...addressKeys, 'path'])

/** MQTT over TCP, port 1883 by custom. */
export async function listenTcp(
  options: number | TcpListenOptions,
  accept: Accept,
  context: ListenContext = {},
): Promise<Listener> {
  const settings = typeof options === 'number' ? { port: options } : options
  checkKeys('tcp', settings, knownKeys)
  // A Client may end its side of the stream and wait for replies.
  const server = createServer({ allowHalfOpen: true }, readIntoSharedBuffer)
  return listenForSockets({ protocol: 'mqtt', server, defaultPort: 1883 }, settings, accept, context)
}

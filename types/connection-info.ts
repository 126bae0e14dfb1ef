import type { X509Certificate } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { ListenOptionsMap } from './listen.ts'

/** Properties of a Network Connection that are known before its first packet. */
export interface ConnectionInfo {
  /** The transport protocol; `stream` is a Duplex given to `broker.handle`. */
  readonly transport: keyof ListenOptionsMap | 'memory' | 'quic' | 'mqtt-sn' | 'stream' | (string & {})
  /** IP address of the Client; absent if the transport has none. */
  readonly remoteAddress?: string
  /** Port of the Client; absent if the transport has none. */
  readonly remotePort?: number
  /** Server name in the TLS handshake (SNI). */
  readonly servername?: string
  /** The Client's certificate. Trust it only when `authorized` is true. */
  readonly peerCertificate?: X509Certificate
  /** True if the Client's certificate was verified against the `ca` of the listener. Absent without TLS. */
  readonly authorized?: boolean
  /** The HTTP request that became a WebSocket, with its headers and URL. */
  readonly request?: IncomingMessage
  /** The URL of the listener that accepted the connection. */
  readonly listener?: string
}

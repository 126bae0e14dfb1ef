import type { X509Certificate } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { ListenOptionsMap } from './listen.ts'

/** A Network Connection before its first packet: how it came in, from where, and with which certificate. */
export interface ConnectionInfo {
  /** How the bytes travel. `stream` is a Duplex about which nothing more is known. */
  readonly transport: keyof ListenOptionsMap | 'memory' | 'quic' | 'mqtt-sn' | 'stream' | (string & {})
  readonly remoteAddress?: string
  readonly remotePort?: number
  /** The name that the Client asked for in its TLS handshake (SNI). */
  readonly servername?: string
  /** The Client's certificate. Trust it only when `authorized` is true. */
  readonly peerCertificate?: X509Certificate
  /** True when the Client's certificate was verified against the `ca` of the listener. Absent without TLS. */
  readonly authorized?: boolean
  /** The HTTP request that became a WebSocket, with its headers and URL. */
  readonly request?: IncomingMessage
  /** The URL of the listener that accepted the connection. */
  readonly listener?: string
}

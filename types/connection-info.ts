import type { X509Certificate } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

/** What is known of a network connection. Filled in from net, tls and WebSocket; for other streams, by the caller. */
export interface ConnectionInfo {
  readonly transport: 'tcp' | 'tls' | 'ws' | 'wss' | 'memory' | 'quic' | 'mqtt-sn' | (string & {})
  readonly remoteAddress?: string
  readonly remotePort?: number
  readonly localPort?: number
  readonly servername?: string
  readonly peerCertificate?: X509Certificate
  readonly authorized?: boolean
  readonly request?: IncomingMessage
  readonly listener?: string
}

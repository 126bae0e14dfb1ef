import type { X509Certificate } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { ConnectionInfo } from '../../types/connection-info.ts'

/** What a `net.Socket` or `tls.TLSSocket` can tell; any of it may be missing. */
interface SocketLike {
  readonly remoteAddress?: unknown
  readonly remotePort?: unknown
  readonly encrypted?: unknown
  readonly servername?: unknown
  readonly authorized?: unknown
  readonly setNoDelay?: unknown
  readonly getPeerX509Certificate?: () => X509Certificate | undefined
}

type Known = { -readonly [Key in keyof ConnectionInfo]: ConnectionInfo[Key] }

/** Reads off a stream what can be known about it. Looks at properties, not classes: the stream may come from anywhere. */
export function connectionInfo(stream: Duplex, listener?: string): ConnectionInfo {
  const socket = stream as SocketLike // this is the door: every property is checked below
  const encrypted = socket.encrypted === true
  // A stream that we know nothing about is never called `memory`: that would make it trusted.
  const transport = encrypted ? 'tls' : typeof socket.setNoDelay === 'function' ? 'tcp' : 'stream'
  const { remoteAddress, remotePort } = socket
  if (
    transport === 'tcp' &&
    listener !== undefined &&
    typeof remoteAddress === 'string' &&
    typeof remotePort === 'number'
  ) {
    return { transport, remoteAddress, remotePort, listener } // The usual one, in one piece.
  }
  const info: Known = { transport }
  if (listener !== undefined) info.listener = listener
  if (typeof socket.remoteAddress === 'string') info.remoteAddress = socket.remoteAddress
  if (typeof socket.remotePort === 'number') info.remotePort = socket.remotePort
  if (encrypted) {
    if (typeof socket.servername === 'string') info.servername = socket.servername
    info.authorized = socket.authorized === true
    const certificate = socket.getPeerX509Certificate?.()
    if (certificate !== undefined) info.peerCertificate = certificate
  }
  return info
}
